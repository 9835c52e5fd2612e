"""One function a DIMSE request: decode, ask a service, answer with a status. No rules live here."""

import logging

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from clinic_panel.archive import data_set_offset
from listener.commands import StoreRequest
from listener.statuses import PROCESSING_FAILURE, SUCCESS, Status
from listener.storage import Storage, StoreSink

log = logging.getLogger(__name__)

SOP_CLASS_NOT_SUPPORTED = 0x0122
IDENTIFIER_DOES_NOT_MATCH = 0xA900
UNABLE_TO_PROCESS = 0xC001
CANCELLED = 0xFE00
_BLOCK = 1 << 20


def peer_of(event: Event) -> tuple[str, str]:
    """Return AE title and address of who asks."""
    requestor = event.assoc.requestor
    return requestor.ae_title, requestor.address or ""


def handle_echo(event: Event) -> int:
    """Answer C-ECHO (PS3.7 9.1.5)."""
    log.info("C-ECHO from %s", peer_of(event)[0])
    return SUCCESS


def handle_store(event: Event, storage: Storage) -> int | Dataset:
    """Answer one C-STORE request that came by the library's way: its temporary file is moved in."""
    request = StoreRequest(
        context_id=event.context.context_id,
        message_id=event.request.MessageID,
        sop_class=str(event.request.AffectedSOPClassUID).encode(),
        sop_instance=str(event.request.AffectedSOPInstanceUID).encode(),
    )
    sink = StoreSink(storage, lambda: peer_of(event))
    try:
        sink.begin(request, str(event.context.transfer_syntax))
        with event.dataset_path.open("rb") as file:
            head = file.read(_BLOCK)
            sink.write([head[data_set_offset(memoryview(head)) :]])
            while block := file.read(_BLOCK):
                sink.write([block])
    except Exception as error:  # noqa: BLE001 - the edge: the library would call it not understood
        sink.discard()
        log.error("C-STORE from %s failed: %s", peer_of(event)[0], type(error).__name__)
        return _with_comment(PROCESSING_FAILURE)
    return _with_comment(sink.finish())


def _with_comment(status: Status) -> int | Dataset:
    """Return what the library answers with."""
    if not status.comment:
        return status
    said = Dataset()
    said.Status, said.ErrorComment = int(status), status.comment
    return said
