"""Rooms: what can be booked, the station in each, and where it is called."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin.peer_call import PeerCalls
from clinic_panel.components.admin.room_form import EditRoom
from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.services import rooms
from clinic_panel.services.rooms import Station

COLUMNS: list[dict[str, Any]] = [
    {"id": "name", "label": "Room", "sub": "examines", "strong": True, "width": "240px"},
    {"id": "ae_title", "label": "Station's AE title", "width": "180px"},
    {"id": "address", "label": "Address", "sub": "test", "wrap": True},
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "120px",
        "tones": {"In use": "green", "Not in use": "outline"},
    },
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "200px", "shown": 2},
]


class Rooms(Section):
    """The rooms and their stations."""

    id = "rooms"
    label = "Rooms"

    def build(self) -> list[Any]:
        """Make the table."""
        self.calls = PeerCalls(self.ctx, self.tasks.notice, self._show)
        self.board = Board(
            title="Rooms",
            columns=COLUMNS,
            buttons=[{"id": "add", "label": "Add room", "icon": "add", "primary": True}],
            empty_text="Nothing can be booked yet: add a room for each scanner.",
        )
        self.board.param.watch(self._acted, "action")
        return [self.board]

    def reload(self) -> None:
        """Show the rooms."""
        self.known = {row.id: row for row in rooms.stations(self.ctx)}
        self._show()

    def _show(self) -> None:
        self.board.rows = [self._line(row) for row in self.known.values()]

    def _line(self, row: Station) -> dict[str, Any]:
        device = row.device
        edit = {"id": "edit", "label": "Edit", "icon": "edit"}
        call = {"id": "test", "label": "Test", "title": "Call its station (C-ECHO)"}
        has_address = device is not None and bool(device.host)
        return {
            "id": row.id,
            "label": row.room_name,
            "name": row.room_name,
            "examines": f"{row.modality} · {rooms.MODALITIES.get(row.modality, 'other')}",
            "ae_title": row.ae_title,
            "address": f"{device.host}:{device.port}" if device and has_address else "not entered",
            "test": self.calls.said.get(device.id, "") if device is not None else "",
            "state": "In use" if row.is_active else "Not in use",
            "tone": "" if row.is_active else "muted",
            "actions": [call, edit] if has_address else [edit],
        }

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        row = self.known.get(event.new["id"])
        match event.new["action"]:
            case "add":
                self.tasks.open(EditRoom(self.ctx))
            case "edit" if row is not None:
                self.tasks.open(EditRoom(self.ctx, row))
            case "test" if row is not None and row.device is not None:
                self.calls.call(row.device)
