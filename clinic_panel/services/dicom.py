"""What a modality sent becomes part of the index: many objects, one commit.

The bytes are durable before this is called, and Success is answered after it returns: an orphan
file is swept, an orphan row would be a lie.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from sqlalchemy import select, union_all
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotFound, Unavailable
from clinic_panel.imaging.header import read_header
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import (
    OVERDUE,
    QUIET,
    Instance,
    InstanceConflict,
    Series,
    Study,
)
from clinic_panel.models.job import JobKind
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import announced, audit, availability, changes, jobs
from clinic_panel.services.indexing import Batch
from clinic_panel.services.received import Duplicates, Outcome, Received, Verdict

__all__ = [
    "QUIET",
    "ConflictRow",
    "Duplicates",
    "Outcome",
    "Received",
    "Verdict",
    "acknowledge_conflict",
    "adopt_orphans",
    "conflicts",
    "index_batch",
    "settle_study",
]

log = logging.getLogger(__name__)

ADOPT_AT_ONCE = 200


def index_batch(
    ctx: Context, received: Sequence[Received], *, duplicates: Duplicates | None = None
) -> list[Outcome]:
    """Index what was received, in one transaction; sending the same again changes nothing.

    Each new series gets a thumbnail job and each study is settled once it has been quiet; what
    peers are to get is owed to them; bookings that match turn to *Images arriving*. The audit has
    one entry a series. The file of an object that was rejected is removed.

    Parameters
    ----------
    duplicates
        What becomes of other content under a known UID; by default what the settings say.

    Returns
    -------
    list of Outcome
        In the order of ``received``.

    Raises
    ------
    Forbidden, Unavailable
        The index is as it was.
    """
    ctx.require(Permission.DICOM_WRITE)
    policy = duplicates or Duplicates(ctx.settings.duplicates)
    with ctx.begin() as session:
        outcomes = Batch(ctx, session, policy).index(received)
    rejected = [
        item.stored.path
        for item, outcome in zip(received, outcomes, strict=True)
        if outcome.verdict is Verdict.REJECTED
    ]
    if rejected:
        # One may be known all the same: kept beside under another policy.
        for path in set(rejected) - _indexed(ctx, rejected):
            ctx.store.remove(path)
    return outcomes


def settle_study(ctx: Context, study_id: int) -> bool:
    """Take a study as complete once it has been quiet.

    Its booking turns to *To read* with the last of its studies. A modality that has not finished,
    or owes objects that it announced, is waited for longer.

    Returns
    -------
    bool
        False when an image came meanwhile: it is too early, and asked for again.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        # Locked: an image on its way is waited for, and then seen.
        study = session.get(Study, study_id, with_for_update=True)
        if study is None:
            raise NotFound("This study does not exist.")
        if not study.is_quiet(now := ctx.clock()):
            rest = study.last_received_at + QUIET - now  # no longer: somebody waits for the images
            jobs.enqueue(ctx, session, JobKind.SETTLE_STUDY, [study_id], delay=rest)
            return False
        visit = study.appointment
        announced.complete_all(session, announced.recount(session, study))
        availability.enqueue(ctx, session, study)
        if visit is not None:
            _complete(ctx, session, visit, study)
            changes.announce(session, Topic.SCHEDULE, Topic.STUDIES)
    return True


def _complete(ctx: Context, session: Session, visit: Appointment, study: Study) -> None:
    if not visit.is_quiet_beside(study, ctx.clock()):
        return
    waited = ctx.clock() - study.last_received_at
    if announced.is_awaited(session, visit) and waited < OVERDUE:
        jobs.enqueue(ctx, session, JobKind.SETTLE_STUDY, [study.id], delay=OVERDUE - waited)
        return
    before = visit.status
    visit.complete_images()
    if visit.status is not before:
        audit.record(
            ctx, session, Action.CHANGE, visit, patient_pk=visit.patient_pk, fields=["status"]
        )


