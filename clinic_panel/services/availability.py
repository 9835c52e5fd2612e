"""What other systems are told of studies that are here: an outbox beside that of the objects.

A peer is told of a study when it has been at rest for a while, and again when more of it has come:
a device that pauses between images is no reason to tell of each. What the peer refuses is tried
with each further notice, a few times; one that is away hears all when it is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.dimse.model import Available, Reference, Remote
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import AvailabilityNotice, Peer
from clinic_panel.models.performed import PerformedProcedureStep, PerformedStepRequest
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, jobs

AT_REST = timedelta(seconds=30)
MOST_ATTEMPTS = 5
SUCCESS, DUPLICATE, RESOURCE_LIMITATION = 0x0000, 0x0111, 0x0213
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})  # PS3.7 10.1.5.1.6, beside Bxxx


@dataclass(frozen=True, slots=True)
class Due:
    """A study that a peer is to be told of next, and where it is."""

    notice_id: int
    remote: Remote
    study: Available
    asked_at: datetime  # another by the time of the answer: more came meanwhile


def enqueue(ctx: Context, session: Session, study: Study) -> None:
    """Owe a notice to every peer that wants them, in the transaction that settles the study."""
    if not study.number_of_instances:
        return
    wanting = select(Peer.id).where(Peer.notifies).order_by(Peer.id)
    owing = []
    for peer_id in session.scalars(wanting).all():
        notice = session.scalar(
            select(AvailabilityNotice)
            .where(AvailabilityNotice.peer_pk == peer_id, AvailabilityNotice.study_pk == study.id)
            .with_for_update()  # its answer may be noted at this moment
        )
        if notice is None:
            notice = AvailabilityNotice(peer_pk=peer_id, study_pk=study.id)
            session.add(notice)
        elif notice.sent_at and notice.number_of_instances == study.number_of_instances:
            continue  # nothing has come since
        notice.asked_at, notice.sent_at, notice.attempts = ctx.clock(), None, 0
        owing.append(peer_id)
    jobs.enqueue(ctx, session, JobKind.NOTIFY, owing)


def next_notice(ctx: Context, peer_id: int, *, after: int = 0) -> Due | None:
    """Return what a peer is to be told next; None when there is nothing.

    While studies are still coming, the job is asked for again for when they may be at rest.

    Parameters
    ----------
    after
        The notice before: each is tried once in a row.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    rested_at = ctx.clock() - AT_REST
    waiting = (
        select(AvailabilityNotice, Study)
        .join(Study, AvailabilityNotice.study_pk == Study.id)
        .where(
            AvailabilityNotice.peer_pk == peer_id,
            AvailabilityNotice.sent_at.is_(None),
            AvailabilityNotice.attempts < MOST_ATTEMPTS,
        )
        .limit(1)
    )
    rested = waiting.where(AvailabilityNotice.id > after, Study.last_received_at <= rested_at)
    with ctx.begin() as session:
        peer = session.get(Peer, peer_id)
        if peer is None or not (peer.notifies and peer.is_active and peer.host):
            return None
        row = session.execute(rested.order_by(AvailabilityNotice.id)).first()
        if row is None:
            coming = waiting.where(Study.last_received_at > rested_at)
            for _, study in session.execute(coming.order_by(Study.last_received_at)):
                delay = study.last_received_at - rested_at
                jobs.enqueue(ctx, session, JobKind.NOTIFY, [peer_id], delay=delay)
            return None
        notice, study = row
        remote = Remote(peer.ae_title, peer.host, peer.port, peer.uses_tls)
        return Due(notice.id, remote, _available(session, study), notice.asked_at)


def record(ctx: Context, due: Due, status: int) -> bool:
    """Note what a peer answered; return whether it was told.

    When more of the study came meanwhile, the notice is owed still and its tries begin anew.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    is_told = status in (SUCCESS, DUPLICATE, *_WARNINGS) or status >> 12 == 0xB
    with ctx.begin() as session:
        notice = session.get(AvailabilityNotice, due.notice_id, with_for_update=True)
        if notice is None:
            return is_told
        notice.last_status = status
        is_all = notice.asked_at == due.asked_at
        if not is_told:
            notice.attempts += is_all
            return False
        notice.number_of_instances = due.study.number_of_instances
        if is_all:
            notice.sent_at = ctx.clock()
        study = session.get_one(Study, notice.study_pk)
        audit.record(
            ctx,
            session,
            Action.NOTIFY,
            study,
            patient_pk=study.patient_pk,
            peer=notice.peer_pk,
            instances=notice.number_of_instances,
        )
    return True


def _available(session: Session, study: Study) -> Available:
    objects = (
        select(Series.series_instance_uid, Instance.sop_class_uid, Instance.sop_instance_uid)
        .join(Instance.series)
        .where(Series.study_pk == study.id)
        .order_by(Series.series_number, Series.id, Instance.instance_number, Instance.id)
    )
    steps = (
        select(PerformedProcedureStep.sop_instance_uid)
        .join(PerformedStepRequest.step)
        .where(PerformedStepRequest.study_instance_uid == study.study_instance_uid)
        .order_by(PerformedProcedureStep.id)
    )
    return Available(
        study_instance_uid=study.study_instance_uid,
        series=tuple(
            (uid, tuple(Reference(*uids) for _, *uids in rows))
            for uid, rows in groupby(session.execute(objects), key=itemgetter(0))
        ),
        steps=tuple(dict.fromkeys(session.scalars(steps))),
    )
