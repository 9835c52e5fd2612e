"""Storage Commitment, push model (PS3.4 J): the request, the result, and both ends of each."""

from __future__ import annotations

import re
import threading
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from clinic_panel.dimse.association import Proposal, associated
from clinic_panel.dimse.model import (
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    Caller,
    Reference,
    Remote,
    Request,
    Result,
)
from clinic_panel.errors import NotUnderstood, PeerFailure, PeerUnavailable

SOP_CLASS, SOP_INSTANCE = StorageCommitmentPushModel, StorageCommitmentPushModelInstance
REQUEST = 1  # Action Type ID (PS3.4 Table J.3-1)
SAME_ASSOCIATION_S = 2.0  # for how long a result is awaited where it was asked for
REPORT_ANSWER_S = 30.0

# As lenient as the archive: old devices begin components with a zero.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def decode_request(information: Dataset) -> Request:
    """Read the Action Information of a request.

    Raises
    ------
    NotUnderstood
        A required attribute is missing, empty or no UID.
    """
    return Request(_transaction(information), _references(information, "ReferencedSOPSequence"))


def encode_request(request: Request) -> Dataset:
    """Return the Action Information of a request."""
    ds = Dataset()
    ds.TransactionUID = request.transaction_uid
    ds.ReferencedSOPSequence = DicomSequence(map(_item, request.references))
    return ds


def decode_result(information: Dataset) -> Result:
    """Read the Event Information of a result.

    Raises
    ------
    NotUnderstood
        A required attribute is missing, empty or no UID.
    """
    committed: tuple[Reference, ...] = ()
    failed: tuple[tuple[Reference, int], ...] = ()
    if information.get("ReferencedSOPSequence"):
        committed = _references(information, "ReferencedSOPSequence")
    if information.get("FailedSOPSequence"):
        references = _references(information, "FailedSOPSequence")
        reasons = [_reason(item) for item in information.FailedSOPSequence]
        failed = tuple(zip(references, reasons, strict=True))
    return Result(_transaction(information), committed, failed)


def encode_result(result: Result, retrieve_ae_title: str) -> Dataset:
    """Return the Event Information of a result; a sequence that would be empty is left out."""
    ds = Dataset()
    ds.TransactionUID = result.transaction_uid
    ds.RetrieveAETitle = retrieve_ae_title
    if result.committed:
        ds.ReferencedSOPSequence = DicomSequence(map(_item, result.committed))
    if result.failed:
        ds.FailedSOPSequence = DicomSequence(_item(*each) for each in result.failed)
    return ds


def commit(
    caller: Caller, remote: Remote, request: Request, *, wait_s: float = SAME_ASSOCIATION_S
) -> Result | None:
    """Ask for the safekeeping of instances (N-ACTION), and wait a little for the result.

    Returns
    -------
    Result or None
        None: the other side took the request and reports later, to our own listener.

    Raises
    ------
    PeerUnavailable, PeerFailure
        It did not take the request.
    """
    results: list[Result] = []
    ended = threading.Event()

    def reported(event: evt.Event) -> tuple[int, None]:
        try:
            result = decode_result(event.event_information)
        except Exception:  # noqa: BLE001 - the edge: whatever breaks in what a peer sends
            return PROCESSING_FAILURE, None
        if result.transaction_uid != request.transaction_uid:
            return NO_SUCH_INSTANCE, None
        results.append(result)
        return 0x0000, None

    def answered(event: evt.Event) -> None:  # the result is in and our answer is out
        if results and type(event.message).__name__ == "N_EVENT_REPORT_RSP":
            ended.set()

    handlers = [
        (evt.EVT_N_EVENT_REPORT, reported),
        (evt.EVT_DIMSE_SENT, answered),
        (evt.EVT_CONN_CLOSE, lambda event: ended.set()),
    ]
    with associated(caller, remote, [Proposal(SOP_CLASS)], handlers=handlers) as association:
        answer, _ = association.send_n_action(
            encode_request(request), REQUEST, SOP_CLASS, SOP_INSTANCE
        )
        _check(answer.get("Status"), "The request for storage commitment")
        ended.wait(wait_s)
    return results[0] if results else None


def report(caller: Caller, remote: Remote, result: Result) -> None:
    """Tell the result on an association of our own (PS3.4 J.3.3), in the SCP's role.

    Raises
    ------
    PeerUnavailable, PeerFailure
        It was not heard, or not taken.
    """
    proposals = [Proposal(SOP_CLASS, as_scp=True)]
    with associated(caller, remote, proposals, answer_s=REPORT_ANSWER_S) as association:
        [context] = association.accepted_contexts
        if not context.as_scp:
            raise PeerFailure("The device does not let us report (SCP role refused).")
        answer, _ = association.send_n_event_report(
            encode_result(result, caller.ae_title), result.event_type, SOP_CLASS, SOP_INSTANCE
        )
    _check(answer.get("Status"), "The result of storage commitment")


def begin_report(
    association: Association, result: Result, retrieve_ae_title: str, message_id: int
) -> bool:
    """Send the result on an association that the other side opened; its answer comes later.

    Returns
    -------
    bool
        False when the association ended or has no context for it.
    """
    contexts = [c for c in association.accepted_contexts if c.abstract_syntax == SOP_CLASS]
    if not contexts or not association.is_established:
        return False
    syntax = contexts[0].transfer_syntax[0]
    information = encode(
        encode_result(result, retrieve_ae_title), syntax.is_implicit_VR, syntax.is_little_endian
    )
    primitive = N_EVENT_REPORT()
    primitive.MessageID = message_id
    primitive.AffectedSOPClassUID = SOP_CLASS
    primitive.AffectedSOPInstanceUID = SOP_INSTANCE
    primitive.EventTypeID = result.event_type
    primitive.EventInformation = BytesIO(information)
    association.dimse.send_msg(primitive, contexts[0].context_id)
    return True


def _check(status: int | None, what: str) -> None:
    if status is None:
        raise PeerUnavailable(f"{what} is not answered.")
    if status != 0x0000:
        raise PeerFailure(f"{what} is answered with 0x{status:04X}.", status=status)


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def _transaction(information: Dataset) -> str:
    return _uid(information, "TransactionUID")


def _references(information: Dataset, keyword: str) -> tuple[Reference, ...]:
    items = information.get(keyword)
    if not items:
        raise NotUnderstood(f"{keyword} is missing.")
    return tuple(
        Reference(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID"))
        for item in items
    )


def _reason(item: Dataset) -> int:
    reason = item.get("FailureReason")
    return reason if isinstance(reason, int) else PROCESSING_FAILURE


def _uid(ds: Dataset, keyword: str) -> str:
    text = str(ds.get(keyword) or "").strip(" \0")
    if len(text) > 64 or not _UID.fullmatch(text):
        raise NotUnderstood(f"{keyword} is missing or no UID.")
    return text
