"""Forms of a visit: moved, cancelled, its examination ended."""

from __future__ import annotations

from datetime import timedelta

from clinic_panel.components.free_times import one_time, start_of, time_fields
from clinic_panel.components.tasks import Change, Done, Field, Task, Values, key, typed_day
from clinic_panel.context import Context
from clinic_panel.errors import Invalid, Unconfirmed
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.services import workflow
from clinic_panel.services.workflow import AppointmentRow, Place


class Move(Task):
    """Give a visit another time or room."""

    title = "Move the appointment"
    submit_label = "Move"
    anyway_label = "Move anyway"
    follows = True

    def __init__(self, ctx: Context, row: AppointmentRow) -> None:
        self.ctx, self.row = ctx, row
        self.rooms = {str(room.id): room for room in workflow.rooms(ctx, row.modality)}
        self.minutes = int((row.end_at - row.start_at) / timedelta(minutes=1))
        day = max(row.start_at.astimezone(ctx.zone).date(), ctx.today())
        self.values: Values = {"room_pk": str(row.room_pk), "day": day.isoformat()}
        local = row.start_at.astimezone(ctx.zone)
        self.intro = (
            f"{row.display_name}: {row.requested_procedure_description}, now {row.room_name}, "
            f"{local:%d %B, %H:%M}."
        )

    def fields(self) -> list[Field]:
        """Return room, day and the free times there."""
        day = typed_day(self.values.get("day", ""), "day")
        room = self.rooms.get(self.values.get("room_pk", ""))
        times, other = time_fields(self.ctx, room, day, self.minutes, self.values)
        return [
            {
                "name": "room_pk",
                "label": "Room",
                "kind": "select",
                "width": "third",
                "required": True,
                "live": True,
                "options": [
                    {"value": number, "label": one.room_name} for number, one in self.rooms.items()
                ],
                "value": self.values.get("room_pk", ""),
            },
            {
                "name": "day",
                "label": "Day",
                "kind": "date",
                "width": "third",
                "required": True,
                "live": True,
                "min": self.ctx.today().isoformat(),
                "value": self.values.get("day", ""),
            },
            other,
            times,
        ]

    def changed(self, name: str, values: Values, text: str) -> Change:
        """Offer the times of the room and day."""
        one_time(name, values)
        self.values = values
        return Change(self.fields())

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Move it; *Undo* puts it back."""
        self.values = values
        room_pk = key(values["room_pk"], "room_pk", "Choose a room.")
        day = typed_day(values["day"], "day") or self.ctx.today()
        place = Place(room_pk, start_of(self.ctx, values, day))
        return moved(self.ctx, self.row, place, confirmed=Unconfirmed in agreed)


def moved(ctx: Context, row: AppointmentRow, place: Place, *, confirmed: bool = False) -> Done:
    """Move a visit; *Undo* puts it back.

    Raises
    ------
    ClinicError
        It stays where it is.
    """
    now = workflow.move(ctx, row.id, row.version, place, confirmed=confirmed)

    def back() -> Done:
        before = Place(row.room_pk, row.start_at)
        workflow.move(ctx, now.id, now.version, before, confirmed=True)
        return Done("Moved back.")

    at = now.start_at.astimezone(ctx.zone)
    return Done(f"Moved to {now.room_name}, {at:%d %B, %H:%M}.", back)


class Cancel(Task):
    """Cancel a visit, with the reason."""

    title = "Cancel the appointment"
    submit_label = "Cancel appointment"
    danger = True
    REASONS = ("Patient cancelled", "Patient unwell", "Device not available", "Booked twice")

    def __init__(self, ctx: Context, row: AppointmentRow) -> None:
        self.ctx, self.row = ctx, row
        local = row.start_at.astimezone(ctx.zone)
        self.intro = f"{row.display_name}: {row.requested_procedure_description}, {local:%H:%M}."

    def fields(self) -> list[Field]:
        """Return the usual reasons, and room for another."""
        return _reasons(self.REASONS)

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Cancel it; *Undo* takes it back while the time is still free."""
        workflow.cancel(self.ctx, self.row.id, _reason(values))

        def back() -> Done:
            workflow.undo_cancel(self.ctx, self.row.id)
            return Done("The appointment stands again.")

        return Done("Appointment cancelled.", back)


class EndExam(Task):
    """End an examination whose device does not report the end, or that left no image."""

    REASONS = ("The device did not report the end",)
    WITHOUT = ("Wrong worklist entry", "Imaged under another appointment", "Not examined")

    def __init__(self, ctx: Context, row: AppointmentRow) -> None:
        self.ctx, self.row = ctx, row
        self.is_over = row.exam_status is PerformedStatus.COMPLETED
        word = "No images will come" if self.is_over else "End the examination"
        self.title = word  # type: ignore[misc]
        self.submit_label = word if self.is_over else "End examination"
        then = "goes on to be read" if row.image_count else "can be done, moved or cancelled again"
        self.intro = (
            f"{row.display_name}: {row.requested_procedure_description}. The appointment {then}; "
            "what the device reports or sends later is still kept."
        )

    def fields(self) -> list[Field]:
        """Return the usual reasons, and room for another."""
        return _reasons(self.WITHOUT if self.is_over else self.REASONS)

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """End it."""
        workflow.end_exam(self.ctx, self.row.id, _reason(values))
        return Done("Appointment open again." if self.is_over else "Examination ended.")


def _reasons(usual: tuple[str, ...]) -> list[Field]:
    return [
        {
            "name": "usual",
            "label": "Reason",
            "kind": "choice",
            "options": [{"value": reason, "label": reason} for reason in usual],
        },
        {"name": "other", "label": "Or another reason", "max_length": workflow.MAX_REASON},
    ]


def _reason(values: Values) -> str:
    reason = values["other"] or values["usual"]
    if not reason:
        raise Invalid("Choose a reason, or write one.", field="usual")
    return reason
