"""What can be booked: rooms, examinations, free times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.models.appointment import Procedure, Room
from clinic_panel.models.user import Permission
from clinic_panel.services import slots
from clinic_panel.services.slots import OpeningHours


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room that can be booked."""

    id: int
    room_name: str
    modality: str
    station_ae_title: str


@dataclass(frozen=True, slots=True)
class ProcedureRow:
    """An examination that can be booked."""

    id: int
    code_value: str
    requested_procedure_description: str
    modality: str
    body_part_examined: str
    duration_min: int


def rooms(ctx: Context, modality: str = "") -> list[RoomRow]:
    """Return the rooms in use, by name.

    Raises
    ------
    Forbidden
        The actor may not see the schedule.
    """
    ctx.require(Permission.SCHEDULE_READ)
    query = select(Room).where(Room.is_active).order_by(Room.room_name)
    if modality:
        query = query.where(Room.modality == modality)
    with ctx.read() as session:
        return [
            RoomRow(row.id, row.room_name, row.modality, row.station_ae_title)
            for row in session.scalars(query)
        ]


def procedures(ctx: Context) -> list[ProcedureRow]:
    """Return the examinations in use, by modality and name.

    Raises
    ------
    Forbidden
        The actor may not see the schedule.
    """
    ctx.require(Permission.SCHEDULE_READ)
    query = (
        select(Procedure)
        .where(Procedure.is_active)
        .order_by(Procedure.modality, Procedure.requested_procedure_description)
    )
    with ctx.read() as session:
        return [
            ProcedureRow(
                row.id,
                row.code_value,
                row.requested_procedure_description,
                row.modality,
                row.body_part_examined,
                row.duration_min,
            )
            for row in session.scalars(query)
        ]


def opening_hours(ctx: Context) -> OpeningHours:
    """Return when the clinic is open.

    Raises
    ------
    Forbidden
        The actor may not see the schedule.
    """
    ctx.require(Permission.SCHEDULE_READ)
    with ctx.read() as session:
        return OpeningHours.of(session)


def free_slots(ctx: Context, room_pk: int, day: date, duration_min: int) -> list[datetime]:
    """Return the starts of a day, in UTC, at which a room is free for so many minutes.

    Within opening hours, not in the past: the begin of each gap, then quarter hours.

    Raises
    ------
    Forbidden
        The actor may not see the schedule.
    """
    ctx.require(Permission.SCHEDULE_READ)
    with ctx.read() as session:
        return slots.free_starts(ctx, session, room_pk, day, slots.duration(duration_min))
