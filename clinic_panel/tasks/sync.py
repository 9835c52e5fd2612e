"""Stored objects to other archives by C-STORE, byte for byte as they were received."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from clinic_panel.context import Context
from clinic_panel.errors import PeerUnavailable
from clinic_panel.services import sync
from clinic_panel.services.sync import Batch

CONNECT_S = 10
ANSWER_S = 60
MOST_CONTEXTS = 128  # PS3.8 9.3.2.2: odd numbers of one byte
NOTE_EVERY = 25
# PS3.4 B.2.3 and PS3.7 C: the peer does not take this class or transfer syntax at all.
NOT_SUPPORTED = 0x0122
# Cannot understand (PS3.4 B.2.3): said of our own file when it is gone or damaged.
UNREADABLE = 0xC000


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
            for answer in deliver(batch, ctx.settings.ae_title):
                answers.append(answer)
                if len(answers) == NOTE_EVERY:
                    settled |= sync.record(ctx, peer_id, answers)
                    answers = []
                if stopping.is_set():
                    break
        finally:
            if answers:
                settled |= sync.record(ctx, peer_id, answers)
        if not settled and not stopping.is_set():
            raise PeerUnavailable("The other system takes nothing now.")


def deliver(batch: Batch, calling_ae_title: str) -> Iterator[tuple[int, int]]:
    """Send stored objects in one association; yield each forwarding's id and DIMSE status.

    The data set goes out as it lies in the file, in its own transfer syntax; what the peer does
    not accept in that syntax is answered here with 0122.

    Raises
    ------
    PeerUnavailable
        There is no association, or it ended early.
    """
    from pynetdicom import AE, _config
    from pynetdicom.presentation import build_context

    _config.LOG_HANDLER_LEVEL = "none"  # the library's own log names UIDs
    _config.STORE_SEND_CHUNKED_DATASET = True  # straight from the file, never decoded
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    kinds = list(
        dict.fromkeys((owed.sop_class_uid, owed.transfer_syntax_uid) for owed in batch.owed)
    )
    proposed = set(kinds[:MOST_CONTEXTS])
    entity = AE(calling_ae_title)
    entity.connection_timeout = entity.acse_timeout = CONNECT_S
    entity.dimse_timeout = entity.network_timeout = ANSWER_S
    association = entity.associate(
        batch.host,
        batch.port,
        contexts=[build_context(sop_class, syntax) for sop_class, syntax in kinds[:MOST_CONTEXTS]],
        ae_title=batch.ae_title,
    )
    if not association.is_established:
        raise PeerUnavailable
    try:
        accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in association.accepted_contexts
        }
        for owed in batch.owed:
            kind = (owed.sop_class_uid, owed.transfer_syntax_uid)
            if kind not in proposed:
                continue  # its turn comes in the next association
            if kind not in accepted:
                yield owed.forwarding_id, NOT_SUPPORTED
                continue
            if not association.is_established:
                raise PeerUnavailable("The other system ended the association.")
            try:
                answer = association.send_c_store(owed.path)
            except (OSError, AttributeError, ValueError):
                yield owed.forwarding_id, UNREADABLE
                continue
            if "Status" not in answer:
                raise PeerUnavailable("The other system ended the association.")
            yield owed.forwarding_id, int(answer.Status)
    finally:
        if association.is_established:
            association.release()
