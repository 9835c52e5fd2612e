"""The day as a plan: visits as blocks of their rooms, and the form a block opens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any

from clinic_panel.components.schedule import (
    PRIORITIES,
    exam_note,
    owed_note,
    status_text,
    status_tone,
)
from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Unconfirmed
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.user import Permission
from clinic_panel.services import workflow
from clinic_panel.services.slots import OpeningHours, rounded_up
from clinic_panel.services.workflow import AppointmentRow, RoomRow

S = AppointmentStatus
MOVABLE = (S.BOOKED, S.ARRIVED)
DAY_MIN = 24 * 60


def wall_min(ctx: Context, moment: datetime) -> int:
    """Return the minutes after midnight that the clinic's clock shows."""
    local = moment.astimezone(ctx.zone)
    return local.hour * 60 + local.minute


def moment_of(ctx: Context, day: date, minute: int) -> datetime:
    """Return the moment at which the clinic's clock shows so many minutes after midnight."""
    at = time(minute // 60, minute % 60)
    return datetime.combine(day, at, ctx.zone).astimezone(UTC)


def columns(rooms: Iterable[RoomRow]) -> list[dict[str, Any]]:
    """Return the rooms as columns."""
    return [{"id": room.id, "label": room.room_name, "detail": room.modality} for room in rooms]


def blocks(
    ctx: Context, rows: Iterable[AppointmentRow], rooms: Iterable[RoomRow]
) -> list[dict[str, Any]]:
    """Return the visits that take a room, as blocks."""
    may_move = ctx.may(Permission.SCHEDULE_WRITE)
    known = list(rooms)
    return [
        {
            "id": row.id,
            "room": row.room_pk,
            "start": wall_min(ctx, row.start_at),
            "end": _end_min(ctx, row),
            "label": row.display_name,
            "detail": " · ".join(
                filter(None, (PRIORITIES[row.priority], row.requested_procedure_description))
            ),
            "status": status_text(row),
            "tone": status_tone(row),
            "movable": may_move and row.status in MOVABLE,
            "rooms": [room.id for room in known if room.modality == row.modality],
        }
        for row in rows
        if row.status is not S.CANCELLED
    ]


def _end_min(ctx: Context, row: AppointmentRow) -> int:
    is_next_day = row.end_at.astimezone(ctx.zone).date() > row.start_at.astimezone(ctx.zone).date()
    return DAY_MIN if is_next_day else wall_min(ctx, row.end_at)


def frame(ctx: Context, hours: OpeningHours, day: date) -> dict[str, Any]:
    """Return the bounds of the plan of a day: open, past, now."""
    today, now = ctx.today(), ctx.clock()
    earliest = 0
    if day == today:
        earliest = wall_min(ctx, rounded_up(now))
    return {
        "open_min": hours.begin.hour * 60 + hours.begin.minute,
        "close_min": hours.end.hour * 60 + hours.end.minute,
        "now_min": wall_min(ctx, now) if day == today else -1,
        "earliest_min": earliest,
        "bookable": ctx.may(Permission.SCHEDULE_WRITE) and day >= today,
    }


class Visit(Task):
    """What a block stands for, and the next thing to do with it."""

    title = "Visit"

    def __init__(self, ctx: Context, row: AppointmentRow) -> None:
        self.ctx, self.row = ctx, row
        day = row.start_at.astimezone(ctx.zone).date()
        self.may_arrive = (
            row.status is S.BOOKED and day <= ctx.today() and ctx.may(Permission.SCHEDULE_WRITE)
        )
        self.submit_label = "Check in" if self.may_arrive else "Close"
        born = row.patient_birth_date.isoformat() if row.patient_birth_date else ""
        self.intro = " · ".join(filter(None, (row.display_name, row.patient_id, born)))

    def fields(self) -> list[Field]:
        """Return what is known of the visit."""
        start, end = (at.astimezone(self.ctx.zone) for at in (self.row.start_at, self.row.end_at))
        said = (
            f"{self.row.requested_procedure_description}, {self.row.room_name}",
            f"{start:%d %B, %H:%M}–{end:%H:%M}",
            f"{status_text(self.row)}   {PRIORITIES[self.row.priority]}".strip(),
            exam_note(self.row),
            owed_note(self.row.missing, self.row.announced),
        )
        return [{"kind": "note", "label": text} for text in said if text]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Check in, where that is next."""
        if not self.may_arrive:
            return Done("")
        workflow.check_in(self.ctx, self.row.id)

        def back() -> Done:
            workflow.undo_check_in(self.ctx, self.row.id)
            return Done("Check-in taken back.")

        return Done("Checked in.", back)
