"""Objects that came again with other bytes: which one is shown, and which is only kept."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.flights.words import size
from clinic_panel.components.tasks import Done
from clinic_panel.models.site import Topic
from clinic_panel.services import dicom
from clinic_panel.services.dicom import ConflictRow

COLUMNS: list[dict[str, Any]] = [
    {"id": "at", "label": "Received", "width": "170px"},
    {"id": "study", "label": "Study", "sub": "instance", "strong": True},
    {"id": "what", "label": "Kept, not shown"},
    {"id": "source", "label": "From", "width": "160px"},
    {"id": "size", "label": "Size", "kind": "number", "width": "110px", "hide": "first"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "160px", "shown": 1},
]


class ArchiveWarnings(Section):
    """The conflicts nobody has looked at."""

    id = "archive"
    label = "Archive warnings"
    topics = frozenset({Topic.ADMIN, Topic.STUDIES})

    def build(self) -> list[Any]:
        """Make the table."""
        self.board = Board(
            title="Same identifier, other content",
            columns=COLUMNS,
            empty_text="No object came twice with different content.",
            footer="One object is shown under the identifier; this other one is kept on disk.",
        )
        self.board.param.watch(self._acted, "action")
        return [self.board]

    def reload(self) -> None:
        """Show what came."""
        self.board.rows = [
            {
                "id": row.id,
                "label": f"Instance {row.instance_id}",
                "at": self.moment(row.received_at),
                "study": f"Study {row.study_id}",
                "instance": f"instance {row.instance_id}",
                "what": _what(row),
                "source": row.source_ae_title or "a file",
                "size": size(row.size_bytes),
                "size_sort": row.size_bytes,
                "actions": [{"id": "seen", "label": "Acknowledge", "icon": "check"}],
            }
            for row in dicom.conflicts(self.ctx)
        ]

    def _acted(self, event: Any) -> None:
        if event.new is not None and event.new["action"] == "seen":
            self.tasks.attempt(lambda: self._acknowledge(event.new["id"]))

    def _acknowledge(self, conflict_id: int) -> Done:
        dicom.acknowledge_conflict(self.ctx, conflict_id)
        return Done("Acknowledged. Both files stay in the archive.")


def _what(row: ConflictRow) -> str:
    if row.superseded_at is None:
        return "a later object with other content"
    return "the earlier object, which was replaced"
