"""C-FIND: worklist and archive queries, answered one after the other until done or cancelled."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode
from pynetdicom.events import Event
from pynetdicom.sop_class import ModalityWorklistInformationFind

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import query as archive_query
from clinic_panel.services import worklist
from clinic_panel.services.query_keys import ArchiveQuery, WrongIdentifier
from clinic_panel.services.query_levels import MODELS
from clinic_panel.services.searches import Search
from clinic_panel.services.worklist_keys import WorklistQuery
from listener.answers import PendingResponses
from listener.audits import Audits
from listener.handlers import CANCELLED, IDENTIFIER_DOES_NOT_MATCH, UNABLE_TO_PROCESS, peer_of
from listener.receiver import EventDrivenAssociation
from listener.recorder import Recorder
from listener.statuses import OUT_OF_RESOURCES

log = logging.getLogger(__name__)

type Answer = tuple[int | Dataset, Dataset | None]


# Service class application information of extended negotiation, as far as we support it (PS3.4
# C.5.1.1.1): relational queries, ranges of date and time as one; no fuzzy names, no time zones.
# Of retrieval there is nothing more than relational (C.5.2.1.1, C.5.3.1.1).
EXTENDED = {
    uid: application_information
    for model in MODELS
    for uid, application_information in zip(
        model.sop_class_uids, (b"\1\1", b"\1", b"\1"), strict=True
    )
}


def handle_extended(event: Event) -> dict[UID, bytes]:
    """Answer SOP class extended negotiation: of what was asked, what we support."""
    return {
        UID(uid): bytes(map(min, asked, EXTENDED[uid].ljust(len(asked), b"\0")))
        for uid, asked in event.app_info.items()
        if uid in EXTENDED
    }


def handle_find(event: Event, ctx: Context, recorder: Recorder, audits: Audits) -> Iterator[Answer]:
    """Answer one C-FIND request; the last status is the library's Success unless one is given."""
    peer = peer_of(event)[0]
    try:
        query = _read(event, ctx)
    except WrongIdentifier as error:
        log.warning("C-FIND from %s refused: %s", peer, error.message)
        yield _refused(IDENTIFIER_DOES_NOT_MATCH, error.message, error.keyword), None
        return
    except Exception as error:  # noqa: BLE001 - whatever breaks in a peer's identifier
        log.warning("C-FIND from %s: not understood, %s", peer, type(error).__name__)
        yield IDENTIFIER_DOES_NOT_MATCH, None
        return
    try:
        audits.check()
        rows, is_cut = _found(event, ctx, query, audits)
        yield from _answered(event, query, rows, recorder)
    except ClinicError as error:
        log.warning("C-FIND from %s failed: %s", peer, type(error).__name__)
        yield OUT_OF_RESOURCES, None
        return
    except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
        log.error("C-FIND from %s failed: %s", peer, type(error).__name__)
        yield UNABLE_TO_PROCESS, None
        return
    log.info("C-FIND from %s: %d answers", peer, len(rows))
    if is_cut:  # Success would say that these were all
        yield _refused(OUT_OF_RESOURCES, f"more than {len(rows)} match: narrow the query"), None


def _read(event: Event, ctx: Context) -> WorklistQuery | ArchiveQuery:
    sop_class_uid = str(event.context.abstract_syntax)
    if sop_class_uid == ModalityWorklistInformationFind:
        return WorklistQuery(event.identifier)
    agreed = event.assoc.acceptor.sop_class_extended.get(UID(sop_class_uid), b"").ljust(2, b"\0")
    return ArchiveQuery(
        event.identifier,
        sop_class_uid,
        retrieve_ae_title=ctx.settings.ae_title,
        relational=agreed[0] == 1,
        combined=agreed[1] == 1,
    )


def _found(
    event: Event, ctx: Context, query: WorklistQuery | ArchiveQuery, audits: Audits
) -> tuple[Sequence[Any], bool]:
    ae_title, address = peer_of(event)

    def note(search: Search) -> None:
        audits.note(replace(search, ae_title=ae_title, address=address))

    if isinstance(query, WorklistQuery):
        steps = worklist.scheduled_steps(ctx, query, note)
        return steps.steps, steps.is_cut
    found = archive_query.find(ctx, query, note)
    return found.rows, found.is_cut


def _answered(
    event: Event, query: WorklistQuery | ArchiveQuery, rows: Iterable[Any], recorder: Recorder
) -> Iterator[Answer]:
    """Answer with each row: past the library where the receiver allows, else by its way."""
    syntax = event.context.transfer_syntax
    explicit = syntax != ImplicitVRLittleEndian
    identifiers: Iterator[bytes] = map(query.template(explicit=explicit).encode, rows)
    association = event.assoc
    if isinstance(association, EventDrivenAssociation) and syntax in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    ):
        responses = PendingResponses(
            event.context.context_id,
            event.request.MessageID,
            str(event.request.AffectedSOPClassUID),
            peer_pdu_bytes=association.requestor.maximum_length,
        )
        for count, pdus in responses.batches(query.pending_status, identifiers):
            if event.is_cancelled:
                yield CANCELLED, None
                return
            if not association.send_encoded(pdus):
                return
            recorder.answered(event, count)
        return
    for identifier in identifiers:
        if event.is_cancelled:
            yield CANCELLED, None
            return
        yield query.pending_status, decode(BytesIO(identifier), not explicit, True)


def _refused(status: int, comment: str, keyword: str = "") -> Dataset:
    """Return a status with Offending Element and Error Comment, which names no patient."""
    said = Dataset()
    said.Status, said.ErrorComment = status, comment
    if keyword:
        said.OffendingElement = [tag_for_keyword(keyword)]
    return said
