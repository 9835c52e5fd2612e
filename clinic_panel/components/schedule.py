"""One clinic day as a table and figures: what a line says, and what may be done with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from clinic_panel.components import linked
from clinic_panel.context import Context
from clinic_panel.models.appointment import AppointmentStatus, Priority
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.user import Permission
from clinic_panel.services.day import is_going_on
from clinic_panel.services.workflow import AppointmentRow, DaySummary

S, E = AppointmentStatus, PerformedStatus
COLUMNS: list[dict[str, Any]] = [
    {"id": "time", "label": "Time", "kind": "time", "sub": "until", "width": "72px"},
    {"id": "thumbnail", "label": "Image", "kind": "image", "width": "60px", "sortable": False},
    {"id": "patient", "label": "Patient", "sub": "ident", "strong": True, "width": "23%"},
    {
        "id": "procedure",
        "label": "Examination",
        "sub": "place",
        "flag": "priority",
        "wrap": True,
    },
    {
        "id": "status",
        "label": "Status",
        "kind": "chip",
        "sub": "exam",
        "flag": "owed",
        "width": "178px",
    },
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "156px", "shown": 1},
]
TONES = {
    S.ARRIVED: "amber",
    S.IMAGES_ARRIVING: "blue",
    S.TO_READ: "red",
    S.REPORTED: "violet",
    S.CANCELLED: "outline",
    S.NO_SHOW: "outline",
}
WAITING = (S.BOOKED, S.ARRIVED)  # what a scanner should have on its list
EXAM_WORDS = {
    E.IN_PROGRESS: "In progress",
    E.COMPLETED: "Completed",
    E.DISCONTINUED: "Discontinued",
}
EXAM_TONES = {E.IN_PROGRESS: "blue", E.COMPLETED: "teal", E.DISCONTINUED: "amber"}
MIXED = "Objects of two people"
# What comes after the examination, or instead of it, outweighs what the modality says.
OUTWEIGHING = frozenset({S.TO_READ, S.REPORTED, S.CANCELLED, S.NO_SHOW})
STAGES = {
    S.BOOKED: "Open",
    S.ARRIVED: "Open",
    S.IMAGES_ARRIVING: "Open",
    S.TO_READ: "To read",
    S.REPORTED: "Done",
    S.CANCELLED: "Done",
    S.NO_SHOW: "Done",
}
PRIORITIES = {Priority.STAT: "STAT", Priority.HIGH: "High", Priority.ROUTINE: ""}
PRIORITY_TONES = {Priority.STAT: "red", Priority.HIGH: "amber"}
SEX = {"F": "female", "M": "male", "O": "other"}


def lines(ctx: Context, rows: Iterable[AppointmentRow]) -> list[dict[str, Any]]:
    """Return the rows of the table, with the actions this actor has now."""
    now = ctx.clock()
    return [_line(ctx, row, now) for row in rows]


def _line(ctx: Context, row: AppointmentRow, now: datetime) -> dict[str, Any]:
    start, end = (at.astimezone(ctx.zone) for at in (row.start_at, row.end_at))
    born = row.patient_birth_date.isoformat() if row.patient_birth_date else ""
    gone = row.status in (S.CANCELLED, S.NO_SHOW)
    return {
        "id": row.id,
        "label": row.display_name,
        "time": f"{start:%H:%M}",
        "until": f"{end:%H:%M}",
        "thumbnail": f"/thumbnails/{row.thumbnail_series_id}" if row.thumbnail_series_id else "",
        "patient": row.display_name,
        "ident": " · ".join(filter(None, (row.patient_id, born, SEX.get(row.patient_sex, "")))),
        "procedure": row.requested_procedure_description,
        "place": _place(row),
        "modality": row.modality,
        "stage": STAGES[row.status],
        "priority": PRIORITIES[row.priority],
        "priority_tone": PRIORITY_TONES.get(row.priority, ""),
        "status": status_text(row),
        "status_tone": status_tone(row),
        "status_live": is_going_on(row) or (row.status is S.IMAGES_ARRIVING and row.missing > 0),
        "exam": exam_note(row),
        "owed": MIXED if row.is_mixed else _owed(row),
        "owed_tone": "amber",
        "tone": "muted" if gone else "",
        "find": f"{row.patient_name} {row.accession_number} {row.modality}",
        "actions": actions(ctx, row, now),
    }


def _place(row: AppointmentRow) -> str:
    if row.status is S.CANCELLED and row.cancellation_reason:
        return row.cancellation_reason
    return row.room_name


def _exam(row: AppointmentRow) -> PerformedStatus | None:
    """What the modality says, while it is what matters most."""
    return None if row.status in OUTWEIGHING else row.exam_status


def status_text(row: AppointmentRow) -> str:
    """Return what the status chip says: ``In progress``, ``Images arriving (48)``."""
    exam = _exam(row)
    return EXAM_WORDS[exam] if exam else _status(row)


def _status(row: AppointmentRow) -> str:
    text = row.status.value.capitalize()
    return f"{text} ({row.image_count})" if row.status is S.IMAGES_ARRIVING else text


def status_tone(row: AppointmentRow) -> str:
    """Return the colour of the status chip."""
    exam = _exam(row)
    return EXAM_TONES[exam] if exam else TONES.get(row.status, "")


def exam_note(row: AppointmentRow) -> str:
    """Return what the chip leaves unsaid of the examination."""
    match row.exam_status:
        case E.DISCONTINUED if row.status not in (S.CANCELLED, S.NO_SHOW):
            reason = row.discontinuation or "no reason given"
            if _is_read(row):
                return f"Discontinued: {reason}"
            return f"Arrived · {reason}" if row.status is S.ARRIVED else reason
        case E.IN_PROGRESS if row.status is S.TO_READ:
            return "Not finished at the modality"
        case E.COMPLETED if not row.announced and not row.image_count and not _is_read(row):
            return "No images announced"
        case E.IN_PROGRESS | E.COMPLETED if row.status is S.IMAGES_ARRIVING and row.image_count:
            return "" if row.missing else _status(row)
    return ""


def _is_read(row: AppointmentRow) -> bool:
    return row.status in (S.TO_READ, S.REPORTED)


def _owed(row: AppointmentRow) -> str:
    return owed_note(row.missing, row.announced) if row.status is not S.CANCELLED else ""


def owed_note(missing: int, announced: int) -> str:
    """Return how many of the announced objects are not here; empty when all are."""
    return f"{missing} of {announced} still missing" if missing else ""


def actions(ctx: Context, row: AppointmentRow, now: datetime) -> list[dict[str, Any]]:
    """Return what this actor may do with a visit now, the likeliest first."""
    found: list[dict[str, Any]] = []
    if row.study_id and ctx.may(Permission.IMAGE_READ):
        found.append(
            {
                "id": "open",
                "label": "Open images",
                "href": f"/study?id={row.study_id}",
                "primary": row.status is S.TO_READ and ctx.may(Permission.REPORT_WRITE),
            }
        )
    if row.report_id and row.has_pdf and ctx.may(Permission.REPORT_READ):
        pdf = f"/reports/{row.report_id}.pdf"
        found.append({"id": "pdf", "label": "PDF", "href": pdf, "new_tab": True})
    if row.study_id and ctx.may(Permission.REPORT_WRITE):
        found.append(_report(row))
    if ctx.may(Permission.SCHEDULE_WRITE):
        found += _desk(ctx, row, now)
    if row.status in WAITING and ctx.may(Permission.DEVICE_READ):
        why = f"/devices?booking={row.id}"
        found.append({"id": "why", "label": "Not on the scanner?", "href": why})
    if ctx.may(Permission.PATIENT_READ):
        found.append({"id": "patient", "label": "Record", "href": f"/patients?id={row.patient_pk}"})
    if ctx.may(Permission.SCHEDULE_WRITE):  # last: seldom meant
        if _exam(row) is E.IN_PROGRESS:
            found.append({"id": "end_exam", "label": "End examination…"})
        elif _exam(row) is E.COMPLETED and not row.image_count:
            found.append({"id": "end_exam", "label": "No images will come…"})
    if row.study_id and ctx.may(Permission.STUDY_LINK):
        found.append({"id": "take", "label": linked.LABEL})
    return found


def _report(row: AppointmentRow) -> dict[str, Any]:
    words = {None: "Report", ReportStatus.DRAFT: "Go on reporting"}
    label = words.get(row.report_status, "Read the report")
    return {"id": "report", "label": label, "href": f"/study?id={row.study_id}"}


def _desk(ctx: Context, row: AppointmentRow, now: datetime) -> list[dict[str, Any]]:
    day, today = row.start_at.astimezone(ctx.zone).date(), now.astimezone(ctx.zone).date()
    check_in = {"id": "check_in", "label": "Check in", "primary": True}
    move = {"id": "move", "label": "Move…"}
    cancel = {"id": "cancel", "label": "Cancel…", "danger": True}
    match row.status:
        case S.BOOKED:
            begun = row.start_at <= now
            no_show = [{"id": "no_show", "label": "No-show"}] if begun else []
            return [*([check_in] if day <= today else []), move, *no_show, cancel]
        case S.ARRIVED:
            return [{"id": "undo_check_in", "label": "Undo check-in"}, move, cancel]
        case S.NO_SHOW:
            return [{**check_in, "primary": False}, {"id": "undo_no_show", "label": "Undo"}, move]
        case S.CANCELLED if day >= today:
            return [{"id": "undo_cancel", "label": "Undo"}]
    return []


def figures(summary: DaySummary, *, is_today: bool) -> list[dict[str, Any]]:
    """Return the day's cards."""
    gone = f"{summary.cancelled} cancelled or no-show" if summary.cancelled else "none cancelled"
    waiting = f"longest {summary.longest_wait_min} min" if summary.waiting else "nobody waits"
    read = f"{summary.to_report_stat} STAT" if summary.to_report_stat else "no STAT"
    return [
        {
            "label": "Appointments today" if is_today else "Appointments",
            "value": summary.appointments,
            "detail": gone,
            "icon": "calendar",
        },
        {
            "label": "Waiting",
            "value": summary.waiting,
            "detail": waiting,
            "tone": "amber",
            "icon": "clock",
        },
        {
            "label": "In progress",
            "value": summary.in_progress,
            "detail": ", ".join(summary.busy_rooms) or "no room busy",
            "tone": "blue",
            "icon": "people",
        },
        {
            "label": "To read",
            "value": summary.to_report,
            "detail": f"{read} · {summary.reported} reported",
            "tone": "red",
            "icon": "report",
        },
    ]
