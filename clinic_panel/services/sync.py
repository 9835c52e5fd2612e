"""What other archives are owed: a durable outbox, filled with the index and emptied by the worker.

An instance is owed to a peer once. It is delivered when the peer said Success (or Success with a
warning) and refused when the peer said no for good; until then it waits, however long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Table, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.dimse.model import Remote
from clinic_panel.dimse.objects import StoredObject
from clinic_panel.errors import NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import Forwarding, ForwardingState, Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs

AT_ONCE = 200
SUCCESS = 0x0000
# A peer that says so may take the object later (PS3.4 B.2.3, PS3.7 C): out of resources,
# processing failure. The second is often for good, so it counts.
OUT_OF_RESOURCES = range(0xA700, 0xA800)
PROCESSING_FAILURE = 0x0110
MOST_FAILURES = 5
_PEERS: Table = Peer.__table__  # type: ignore[assignment]
# Those that are switched off too: they get it when they are on again.
_FORWARDED_TO = (
    select(_PEERS.c.id, _PEERS.c.ae_title).where(_PEERS.c.forwards).order_by(_PEERS.c.id)
)


@dataclass(frozen=True, slots=True)
class Owed:
    """One stored object on its way to a peer."""

    forwarding_id: int
    stored: StoredObject


@dataclass(frozen=True, slots=True)
class Batch:
    """What a peer is to get next, and where it is."""

    remote: Remote
    owed: tuple[Owed, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """An object that was being sent when the worker ended: it may have arrived."""

    forwarding_id: int
    remote: Remote
    sop_class_uid: str
    uids: tuple[str, str, str]  # of study, series and instance


@dataclass(frozen=True, slots=True)
class StudyForwarding:
    """How far one study has come towards one peer."""

    study_id: int
    peer_id: int
    peer_name: str
    waiting: int
    delivered: int
    refused: int
    confirmed: int  # of those delivered, by storage commitment
    last_status: int | None  # the highest DIMSE status of those that are not delivered
    last_delivered_at: datetime | None


def enqueue(ctx: Context, session: Session, received: Mapping[int, str]) -> None:
    """Owe new instances to every peer that studies go to, in the transaction that indexes them.

    Parameters
    ----------
    received
        Ids of the instances and the AE title each came from: nothing goes back to its sender.
    """
    now, owing = ctx.clock(), set()
    rows = []
    for peer_id, ae_title in session.connection().execute(_FORWARDED_TO):
        for instance_id, source in received.items():
            if source != ae_title:
                owing.add(peer_id)
                rows.append(
                    {
                        "peer_pk": peer_id,
                        "instance_pk": instance_id,
                        "state": ForwardingState.WAITING,
                        "created_at": now,
                    }
                )
    if not rows:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(Forwarding).on_conflict_do_nothing(), rows)
    jobs.enqueue(ctx, session, JobKind.FORWARD, owing)


def next_batch(ctx: Context, peer_id: int, *, limit: int = AT_ONCE) -> Batch | None:
    """Return what a peer is to get next, oldest first; None when it is to get nothing.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    query = (
        select(
            Forwarding.id,
            Instance.path,
            Instance.sop_class_uid,
            Instance.sop_instance_uid,
            Instance.transfer_syntax_uid,
        )
        .join(Forwarding.instance)
        .where(Forwarding.peer_pk == peer_id, Forwarding.state == ForwardingState.WAITING)
        .order_by(Forwarding.attempts, Forwarding.id)
        .limit(limit)
    )
    with ctx.read() as session:
        peer = session.get(Peer, peer_id)
        if peer is None or not (peer.forwards and peer.is_active):
            return None
        owed = tuple(
            Owed(id_, StoredObject(ctx.store.path(path), *uids))
            for id_, path, *uids in session.execute(query)
        )
        return Batch(_remote(peer), owed) if owed else None


