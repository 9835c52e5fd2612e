"""The day's visits: book, move, cancel, check in; and what the schedule shows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydicom.uid import generate_uid
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound, SlotTaken, Unconfirmed
from clinic_panel.models.appointment import (
    Appointment,
    AppointmentStatus,
    Priority,
    Procedure,
    Room,
)
from clinic_panel.models.audit_log import Action
from clinic_panel.models.patient import Patient
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, exam, numbers, slots
from clinic_panel.services.catalogue import (
    ProcedureRow,
    RoomRow,
    free_slots,
    opening_hours,
    procedures,
    rooms,
)
from clinic_panel.services.day import (
    AppointmentRow,
    DaySummary,
    appointments_on,
    day_summary,
    find_bookings,
    row_of,
    summarise,
)

__all__ = [
    "AppointmentRow",
    "Booking",
    "DaySummary",
    "Place",
    "ProcedureRow",
    "RoomRow",
    "appointments_on",
    "book",
    "cancel",
    "check_in",
    "day_summary",
    "end_exam",
    "find_bookings",
    "free_slots",
    "move",
    "no_show",
    "opening_hours",
    "procedures",
    "rooms",
    "summarise",
    "undo_cancel",
    "undo_check_in",
    "undo_no_show",
]

MAX_REASON = 256


@dataclass(frozen=True, slots=True, repr=False)
class Booking:
    """What the desk asks for; ``duration_min`` 0 takes the procedure's own length.

    ``confirmed`` says that the person has seen the warnings: outside opening hours, or the
    patient is elsewhere in the house at that time.
    """

    patient_pk: int
    procedure_pk: int
    room_pk: int
    start_at: datetime
    duration_min: int = 0
    priority: Priority = Priority.ROUTINE
    referring_physician_name: str = ""
    scheduled_performing_physician_name: str = ""
    reason_for_the_requested_procedure: str = ""
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a visit is to stand."""

    room_pk: int
    start_at: datetime


def book(ctx: Context, booking: Booking) -> AppointmentRow:
    """Book a procedure; accession number and Study Instance UID are made here.

    Raises
    ------
    Forbidden, NotFound
        The actor may not, or patient, room or procedure do not exist.
    Invalid
        Another modality, a day that is over, off the five-minute grid.
    Unconfirmed
        Outside opening hours, or the patient has another visit then; nothing is kept.
    SlotTaken
        The room is booked; the message names the next free time.
    """
    ctx.require(Permission.SCHEDULE_WRITE)
    minutes = booking.duration_min
    try:
        with ctx.begin() as session:
            room = _known(session, Room, booking.room_pk, "room")
            procedure = _known(session, Procedure, booking.procedure_pk, "examination")
            patient = _known(session, Patient, booking.patient_pk, "patient")
            if patient.archived_at is not None:
                raise Conflict("This patient is archived: restore the record first.")
            _check_place(ctx, room, procedure, booking.start_at)
            minutes = minutes or procedure.duration_min
            row = _order(ctx, session, booking)
            row.take(room, booking.start_at, booking.start_at + slots.duration(minutes))
            session.add(row)
            session.flush()  # the unique pair of room and time decides, not a look beforehand
            if not booking.confirmed:
                _warn(ctx, session, row)
            audit.record(ctx, session, Action.CREATE, row, patient_pk=row.patient_pk)
            changes.announce(session, Topic.SCHEDULE)
            return row_of(ctx, session, row.id)
    except IntegrityError:
        raise _taken(ctx, booking.room_pk, booking.start_at, minutes) from None


