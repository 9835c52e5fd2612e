"""Other archives and devices: who may call, where studies go, and who was turned away."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin import commitment_board
from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Invalid, Unconfirmed
from clinic_panel.models.site import Topic
from clinic_panel.services import associations, commitments, peers, sync
from clinic_panel.services.associations import Refusal
from clinic_panel.services.peers import PeerForm, PeerRow
from clinic_panel.services.sync import StudyForwarding

PEER_COLUMNS: list[dict[str, Any]] = [
    {"id": "name", "label": "Name", "sub": "ae_title", "strong": True},
    {"id": "address", "label": "Address", "width": "200px", "hide": "first"},
    {
        "id": "forwards",
        "label": "Studies",
        "kind": "chip",
        "width": "130px",
        "tones": {"Forwarded": "blue"},
    },
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "110px",
        "tones": {"Active": "green", "Off": "outline"},
    },
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "110px", "shown": 1},
]
FORWARDING_COLUMNS: list[dict[str, Any]] = [
    {"id": "study", "label": "Study", "strong": True, "width": "120px"},
    {"id": "peer", "label": "To", "width": "160px"},
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "130px",
        "tones": {"Waiting": "amber", "Delivered": "green", "Refused": "red"},
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
        self.peers = Board(
            title="Archives and devices",
            columns=PEER_COLUMNS,
            buttons=[{"id": "add", "label": "Add device", "icon": "add", "primary": True}],
            empty_text="Only the rooms' own devices may call.",
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
        self.peers.rows = [_peer_line(row) for row in self.known.values()]
        titles = {row.ae_title for row in self.known.values()}
        self.refused.rows = self._refusal_lines(titles)
        owed = sync.forwarding_state(self.ctx)
        self.states = {f"{row.study_id}-{row.peer_id}": row for row in owed}
        self.forwarding.rows = [self._state_line(key, row) for key, row in self.states.items()]
        self.commitments.rows = [
            commitment_board.line(row, self.moment) for row in commitments.requests(self.ctx)
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
        state = "Refused" if row.refused else "Waiting" if row.waiting else "Delivered"
        figures = [
            f"{count} {word}"
            for count, word in (
                (row.delivered, "delivered"),
                (row.waiting, "waiting"),
                (row.refused, "refused"),
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
            "actions": [{"id": "send", "label": "Send again"}] if state != "Delivered" else [],
        }

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        key = event.new["id"]
        match event.new["action"]:
            case "add":
                self.tasks.open(EditPeer(self.ctx))
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
        commitments.retry(self.ctx, request_id)
        return Done("The result is reported again.")


class EditPeer(Task):
    """Another archive or device."""

    submit_label = "Save"

    def __init__(self, ctx: Context, row: PeerRow | None = None) -> None:
        self.ctx, self.row = ctx, row
        self.title = "Add a device" if row is None else "Edit a device"  # type: ignore[misc]

    def fields(self) -> list[Field]:
        """Ask for the names it goes by and where it is."""
        row = self.row
        return [
            {
                "name": "peer_name",
                "label": "Name",
                "required": True,
                "value": row.peer_name if row else "",
                "width": "half",
            },
            {
                "name": "ae_title",
                "label": "AE title",
                "required": True,
                "value": row.ae_title if row else "",
                "width": "half",
            },
            {
                "name": "host",
                "label": "Host name or address",
                "value": row.host if row else "",
                "width": "half",
                "help": "Needed when we call it: to forward, or to report what is safe.",
            },
            {
                "name": "port",
                "label": "Port",
                "kind": "number",
                "value": str(row.port if row else 104),
                "width": "half",
            },
            {
                "name": "forwards",
                "label": "Forward every new study there",
                "kind": "checkbox",
                "value": bool(row and row.forwards),
            },
            {
                "name": "uses_tls",
                "label": "Encrypt when calling it (TLS)",
                "kind": "checkbox",
                "value": bool(row and row.uses_tls),
            },
            {
                "name": "reports_on_same",
                "label": "Wants storage commitment results on the association that asked",
                "kind": "checkbox",
                "value": bool(row and row.reports_on_same),
            },
            {
                "name": "is_active",
                "label": "May call and be called",
                "kind": "checkbox",
                "value": row.is_active if row else True,
            },
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Keep it."""
        del agreed
        if not str(values["port"]).isdigit():
            raise Invalid("A port is between 1 and 65535.", field="port")
        form = PeerForm(
            peer_name=values["peer_name"],
            ae_title=values["ae_title"],
            host=values["host"],
            port=int(values["port"]),
            forwards=bool(values["forwards"]),
            is_active=bool(values["is_active"]),
            uses_tls=bool(values["uses_tls"]),
            reports_on_same=bool(values["reports_on_same"]),
        )
        if self.row is None:
            peers.add(self.ctx, form)
            return Done("The device may call from now on.")
        peers.change(self.ctx, self.row.id, self.row.version, form)
        return Done("Saved.")


def _peer_line(row: PeerRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "label": row.peer_name,
        "name": row.peer_name,
        "ae_title": row.ae_title,
        "address": f"{row.host}:{row.port}" if row.host else "",
        "forwards": "Forwarded" if row.forwards else "",
        "state": "Active" if row.is_active else "Off",
        "tone": "" if row.is_active else "muted",
        "actions": [{"id": "edit", "label": "Edit", "icon": "edit"}],
    }
