"""The reading list: what waits, what is being written, what is signed."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.board import Board
from clinic_panel.components.heading import Heading
from clinic_panel.components.kpi import KpiStrip
from clinic_panel.components.live import Live
from clinic_panel.components.notice import Notice
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.models.appointment import Priority
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import reading
from clinic_panel.services.reading import ReadingRow, ReadingState

PATH = "/reports"
TITLE = "Reports"
PERMISSION = Permission.REPORT_WRITE

MOST = 300  # rows of one pile
PILES = {
    ReadingState.TO_READ: ("To read", "red", "image"),
    ReadingState.DRAFT: ("Drafts", "amber", "edit"),
    ReadingState.SIGNED: ("Signed", "violet", "check"),
}
PRIORITY = {Priority.STAT: "STAT", Priority.HIGH: "High", Priority.ROUTINE: ""}
PRIORITY_TONES = {Priority.STAT: "red", Priority.HIGH: "amber"}
COLUMNS = [
    {"id": "since", "label": "Since", "kind": "time", "sub": "day", "width": "92px"},
    {"id": "patient", "label": "Patient", "sub": "ident", "strong": True, "width": "26%"},
    {"id": "modality", "label": "Modality", "kind": "chip", "small": True, "width": "88px"},
    {"id": "study", "label": "Study", "sub": "images", "flag": "priority", "wrap": True},
    {"id": "pile", "label": "Status", "kind": "chip", "width": "104px"},
    {"id": "person", "label": "Reader", "width": "150px", "hide": "second"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "172px", "shown": 2},
]


def page(ctx: Context, live: Live) -> Any:
    """Build the page; it follows studies and reports as they come."""
    heading = Heading(title=TITLE)
    kpis = KpiStrip()
    notice = Notice()
    board = Board(
        title="Reading list",
        columns=COLUMNS,
        facets=[{"id": "pile", "label": "Status"}, {"id": "kinds", "label": "Modality"}],
        searchable=True,
        row_action="open",
        empty_text="Nothing to read. New studies appear here as soon as their images are complete.",
    )

    def refresh() -> None:
        try:
            piles = {state: reading.reports(ctx, state, limit=MOST) for state in PILES}
        except ClinicError as error:
            notice.say(error.message, "problem")
            return
        counts = {state: _count(ctx, state, piles[state]) for state in PILES}
        cut = {state: n for state, n in counts.items() if n > len(piles[state])}
        board.param.update(
            rows=[_row(ctx, row) for pile in piles.values() for row in pile],
            footer=" · ".join(
                f"{PILES[state][0]}: the first {len(piles[state])} of {n}"
                for state, n in cut.items()
            ),
        )
        kpis.items = [_kpi(state, piles[state], counts[state]) for state in PILES]

    refresh()
    for topic in (Topic.STUDIES, Topic.REPORTS):
        live.on(topic, refresh)
    return framed(ctx, TITLE, "reports", top=[heading, kpis], main=[board], overlays=[notice])


def _count(ctx: Context, state: ReadingState, rows: list[ReadingRow]) -> int:
    return len(rows) if len(rows) < MOST else reading.count(ctx, state)


def _kpi(state: ReadingState, rows: list[ReadingRow], count: int) -> dict[str, Any]:
    label, tone, icon = PILES[state]
    detail = ""
    if state is ReadingState.TO_READ:
        longest = max((row.waiting_min or 0 for row in rows), default=0)
        urgent = sum(row.priority is not Priority.ROUTINE for row in rows)
        detail = f"longest wait {_minutes(longest)} · {urgent} urgent" if rows else "all read"
    return {"label": label, "value": count, "detail": detail, "tone": tone, "icon": icon}


def _minutes(minutes: int) -> str:
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} d"


def _row(ctx: Context, row: ReadingRow) -> dict[str, Any]:
    label, tone, _ = PILES[row.state]
    since = row.since_at.astimezone(ctx.zone)
    open_study: dict[str, Any] = {
        "id": "open",
        "label": "Open",
        "href": f"/study?id={row.study_id}",
    }
    actions: list[dict[str, Any]] = [open_study]
    if row.state is ReadingState.TO_READ:
        open_study |= {"label": "Read", "primary": True}
    elif row.state is ReadingState.DRAFT:
        open_study |= {"label": "Continue", "primary": True}
    elif row.pdf_ready:
        href = f"/reports/{row.report_id}.pdf"
        actions.append({"id": "pdf", "label": "PDF", "href": href, "new_tab": True})
    images = "1 image" if row.number_of_instances == 1 else f"{row.number_of_instances} images"
    if row.images_after:
        images += f", {row.images_after} after the report"
        label, tone = f"{label}, new images", "amber"
    elif row.pdf_failed:
        label, tone = f"{label}, no PDF", "red"
    return {
        "id": row.study_id,
        "label": row.patient_name,
        "since": f"{since:%H:%M}",
        "day": "today" if since.date() == ctx.today() else f"{since.day} {since:%b}",
        "since_sort": since.timestamp(),
        "patient": row.patient_name,
        "ident": " · ".join(filter(None, (row.patient_id, str(row.patient_birth_date or "")))),
        "modality": ", ".join(row.modalities),
        "kinds": list(row.modalities),
        "study": row.study_description or "Study",
        "images": images,
        "pile": label,
        "pile_tone": tone,
        "person": row.person,
        "priority": PRIORITY[row.priority],
        "priority_tone": PRIORITY_TONES.get(row.priority, ""),
        "find": row.accession_number,
        "actions": actions,
    }
