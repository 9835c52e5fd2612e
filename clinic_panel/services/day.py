"""One clinic day as the schedule shows it: a row for each visit, and the figures above them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.models.appointment import (
    Appointment,
    AppointmentStatus,
    Priority,
    Procedure,
    Room,
)
from clinic_panel.models.imaging import Study
from clinic_panel.models.patient import Patient
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.models.report import Report, ReportDocument, ReportStatus, ReportVersion
from clinic_panel.models.user import Permission
from clinic_panel.services import announced, patient
from clinic_panel.services.announced import Tally
from clinic_panel.services.record import first_thumbnail, latest_number
from clinic_panel.services.strangers import IS_MIXED

_WEEK = timedelta(days=7)
_EDGE = _WEEK + timedelta(days=2)  # of the calendar, where no week around a day fits
HIDDEN_NAME = "Name hidden"  # for roles that run the clinic but treat nobody


@dataclass(frozen=True, slots=True, repr=False)
class AppointmentRow:
    """One visit and what came of it: all that a line of the schedule needs.

    Names are empty for an actor who may not read patients. ``study_id`` is the study with the
    most images; ``image_count`` counts all of them. What the modality says of the examination
    is in ``exam_status``; ``missing`` of the objects it announced are not here.
    """

    id: int
    version: int
    start_at: datetime
    end_at: datetime
    status: AppointmentStatus
    priority: Priority
    modality: str
    room_pk: int
    room_name: str
    procedure_pk: int
    requested_procedure_description: str
    patient_pk: int
    patient_name: str
    display_name: str
    patient_id: str
    patient_birth_date: date | None
    patient_sex: str
    accession_number: str
    cancellation_reason: str
    checked_in_at: datetime | None
    images_at: datetime | None
    study_id: int | None
    image_count: int
    thumbnail_series_id: int | None
    report_id: int | None
    report_status: ReportStatus | None
    has_pdf: bool
    exam_status: PerformedStatus | None = None
    announced: int = 0
    missing: int = 0
    discontinuation: str = ""
    is_mixed: bool = False  # objects of another person are among its images


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The figures of one day."""

    appointments: int
    cancelled: int
    waiting: int
    longest_wait_min: int
    in_progress: int
    busy_rooms: tuple[str, ...]
    to_report: int
    to_report_stat: int
    reported: int


def appointments_on(ctx: Context, day: date, *, modality: str = "") -> list[AppointmentRow]:
    """Return the visits of a clinic day by time and room, cancelled ones included.

    Two queries, however many visits; a third where modalities tell how their examinations go.

    Raises
    ------
    Forbidden
        The actor may not see the schedule.
    """
    ctx.require(Permission.SCHEDULE_READ)
    begin, end = ctx.day_bounds(day)
    conditions = [Appointment.start_at >= begin, Appointment.start_at < end]
    if modality:
        conditions.append(Room.modality == modality)
    with ctx.read() as session:
        return _rows(ctx, session, *conditions)


def find_bookings(
    ctx: Context, text: str = "", *, around: date, modality: str = "", limit: int = 20
) -> list[AppointmentRow]:
    """Return visits that a study may belong to, those nearest to ``around`` first.

    Parameters
    ----------
    text
        As for ``patient.find``, whatever the day; empty: all visits within a week.
    around
        Clinic-local date of the study.

    Raises
    ------
    Forbidden
        The actor may not see the schedule, or not read patients.
    """
    ctx.require(Permission.SCHEDULE_READ, Permission.PATIENT_READ)
    around = min(
        max(around, date.min + _EDGE), date.max - _EDGE
    )  # a device's clock may say anything
    begin, end = ctx.day_bounds(around - _WEEK)[0], ctx.day_bounds(around + _WEEK)[1]
    noon = begin + (end - begin) / 2
    conditions = [Appointment.status != AppointmentStatus.CANCELLED]
    if text.strip():
        conditions.append(patient.matching(text))
    else:
        conditions += [Appointment.start_at >= begin, Appointment.start_at < end]
    if modality:
        conditions.append(Room.modality == modality)
    query = select(Appointment.id).join(Appointment.patient).join(Appointment.room)
    query = query.where(*conditions).limit(limit)
    later = query.where(Appointment.start_at >= noon).order_by(Appointment.start_at)
    earlier = query.where(Appointment.start_at < noon).order_by(Appointment.start_at.desc())
    with ctx.read() as session:
        near = [*session.scalars(later), *session.scalars(earlier)]
        rows = _rows(ctx, session, Appointment.id.in_(near))
    return sorted(rows, key=lambda row: abs(row.start_at - noon))[:limit]


def row_of(ctx: Context, session: Session, appointment_id: int) -> AppointmentRow:
    """Return the line of one visit within the caller's transaction."""
    session.flush()
    return _rows(ctx, session, Appointment.id == appointment_id)[0]


def day_summary(ctx: Context, day: date) -> DaySummary:
    """Return the figures of a clinic day.

    Raises
    ------
    Forbidden
        The actor may not see the schedule.
    """
    return summarise(appointments_on(ctx, day), ctx.clock())


