"""What a received object is to the index, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clinic_panel.imaging.header import Header
from clinic_panel.incoming import Stored


@dataclass(frozen=True, slots=True)
class Received:
    """One durable object that waits for its row."""

    header: Header
    stored: Stored
    source_ae_title: str = ""
    address: str = ""
    made_here: bool = False  # by a reader, of images that are here: nobody waited for it

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.header.SOPInstanceUID

    @property
    def parent_uids(self) -> tuple[str, str]:
        """Study and Series Instance UID."""
        return self.header.StudyInstanceUID, self.header.SeriesInstanceUID


class Duplicates(StrEnum):
    """What becomes of other bytes under a SOP Instance UID we hold."""

    KEEP = "keep"
    REJECT = "reject"
    REPLACE = "replace"


class Verdict(StrEnum):
    """What became of a received object."""

    KEPT = "kept"
    AGAIN = "again"  # the same bytes were here before
    # Other bytes under a known SOP Instance UID, and what the clinic's policy made of them:
    CONFLICT = "conflict"  # on disk, not indexed
    REJECTED = "rejected"  # not kept
    REPLACED = "replaced"  # indexed in place of the earlier bytes, which stay on disk


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and the row that stands for the SOP Instance UID."""

    verdict: Verdict
    instance_id: int
    study_id: int


def instance_row(item: Received, series_pk: int, received_at: Any) -> dict[str, Any]:
    """Return the row of an object; ``received_at`` as whoever executes it wants it."""
    header = item.header
    return {
        "series_pk": series_pk,
        "sop_instance_uid": header.SOPInstanceUID,
        "sop_class_uid": header.SOPClassUID,
        "transfer_syntax_uid": header.TransferSyntaxUID,
        "instance_number": header.InstanceNumber,
        "rows": header.Rows,
        "columns": header.Columns,
        "number_of_frames": header.NumberOfFrames,
        "sha256": item.stored.sha256,
        "path": item.stored.path,
        "size_bytes": item.stored.size_bytes,
        "source_ae_title": item.source_ae_title,
        "received_at": received_at,
    }
