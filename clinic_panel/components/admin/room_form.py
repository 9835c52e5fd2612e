"""The form of a room and of the station in it."""

from __future__ import annotations

from clinic_panel.components.admin.address import calling_fields, port_in, where_fields
from clinic_panel.components.admin.examination_form import modality_field
from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Unconfirmed
from clinic_panel.services import rooms
from clinic_panel.services.rooms import RoomForm, Station


class EditRoom(Task):
    """A room, new or known."""

    submit_label = "Save"

    def __init__(self, ctx: Context, row: Station | None = None) -> None:
        self.ctx, self.row = ctx, row
        self.title = "Add a room" if row is None else "Edit a room"  # type: ignore[misc]

    def fields(self) -> list[Field]:
        """Ask for the room, what its station is called, and where it is."""
        row = self.row
        device = row.device if row is not None else None
        return [
            {
                "name": "room_name",
                "label": "Room",
                "required": True,
                "value": row.room_name if row else "",
                "width": "half",
            },
            modality_field("Examines with", row.modality if row else "CT"),
            {
                "name": "ae_title",
                "label": "AE title of its station",
                "required": True,
                "value": row.ae_title if row else "",
                "help": "As set at the scanner: its worklist and its images come under this title.",
            },
            *where_fields(
                device,
                "Needed when we call it: to send it earlier images, or to report what is safe.",
            ),
            *calling_fields(device),
            {
                "name": "is_active",
                "label": "In use: may be booked, and its station may call",
                "kind": "checkbox",
                "value": row.is_active if row else True,
            },
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Keep it."""
        del agreed
        form = RoomForm(
            room_name=values["room_name"],
            modality=values["modality"] or "",
            ae_title=values["ae_title"],
            is_active=bool(values["is_active"]),
            host=values["host"],
            port=port_in(values),
            uses_tls=bool(values["uses_tls"]),
            reports_on_same=bool(values["reports_on_same"]),
        )
        if self.row is None:
            rooms.add(self.ctx, form)
            return Done(f"{form.room_name.strip()} can be booked, and its station may call.")
        rooms.change(self.ctx, self.row, form)
        return Done("Saved.")
