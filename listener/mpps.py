"""Modality Performed Procedure Step: N-CREATE, N-SET, N-GET (PS3.4 F.7 and F.8, PS3.7 10.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import encode
from pynetdicom.events import Event

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, Unavailable
from clinic_panel.services import performed, performed_retrieval
from clinic_panel.services.performed import Message, StepRow
from clinic_panel.services.performed_attributes import ATTRIBUTES, Reason, StepRefused

log = logging.getLogger(__name__)

SUCCESS = 0x0000
OPTIONAL_NOT_SUPPORTED = 0x0001  # PS3.4 F.8.2.1.4
PROCESSING_FAILURE = 0x0110
RESOURCE_LIMITATION = 0x0213
NO_LONGER_UPDATED = "Performed Procedure Step Object may no longer be updated"
NO_LONGER_UPDATED_ID = 0xA710  # PS3.4 Table F.7.2-2
STATUS_OF: dict[Reason, int] = {  # PS3.7 C, PS3.4 F.7.2
    Reason.NO_SUCH_ATTRIBUTE: 0x0105,
    Reason.INVALID_VALUE: 0x0106,
    Reason.NOT_UNDERSTOOD: PROCESSING_FAILURE,
    Reason.FINAL: PROCESSING_FAILURE,
    Reason.DUPLICATE: 0x0111,
    Reason.UNKNOWN: 0x0112,
    Reason.INVALID_INSTANCE: 0x0117,
    Reason.MISSING_ATTRIBUTE: 0x0120,
    Reason.MISSING_VALUE: 0x0121,
    Reason.TOO_MUCH: RESOURCE_LIMITATION,
}
WHEN: dict[Reason, str] = {  # for the conformance statement
    Reason.NO_SUCH_ATTRIBUTE: "N-SET of an attribute that may only be created",
    Reason.INVALID_VALUE: "A status other than IN PROGRESS in N-CREATE, or an unknown one in "
    "N-SET; a UID, date, time or AE title that is none. The attribute comes back as Attribute List",
    Reason.NOT_UNDERSTOOD: "The bytes are no data set",
    Reason.FINAL: "N-SET of a step that is COMPLETED or DISCONTINUED: Error ID A710 and the Error "
    "Comment of PS3.4 Table F.7.2-2",
    Reason.DUPLICATE: "N-CREATE of an instance that exists; it is left as it is, so that asking "
    "again is harmless",
    Reason.UNKNOWN: "N-SET of an instance that does not exist",
    Reason.INVALID_INSTANCE: "The SOP Instance UID is none",
    Reason.MISSING_ATTRIBUTE: "An attribute of type 1 is missing; or, at the end, one of type 1 in "
    "the final state was never sent",
    Reason.MISSING_VALUE: "An attribute of type 1, also of the final state, has no value",
    Reason.TOO_MUCH: "More scheduled steps, series, objects or messages than are kept of one step; "
    "also when the database does not answer",
}
_TOP_LEVEL = frozenset(attribute.keyword for attribute in ATTRIBUTES)
_COMMENT_LENGTH = 64  # Error Comment (0000,0902) is an LO

type Answer = tuple[Dataset | int, Dataset | None]


def handle_create(event: Event, ctx: Context) -> Answer:
    """Answer N-CREATE: Success only once the step is committed."""
    request = event.request
    message = _message(event, request.AffectedSOPInstanceUID, request.AttributeList)
    status, row = _answered(event, message, lambda: performed.begin(ctx, message))
    if row is None:
        return status, None
    said = None
    if not message.sop_instance_uid:  # we made one, and the peer has to know it
        said = Dataset()
        said.AffectedSOPInstanceUID = row.sop_instance_uid
    return status, said


def handle_set(event: Event, ctx: Context) -> Answer:
    """Answer N-SET: Success only once the change is committed."""
    request = event.request
    message = _message(event, request.RequestedSOPInstanceUID, request.ModificationList)
    status, _ = _answered(event, message, lambda: performed.update(ctx, message))
    return status, None


def handle_get(event: Event, ctx: Context) -> Answer:
    """Answer N-GET with the attributes asked for, or all."""
    requestor, uid = event.assoc.requestor, str(event.request.RequestedSOPInstanceUID or "")
    peer = requestor.ae_title
    try:
        step = performed_retrieval.retrieve(
            ctx, uid, source_ae_title=peer, address=requestor.address or ""
        )
        asked = event.attribute_identifiers
        known = [tag for tag in asked if tag in step]
        answer = _only(step, known) if asked else step
    except StepRefused as refused:
        log.warning("N-GET from %s refused: %s", peer, refused.reason.value)
        return STATUS_OF[refused.reason], None
    except Unavailable:
        log.warning("N-GET from %s: the database does not answer", peer)
        return RESOURCE_LIMITATION, None
    except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
        log.error("N-GET from %s failed: %s", peer, type(error).__name__)
        return PROCESSING_FAILURE, None
    log.info("N-GET from %s: %d attributes", peer, len(answer))
    return (SUCCESS if len(known) == len(asked) else OPTIONAL_NOT_SUPPORTED), answer


def _only(step: Dataset, tags: Iterable[int]) -> Dataset:
    some = Dataset()
    some.SpecificCharacterSet = step.SpecificCharacterSet
    for tag in tags:
        some[tag] = step[tag]
    return some


def _message(event: Event, sop_instance_uid: object, attributes: BytesIO | None) -> Message:
    requestor = event.assoc.requestor
    return Message(
        sop_instance_uid=str(sop_instance_uid or ""),
        attributes=attributes.getvalue() if attributes else b"",
        transfer_syntax_uid=str(event.context.transfer_syntax),
        source_ae_title=requestor.ae_title,
        address=requestor.address or "",
    )


def _answered(
    event: Event, message: Message, act: Callable[[], StepRow]
) -> tuple[Dataset | int, StepRow | None]:
    """Do what is asked; the peer always gets an answer, and the log names no patient."""
    what = type(event.request).__name__.replace("_", "-")
    peer = message.source_ae_title
    try:
        row = act()
    except StepRefused as refused:
        log.warning("%s from %s refused: %s", what, peer, refused.reason.value)
        return _refusal(message, refused), None
    except Unavailable:
        log.warning("%s from %s: the database does not answer", what, peer)
        return RESOURCE_LIMITATION, None
    except ClinicError as error:
        log.warning("%s from %s failed: %s", what, peer, type(error).__name__)
        return PROCESSING_FAILURE, None
    except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
        log.error("%s from %s failed: %s", what, peer, type(error).__name__)
        return PROCESSING_FAILURE, None
    log.info("%s from %s: step %d %s", what, peer, row.id, row.status.value)
    return SUCCESS, row


def _refusal(message: Message, refused: StepRefused) -> Dataset:
    said = _Status()
    said.Status = STATUS_OF[refused.reason]
    said.ErrorComment = refused.message[:_COMMENT_LENGTH]
    if refused.reason is Reason.FINAL:
        said.ErrorComment, said.ErrorID = NO_LONGER_UPDATED, NO_LONGER_UPDATED_ID
    if refused.reason is Reason.INVALID_VALUE and refused.keyword in _TOP_LEVEL:
        said.fault = _fault(refused, UID(message.transfer_syntax_uid))
    return said


def _fault(refused: StepRefused, syntax: UID) -> bytes | None:
    """Encode the attribute at fault as the Attribute List that goes with status 0106."""
    tag = tag_for_keyword(refused.keyword) or 0
    vr = dictionary_VR(tag)
    data = Dataset()
    data.add(DataElement(tag, vr, refused.value, validation_mode=IGNORE))
    return encode(data, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


@dataclass(frozen=True, slots=True)
class _Carried:
    keyword: str
    value: BytesIO


class _Status(Dataset):
    """A status that can carry an attribute list, which the library sends with successes only.

    PS3.4 F.7.2.1.3 wants one with status 0106. The library copies what it finds here by keyword.
    """

    fault: bytes | None = None

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        if self.fault is not None:
            yield _Carried("AttributeList", BytesIO(self.fault))
