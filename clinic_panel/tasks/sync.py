"""Stored objects to other archives by C-STORE, byte for byte as they were received."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from clinic_panel.context import Context
from clinic_panel.dimse import objects
from clinic_panel.dimse.model import Caller
from clinic_panel.dimse.objects import proposals
from clinic_panel.dimse.outgoing import associated
from clinic_panel.dimse.store import LinkLost, StoreSender
from clinic_panel.errors import PeerUnavailable
from clinic_panel.services import sync
from clinic_panel.services.sync import Batch

NOTE_EVERY = 25


def forward(ctx: Context, peer_id: int, stopping: threading.Event) -> None:
    """Send a peer all that it is owed, one association a batch, and note each answer.

    Parameters
    ----------
    stopping
        Set it to end after the object under way.

    Raises
    ------
    PeerUnavailable
        The peer does not answer or takes nothing now; what it did take is noted.
    """
    while not stopping.is_set() and (batch := sync.next_batch(ctx, peer_id)) is not None:
        answers: list[tuple[int, int]] = []
        settled = False
        try:
            for answer in deliver(batch, Caller.of(ctx.settings), stopping):
                answers.append(answer)
                if len(answers) == NOTE_EVERY:
                    settled |= sync.record(ctx, peer_id, answers)
                    answers = []
        finally:
            if answers:
                settled |= sync.record(ctx, peer_id, answers)
        if not settled and not stopping.is_set():
            raise PeerUnavailable("The other system takes nothing now.")


def deliver(batch: Batch, caller: Caller, stopping: threading.Event) -> Iterator[tuple[int, int]]:
    """Send stored objects in one association; yield each forwarding's id and DIMSE status.

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
                    yield owed.forwarding_id, objects.deliver(sender, owed.stored, link.contexts)
    except LinkLost:
        raise PeerUnavailable("The other system ended the association.") from None