def doubtful(ctx: Context, peer_id: int, forwarding_id: int) -> Doubt | None:
    """Describe an object whose arrival is in doubt; None when nothing is owed any more.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    query = (
        select(
            Instance.sop_class_uid,
            Study.study_instance_uid,
            Series.series_instance_uid,
            Instance.sop_instance_uid,
        )
        .select_from(Forwarding)
        .join(Forwarding.instance)
        .join(Instance.series)
        .join(Series.study)
        .where(Forwarding.id == forwarding_id, Forwarding.state == ForwardingState.WAITING)
    )
    with ctx.read() as session:
        peer, row = session.get(Peer, peer_id), session.execute(query).one_or_none()
        if peer is None or not (peer.forwards and peer.is_active) or row is None:
            return None
        sop_class, *uids = row
        return Doubt(forwarding_id, _remote(peer), sop_class, (uids[0], uids[1], uids[2]))


def record(ctx: Context, peer_id: int, answers: Sequence[tuple[int, int]]) -> bool:
    """Note what a peer answered.

    Parameters
    ----------
    answers
        Id of the forwarding and DIMSE status of the answer.

    Returns
    -------
    bool
        Whether the peer took or refused something for good; False: it could take nothing now.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    statuses, now, settled = dict(answers), ctx.clock(), False
    query = (
        select(Forwarding)
        .where(Forwarding.id.in_(statuses), Forwarding.state == ForwardingState.WAITING)
        .order_by(Forwarding.id)
    )
    with ctx.begin() as session:
        delivered = []
        for owed in session.scalars(query):
            owed.attempts += 1
            owed.last_status = statuses[owed.id]
            owed.state = _state_after(owed.last_status, owed.attempts)
            settled |= owed.state is not ForwardingState.WAITING
            if owed.state is ForwardingState.DELIVERED:
                owed.delivered_at = now
                delivered.append(owed.instance_pk)
        if delivered and session.get_one(Peer, peer_id).commits:
            jobs.enqueue(ctx, session, JobKind.CONFIRM, [peer_id])
        _audit(ctx, session, peer_id, delivered)
        changes.announce(session, Topic.ADMIN)
    return settled


def forwarding_state(ctx: Context, *, limit: int = 500) -> list[StudyForwarding]:
    """Return the state of each study towards each peer, those with something left first.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)

    waiting, delivered, refused = (
        func.sum(case((Forwarding.state == state, 1), else_=0))
        for state in (ForwardingState.WAITING, ForwardingState.DELIVERED, ForwardingState.REFUSED)
    )
    not_done = Forwarding.state != ForwardingState.DELIVERED
    query = (
        select(
            Series.study_pk,
            Peer.id,
            Peer.peer_name,
            waiting,
            delivered,
            refused,
            func.sum(case((Forwarding.confirmed_at.is_not(None), 1), else_=0)),
            func.max(case((not_done, Forwarding.last_status))),
            func.max(Forwarding.delivered_at),
        )
        .join(Forwarding.peer)
        .join(Forwarding.instance)
        .join(Instance.series)
        .group_by(Series.study_pk, Peer.id, Peer.peer_name)
        .order_by((waiting + refused == 0), Series.study_pk.desc(), Peer.peer_name)
        .limit(limit)
    )
    with ctx.read() as session:
        return [StudyForwarding(*row) for row in session.execute(query)]


def retry(ctx: Context, peer_id: int, study_id: int | None = None) -> int:
    """Send again what a peer refused, and what waits without further delay.

    Parameters
    ----------
    study_id
        Only this study; None: all that the peer refused.

    Returns
    -------
    int
        How many refused instances wait again.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such peer.
    """
    ctx.require(Permission.ADMIN)
    refused = update(Forwarding).where(
        Forwarding.peer_pk == peer_id, Forwarding.state == ForwardingState.REFUSED
    )
    if study_id is not None:
        of_study = select(Instance.id).join(Instance.series).where(Series.study_pk == study_id)
        refused = refused.where(Forwarding.instance_pk.in_(of_study))
    with ctx.begin() as session:
        peer = session.get(Peer, peer_id)
        if peer is None:
            raise NotFound
        waits_again = refused.values(state=ForwardingState.WAITING, attempts=0)
        again = session.scalars(
            waits_again.returning(Forwarding.id).execution_options(synchronize_session=False)
        ).all()
        jobs.enqueue(ctx, session, JobKind.FORWARD, [peer_id])
        audit.record(ctx, session, Action.RETRY, peer, instances=len(again), study=study_id)
        changes.announce(session, Topic.ADMIN)
        return len(again)


def _remote(peer: Peer) -> Remote:
    return Remote(peer.ae_title, peer.host, peer.port, peer.uses_tls)


def _state_after(status: int, attempts: int) -> ForwardingState:
    if status == SUCCESS or status >> 12 == 0xB:  # Success; Warning: kept, with a remark
        return ForwardingState.DELIVERED
    if status in OUT_OF_RESOURCES:
        return ForwardingState.WAITING
    if status == PROCESSING_FAILURE and attempts < MOST_FAILURES:
        return ForwardingState.WAITING
    return ForwardingState.REFUSED


def _audit(ctx: Context, session: Session, peer_id: int, instance_ids: Sequence[int]) -> None:
    """One entry a study: whose images left the house, how many, and where to."""
    query = (
        select(Series.study_pk, func.count())
        .join(Series.instances)
        .where(Instance.id.in_(instance_ids))
        .group_by(Series.study_pk)
        .order_by(Series.study_pk)
    )
    for study_id, count in session.execute(query).all():
        study = session.get_one(Study, study_id)
        audit.record(
            ctx,
            session,
            Action.FORWARD,
            study,
            patient_pk=study.patient_pk,
            peer=peer_id,
            instances=count,
        )
