"""The statuses of C-STORE, each with the comment that goes with it (PS3.4 B.2.3, PS3.7 9.1.1.1.9).

One table: what the receivers answer, and what the conformance statement says of it.
"""

from dataclasses import dataclass
from typing import Final, Self

from clinic_panel.errors import (
    ClinicError,
    Conflict,
    NotUnderstood,
    StorageFull,
    Unavailable,
    WrongInstance,
)
from clinic_panel.imaging.elements import CutShort

COMMENT_LENGTH: Final = 64  # Error Comment (0000,0902) is a LO


class Status(int):
    """A DIMSE status that brings its Error Comment along; which names no patient."""

    comment: str

    def __new__(cls, code: int, comment: str = "") -> Self:
        """Return a status; a comment that is too long is cut."""
        status = super().__new__(cls, code)
        status.comment = comment[:COMMENT_LENGTH]
        return status


SUCCESS: Final = Status(0x0000)
PROCESSING_FAILURE: Final = Status(0x0110, "The object could not be processed.")
DUPLICATE_KEPT: Final = Status(0x0111, "Other content has this UID here; this is kept beside it.")
DUPLICATE_REJECTED: Final = Status(0x0111, "Other content has this UID here; this is not kept.")
CLASS_NOT_SUPPORTED: Final = Status(0x0122, "The context was negotiated for another SOP class.")
MISTYPED: Final = Status(0x0212, "The request announces no data set.")
OUT_OF_RESOURCES: Final = Status(0xA700, "Out of resources now; please send it again later.")
MISMATCH: Final = Status(0xA900, "The data set is not the instance or class announced.")
NOT_UNDERSTOOD: Final = Status(0xC000, "The object could not be understood.")
_OF: dict[type[BaseException], Status] = {
    StorageFull: OUT_OF_RESOURCES,  # the modality keeps its copy and tries again
    Unavailable: OUT_OF_RESOURCES,
    TimeoutError: OUT_OF_RESOURCES,
    Conflict: OUT_OF_RESOURCES,  # somebody edits the booking: no word on the object
    WrongInstance: MISMATCH,
    NotUnderstood: NOT_UNDERSTOOD,
    CutShort: NOT_UNDERSTOOD,
}
_SAY_WHY = (StorageFull, NotUnderstood)  # their sentences speak of the object


@dataclass(frozen=True, slots=True)
class Meaning:
    """One line of the conformance statement."""

    code: str
    meaning: str
    answered_when: str
    kept: str


MEANINGS: Final = (
    Meaning(
        "0000",
        "Success",
        "File and index row are durable; also when the same object was held already, and, with "
        "`CLINIC_DUPLICATES=replace`, when it took the place of other content",
        "yes",
    ),
    Meaning(
        "0110", "Failure: processing failure", "An error that is ours; please send again", "no"
    ),
    Meaning(
        "0111",
        "Failure: duplicate SOP instance",
        "The SOP Instance UID is held with other content. `CLINIC_DUPLICATES=keep` (the default): "
        "kept beside it, not indexed, shown to the administrator; `reject`: not kept; `replace`: "
        "only when it may not take the other's place, then as with `keep`",
        "by setting",
    ),
    Meaning(
        "0122",
        "Failure: SOP class not supported",
        "The SOP class announced is not that of the presentation context",
        "no",
    ),
    Meaning("0212", "Failure: mistyped argument", "The request announces no data set", "no"),
    Meaning(
        "A700",
        "Refused: out of resources",
        "The free space reached its reserve (before the disk is full), the object is larger than "
        "the limit, the database does not answer, or the index did not commit in time",
        "no",
    ),
    Meaning(
        "A900",
        "Error: data set does not match SOP class",
        "SOP Class or SOP Instance UID in the data set differ from those announced",
        "no",
    ),
    Meaning(
        "C000",
        "Error: cannot understand",
        "An empty or damaged data set, one that nests deeper, inflates further or has more "
        "elements than the limits, or lacks a valid SOP Instance, Series or Study Instance UID",
        "no",
    ),
)


def status_of(error: BaseException) -> Status:
    """Return the status for an error; one we did not foresee is a processing failure."""
    status = _OF.get(type(error), PROCESSING_FAILURE)
    if isinstance(error, ClinicError) and type(error) in (*_SAY_WHY, CutShort):
        return Status(status, error.message)
    return status
