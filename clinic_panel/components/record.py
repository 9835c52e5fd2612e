"""A person's record as parts of a page: facts, visits, studies, reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clinic_panel.components import linked
from clinic_panel.components.schedule import SEX, TONES
from clinic_panel.context import Context
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.user import Permission
from clinic_panel.services.patient import PatientRow
from clinic_panel.services.record import ReportRow, StudyRow, VisitRow
from clinic_panel.services.workflow import AppointmentRow

PEOPLE_COLUMNS: list[dict[str, Any]] = [
    {"id": "patient", "label": "Patient", "strong": True},
    {"id": "patient_id", "label": "Patient ID", "width": "150px"},
    {"id": "birth_date", "label": "Birth date", "sub": "age", "width": "130px"},
    {"id": "sex", "label": "Sex", "width": "100px", "hide": "second"},
    {"id": "telephone", "label": "Telephone", "width": "160px", "hide": "first"},
    {
        "id": "state",
        "label": "",
        "sortable": False,
        "kind": "chip",
        "width": "178px",
    },
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "170px"},
]
TODAY_COLUMNS: list[dict[str, Any]] = [
    *PEOPLE_COLUMNS[:4],
    {"id": "state", "label": "Visit", "kind": "chip", "width": "190px"},
    PEOPLE_COLUMNS[-1],
]
VISIT_COLUMNS: list[dict[str, Any]] = [
    {"id": "when", "label": "Date", "sub": "at", "width": "124px", "strong": True},
    {"id": "what", "label": "Examination", "sub": "place", "wrap": True},
    {"id": "accession", "label": "Accession", "width": "130px", "hide": "first"},
    {"id": "status", "label": "Status", "kind": "chip", "width": "150px"},
]
STUDY_COLUMNS: list[dict[str, Any]] = [
    {"id": "thumbnail", "label": "Image", "kind": "image", "width": "66px"},
    {"id": "what", "label": "Study", "sub": "when", "strong": True},
    {"id": "modality", "label": "Modality", "kind": "chip", "small": True, "width": "100px"},
    {"id": "images", "label": "Images", "kind": "number", "width": "90px"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "190px", "shown": 1},
]
REPORT_COLUMNS: list[dict[str, Any]] = [
    {"id": "what", "label": "Report", "sub": "signed", "strong": True},
    {"id": "status", "label": "Status", "kind": "chip", "width": "110px"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "180px"},
]


def age(row: PatientRow) -> str:
    """Return the age in words for a list."""
    return "" if row.age_years is None else f"{row.age_years} years"


def people(rows: Iterable[PatientRow], *, may_book: bool) -> list[dict[str, Any]]:
    """Return people as rows of a list."""
    return [_person(row, may_book=may_book) for row in rows]


def here_today(ctx: Context, rows: Iterable[AppointmentRow]) -> list[dict[str, Any]]:
    """Return the people of a day's visits as rows of a list, each once."""
    may_book = ctx.may(Permission.SCHEDULE_WRITE)
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        at = row.start_at.astimezone(ctx.zone)
        line = found.setdefault(
            row.patient_pk,
            {
                "id": row.patient_pk,
                "label": row.display_name,
                "patient": row.display_name,
                "patient_id": row.patient_id,
                "birth_date": row.patient_birth_date.isoformat() if row.patient_birth_date else "",
                "sex": SEX.get(row.patient_sex, "").capitalize(),
                "find": row.patient_name,
                "actions": _person_actions(row.patient_pk, may_book=may_book),
            },
        )
        line.update(state=f"{at:%H:%M} {row.status}", state_tone=TONES.get(row.status, ""))
    return list(found.values())


def _person_actions(patient_pk: int, *, may_book: bool) -> list[dict[str, Any]]:
    href = f"/patients?id={patient_pk}"
    book = [{"id": "book", "label": "Book"}] if may_book else []
    return [{"id": "open", "label": "Open", "href": href}, *book]


def _person(row: PatientRow, *, may_book: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "label": row.display_name,
        "patient": row.display_name,
        "patient_id": row.patient_id,
        "birth_date": row.patient_birth_date.isoformat() if row.patient_birth_date else "",
        "age": age(row),
        "sex": SEX.get(row.patient_sex, "").capitalize(),
        "telephone": row.patient_telephone_numbers,
        "state": "Archived" if row.archived_at else "",
        "state_tone": "amber",
        "actions": _person_actions(row.id, may_book=may_book and row.archived_at is None),
    }


