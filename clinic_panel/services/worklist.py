"""The bookings as modalities ask for them: scheduled procedure steps (PS3.4 K)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from clinic_panel.context import Context
from clinic_panel.models.appointment import Appointment, AppointmentStatus, Room
from clinic_panel.models.audit_log import Action
from clinic_panel.models.patient import Patient
from clinic_panel.models.user import Permission
from clinic_panel.services import audit

# What a station may still be asked to do; a visit to read or reported has left the worklist.
SCHEDULED = (
    AppointmentStatus.BOOKED,
    AppointmentStatus.ARRIVED,
    AppointmentStatus.IMAGES_ARRIVING,
)
LIMIT = 5000


@dataclass(frozen=True, slots=True)
class StepFilter:
    """What the database narrows down; empty means everything. Finer matching is the caller's."""

    first_day: date | None = None
    last_day: date | None = None
    station_ae_titles: Collection[str] = ()
    modalities: Collection[str] = ()
    patient_id: str = ""
    accession_number: str = ""


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One scheduled procedure step; ``start_at`` in the clinic's zone."""

    appointment_id: int
    status: str
    start_at: datetime
    station_ae_title: str
    station_name: str
    modality: str
    scheduled_procedure_step_id: str
    requested_procedure_id: str
    requested_procedure_description: str
    procedure_code_value: str
    priority: str
    reason_for_the_requested_procedure: str
    study_instance_uid: str
    accession_number: str
    referring_physician_name: str
    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: date | None
    patient_sex: str
    allergies: str


def scheduled_steps(ctx: Context, wanted: StepFilter) -> list[ScheduledStep]:
    """Return the open bookings in the order of their start; the query is audited with its count.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was read.
    """
    ctx.require(Permission.SCHEDULE_READ, Permission.PATIENT_READ)
    query = (
        select(Appointment)
        .join(Appointment.room)
        .join(Appointment.patient)
        .where(Appointment.status.in_(SCHEDULED))
        .options(
            joinedload(Appointment.room),
            joinedload(Appointment.patient),
            joinedload(Appointment.procedure),
        )
        .order_by(Appointment.start_at)
        .limit(LIMIT)
    )
    if wanted.first_day is not None:
        query = query.where(Appointment.start_at >= ctx.day_bounds(wanted.first_day)[0])
    if wanted.last_day is not None:
        end = ctx.day_bounds(min(wanted.last_day, date.max - timedelta(days=1)))[1]
        query = query.where(Appointment.start_at < end)
    if wanted.station_ae_titles:
        query = query.where(Room.station_ae_title.in_(wanted.station_ae_titles))
    if wanted.modalities:
        query = query.where(Room.modality.in_(wanted.modalities))
    if wanted.patient_id:
        query = query.where(Patient.patient_id == wanted.patient_id)
    if wanted.accession_number:
        query = query.where(Appointment.accession_number == wanted.accession_number)
    with ctx.begin() as session:
        steps = [_step(ctx, row) for row in session.scalars(query)]
        audit.record(ctx, session, Action.SEARCH, list="worklist", found=len(steps))
    return steps


def _step(ctx: Context, row: Appointment) -> ScheduledStep:
    return ScheduledStep(
        appointment_id=row.id,
        status=row.status.value,
        start_at=row.start_at.astimezone(ctx.zone),
        station_ae_title=row.room.station_ae_title,
        station_name=row.room.room_name,
        modality=row.room.modality,
        scheduled_procedure_step_id=row.scheduled_procedure_step_id,
        requested_procedure_id=row.requested_procedure_id,
        requested_procedure_description=row.procedure.requested_procedure_description,
        procedure_code_value=row.procedure.code_value,
        priority=row.priority.value,
        reason_for_the_requested_procedure=row.reason_for_the_requested_procedure,
        study_instance_uid=row.study_instance_uid,
        accession_number=row.accession_number,
        referring_physician_name=row.referring_physician_name,
        patient_name=row.patient.patient_name,
        patient_id=row.patient.patient_id,
        issuer_of_patient_id=row.patient.issuer_of_patient_id,
        patient_birth_date=row.patient.patient_birth_date,
        patient_sex=row.patient.patient_sex,
        allergies=row.patient.allergies,
    )
