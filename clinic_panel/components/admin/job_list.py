"""Work that failed, and how much waits."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.kpi import KpiStrip
from clinic_panel.components.tasks import Done
from clinic_panel.models.job import JobState
from clinic_panel.models.site import Topic
from clinic_panel.services import jobs

COLUMNS: list[dict[str, Any]] = [
    {"id": "kind", "label": "Job", "kind": "chip", "small": True, "width": "150px"},
    {"id": "subject", "label": "For", "width": "110px"},
    {"id": "error", "label": "What went wrong", "wrap": True},
    {"id": "attempts", "label": "Tries", "kind": "number", "width": "76px", "hide": "first"},
    {"id": "finished", "label": "Given up", "width": "170px", "hide": "first"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "120px", "shown": 1},
]
STATES = {
    JobState.QUEUED: ("Waiting", "amber", "clock"),
    JobState.RUNNING: ("Running", "blue", "refresh"),
    JobState.DONE: ("Done", "green", "check"),
    JobState.FAILED: ("Failed", "red", "warning"),
}
RETRY_ALL = {"id": "retry_all", "label": "Retry all", "icon": "refresh"}


class JobList(Section):
    """The jobs."""

    id = "jobs"
    label = "Jobs"
    topics = frozenset({Topic.JOBS})

    def build(self) -> list[Any]:
        """Make figures and table."""
        self.figures = KpiStrip(label="Jobs by state")
        self.board = Board(
            title="Failed jobs",
            columns=COLUMNS,
            empty_text="No job has failed.",
        )
        self.board.param.watch(self._acted, "action")
        return [self.figures, self.board]

    def reload(self) -> None:
        """Show what failed."""
        totals = dict.fromkeys(JobState, 0)
        for (_, state), count in jobs.counts(self.ctx).items():
            totals[state] += count
        self.figures.items = [
            {
                "label": label,
                "value": totals[state],
                "tone": tone if totals[state] else "",
                "icon": icon,
            }
            for state, (label, tone, icon) in STATES.items()
        ]
        rows = [
            {
                "id": row.id,
                "label": f"{row.kind.value} {row.subject_id}",
                "kind": row.kind.value,
                "subject": f"no. {row.subject_id}",
                "error": row.error or "No reason was given.",
                "attempts": row.attempts,
                "finished": self.moment(row.finished_at),
                "actions": [{"id": "retry", "label": "Retry", "icon": "refresh"}],
            }
            for row in jobs.failed_jobs(self.ctx)
        ]
        self.board.param.update(rows=rows, buttons=[RETRY_ALL] if rows else [])

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        if event.new["action"] == "retry_all":
            self.tasks.attempt(lambda: self._retry([row["id"] for row in self.board.rows]))
        elif event.new["action"] == "retry":
            self.tasks.attempt(lambda: self._retry([event.new["id"]]))

    def _retry(self, ids: list[int]) -> Done:
        for job_id in ids:
            jobs.retry(self.ctx, job_id)
        return Done("One job waits again." if len(ids) == 1 else f"{len(ids)} jobs wait again.")