def facts(row: PatientRow) -> list[dict[str, Any]]:
    """Return the demographics, with allergies where they are seen."""
    born = row.patient_birth_date.isoformat() if row.patient_birth_date else ""
    ident = row.patient_id
    if row.issuer_of_patient_id:
        ident += f" ({row.issuer_of_patient_id})"
    return [
        {"label": "Patient ID", "value": ident},
        {"label": "Birth date", "value": " · ".join(filter(None, (born, age(row))))},
        {"label": "Sex", "value": SEX.get(row.patient_sex, "unknown").capitalize()},
        {"label": "Telephone", "value": row.patient_telephone_numbers},
        {"label": "Address", "value": row.patient_address, "wide": True},
        {
            "label": "Allergies",
            "value": row.allergies or "Not recorded",
            "tone": "red" if row.allergies else "",
            "wide": True,
        },
        {"label": "Remarks", "value": row.patient_comments, "wide": True},
    ]


def visits(ctx: Context, rows: Iterable[VisitRow]) -> list[dict[str, Any]]:
    """Return the person's visits as rows."""
    return [_visit(ctx, row) for row in rows]


def _visit(ctx: Context, row: VisitRow) -> dict[str, Any]:
    at = row.start_at.astimezone(ctx.zone)
    gone = row.status in (AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW)
    return {
        "id": row.id,
        "label": f"Visit of {at:%Y-%m-%d}",
        "when": f"{at:%Y-%m-%d}",
        "at": f"{at:%H:%M}",
        "what": row.requested_procedure_description,
        "place": row.cancellation_reason or row.room_name,
        "accession": row.accession_number,
        "status": row.status.value.capitalize(),
        "status_tone": TONES.get(row.status, ""),
        "tone": "muted" if gone else "",
    }


def studies(ctx: Context, rows: Iterable[StudyRow]) -> list[dict[str, Any]]:
    """Return the person's studies as rows."""
    may_open = ctx.may(Permission.IMAGE_READ)
    return [_study(ctx, row, may_open=may_open) for row in rows]


def _study(ctx: Context, row: StudyRow, *, may_open: bool) -> dict[str, Any]:
    day = row.study_date or row.received_at.astimezone(ctx.zone).date()
    open_images = {"id": "open", "label": "Open images", "href": f"/study?id={row.id}"}
    take = {"id": "take", "label": linked.LABEL}
    may_take = row.is_booked and ctx.may(Permission.STUDY_LINK)
    series_id = row.thumbnail_series_id
    return {
        "id": row.id,
        "label": row.study_description or "Study",
        "thumbnail": f"/thumbnails/{series_id}" if series_id else "",
        "what": row.study_description or "Study",
        "when": " · ".join(filter(None, (day.isoformat(), row.accession_number))),
        "modality": ", ".join(row.modalities),
        "images": row.number_of_instances,
        "actions": [*([open_images] if may_open else []), *([take] if may_take else [])],
    }


def reports(ctx: Context, rows: Iterable[ReportRow]) -> list[dict[str, Any]]:
    """Return the person's reports as rows."""
    return [_report(ctx, row) for row in rows]


def _report(ctx: Context, row: ReportRow) -> dict[str, Any]:
    signed = ""
    if row.signed_at:
        at = row.signed_at.astimezone(ctx.zone)
        signed = f"{row.signed_by_name}, {at:%Y-%m-%d %H:%M}"
    actions: list[dict[str, Any]] = []
    if row.has_pdf:
        pdf = f"/reports/{row.id}.pdf"
        actions.append({"id": "pdf", "label": "PDF", "href": pdf, "new_tab": True})
    if ctx.may(Permission.REPORT_WRITE):
        actions.append({"id": "open", "label": "Open", "href": f"/study?id={row.study_id}"})
    return {
        "id": row.id,
        "label": row.study_description or "Report",
        "what": row.study_description or "Report",
        "signed": signed or "not signed yet",
        "status": row.status.value.capitalize(),
        "status_tone": "violet" if row.status is ReportStatus.SIGNED else "outline",
        "actions": actions,
    }
