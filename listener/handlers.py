"""One function a DIMSE request: decode, ask a service, answer with a status. No rules live here."""

import logging
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from clinic_panel.archive import data_set_offset
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import worklist
from clinic_panel.services.worklist_keys import WorklistQuery
from listener.commands import StoreRequest
from listener.storage import OUT_OF_RESOURCES, Storage, StoreSink

log = logging.getLogger(__name__)

SUCCESS = 0x0000
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


def handle_store(event: Event, storage: Storage) -> int:
    """Answer one C-STORE request that came by the library's way: its temporary file is moved in."""
    request = StoreRequest(
        context_id=event.context.context_id,
        message_id=event.request.MessageID,
        sop_class=str(event.request.AffectedSOPClassUID).encode(),
        sop_instance=str(event.request.AffectedSOPInstanceUID).encode(),
    )
    sink = StoreSink(storage, lambda: peer_of(event))
    sink.begin(request, str(event.context.transfer_syntax))
    with event.dataset_path.open("rb") as file:
        head = file.read(_BLOCK)
        sink.write([head[data_set_offset(memoryview(head)) :]])
        while block := file.read(_BLOCK):
            sink.write([block])
    return sink.finish()


def handle_worklist(event: Event, ctx: Context) -> Iterator[tuple[int | Dataset, Dataset | None]]:
    """Answer one worklist query: a response for each step, until done or cancelled."""
    peer, found = peer_of(event)[0], 0
    try:
        query = WorklistQuery(event.identifier)
        pending = query.pending_status
    except Exception as error:  # noqa: BLE001 - whatever breaks in a peer's identifier
        log.warning("C-FIND from %s: not understood, %s", peer, type(error).__name__)
        yield IDENTIFIER_DOES_NOT_MATCH, None
        return
    try:
        matches = worklist.scheduled_steps(ctx, query)
        for step in matches.steps:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            found += 1
            yield pending, query.answer(step)
    except ClinicError as error:
        log.warning("C-FIND from %s failed: %s", peer, type(error).__name__)
        yield OUT_OF_RESOURCES, None
        return
    except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
        log.error("C-FIND from %s failed: %s", peer, type(error).__name__)
        yield UNABLE_TO_PROCESS, None
        return
    log.info("C-FIND from %s: %d steps", peer, found)
    if matches.is_cut:  # Success would say that these were all
        yield _refused(OUT_OF_RESOURCES, f"more than {found} steps match"), None


def _refused(status: int, comment: str) -> Dataset:
    """Return a status with its Error Comment (0000,0902), which names no patient."""
    said = Dataset()
    said.Status, said.ErrorComment = status, comment
    return said
