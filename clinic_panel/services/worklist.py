"""The bookings as modalities ask for them: scheduled procedure steps (PS3.4 K)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, String, func, or_, select, type_coerce
from sqlalchemy.types import NULLTYPE

from clinic_panel.context import Context
from clinic_panel.models.appointment import Appointment, AppointmentStatus, Procedure, Room
from clinic_panel.models.patient import Patient
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.models.user import Permission
from clinic_panel.services import narrowing, searches
from clinic_panel.services.scan import scan
from clinic_panel.services.searches import Search
from clinic_panel.services.worklist_keys import (
    NOT_SCHEDULED,
    ScheduledStep,
    StepFilter,
    WorklistQuery,
)

# What a station may still be asked to do; a visit to read or reported has left the worklist, and
# so has one whose modality says that the examination is completed.
SCHEDULED = (
    AppointmentStatus.BOOKED,
    AppointmentStatus.ARRIVED,
    AppointmentStatus.IMAGES_ARRIVING,
)
LIMIT = 5000  # answers to one query
COMPARED_AT_MOST = 50_000  # bookings that one query may cost us to look at
EXPLAINED_AT_MOST = 300  # candidates whose fate the recorder keeps
_EXPLAINED_AT_ONCE = 32  # before it lets others have their turn
_BATCH = 500
_TELLING = 3  # letters at the beginning of a name that leave few people
_UNDONE = or_(
    Appointment.exam_status.is_(None),
    Appointment.exam_status != PerformedStatus.COMPLETED,
)
# As a `ScheduledStep` has them. Enumerated values are taken as the text they are stored as, and
# moments as the driver gives them: to make objects of them takes longer than to read them.
_COLUMNS = (
    Appointment.id,
    type_coerce(Appointment.status, String),
    type_coerce(Appointment.start_at, NULLTYPE),
    type_coerce(Appointment.end_at, NULLTYPE),
    Room.station_ae_title,
    Room.room_name,
    Room.modality,
    Appointment.scheduled_procedure_step_id,
    Appointment.requested_procedure_id,
    Procedure.requested_procedure_description,
    Procedure.code_value,
    type_coerce(Appointment.priority, String),
    Appointment.reason_for_the_requested_procedure,
    Appointment.study_instance_uid,
    Appointment.accession_number,
    Appointment.referring_physician_name,
    Appointment.scheduled_performing_physician_name,
    Patient.patient_name,
    Patient.patient_id,
    Patient.issuer_of_patient_id,
    Patient.patient_birth_date,
    Patient.patient_sex,
    Patient.allergies,
    Patient.patient_comments,
    func.coalesce(type_coerce(Appointment.exam_status, String), ""),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The steps that fit a query, by their start; whether there are more than are answered."""

    steps: list[ScheduledStep]
    is_cut: bool


def scheduled_steps(
    ctx: Context, query: WorklistQuery, note: Callable[[Search], None] | None = None
) -> Found:
    """Return the open bookings that fit, in the order of their start.

    Parameters
    ----------
    note
        Keeps what the audit is to say of it; by default it is written before this returns.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was read.
    """
    ctx.require(Permission.SCHEDULE_READ, Permission.PATIENT_READ)
    fitting: list[ScheduledStep] = []
    compared = 0
    narrowed = query.narrowed
    wanted = _narrowed(ctx, narrowed).where(_open(narrowed), _UNDONE)
    wanted = wanted.order_by(Appointment.start_at, Appointment.id)
    for step in _steps(ctx, scan(ctx, wanted, at_most=COMPARED_AT_MOST)):
        compared += 1
        if not query.excluded_by(step):
            fitting.append(step)
            if len(fitting) > LIMIT:
                break
    steps = fitting[:LIMIT]
    is_cut = len(fitting) > LIMIT or compared == COMPARED_AT_MOST
    search = Search(ctx.clock(), "worklist", len(steps))
    if note is None:
        searches.record(ctx, [search])
    else:
        note(search)
    return Found(steps, is_cut)


@dataclass(frozen=True, slots=True)
class Considered:
    """What a query made of the bookings of its days, open or not.

    ``fates`` maps the keyword that excluded bookings (empty: they were answered; `status`: they
    are over) to their ids.
    """

    steps: list[ScheduledStep]
    fates: dict[str, list[int]]


