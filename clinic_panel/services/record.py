"""One person's record as a page shows it: who, and their visits, studies and reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import NotFound
from clinic_panel.models.appointment import Appointment, AppointmentStatus, Procedure, Room
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Series, Study, Thumbnail
from clinic_panel.models.patient import Patient
from clinic_panel.models.report import Report, ReportDocument, ReportStatus, ReportVersion
from clinic_panel.models.user import Permission
from clinic_panel.services import audit
from clinic_panel.services.patient import PatientRow


@dataclass(frozen=True, slots=True, repr=False)
class VisitRow:
    """One booking of the person."""

    id: int
    start_at: datetime
    room_name: str
    requested_procedure_description: str
    modality: str
    status: AppointmentStatus
    accession_number: str
    cancellation_reason: str


@dataclass(frozen=True, slots=True, repr=False)
class StudyRow:
    """One study of the person; ``received_at`` is when its first image came."""

    id: int
    study_date: date | None
    received_at: datetime
    study_description: str
    modalities: tuple[str, ...]
    number_of_instances: int
    accession_number: str
    thumbnail_series_id: int | None
    is_booked: bool


@dataclass(frozen=True, slots=True, repr=False)
class ReportRow:
    """One report of the person; a draft only for those who write reports."""

    id: int
    study_id: int
    study_description: str
    study_date: date | None
    status: ReportStatus
    signed_by_name: str
    signed_at: datetime | None
    has_pdf: bool


@dataclass(frozen=True, slots=True, repr=False)
class PatientRecord:
    """All that the patient page shows, newest first."""

    patient: PatientRow
    visits: tuple[VisitRow, ...]
    studies: tuple[StudyRow, ...]
    reports: tuple[ReportRow, ...]


def read(ctx: Context, patient_pk: int, *, again: bool = False) -> PatientRecord:
    """Return one person's record; opening it is audited.

    Parameters
    ----------
    again
        A page that is open follows a change: it is still the look that was audited.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read patients, or there is no such record.
    """
    ctx.require(Permission.PATIENT_READ)
    with ctx.read() if again else ctx.begin() as session:
        row = session.get(Patient, patient_pk)
        if row is None:
            raise NotFound("This patient does not exist.")
        if not again:
            audit.record(ctx, session, Action.VIEW, row, patient_pk=row.id)
        return PatientRecord(
            patient=PatientRow.of(row, ctx.today()),
            visits=_visits(session, patient_pk),
            studies=_studies(session, patient_pk),
            reports=_reports(session, patient_pk, drafts=ctx.may(Permission.REPORT_WRITE))
            if ctx.may(Permission.REPORT_READ)
            else (),
        )


def first_thumbnail() -> ColumnElement[int | None]:
    """Return, for a query of studies, the first of the study's series that has a picture."""
    return (
        select(func.min(Series.id))
        .join(Thumbnail, Thumbnail.series_pk == Series.id)
        .where(Series.study_pk == Study.id)
        .correlate(Study)
        .scalar_subquery()
    )


def latest_number() -> ColumnElement[int | None]:
    """Return, for a query of reports, the number of the report's latest signed version."""
    return (
        select(func.max(ReportVersion.number))
        .where(ReportVersion.report_pk == Report.id)
        .correlate(Report)
        .scalar_subquery()
    )


def _visits(session: Session, patient_pk: int) -> tuple[VisitRow, ...]:
    query = (
        select(Appointment, Room.room_name, Procedure)
        .join(Appointment.room)
        .join(Appointment.procedure)
        .where(Appointment.patient_pk == patient_pk)
        .order_by(Appointment.start_at.desc(), Appointment.id.desc())
    )
    return tuple(
        VisitRow(
            id=row.id,
            start_at=row.start_at,
            room_name=room_name,
            requested_procedure_description=procedure.requested_procedure_description,
            modality=procedure.modality,
            status=row.status,
            accession_number=row.accession_number,
            cancellation_reason=row.cancellation_reason,
        )
        for row, room_name, procedure in session.execute(query)
    )


def _studies(session: Session, patient_pk: int) -> tuple[StudyRow, ...]:
    query = (
        select(Study, first_thumbnail())
        .where(Study.patient_pk == patient_pk)
        .order_by(Study.first_received_at.desc(), Study.id.desc())
    )
    return tuple(
        StudyRow(
            id=row.id,
            study_date=row.study_date,
            received_at=row.first_received_at,
            study_description=row.study_description,
            modalities=row.modalities,
            number_of_instances=row.number_of_instances,
            accession_number=row.accession_number,
            thumbnail_series_id=series_id,
            is_booked=row.appointment_pk is not None,
        )
        for row, series_id in session.execute(query)
    )


def _reports(session: Session, patient_pk: int, *, drafts: bool) -> tuple[ReportRow, ...]:
    query = (
        select(Report.id, Report.status, Study, ReportVersion, ReportDocument.rendered_at)
        .join(Report.study)
        .outerjoin(
            ReportVersion,
            (ReportVersion.report_pk == Report.id) & (ReportVersion.number == latest_number()),
        )
        .outerjoin(ReportDocument, ReportDocument.report_version_pk == ReportVersion.id)
        .where(Study.patient_pk == patient_pk)
        .order_by(Report.changed_at.desc(), Report.id.desc())
    )
    if not drafts:
        query = query.where(ReportVersion.id.is_not(None))
    return tuple(
        ReportRow(
            id=report_id,
            study_id=study.id,
            study_description=study.study_description,
            study_date=study.study_date,
            status=status,
            signed_by_name=version.signed_by_name if version else "",
            signed_at=version.signed_at if version else None,
            has_pdf=rendered_at is not None,
        )
        for report_id, status, study, version, rendered_at in session.execute(query)
    )
