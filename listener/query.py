"""C-FIND: worklist and archive queries, answered one after the other until done or cancelled."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode
from pynetdicom.events import Event
from pynetdicom.sop_class import ModalityWorklistInformationFind

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.imaging import charset
from clinic_panel.services import query as archive_query
from clinic_panel.services import worklist
from clinic_panel.services.query_keys import ArchiveQuery, WrongIdentifier
from clinic_panel.services.query_levels import MODELS
from clinic_panel.services.searches import Search
from clinic_panel.services.worklist_keys import WorklistQuery
from listener.audits import Audits
from listener.handlers import CANCELLED, IDENTIFIER_DOES_NOT_MATCH, UNABLE_TO_PROCESS, peer_of
from listener.statuses import OUT_OF_RESOURCES, SUCCESS

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request: the rows to answer with, and the status that ends the answers."""

    status: int = SUCCESS
    comment: str = ""  # names no patient
    keyword: str = ""  # of the element that offends
    query: WorklistQuery | ArchiveQuery | None = None
    rows: Sequence[Any] = ()

    def identifiers(self, syntax: UID) -> Iterator[bytes]:
        """Encode the answers, one by one."""
        if self.query is None:
            return iter(())
        encoded = map(
            self.query.template(explicit=syntax != ImplicitVRLittleEndian).encode, self.rows
        )
        if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            return encoded
        return (
            encode(
                decode(BytesIO(one), False, True),
                syntax.is_implicit_VR,
                syntax.is_little_endian,
                syntax.is_deflated,
            )
            or b""
            for one in encoded
        )

    @property
    def pending_status(self) -> int:
        """The status of each answer."""
        return 0 if self.query is None else self.query.pending_status

    def said(self) -> int | Dataset:
        """Return the final status as the library takes it."""
        if not self.comment:
            return self.status
        said = Dataset()
        said.Status, said.ErrorComment = self.status, self.comment
        if self.keyword:
            said.OffendingElement = [tag_for_keyword(self.keyword)]
        return said


def search(event: Event, ctx: Context, audits: Audits) -> Outcome:
    """Read one C-FIND request and look for what fits; whatever goes wrong becomes a status."""
    peer = peer_of(event)[0]
    try:
        query = _read(event, ctx)
    except WrongIdentifier as error:
        log.warning("C-FIND from %s refused: %s", peer, error.message)
        return Outcome(IDENTIFIER_DOES_NOT_MATCH, error.message, error.keyword)
    except Exception as error:  # noqa: BLE001 - whatever breaks in a peer's identifier
        log.warning("C-FIND from %s: not understood, %s", peer, type(error).__name__)
        return Outcome(IDENTIFIER_DOES_NOT_MATCH)
    try:
        audits.check()
        rows, is_cut = _found(event, ctx, query, audits)
    except ClinicError as error:
        log.warning("C-FIND from %s failed: %s", peer, type(error).__name__)
        return Outcome(OUT_OF_RESOURCES)
    except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
        return Outcome(failed(peer, error))
    log.info("C-FIND from %s: %d answers", peer, len(rows))
    if is_cut:  # Success would say that these were all
        comment = f"more than {len(rows)} match: narrow the query"
        return Outcome(OUT_OF_RESOURCES, comment, query=query, rows=rows)
    return Outcome(query=query, rows=rows)


def failed(peer: str, error: Exception) -> int:
    """Return the status for an error that is ours."""
    log.error("C-FIND from %s failed: %s", peer, type(error).__name__)
    return UNABLE_TO_PROCESS


def handle_find(event: Event, ctx: Context, audits: Audits) -> Iterator[Answer]:
    """Answer one C-FIND request by the library's way; see `finding` for the other."""
    outcome, syntax = search(event, ctx, audits), event.context.transfer_syntax
    try:
        for identifier in outcome.identifiers(syntax):
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield (
                outcome.pending_status,
                decode(
                    BytesIO(identifier),
                    syntax.is_implicit_VR,
                    syntax.is_little_endian,
                    syntax.is_deflated,
                ),
            )
    except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
        yield failed(peer_of(event)[0], error), None
        return
    if outcome.status != SUCCESS:
        yield outcome.said(), None


def _read(event: Event, ctx: Context) -> WorklistQuery | ArchiveQuery:
    sop_class_uid, identifier = str(event.context.abstract_syntax), event.identifier
    charset.assume_utf_8(identifier)
    if sop_class_uid == ModalityWorklistInformationFind:
        return WorklistQuery(identifier)
    agreed = event.assoc.acceptor.sop_class_extended.get(UID(sop_class_uid), b"").ljust(2, b"\0")
    return ArchiveQuery(
        identifier,
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
