"""Who did what: one day of the audit, and whether its chain is whole."""

from __future__ import annotations

from datetime import date
from typing import Any

from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.heading import Heading
from clinic_panel.components.tasks import Done
from clinic_panel.errors import Conflict
from clinic_panel.models.audit_log import Action
from clinic_panel.services import audit
from clinic_panel.services.audit import AuditRow

MOST = 2000
TONES = {
    Action.SIGN_IN_FAILED.value: "red",
    Action.DENIED.value: "red",
    Action.REFUSED.value: "red",
    Action.CONFLICT.value: "amber",
    Action.SIGN.value: "violet",
    Action.HAND_OUT.value: "violet",
    Action.VIEW.value: "blue",
    Action.SEARCH.value: "blue",
    Action.CREATE.value: "teal",
    Action.CHANGE.value: "teal",
}
COLUMNS: list[dict[str, Any]] = [
    {"id": "at", "label": "Time", "kind": "time", "width": "96px"},
    {"id": "username", "label": "Who", "sub": "role", "strong": True, "width": "150px"},
    {"id": "action", "label": "Action", "kind": "chip", "width": "160px", "tones": TONES},
    {"id": "subject", "label": "What", "sub": "patient", "width": "150px"},
    {"id": "detail", "label": "Details", "wrap": True},
    {"id": "address", "label": "From", "width": "130px", "hide": "first"},
]


class AuditLog(Section):
    """The audit, a day at a time."""

    id = "audit"
    label = "Audit"

    def build(self) -> list[Any]:
        """Make the day's stepper and the table."""
        today = self.ctx.today().isoformat()
        self.heading = Heading(
            title="Audit",
            day=today,
            today=today,
            buttons=[{"id": "check", "label": "Check the chain", "icon": "check"}],
        )
        self.board = Board(
            title="Audit entries",
            columns=COLUMNS,
            facets=[
                {"id": "username", "label": "Who", "kind": "list", "all": "Everybody"},
                {"id": "action", "label": "Action", "kind": "list", "all": "All actions"},
            ],
            searchable=True,
            search_label="Filter entries",
            empty_text="Nothing was recorded on this day.",
            lit=False,
        )
        self.heading.param.watch(lambda _: self.reload(), "day")
        self.heading.param.watch(self._pressed, "pressed")
        return [self.heading, self.board]

    def reload(self) -> None:
        """Show the day."""
        day: date = self.heading.date
        rows = audit.entries(self.ctx, day=day, limit=MOST)
        self.board.param.update(
            rows=[self._line(row) for row in rows],
            footer=f"The newest {MOST} entries of the day." if len(rows) == MOST else "",
        )

    def _line(self, row: AuditRow) -> dict[str, Any]:
        subject = row.subject_type.replace("_", " ")
        subject += f" {row.subject_id}" if row.subject_id is not None else ""
        patient = f"patient {row.patient_pk}" if row.patient_pk is not None else ""
        return {
            "id": row.id,
            "label": f"{row.username} {row.action}",
            "at": f"{row.at.astimezone(self.ctx.zone):%H:%M:%S}",
            "at_sort": row.id,
            "username": row.username,
            "role": row.role,
            "action": row.action,
            "subject": subject,
            "patient": patient if patient != subject else "",
            "detail": said(row.detail),
            "address": row.address,
        }

    def _pressed(self, event: Any) -> None:
        if event.new == "check":
            self.tasks.attempt(self._check)

    def _check(self) -> Done:
        found = audit.verify(self.ctx)
        if found.broken_ids:
            ids = ", ".join(map(str, found.broken_ids[:10]))
            raise Conflict(f"The chain is broken at entry {ids}: entries were changed or removed.")
        return Done(f"The chain is whole: {found.entries} entries, none changed or removed.")


def said(detail: dict[str, Any]) -> str:
    """Return details as words: they are ids, counts and names of fields."""
    parts = []
    for name, value in detail.items():
        if not value:
            continue
        if isinstance(value, dict):
            value = [f"{what} {count}" for what, count in value.items()]
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(f"{name.replace('_', ' ')}: {text[:80]}")
    return " · ".join(parts)
