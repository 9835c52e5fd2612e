"""C-MOVE as the one who asks: another archive sends a study to a third, or to us (PS3.4 C.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

from clinic_panel.dimse.association import Proposal, associated
from clinic_panel.dimse.model import Caller, MoveProgress, Remote
from clinic_panel.errors import PeerFailure, PeerUnavailable

MODEL = StudyRootQueryRetrieveInformationModelMove
ANSWER_S = 300.0  # an archive that fetches from tape says nothing for long
PENDING, SOME_FAILED, CANCELLED = 0xFF00, 0xB000, 0xFE00
_MESSAGE_ID = 1
# PS3.4 Table C.4-2, as a person can act on it.
FAILURES: Mapping[int, str] = {
    0xA701: "It has no resources to count what is asked for.",
    0xA702: "It could not send: no resources, or our listener was not reached.",
    0xA801: "It does not know our AE title {destination} as a destination: enter it there.",
    0xA900: "It does not understand the request.",
    0x0122: "It does not offer retrieval.",
    0x0124: "It does not allow us to retrieve.",
}


def move(
    caller: Caller,
    remote: Remote,
    study_instance_uid: str,
    destination: str,
    tell: Callable[[MoveProgress], bool] = lambda progress: True,
) -> MoveProgress:
    """Have a study sent to a destination; return the final counts.

    Parameters
    ----------
    destination
        AE title; the other archive must know where it is.
    tell
        Called with the counts as they come; False stops the transfer.

    Raises
    ------
    PeerUnavailable, PeerFailure
        There is no association, it ended early, or the archive refuses.
    """
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", study_instance_uid
    progress, is_stopped = MoveProgress(), False
    with associated(caller, remote, [Proposal(MODEL)], answer_s=ANSWER_S) as association:
        answers = association.send_c_move(keys, destination, MODEL, msg_id=_MESSAGE_ID)
        for status, _ in answers:
            code = status.get("Status")
            if code is None:
                raise PeerUnavailable("The other system ended the association in mid-transfer.")
            progress = _progress(status, progress)
            if code == PENDING:
                if not tell(progress) and not is_stopped:
                    association.send_c_cancel(_MESSAGE_ID, query_model=MODEL)
                    is_stopped = True
            elif code not in (0x0000, SOME_FAILED, CANCELLED):
                why = FAILURES.get(code, "").format(destination=destination)
                text = f"The transfer is answered with 0x{code:04X}. {why}".strip()
                raise PeerFailure(text, status=code)
    return progress


def _progress(status: Dataset, before: MoveProgress) -> MoveProgress:
    """Counts of this answer; what it leaves out is as it was (PS3.4 C.4.2.1.6)."""

    def count(keyword: str, known: int) -> int:
        value = status.get(keyword)
        return int(value) if value is not None else known

    is_over = status.Status != PENDING
    return MoveProgress(
        remaining=count("NumberOfRemainingSuboperations", 0 if is_over else before.remaining),
        completed=count("NumberOfCompletedSuboperations", before.completed)
        + count("NumberOfWarningSuboperations", 0),
        failed=count("NumberOfFailedSuboperations", before.failed),
    )
