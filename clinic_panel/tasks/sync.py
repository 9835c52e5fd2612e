"""Stored objects to other archives by C-STORE, byte for byte as they were received."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

from clinic_panel.context import Context
from clinic_panel.dimse import objects
from clinic_panel.dimse.model import Caller, Reference, Request
from clinic_panel.dimse.objects import proposals
from clinic_panel.dimse.outgoing import associated
from clinic_panel.dimse.store import LinkLost, StoreSender
from clinic_panel.errors import PeerFailure, PeerRefuses, PeerUnavailable
from clinic_panel.services import sync
from clinic_panel.services.sync import SUCCESS, Batch, Doubt
from clinic_panel.tasks.journal import Journal

NOTE_EVERY = 25


def forward(ctx: Context, peer_id: int, stopping: threading.Event) -> None:
    """Send a peer all that it is owed, one association a batch, and note each answer.

    Whenever it ends, at most the object under way is in doubt; the peer is asked for that one
    before it is sent again.

    Parameters
    ----------
    stopping
        Set it to end after the object under way.

    Raises
    ------
    PeerUnavailable
        The peer does not answer or takes nothing now; what it did take is noted.
    """
    with Journal(ctx.settings.home / "outbox" / f"{peer_id}.journal") as journal:
        _settle_doubt(ctx, peer_id, journal)
        while not stopping.is_set() and (batch := sync.next_batch(ctx, peer_id)) is not None:
            settled = False
            try:
                for _ in deliver(batch, Caller.of(ctx.settings), stopping, journal):
                    if len(journal.answers) >= NOTE_EVERY:
                        settled |= _record(ctx, peer_id, journal)
            finally:
                if journal.answers:
                    settled |= _record(ctx, peer_id, journal)
            if not settled and not stopping.is_set():
                raise PeerUnavailable("The other system takes nothing now.")


def _record(ctx: Context, peer_id: int, journal: Journal) -> bool:
    settled = sync.record(ctx, peer_id, list(journal.answers.items()))
    journal.clear()
    return settled


def _settle_doubt(ctx: Context, peer_id: int, journal: Journal) -> None:
    """Note what an earlier worker could not, and ask for the object it was sending."""
    if journal.answers:
        _record(ctx, peer_id, journal)
    if journal.doubtful is None:
        return
    doubt = sync.doubtful(ctx, peer_id, journal.doubtful)
    if doubt is not None and arrived(Caller.of(ctx.settings), doubt):
        sync.record(ctx, peer_id, [(doubt.forwarding_id, SUCCESS)])
    journal.trust()
    journal.clear()


def arrived(caller: Caller, doubt: Doubt) -> bool:
    """Whether a peer has an object already; False when it can say so in no way.

    Raises
    ------
    PeerUnavailable
        It does not answer now: the doubt stays.
    """
    from clinic_panel.dimse import commitment, find

    try:
        if (held := find.holds(caller, doubt.remote, doubt.uids)) is not None:
            return held
    except PeerRefuses:
        pass  # it is there, but offers no queries
    reference = Reference(doubt.sop_class_uid, doubt.uids[2])
    request = Request(f"2.25.{uuid.uuid4().int}", (reference,))
    try:
        result = commitment.commit(caller, doubt.remote, request)
    except (PeerRefuses, PeerFailure):
        return False
    return result is not None and reference in result.committed


def deliver(
    batch: Batch, caller: Caller, stopping: threading.Event, journal: Journal
) -> Iterator[None]:
    """Send stored objects in one association; yield after each, its answer in the journal.

    The data set goes out as it lies in the file, in its own transfer syntax; what the peer does
    not accept in that syntax is answered here with 0122.

    Raises
    ------
    PeerUnavailable
        There is no association, or it ended early.
    """
    kinds, contexts = proposals((owed.stored.kind for owed in batch.owed), decodes=False)[0]
    try:
        with associated(caller, batch.remote, contexts) as link:
            sender = StoreSender(link)
            for owed in batch.owed:
                if stopping.is_set():
                    return
                if owed.stored.kind in kinds:  # the turn of others comes in the next association
                    journal.begin(owed.forwarding_id)
                    status = objects.deliver(sender, owed.stored, link.contexts)
                    journal.answer(owed.forwarding_id, status)
                    yield
    except LinkLost:
        raise PeerUnavailable("The other system ended the association.") from None