class Candidates:
    """The bookings that queries are explained by, read once for all that are explained together."""

    def __init__(self, ctx: Context, give_way: Callable[[], None] = lambda: None) -> None:
        self._ctx, self._give_way = ctx, give_way
        self._read: dict[StepFilter, list[ScheduledStep]] = {}

    def considered(self, query: WorklistQuery) -> Considered:
        """Return for each booking of the days asked for which key excluded it.

        A query without a date is compared with the bookings from today on.

        Raises
        ------
        Forbidden, Unavailable
            Nothing was read.
        """
        ctx, asked = self._ctx, query.narrowed
        ctx.require(Permission.SCHEDULE_READ, Permission.PATIENT_READ)
        first = asked.first_day or min(ctx.today(), asked.last_day or date.max)
        days = StepFilter(first_day=first, last_day=asked.last_day)
        if days not in self._read:
            rows = _narrowed(ctx, days).order_by(Appointment.start_at, Appointment.id)
            found = _steps(ctx, scan(ctx, rows, at_most=EXPLAINED_AT_MOST))
            self._read[days] = list(self._one_by_one(found))
        steps = self._read[days]
        fates: dict[str, list[int]] = {}
        for step in self._one_by_one(steps):
            fates.setdefault(fate(query, step), []).append(step.appointment_id)
        return Considered(steps, fates)

    def _one_by_one(self, steps: Iterable[ScheduledStep]) -> Iterator[ScheduledStep]:
        for index, step in enumerate(steps):
            if index % _EXPLAINED_AT_ONCE == 0:
                self._give_way()
            yield step


def fate(query: WorklistQuery, step: ScheduledStep) -> str:
    """Return what keeps a booking out of the answers: a keyword, `status`, or nothing."""
    return query.excluded_by(step) if is_scheduled(step) else NOT_SCHEDULED


def is_scheduled(step: ScheduledStep) -> bool:
    """Whether a station may still be asked to do it."""
    return AppointmentStatus(step.status) in SCHEDULED and not _is_done(step)


def standing(step: ScheduledStep) -> str:
    """Return where a booking stands, in words: what took it from the worklist comes first."""
    is_open = AppointmentStatus(step.status) in SCHEDULED
    return "completed at the modality" if is_open and _is_done(step) else step.status


def _is_done(step: ScheduledStep) -> bool:
    return step.exam_status == PerformedStatus.COMPLETED


def steps_by_id(ctx: Context, appointment_ids: list[int]) -> dict[int, ScheduledStep]:
    """Return bookings by their id, whatever their status; for services that audit the read.

    Raises
    ------
    Unavailable
        Nothing was read.
    """
    found: dict[int, ScheduledStep] = {}
    ids = iter(dict.fromkeys(appointment_ids))
    with ctx.read() as session:
        while chunk := list(islice(ids, _BATCH)):
            rows = session.connection().execute(_joined().where(Appointment.id.in_(chunk)))
            for step in _steps(ctx, rows):
                found[step.appointment_id] = step
    return found


@cache
def _joined(*, by_person: bool = False, by_name: bool = False) -> Select[*tuple[Any, ...]]:
    """Join what a step is made of.

    Parameters
    ----------
    by_person
        Hide the index of the rooms from SQLite: without statistics it goes through all that a
        station ever did, and compares the name.
    by_name
        Hide that a visit leads to its person: SQLite reads all who are called so before their
        visits, and not only those who have one.
    """
    room_pk = func.coalesce(Appointment.room_pk, 0) if by_person else Appointment.room_pk
    patient_pk = func.coalesce(Appointment.patient_pk, 0) if by_name else Appointment.patient_pk
    return (
        select(*_COLUMNS)
        .join(Room, room_pk == Room.id)
        .join(Patient, patient_pk == Patient.id)
        .join(Procedure, Appointment.procedure_pk == Procedure.id)
    )


def _narrowed(ctx: Context, wanted: StepFilter) -> Select[*tuple[Any, ...]]:
    dialect = ctx.dialect
    by_person = dialect == "sqlite" and _names_few(wanted)
    by_name = by_person and not wanted.patient_id and "=" not in wanted.patient_name
    query = _joined(by_person=by_person, by_name=by_name)
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
    if wanted.study_instance_uids:
        query = query.where(Appointment.study_instance_uid.in_(wanted.study_instance_uids))
    if wanted.patient_name:
        named = narrowing.name_fits(Patient, Appointment.patient_pk, wanted.patient_name, dialect)
        query = query.where(named)
    return query


def _names_few(wanted: StepFilter) -> bool:
    """Whether the person tells more than the room: one day of a room is short already."""
    if wanted.first_day is not None:
        return False
    beginning = wanted.patient_name.replace("?", "*").partition("*")[0]
    return bool(wanted.patient_id) or len(beginning) >= _TELLING


def _open(wanted: StepFilter) -> ColumnElement[bool]:
    """Whether a booking is open; told so that SQLite begins with the person where one is named.

    Without statistics it takes the index of the status for the best there is.
    """
    if wanted.patient_id or wanted.patient_name:
        return func.coalesce(Appointment.status, "").in_(SCHEDULED)
    return Appointment.status.in_(SCHEDULED)


class _Moments(dict[Any, datetime]):
    """Moments in a zone, by how the driver gives them: many bookings begin at the same."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, stored: str | datetime) -> datetime:
        moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
        local = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(self._zone)
        self[stored] = local
        return local


def _steps(ctx: Context, rows: Iterable[Row[*tuple[Any, ...]]]) -> Iterator[ScheduledStep]:
    moments = _Moments(ctx.zone)
    for appointment_id, status, start_at, end_at, *others in rows:
        yield ScheduledStep(appointment_id, status, moments[start_at], moments[end_at], *others)
