"""The associations of a day: the lines of the table and the figures above it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clinic_panel.components.flights import words
from clinic_panel.components.flights.verdicts import ended, verdict
from clinic_panel.context import Context
from clinic_panel.models.flight import Ending, Service
from clinic_panel.services.flight_view import DayFigures, FlightRow

COLUMNS: list[dict[str, Any]] = [
    {"id": "time", "label": "Time", "kind": "time", "sub": "lasted", "width": "104px"},
    {"id": "device", "label": "Device", "sub": "address", "strong": True, "width": "20%"},
    {"id": "asked", "label": "Asked for", "sub": "contexts"},
    {"id": "received", "label": "Received", "sub": "size", "width": "118px", "hide": "first"},
    {"id": "ended", "label": "How it ended", "wrap": True, "width": "22%", "hide": "second"},
    {"id": "result", "label": "Result", "kind": "chip", "width": "158px"},
]
FACETS: list[dict[str, Any]] = [
    {"id": "device", "label": "Device", "all": "All devices", "kind": "list"},
    {"id": "services", "label": "Service", "all": "All services", "kind": "list"},
    {"id": "trouble", "label": "Trouble", "options": ["Trouble"]},
]


def lines(ctx: Context, rows: Iterable[FlightRow]) -> list[dict[str, Any]]:
    """Return the lines of the table, the newest first."""
    return [line(ctx, row) for row in rows]


def line(ctx: Context, row: FlightRow) -> dict[str, Any]:
    """Return one association as a line."""
    judged = verdict(row, ctx.settings.ae_title)
    device = row.calling_ae_title or "No AE title"
    seconds = ((row.ended_at or ctx.clock()) - row.started_at).total_seconds()
    accepted = f"{row.contexts_accepted} of {words.plural(row.contexts_offered, 'context')}"
    return {
        "id": row.id,
        "label": f"{device} at {words.clock(ctx, row.started_at)}",
        "time": words.clock(ctx, row.started_at),
        "time_sort": row.id,
        "lasted": "open" if row.ended_at is None else words.lasted(seconds),
        "device": device,
        "address": row.address,
        "asked": asked(row),
        "contexts": f"{accepted} accepted" if row.contexts_offered else "",
        "services": [words.SERVICES[one] for one in Service if row.requests.get(one)],
        "received": words.plural(row.instances, "object") if row.instances else "",
        "received_sort": row.instances,
        "size": words.size(row.received_bytes) if row.instances else "",
        "ended": ended(row),
        "result": judged.label,
        "result_tone": judged.tone,
        "result_live": row.ending is Ending.OPEN,
        "trouble": "Trouble" if row.is_in_trouble else "",
        "find": f"{row.called_ae_title} {row.implementation} {row.reason}",
    }


def asked(row: FlightRow) -> str:
    """Return what was asked, and how often when more than once."""
    parts = [
        f"{words.SERVICES[one]} × {count:,}" if count > 1 else words.SERVICES[one]
        for one in Service
        if (count := row.requests.get(one, 0))
    ]
    if Service.WORKLIST in row.requests and row.worklist_answers is not None:
        parts.append(words.plural(row.worklist_answers, "answer"))
    return ", ".join(parts) or "Nothing"


def figures(found: DayFigures) -> list[dict[str, Any]]:
    """Return the day's cards."""
    return [
        {
            "label": "Connections",
            "value": found.associations,
            "detail": f"{found.refused} refused" if found.refused else "none refused",
            "icon": "devices",
        },
        {
            "label": "In trouble",
            "value": found.in_trouble,
            "detail": "look at these first" if found.in_trouble else "all went well",
            "tone": "red" if found.in_trouble else "green",
            "icon": "warning" if found.in_trouble else "done",
        },
        {
            "label": "Worklist queries",
            "value": found.queries,
            "detail": f"{found.empty_queries} found nothing"
            if found.empty_queries
            else ("each found bookings" if found.queries else "none came"),
            "tone": "amber" if found.empty_queries else "",
            "icon": "report",
        },
        {
            "label": "Objects received",
            "value": f"{found.instances:,}",
            "detail": words.size(found.received_bytes) if found.instances else "none",
            "tone": "blue",
            "icon": "image",
        },
    ]
