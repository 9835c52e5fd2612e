"""What can be booked: rooms, the station in each and where it is called, and examinations."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin.examination_form import EditExamination
from clinic_panel.components.admin.peer_call import PeerCalls
from clinic_panel.components.admin.room_form import EditRoom
from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.services import examinations, rooms
from clinic_panel.services.examinations import Examination
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

EXAMINATION_COLUMNS: list[dict[str, Any]] = [
    {"id": "name", "label": "Examination", "sub": "code", "strong": True, "width": "420px"},
    {"id": "modality", "label": "With", "width": "100px"},
    {"id": "body_part", "label": "Body part", "width": "160px", "hide": "first"},
    {"id": "minutes", "label": "Minutes", "kind": "number", "width": "90px"},
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "120px",
        "tones": {"In use": "green", "Not in use": "outline"},
    },
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "120px", "shown": 1},
]
EDIT = {"id": "edit", "label": "Edit", "icon": "edit"}
IN_USE = {True: "In use", False: "Not in use"}


class Rooms(Section):
    """Rooms with their stations, and examinations."""

    id = "rooms"
    label = "Rooms"

    def build(self) -> list[Any]:
        """Make the tables."""
        self.calls = PeerCalls(self.ctx, self.tasks.notice, self._show)
        self.board = Board(
            title="Rooms",
            columns=COLUMNS,
            buttons=[{"id": "add", "label": "Add room", "icon": "add", "primary": True}],
            empty_text="Nothing can be booked yet: add a room for each scanner.",
        )
        self.examinations = Board(
            title="Examinations",
            columns=EXAMINATION_COLUMNS,
            facets=[{"id": "modality", "label": "With"}],
            buttons=[{"id": "add", "label": "Add examination", "icon": "add", "primary": True}],
            empty_text="Nothing can be booked yet: add the examinations that you offer.",
        )
        self.board.param.watch(self._acted, "action")
        self.examinations.param.watch(self._acted_on_examination, "action")
        return [self.board, self.examinations]

    def reload(self) -> None:
        """Show what can be booked."""
        self.known = {row.id: row for row in rooms.stations(self.ctx)}
        self._show()
        self.offered = {row.id: row for row in examinations.examinations(self.ctx)}
        self.examinations.rows = [_examination_line(row) for row in self.offered.values()]

    def _show(self) -> None:
        self.board.rows = [self._line(row) for row in self.known.values()]

    def _line(self, row: Station) -> dict[str, Any]:
        device = row.device
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
            "state": IN_USE[row.is_active],
            "tone": "" if row.is_active else "muted",
            "actions": [call, EDIT] if has_address else [EDIT],
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

    def _acted_on_examination(self, event: Any) -> None:
        if event.new is None:
            return
        row = self.offered.get(event.new["id"])
        if event.new["action"] == "add":
            self.tasks.open(EditExamination(self.ctx))
        elif row is not None:
            self.tasks.open(EditExamination(self.ctx, row))


def _examination_line(row: Examination) -> dict[str, Any]:
    return {
        "id": row.id,
        "label": row.requested_procedure_description,
        "name": row.requested_procedure_description,
        "code": row.code_value,
        "modality": row.modality,
        "body_part": row.body_part_examined,
        "minutes": row.duration_min,
        "state": IN_USE[row.is_active],
        "tone": "" if row.is_active else "muted",
        "actions": [EDIT],
    }
