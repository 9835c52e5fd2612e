"""Where the examination of a visit is, from the performed steps that answer it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Conflict
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.imaging import QUIET, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.performed import (
    PerformedProcedureStep,
    PerformedStatus,
    PerformedStepRequest,
)
from clinic_panel.services import announced, jobs


def follow(session: Session, visit: Appointment) -> None:
    """Bring a visit to where its steps are: one in progress decides, else one completed.

    A step that a person ended counts as broken off, whatever its modality says later: the visit
    may stand elsewhere by then. Only where images came does its own end count.
    """
    session.flush()
    query = (
        select(
            PerformedProcedureStep.performed_procedure_step_status, PerformedStepRequest.ended_at
        )
        .join(PerformedStepRequest, PerformedStepRequest.step_pk == PerformedProcedureStep.id)
        .where(PerformedStepRequest.appointment_pk == visit.id)
    )
    steps = session.execute(query).all()
    statuses = {
        status
        for status, ended_at in steps
        if ended_at is None or (status.is_final and visit.images_at is not None)
    }
    if not statuses and steps and visit.exam_status is not None:  # None: moved since, or anew
        statuses = {PerformedStatus.DISCONTINUED}
    for status in PerformedStatus:  # in the order in which they prevail
        if status in statuses:
            visit.follow_exam(status)
            announced.complete(session, visit)
            return
    visit.exam_status = None


def end(ctx: Context, session: Session, visit: Appointment, reason: str) -> None:
    """End the examination of a visit in the place of a modality that does not say so.

    One that is completed and of which no image came, as of a wrong entry or of a group case, is
    taken for broken off: the visit can be done, moved or cancelled again.

    The steps stay as their modality told them, and open to what it may still say.

    Raises
    ------
    Conflict
        The examination is over, or did not begin; nothing changed.
    """
    told = (
        select(PerformedProcedureStep.id, PerformedProcedureStep.performed_procedure_step_status)
        .join(PerformedStepRequest, PerformedStepRequest.step_pk == PerformedProcedureStep.id)
        .where(PerformedStepRequest.appointment_pk == visit.id)
        .order_by(PerformedProcedureStep.id)
        .with_for_update(of=PerformedProcedureStep, **announced.HOLD)
    )
    steps = session.execute(told).all()  # before the visit, as everywhere
    visit = announced.held(session, visit.id)
    if not visit.can_end_exam:
        raise Conflict("The examination is over already.")
    session.execute(
        update(PerformedStepRequest)
        .where(
            PerformedStepRequest.appointment_pk == visit.id,
            PerformedStepRequest.step_pk.in_(
                [pk for pk, status in steps if status is visit.exam_status]
            ),
            PerformedStepRequest.ended_at.is_(None),
        )
        .values(ended_at=ctx.clock(), ended_reason=reason)
    )
    follow(session, visit)
    made = session.scalars(select(Study.id).where(Study.appointment_pk == visit.id)).all()
    jobs.enqueue(ctx, session, JobKind.SETTLE_STUDY, made, delay=QUIET)


def join(session: Session, study: Study, visit: Appointment) -> None:
    """Let the steps that made a study answer the visit it was found to belong to."""
    session.flush()
    theirs = (
        update(PerformedStepRequest)
        .where(
            PerformedStepRequest.study_instance_uid == study.study_instance_uid,
            PerformedStepRequest.appointment_pk.is_(None),
        )
        .values(appointment_pk=visit.id)
        .returning(PerformedStepRequest.step_pk)
    )
    if steps := session.scalars(theirs).all():
        _name_patient(session, steps, visit.patient_pk)
        follow(session, visit)


def leave(session: Session, study: Study, visit: Appointment) -> None:
    """Take the steps that made a study from the visit it does not belong to after all."""
    session.flush()
    theirs = (
        update(PerformedStepRequest)
        .where(
            PerformedStepRequest.study_instance_uid == study.study_instance_uid,
            PerformedStepRequest.appointment_pk == visit.id,
        )
        .values(appointment_pk=None)
        .returning(PerformedStepRequest.step_pk)
    )
    if steps := session.scalars(theirs).all():
        _name_patient(session, steps, None)
        follow(session, visit)


def _name_patient(session: Session, steps: Sequence[int], patient_pk: int | None) -> None:
    session.execute(
        update(PerformedProcedureStep)
        .where(PerformedProcedureStep.id.in_(steps))
        .values(patient_pk=patient_pk)
    )