def summarise(rows: Iterable[AppointmentRow], now: datetime) -> DaySummary:
    """Count a day's lines; cancelled visits and no-shows are none of the day's visits."""
    gone = (AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW)
    kept = list(rows)
    standing = [row for row in kept if row.status not in gone]
    waiting = [row for row in standing if row.status is AppointmentStatus.ARRIVED]
    imaged = [row for row in standing if is_going_on(row)]
    unread = [row for row in standing if row.status is AppointmentStatus.TO_READ]
    waits = [now - row.checked_in_at for row in waiting if row.checked_in_at]
    return DaySummary(
        appointments=len(standing),
        cancelled=len(kept) - len(standing),
        waiting=len(waiting),
        longest_wait_min=int(max(waits, default=timedelta()).total_seconds() // 60),
        in_progress=len(imaged),
        busy_rooms=tuple(sorted({row.room_name for row in imaged})),
        to_report=len(unread),
        to_report_stat=sum(row.priority is Priority.STAT for row in unread),
        reported=sum(row.status is AppointmentStatus.REPORTED for row in standing),
    )


def is_going_on(row: AppointmentRow) -> bool:
    """Whether the patient is being examined: the modality says so, or images arrive."""
    is_over = row.exam_status is not None and row.exam_status.is_final
    return row.status is AppointmentStatus.IMAGES_ARRIVING and not is_over


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one visit so far."""

    study_id: int | None = None
    image_count: int = 0
    thumbnail_series_id: int | None = None
    report_id: int | None = None
    report_status: ReportStatus | None = None
    has_pdf: bool = False
    is_mixed: bool = False


def _rows(ctx: Context, session: Session, *conditions: ColumnElement[bool]) -> list[AppointmentRow]:
    visits = session.execute(
        select(Appointment, Patient, Room, Procedure)
        .join(Appointment.patient)
        .join(Appointment.room)
        .join(Appointment.procedure)
        .where(*conditions)
        .order_by(Appointment.start_at, Room.room_name, Appointment.id)
    ).all()
    outcomes = _outcomes(ctx, session, [visit.id for visit, *_ in visits])
    told = [visit.id for visit, *_ in visits if visit.exam_status is not None]
    owed = announced.tallies(session, told) if told else {}
    may_read = ctx.may(Permission.PATIENT_READ)
    return [
        _row(
            visit,
            person if may_read else None,
            room,
            procedure,
            outcomes.get(visit.id, _Outcome()),
            owed.get(visit.id, Tally()),
        )
        for visit, person, room, procedure in visits
    ]


def _row(
    visit: Appointment,
    person: Patient | None,
    room: Room,
    procedure: Procedure,
    came: _Outcome,
    tally: Tally,
) -> AppointmentRow:
    return AppointmentRow(
        id=visit.id,
        version=visit.version,
        start_at=visit.start_at,
        end_at=visit.end_at,
        status=visit.status,
        priority=visit.priority,
        modality=room.modality,
        room_pk=room.id,
        room_name=room.room_name,
        procedure_pk=procedure.id,
        requested_procedure_description=procedure.requested_procedure_description,
        patient_pk=visit.patient_pk,
        patient_name=person.patient_name if person else "",
        display_name=validation.display_name(person.patient_name) if person else HIDDEN_NAME,
        patient_id=person.patient_id if person else "",
        patient_birth_date=person.patient_birth_date if person else None,
        patient_sex=person.patient_sex if person else "",
        accession_number=visit.accession_number if person else "",
        cancellation_reason=visit.cancellation_reason if person else "",
        checked_in_at=visit.checked_in_at,
        images_at=visit.images_at,
        study_id=came.study_id,
        image_count=came.image_count,
        thumbnail_series_id=came.thumbnail_series_id if person else None,
        report_id=came.report_id,
        report_status=came.report_status,
        has_pdf=came.has_pdf,
        exam_status=visit.exam_status,
        announced=tally.announced,
        missing=tally.missing,
        discontinuation=tally.discontinuation if person else "",
        is_mixed=came.is_mixed,
    )


def _outcomes(
    ctx: Context, session: Session, appointment_ids: Sequence[int]
) -> dict[int, _Outcome]:
    found: dict[int, _Outcome] = {}
    if not appointment_ids:
        return found
    signed = func.coalesce(ReportVersion.id, 0)
    query = (
        select(Study, first_thumbnail(), Report, signed, ReportDocument.rendered_at, IS_MIXED)
        .outerjoin(Study.report)
        .outerjoin(
            ReportVersion,
            (ReportVersion.report_pk == Report.id) & (ReportVersion.number == latest_number()),
        )
        .outerjoin(ReportDocument, ReportDocument.report_version_pk == ReportVersion.id)
        .where(Study.appointment_pk.in_(appointment_ids))
        .order_by(Study.number_of_instances.desc(), Study.id)
    )
    # First what is yet to be read: that is what the line leads to.
    rows = sorted(session.execute(query), key=lambda row: row[0].is_written or bool(row[3]))
    for study, series_id, report, is_signed, rendered_at, is_mixed in rows:
        assert study.appointment_pk is not None
        first = found.get(study.appointment_pk, _Outcome(study_id=study.id))
        is_shown = report is not None and ctx.may(Permission.REPORT_READ)
        if not is_signed and not ctx.may(Permission.REPORT_WRITE):
            is_shown = False  # a draft is its writers' own
        if is_shown and (first.report_id is None or (rendered_at and not first.has_pdf)):
            first = replace(first, report_id=report.id, has_pdf=rendered_at is not None)
        if is_shown and study.id == first.study_id:
            first = replace(first, report_status=report.status)
        found[study.appointment_pk] = replace(
            first,
            is_mixed=first.is_mixed or is_mixed,
            image_count=first.image_count + study.number_of_instances,
            thumbnail_series_id=first.thumbnail_series_id or series_id,
        )
    return found
