"""The free times of a room, as fields of a form."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from clinic_panel.components.tasks import Field, Values
from clinic_panel.context import Context
from clinic_panel.errors import Invalid
from clinic_panel.services import workflow
from clinic_panel.services.workflow import RoomRow


def time_fields(
    ctx: Context, room: RoomRow | None, day: date | None, minutes: int, values: Values
) -> list[Field]:
    """Return the free times of a room, as buttons, and a field for any other time."""
    starts: list[datetime] = []
    if room is not None and day is not None and minutes:
        starts = workflow.free_slots(ctx, room.id, day, minutes)
    options = [
        {"value": start.isoformat(), "label": f"{start.astimezone(ctx.zone):%H:%M}"}
        for start in starts
    ]
    offered = {option["value"] for option in options}
    chosen = values.get("start_at", "")
    missing = "No free time on this day." if room and day and minutes else "Choose a room first."
    return [
        {
            "name": "start_at",
            "label": "Free times",
            "kind": "choice",
            "live": True,
            "options": options,
            "value": chosen if chosen in offered else "",
            "placeholder": missing,
        },
        {
            "name": "other_time",
            "label": "Or another time",
            "kind": "time",
            "live": True,
            "width": "third",
            "step": 300,
            "value": values.get("other_time", ""),
        },
    ]


def one_time(name: str, values: Values) -> None:
    """Keep the time that was given last: a button, or one that was typed."""
    if name == "start_at" and values["start_at"]:
        values["other_time"] = ""
    elif name == "other_time" and values["other_time"]:
        values["start_at"] = ""


def start_of(ctx: Context, values: Values, day: date) -> datetime:
    """Return the start that was chosen or typed.

    Raises
    ------
    Invalid
        Neither was.
    """
    if typed := values.get("other_time"):
        try:
            at = time.fromisoformat(typed)
        except ValueError:
            raise Invalid("This is not a time.", field="other_time") from None
        return datetime.combine(day, at, ctx.zone).astimezone(UTC)
    try:
        return datetime.fromisoformat(values.get("start_at") or "").astimezone(UTC)
    except ValueError:
        raise Invalid("Choose a time.", field="start_at") from None
