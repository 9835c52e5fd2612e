"""Which studies a booking has, for whoever takes one from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import joinedload

from clinic_panel.context import Context
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Study
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.user import Permission
from clinic_panel.services import audit


@dataclass(frozen=True, slots=True, repr=False)
class LinkedStudy:
    """A study as the modality sent it, beside the booking it belongs to."""

    id: int
    version: int
    patient_name: str
    patient_id: str
    patient_birth_date: date | None
    modalities: tuple[str, ...]
    study_description: str
    number_of_instances: int
    report_status: ReportStatus | None
    booked_name: str
    booked_id: str
    booked_at: datetime


def of_booking(ctx: Context, appointment_id: int) -> list[LinkedStudy]:
    """Return the studies of a booking, the one with the most images first; audited.

    Raises
    ------
    Forbidden
        The actor may not link studies.
    """
    return _linked(ctx, Study.appointment_pk == appointment_id)


def of_study(ctx: Context, study_id: int) -> list[LinkedStudy]:
    """Return the study, if it belongs to a booking; audited.

    Raises
    ------
    Forbidden
        The actor may not link studies.
    """
    return _linked(ctx, Study.id == study_id)


def _linked(ctx: Context, which: ColumnElement[bool]) -> list[LinkedStudy]:
    ctx.require(Permission.STUDY_LINK)
    query = (
        select(Study, Appointment)
        .join(Study.appointment)
        .where(which)
        .order_by(Study.number_of_instances.desc(), Study.id)
        .options(joinedload(Appointment.patient), joinedload(Study.report))
    )
    with ctx.begin() as session:
        found = session.execute(query).all()
        for study, visit in found:
            audit.record(ctx, session, Action.VIEW, study, patient_pk=visit.patient_pk)
        return [_row(study, visit) for study, visit in found]


def _row(study: Study, visit: Appointment) -> LinkedStudy:
    return LinkedStudy(
        id=study.id,
        version=study.version,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        patient_birth_date=study.patient_birth_date,
        modalities=study.modalities,
        study_description=study.study_description,
        number_of_instances=study.number_of_instances,
        report_status=study.report.status if study.report else None,
        booked_name=visit.patient.patient_name,
        booked_id=visit.patient.patient_id,
        booked_at=visit.start_at,
    )