def move(
    ctx: Context, appointment_id: int, version: int, place: Place, *, confirmed: bool = False
) -> AppointmentRow:
    """Give a visit another time or room; its length and identifiers stay.

    Raises
    ------
    Forbidden, NotFound, Invalid, Unconfirmed, SlotTaken
        As for ``book``; the visit stays where it was.
    Conflict
        Someone changed the visit since ``version``, or it has images already.
    """
    ctx.require(Permission.SCHEDULE_WRITE)
    minutes = 0
    try:
        with ctx.begin() as session:
            row = _known(session, Appointment, appointment_id, "visit")
            if row.version != version:
                raise Conflict
            length = row.end_at - row.start_at
            minutes = int(length.total_seconds() // 60)
            room = _known(session, Room, place.room_pk, "room")
            _check_place(ctx, room, row.procedure, place.start_at)
            row.move(room, place.start_at, place.start_at + length)
            session.flush()
            if not confirmed:
                _warn(ctx, session, row)
            audit.record(ctx, session, Action.CHANGE, row, patient_pk=row.patient_pk, moved=True)
            changes.announce(session, Topic.SCHEDULE)
            return row_of(ctx, session, row.id)
    except IntegrityError:
        raise _taken(ctx, place.room_pk, place.start_at, minutes) from None


def cancel(ctx: Context, appointment_id: int, reason: str) -> AppointmentRow:
    """Cancel a visit and give its time back; refused once images exist.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or it is too late.
    Invalid
        No reason is given.
    """
    kept = validation.short_text(reason, "cancellation_reason", limit=MAX_REASON, required=True)
    return _step(ctx, appointment_id, Action.CANCEL, lambda _session, row: row.cancel(kept))


def undo_cancel(ctx: Context, appointment_id: int) -> AppointmentRow:
    """Take a cancellation back, if the room is still free then.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or it is not cancelled.
    SlotTaken
        Somebody else has the time by now.
    """

    def reinstate(session: Session, row: Appointment) -> None:
        row.reinstate(row.room)
        session.flush()

    try:
        return _step(ctx, appointment_id, Action.CHANGE, reinstate)
    except IntegrityError:
        raise SlotTaken("The room was given to another visit meanwhile.") from None


def check_in(ctx: Context, appointment_id: int) -> AppointmentRow:
    """Note that the patient is here.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or it is on a later day or over.
    """

    def arrive(_session: Session, row: Appointment) -> None:
        if row.start_at.astimezone(ctx.zone).date() > ctx.today():
            raise Conflict("This visit is on a later day: move it to today first.")
        row.arrive(ctx.clock())

    return _step(ctx, appointment_id, Action.CHECK_IN, arrive)


def undo_check_in(ctx: Context, appointment_id: int) -> AppointmentRow:
    """Take a check-in back, as long as no image came.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or something came of it.
    """
    return _step(ctx, appointment_id, Action.CHANGE, lambda _session, row: row.unarrive())


def no_show(ctx: Context, appointment_id: int) -> AppointmentRow:
    """Note that the patient did not come.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or its time has not come.
    """

    def miss(_session: Session, row: Appointment) -> None:
        if row.start_at > ctx.clock():
            raise Conflict("The time of this visit has not come yet.")
        row.miss()

    return _step(ctx, appointment_id, Action.CHANGE, miss)


def undo_no_show(ctx: Context, appointment_id: int) -> AppointmentRow:
    """Take a no-show back.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or it is no no-show.
    """
    return _step(ctx, appointment_id, Action.CHANGE, lambda _session, row: row.reappear())


def end_exam(ctx: Context, appointment_id: int, reason: str) -> AppointmentRow:
    """End an examination whose modality does not report the end, or that left no image.

    Without images the visit stands as before it, with images it goes on to be read. What the
    modality said is kept, and what it says later too.

    Raises
    ------
    Forbidden, NotFound, Conflict
        The actor may not, there is no such visit, or its examination is over already.
    Invalid
        No reason is given.
    """
    kept = validation.short_text(reason, "ended_reason", limit=MAX_REASON, required=True)

    def end(session: Session, row: Appointment) -> None:
        exam.end(ctx, session, row, kept)
        changes.announce(session, Topic.STUDIES)

    return _step(ctx, appointment_id, Action.DISCONTINUE, end)


def _step(
    ctx: Context,
    appointment_id: int,
    action: Action,
    change: Callable[[Session, Appointment], None],
) -> AppointmentRow:
    ctx.require(Permission.SCHEDULE_WRITE)
    with ctx.begin() as session:
        row = _known(session, Appointment, appointment_id, "visit")
        before = row.status
        change(session, row)
        audit.record(
            ctx, session, action, row, patient_pk=row.patient_pk, before=before, after=row.status
        )
        changes.announce(session, Topic.SCHEDULE)
        return row_of(ctx, session, row.id)


def _known[Row](session: Session, kind: type[Row], key: int, word: str) -> Row:
    row = session.get(kind, key)
    if row is None:
        raise NotFound(f"This {word} does not exist.")
    return row


def _check_place(ctx: Context, room: Room, procedure: Procedure, start_at: datetime) -> None:
    if not room.is_active or not procedure.is_active:
        raise Invalid("This room or examination is not in use.", field="room_pk")
    if room.modality != procedure.modality:
        raise Invalid(
            f"{room.room_name} is a {room.modality} room; this examination needs "
            f"{procedure.modality}.",
            field="room_pk",
        )
    if start_at.astimezone(ctx.zone).date() < ctx.today():
        raise Invalid("This day is over: choose another one.", field="start_at")


def _order(ctx: Context, session: Session, booking: Booking) -> Appointment:
    """Return a visit with its identifiers, without a place."""
    while True:  # numbers that came from elsewhere may lie ahead of the range
        number = numbers.take(session, "order")
        accession = f"A{number:07d}"
        if not session.scalar(
            select(Appointment.id).where(Appointment.accession_number == accession)
        ):
            break
    return Appointment(
        patient_pk=booking.patient_pk,
        procedure_pk=booking.procedure_pk,
        status=AppointmentStatus.BOOKED,
        priority=booking.priority,
        study_instance_uid=generate_uid(),
        accession_number=accession,
        scheduled_procedure_step_id=f"S{number:07d}",
        requested_procedure_id=f"R{number:07d}",
        referring_physician_name=validation.short_text(
            booking.referring_physician_name, "referring_physician_name"
        ),
        scheduled_performing_physician_name=validation.short_text(
            booking.scheduled_performing_physician_name, "scheduled_performing_physician_name"
        ),
        reason_for_the_requested_procedure=validation.short_text(
            booking.reason_for_the_requested_procedure, "reason_for_the_requested_procedure"
        ),
        created_at=ctx.clock(),
    )


def _warn(ctx: Context, session: Session, row: Appointment) -> None:
    """Ask back before a visit that is possible, but seldom meant."""
    day = row.start_at.astimezone(ctx.zone).date()
    opens_at, closes_at = slots.OpeningHours.of(session).on(ctx, day)
    if row.start_at < opens_at or row.end_at > closes_at:
        raise Unconfirmed("This time is outside the opening hours.")
    elsewhere = (
        select(Appointment.id)
        .where(
            Appointment.patient_pk == row.patient_pk,
            Appointment.id != row.id,
            Appointment.start_at < row.end_at,
            Appointment.end_at > row.start_at,
            Appointment.status.not_in((AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW)),
        )
        .limit(1)
    )
    if session.scalar(elsewhere) is not None:
        raise Unconfirmed("The patient has another visit at that time.")


def _taken(ctx: Context, room_pk: int, start_at: datetime, minutes: int) -> SlotTaken:
    """Say which room is booked when, and when it is free next; the transaction is rolled back."""
    with ctx.read() as session:
        room = _known(session, Room, room_pk, "room")
        free = slots.next_free(ctx, session, room_pk, start_at, slots.duration(minutes))
    local = start_at.astimezone(ctx.zone)
    message = f"{room.room_name} is already booked at {local:%H:%M}."
    if free is not None:
        then = free.astimezone(ctx.zone)
        form = "%H:%M" if then.date() == local.date() else "%d.%m. %H:%M"
        message += f" Next free: {then:{form}}."
    return SlotTaken(message)
