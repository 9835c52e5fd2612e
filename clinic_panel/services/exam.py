"""Where the examination of a visit is, from the performed steps that answer it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from clinic_panel.models.appointment import Appointment
from clinic_panel.models.imaging import Study
from clinic_panel.models.performed import (
    PerformedProcedureStep,
    PerformedStatus,
    PerformedStepRequest,
)
from clinic_panel.services import announced


def follow(session: Session, visit: Appointment) -> None:
    """Bring a visit to where its steps are: one in progress decides, else one completed."""
    session.flush()
    query = (
        select(PerformedProcedureStep.performed_procedure_step_status)
        .join(PerformedStepRequest, PerformedStepRequest.step_pk == PerformedProcedureStep.id)
        .where(PerformedStepRequest.appointment_pk == visit.id)
        .distinct()
    )
    statuses = set(session.scalars(query))
    for status in PerformedStatus:  # in the order in which they prevail
        if status in statuses:
            visit.follow_exam(status)
            announced.complete(session, visit)
            return
    visit.exam_status = None


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
