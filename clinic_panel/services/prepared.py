"""What a person had prepared to hand out, while it is kept: found again without its notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.models.handout import Handout, HandoutKind
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.user import Permission
from clinic_panel.services.handout import KEPT_FOR, Progress

MOST = 20


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """One file that was asked for, how far it is, and until when it is kept."""

    id: int
    kind: HandoutKind
    study_id: int
    study_description: str
    progress: Progress
    asked_at: datetime
    kept_until_at: datetime


def of_study(ctx: Context, study_id: int) -> list[PreparedFile]:
    """Return the files of a study that the actor asked for and that are still kept, newest first.

    Raises
    ------
    Forbidden
    """
    return _files(ctx, Handout.study_pk == study_id)


def of_patient(ctx: Context, patient_pk: int) -> list[PreparedFile]:
    """Return the files of all studies of a patient, as `of_study`.

    Raises
    ------
    Forbidden
    """
    return _files(ctx, Study.patient_pk == patient_pk)


def _files(ctx: Context, of: ColumnElement[bool]) -> list[PreparedFile]:
    ctx.require(Permission.IMAGE_READ)
    query = (
        select(Handout.id, Handout.kind, Handout.study_pk, Handout.asked_at, Handout.ready_at)
        .add_columns(Study.study_description)
        .join(Study, Study.id == Handout.study_pk)
        .where(
            of,
            Handout.user_pk == ctx.actor.user_pk,
            Handout.asked_at > ctx.clock() - KEPT_FOR,
        )
        .order_by(Handout.id.desc())
        .limit(MOST)
    )
    with ctx.read() as session:
        rows = session.execute(query).all()
        states = _states(session, [row.id for row in rows])
    return [
        PreparedFile(
            id=row.id,
            kind=row.kind,
            study_id=row.study_pk,
            study_description=row.study_description,
            progress=_progress(row.ready_at, states.get(row.id)),
            asked_at=row.asked_at,
            kept_until_at=row.asked_at + KEPT_FOR,
        )
        for row in rows
    ]


def _states(session: Session, handout_ids: list[int]) -> Mapping[int, JobState]:
    if not handout_ids:
        return {}
    query = select(Job.subject_id, Job.state).where(
        Job.kind == JobKind.HANDOUT, Job.subject_id.in_(handout_ids)
    )
    return {row.subject_id: row.state for row in session.execute(query)}


def _progress(ready_at: datetime | None, state: JobState | None) -> Progress:
    if ready_at is not None:
        return Progress.READY
    return Progress.FAILED if state is JobState.FAILED else Progress.MAKING
