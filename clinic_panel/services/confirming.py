"""Forwarded studies, confirmed: peers that offer storage commitment say what they hold for sure.

A delivered instance is asked for once at a time, under a transaction of ours that is in the
database before the peer hears of it; so its answer is understood whichever process it reaches.
What the peer does not hold after all is owed to it again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.dimse.model import Reference, Remote, Request, Result
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import Confirmation, Forwarding, ForwardingState, Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs

AT_ONCE = 500
# An answer that did not come by then was lost: it is asked for once more.
ANSWER_WITHIN = timedelta(hours=1)
MOST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Asking:
    """What a peer is to confirm next."""

    confirmation_id: int
    remote: Remote
    request: Request


def next_request(ctx: Context, peer_id: int, *, limit: int = AT_ONCE) -> Asking | None:
    """Write down what to ask a peer next; None when nothing is left to ask now.

    While answers are outstanding, the job is asked for again for when they are overdue.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        peer = session.get(Peer, peer_id)
        if peer is None or not (peer.is_active and peer.commits):
            return None
        _forget_overdue(ctx, session, peer_id)
        query = (
            select(Forwarding.id, Instance.sop_class_uid, Instance.sop_instance_uid)
            .join(Forwarding.instance)
            .where(
                Forwarding.peer_pk == peer_id,
                Forwarding.state == ForwardingState.DELIVERED,
                Forwarding.confirmed_at.is_(None),
                Forwarding.confirmation_pk.is_(None),
            )
            .order_by(Forwarding.id)
            .limit(limit)
        )
        rows = session.execute(query).all()
        if not rows:
            _look_again(ctx, session, peer_id)
            return None
        asked = Confirmation(
            peer_pk=peer_id,
            transaction_uid=f"2.25.{uuid.uuid4().int}",  # PS3.5 B.2
            asked_at=ctx.clock(),
        )
        session.add(asked)
        session.flush()
        session.execute(
            update(Forwarding)
            .where(Forwarding.id.in_([id_ for id_, *_ in rows]))
            .values(confirmation_pk=asked.id)
            .execution_options(synchronize_session=False)
        )
        remote = Remote(peer.ae_title, peer.host, peer.port, peer.uses_tls)
        references = tuple(Reference(*uids) for _, *uids in rows)
        return Asking(asked.id, remote, Request(asked.transaction_uid, references))


def withdraw(ctx: Context, confirmation_id: int) -> None:
    """Forget a request that the peer did not take; its instances are asked for later."""
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        _forget(session, [confirmation_id])


def note(ctx: Context, ae_title: str, result: Result) -> bool:
    """Keep what a peer says of instances it was sent.

    Parameters
    ----------
    ae_title
        Who says so: nobody confirms for another.

    Returns
    -------
    bool
        False when nothing was asked under this transaction.
    """
    ctx.require(Permission.DICOM_WRITE)
    with ctx.begin() as session:
        asked = session.scalar(
            select(Confirmation)
            .join(Peer, Peer.id == Confirmation.peer_pk)
            .where(
                Confirmation.transaction_uid == result.transaction_uid, Peer.ae_title == ae_title
            )
            .with_for_update(of=Confirmation)
        )
        if asked is None:
            return False
        peer = session.get_one(Peer, asked.peer_pk)
        confirmed = _confirm(ctx, session, asked.id, result.committed)
        missing = _owe_again(session, asked.id, dict(result.failed))
        _forget(session, [asked.id])
        jobs.enqueue(ctx, session, JobKind.FORWARD, [peer.id] if missing else [])
        audit.record(ctx, session, Action.COMMIT, peer, confirmed=confirmed, missing=missing)
        changes.announce(session, Topic.ADMIN)
        return True


def _confirm(
    ctx: Context, session: Session, confirmation_id: int, references: Sequence[Reference]
) -> int:
    uids = [reference.sop_instance_uid for reference in references]
    of_result = select(Instance.id).where(Instance.sop_instance_uid.in_(uids))
    confirmed = session.scalars(
        update(Forwarding)
        .where(Forwarding.confirmation_pk == confirmation_id, Forwarding.instance_pk.in_(of_result))
        .values(confirmed_at=ctx.clock())
        .returning(Forwarding.id)
        .execution_options(synchronize_session=False)
    )
    return len(confirmed.all())


def _owe_again(session: Session, confirmation_id: int, reasons: dict[Reference, int]) -> int:
    """What the peer lost is sent once more, a few times; then a person has to look."""
    by_uid = {reference.sop_instance_uid: reason for reference, reason in reasons.items()}
    query = (
        select(Forwarding, Instance.sop_instance_uid)
        .join(Forwarding.instance)
        .where(
            Forwarding.confirmation_pk == confirmation_id,
            Instance.sop_instance_uid.in_(list(by_uid)),
        )
    )
    rows = session.execute(query).all()
    for owed, uid in rows:
        owed.last_status = by_uid[uid]
        is_hopeless = owed.attempts >= MOST_REPEATS
        owed.state = ForwardingState.REFUSED if is_hopeless else ForwardingState.WAITING
        owed.delivered_at = None
    session.flush()
    return len(rows)


def _forget_overdue(ctx: Context, session: Session, peer_id: int) -> None:
    overdue = select(Confirmation.id).where(
        Confirmation.peer_pk == peer_id, Confirmation.asked_at <= ctx.clock() - ANSWER_WITHIN
    )
    _forget(session, session.scalars(overdue).all())


def _forget(session: Session, confirmation_ids: Sequence[int]) -> None:
    if not confirmation_ids:
        return
    session.flush()
    session.execute(
        update(Forwarding)
        .where(Forwarding.confirmation_pk.in_(confirmation_ids))
        .values(confirmation_pk=None)
        .execution_options(synchronize_session="fetch")
    )
    session.execute(delete(Confirmation).where(Confirmation.id.in_(confirmation_ids)))


def _look_again(ctx: Context, session: Session, peer_id: int) -> None:
    oldest = session.scalar(
        select(func.min(Confirmation.asked_at)).where(Confirmation.peer_pk == peer_id)
    )
    if oldest is not None:
        delay = oldest + ANSWER_WITHIN - ctx.clock()
        jobs.enqueue(ctx, session, JobKind.CONFIRM, [peer_id], delay=delay)