def adopt_orphans(ctx: Context) -> int:
    """Index the durable files that have no row: a crash came between the bytes and the commit.

    Temporaries of dead writers are removed. A file that cannot be read stays where it is, for
    `clinic verify` to name. Other content under a known UID is kept beside, whatever the settings
    say: nobody sent it just now, so it takes no other's place, and may be all there is of it.

    Returns
    -------
    int
        How many objects were added to the index.
    """
    ctx.require(Permission.DICOM_WRITE)
    adopted = 0
    for batch in batched(_orphans(ctx), ADOPT_AT_ONCE):
        adopted += sum(outcome.verdict is Verdict.KEPT for outcome in _adopt(ctx, batch))
    return adopted


def _adopt(ctx: Context, batch: Sequence[Received]) -> list[Outcome]:
    """Index a batch; one object the database refuses keeps out neither the others nor the node."""
    try:
        return index_batch(ctx, batch, duplicates=Duplicates.KEEP)
    except Unavailable:
        raise
    # What a driver cannot even send is no error of SQLAlchemy's.
    except (ClinicError, SQLAlchemyError, ValueError, OverflowError) as error:
        if len(batch) == 1:
            log.warning("a file without a row cannot be indexed: %s", type(error).__name__)
            return []
    return [outcome for one in batch for outcome in _adopt(ctx, [one])]


def _orphans(ctx: Context) -> Iterator[Received]:
    for stored in ctx.store.sweep(lambda paths: _indexed(ctx, paths)):
        try:
            header = read_header(ctx.store.path(stored.path))
        except ClinicError as error:
            log.warning("a file without a row cannot be indexed: %s", type(error).__name__)
            continue
        yield Received(header, stored)


def _indexed(ctx: Context, paths: Sequence[str]) -> set[str]:
    found: set[str] = set()
    with ctx.read() as session:
        for some in batched(paths, 500):
            query = union_all(
                select(Instance.path).where(Instance.path.in_(some)),
                select(InstanceConflict.path).where(InstanceConflict.path.in_(some)),
            )
            found.update(session.scalars(query))
    return found


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """Other bytes that came under a SOP Instance UID we hold; for the administrator.

    With ``superseded_at`` they are the earlier ones, which gave way then; without, the later ones.
    """

    id: int
    instance_id: int
    study_id: int
    source_ae_title: str
    received_at: datetime
    size_bytes: int
    superseded_at: datetime | None
    acknowledged_at: datetime | None


def conflicts(ctx: Context, *, acknowledged: bool = False) -> list[ConflictRow]:
    """Return what is kept beside an instance of the same UID, the newest first.

    Parameters
    ----------
    acknowledged
        Whether those an administrator has dealt with are wanted too.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = (
        select(InstanceConflict, Series.study_pk)
        .join(Instance, InstanceConflict.instance_pk == Instance.id)
        .join(Series, Instance.series_pk == Series.id)
        .order_by(InstanceConflict.received_at.desc())
    )
    if not acknowledged:
        query = query.where(InstanceConflict.acknowledged_at.is_(None))
    with ctx.read() as session:
        return [
            ConflictRow(
                id=row.id,
                instance_id=row.instance_pk,
                study_id=study_pk,
                source_ae_title=row.source_ae_title,
                received_at=row.received_at,
                size_bytes=row.size_bytes,
                superseded_at=row.superseded_at,
                acknowledged_at=row.acknowledged_at,
            )
            for row, study_pk in session.execute(query)
        ]


def acknowledge_conflict(ctx: Context, conflict_id: int) -> None:
    """Note that an administrator has seen a conflict; both files stay.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        row = session.get(InstanceConflict, conflict_id)
        if row is None:
            raise NotFound
        if row.acknowledged_at is None:
            row.acknowledged_at = ctx.clock()
            audit.record(ctx, session, Action.CHANGE, row, fields=["acknowledged_at"])
            changes.announce(session, Topic.ADMIN)
