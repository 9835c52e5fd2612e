"""Other archives and devices: who may call, where studies go, and who was turned away."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin import commitment_board
from clinic_panel.components.admin.peer_call import PeerCalls
from clinic_panel.components.admin.peer_form import EditPeer
from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.tasks import Done
from clinic_panel.models.site import Topic
from clinic_panel.services import associations, commitment_list, peers, rooms, sync
from clinic_panel.services.associations import Refusal
from clinic_panel.services.peers import PeerForm, PeerRow
from clinic_panel.services.sync import StudyForwarding

PEER_COLUMNS: list[dict[str, Any]] = [
    {"id": "name", "label": "Name", "sub": "ae_title", "strong": True},
    {"id": "address", "label": "Address", "sub": "test", "wrap": True, "width": "240px"},
    {
        "id": "forwards",
        "label": "Studies",
        "kind": "chip",
        "width": "130px",
        "tones": {"Forwarded": "blue", "Announced": "blue"},
    },
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "110px",
        "tones": {"Active": "green", "Off": "outline"},
    },
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "200px", "shown": 2},
]
FORWARDING_COLUMNS: list[dict[str, Any]] = [
    {"id": "study", "label": "Study", "strong": True, "width": "120px"},
    {"id": "peer", "label": "To", "width": "160px"},
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "130px",
        "tones": {"Waiting": "amber", "Delivered": "blue", "Confirmed": "green", "Refused": "red"},
    },
    {"id": "figures", "label": "Images", "wrap": True, "sub": "last"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "130px", "shown": 1},
]
REFUSAL_COLUMNS: list[dict[str, Any]] = [
    {"id": "ae_title", "label": "AE title", "strong": True, "sub": "address"},
    {"id": "reason", "label": "Reason", "wrap": True},
    {"id": "times", "label": "Times", "kind": "number", "width": "80px"},
    {"id": "at", "label": "Last", "width": "170px", "hide": "first"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "120px", "shown": 1},
]


class Devices(Section):
    """Peers, forwarding, storage commitment, refusals."""

    id = "devices"
    label = "Devices"
    topics = frozenset({Topic.ADMIN, Topic.STUDIES})

    def build(self) -> list[Any]:
        """Make the tables."""
        self.calls = PeerCalls(self.ctx, self.tasks.notice, self._show_peers)
        self.peers = Board(
            title="Archives and devices",
            columns=PEER_COLUMNS,
            buttons=[{"id": "add", "label": "Add device", "icon": "add", "primary": True}],
            empty_text="Only the stations of rooms may call.",
        )
        self.refused = Board(
            title="Turned away",
            columns=REFUSAL_COLUMNS,
            empty_text="No device was turned away.",
        )
        self.forwarding = Board(
            title="Forwarding",
            columns=FORWARDING_COLUMNS,
            facets=[{"id": "state", "label": "State"}],
            empty_text="No study goes to another archive.",
        )
        self.commitments = Board(
            title="Storage commitment",
            columns=commitment_board.COLUMNS,
            facets=[{"id": "state", "label": "State"}],
            empty_text="No device has asked whether its images are safe.",
        )
        boards = [self.peers, self.refused, self.forwarding, self.commitments]
        for board in boards:
            board.param.watch(self._acted, "action")
        return boards

    def reload(self) -> None:
        """Show who may call, who was turned away, and what is still owed."""
        self.known = {row.id: row for row in peers.peers(self.ctx)}
        self._show_peers()
        titles = {row.ae_title for row in self.known.values()}
        titles |= {row.ae_title for row in rooms.stations(self.ctx) if row.is_active}
        self.refused.rows = self._refusal_lines(titles)
        owed = sync.forwarding_state(self.ctx)
        self.states = {f"{row.study_id}-{row.peer_id}": row for row in owed}
        self.forwarding.rows = [self._state_line(key, row) for key, row in self.states.items()]
        self.commitments.rows = [
            commitment_board.line(row, self.moment) for row in commitment_list.requests(self.ctx)
        ]

    def _show_peers(self) -> None:
        self.peers.rows = [
            _peer_line(row, self.calls.said.get(row.id, "")) for row in self.known.values()
        ]

    def _refusal_lines(self, known: set[str]) -> list[dict[str, Any]]:
        # Newest first: the first of each title says when and from where it last tried.
        grouped: dict[tuple[str, str], list[Refusal]] = {}
        for refusal in associations.refusals(self.ctx):
            grouped.setdefault((refusal.ae_title, refusal.reason), []).append(refusal)
        return [
            {
                "id": f"{ae_title}/{reason}",
                "label": ae_title,
                "ae_title": ae_title,
                "address": tries[0].address,
                "reason": reason,
                "times": len(tries),
                "at": self.moment(tries[0].at),
                "actions": (
                    [{"id": "allow", "label": "Allow", "primary": True}]
                    if ae_title and ae_title not in known
                    else []
                ),
            }
            for (ae_title, reason), tries in grouped.items()
        ]

    def _state_line(self, key: str, row: StudyForwarding) -> dict[str, Any]:
        is_confirmed = row.confirmed and row.confirmed == row.delivered
        arrived = "Confirmed" if is_confirmed else "Delivered"
        state = "Refused" if row.refused else "Waiting" if row.waiting else arrived
        figures = [
            f"{count} {word}"
            for count, word in (
                (row.delivered, "delivered"),
                (row.waiting, "waiting"),
                (row.refused, "refused"),
                (row.confirmed, "confirmed"),
            )
            if count
        ]
        last = f"last answer 0x{row.last_status:04X}" if row.last_status is not None else ""
        return {
            "id": key,
            "label": f"Study {row.study_id} to {row.peer_name}",
            "study": f"Study {row.study_id}",
            "study_sort": row.study_id,
            "peer": row.peer_name,
            "state": state,
            "figures": ", ".join(figures),
            "last": last or self.moment(row.last_delivered_at),
            "actions": [{"id": "send", "label": "Send again"}] if state != arrived else [],
        }

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        key = event.new["id"]
        match event.new["action"]:
            case "add":
                self.tasks.open(EditPeer(self.ctx))
            case "test":
                self.calls.call(self.known[key])
            case "edit":
                self.tasks.open(EditPeer(self.ctx, self.known[key]))
            case "allow":
                self.tasks.attempt(lambda: self._allow(key.rsplit("/", 1)[0]))
            case "send":
                self.tasks.attempt(lambda: self._send(self.states[key]))
            case "report":
                self.tasks.attempt(lambda: self._report(key))

    def _allow(self, ae_title: str) -> Done:
        row = peers.add(self.ctx, PeerForm(peer_name=ae_title, ae_title=ae_title))
        return Done(
            f"{ae_title} may call from now on.", lambda: EditPeer(self.ctx, row), label="Edit"
        )

    def _send(self, row: StudyForwarding) -> Done:
        sync.retry(self.ctx, row.peer_id, row.study_id)
        return Done(f"Study {row.study_id} is sent to {row.peer_name} again.")

    def _report(self, request_id: int) -> Done:
        commitment_list.retry(self.ctx, request_id)
        return Done("The result is reported again.")


def _peer_line(row: PeerRow, test: str) -> dict[str, Any]:
    edit = {"id": "edit", "label": "Edit", "icon": "edit"}
    call = {"id": "test", "label": "Test", "title": "Call it (C-ECHO)"}
    return {
        "id": row.id,
        "label": row.peer_name,
        "name": row.peer_name,
        "ae_title": f"{row.ae_title} · station of {row.room_name}"
        if row.room_name
        else row.ae_title,
        "address": f"{row.host}:{row.port}" if row.host else "",
        "test": test,
        "forwards": "Forwarded" if row.forwards else "Announced" if row.notifies else "",
        "state": "Active" if row.is_active else "Off",
        "tone": "" if row.is_active else "muted",
        "actions": [call, edit] if row.host else [edit],
    }
