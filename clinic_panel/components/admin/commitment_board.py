"""Storage commitment requests of devices as rows: what was asked, found and told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from clinic_panel.dimse.model import FAILURE_REASONS
from clinic_panel.models.commitment import CommitmentState
from clinic_panel.services.commitment_list import CommitmentRow

STATES = {
    CommitmentState.CHECKING: ("Checking", "blue"),
    CommitmentState.TO_REPORT: ("Not reported yet", "amber"),
    CommitmentState.REPORTED: ("Reported", "green"),
    CommitmentState.GIVEN_UP: ("Given up", "red"),
}
COLUMNS: list[dict[str, Any]] = [
    {"id": "device", "label": "Device", "strong": True, "sub": "address", "width": "160px"},
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "150px",
        "tones": dict(STATES.values()),
    },
    {"id": "figures", "label": "Images", "wrap": True, "sub": "note"},
    {"id": "at", "label": "Asked", "width": "170px", "hide": "first"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "130px", "shown": 1},
]


def line(row: CommitmentRow, moment: Callable[[datetime | None], str]) -> dict[str, Any]:
    """Return one request as a row of the table."""
    failed = sum(row.failures.values())
    safe = row.instances - failed
    figures = f"{row.instances} asked for"
    if row.state is not CommitmentState.CHECKING:
        parts = [f"{safe} safe"] if safe else []
        figures = ", ".join([*parts, f"{failed} not safe"] if failed else parts)
    is_open = row.state in (CommitmentState.TO_REPORT, CommitmentState.GIVEN_UP)
    return {
        "id": row.id,
        "label": f"Commitment request {row.id} of {row.ae_title}",
        "device": row.ae_title,
        "address": row.address,
        "state": STATES[row.state][0],
        "figures": figures,
        "note": row.last_error if is_open and row.last_error else _reasons(row),
        "at": moment(row.asked_at),
        "at_sort": row.id,
        "actions": [{"id": "report", "label": "Report again"}] if is_open else [],
    }


def _reasons(row: CommitmentRow) -> str:
    return " ".join(
        f"{count}× {FAILURE_REASONS[int(code, 16)]}" for code, count in row.failures.items()
    )
