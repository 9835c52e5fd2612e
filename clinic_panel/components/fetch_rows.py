"""Studies of other archives as rows, and the form that looks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clinic_panel import validation
from clinic_panel.components.tasks import Done, Field, Task, Values, key, typed_day
from clinic_panel.context import Context
from clinic_panel.dimse.model import StudyQuery
from clinic_panel.errors import NotFound, Unconfirmed
from clinic_panel.imaging.kinds import taken
from clinic_panel.models.fetch import FetchState
from clinic_panel.services import fetching
from clinic_panel.services.fetching import FetchRow, Found

FOUND_COLUMNS: list[dict[str, Any]] = [
    {"id": "patient", "label": "Patient", "sub": "ident", "strong": True, "width": "30%"},
    {"id": "day", "label": "Date", "width": "110px"},
    {"id": "modality", "label": "Modality", "kind": "chip", "small": True, "width": "100px"},
    {"id": "study", "label": "Study", "sub": "images", "wrap": True},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "170px", "shown": 2},
]
TRANSFER_COLUMNS: list[dict[str, Any]] = [
    {"id": "patient", "label": "Patient", "sub": "ident", "strong": True, "width": "30%"},
    {"id": "day", "label": "Date", "width": "110px"},
    {"id": "study", "label": "Study", "sub": "peer", "wrap": True},
    {"id": "state", "label": "State", "kind": "chip", "width": "120px"},
    {"id": "figures", "label": "Images", "wrap": True, "sub": "note"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "110px", "shown": 1},
]
STATES = {
    FetchState.WAITING: ("Waiting", "amber"),
    FetchState.RUNNING: ("Coming", "blue"),
    FetchState.DONE: ("Here", "green"),
    FetchState.PARTLY: ("Incomplete", "red"),
    FetchState.FAILED: ("Failed", "red"),
}
MODALITIES = ("", "CR", "CT", "DX", "MG", "MR", "NM", "OT", "PT", "RF", "US", "XA")


def found_line(number: int, found: Found) -> dict[str, Any]:
    """Return one finding as a row; its id is the number given."""
    study, here = found.study, found.instances_here
    there = study.instances
    images = "number of images not told" if there is None else _images(there)
    if here:
        images += " · all are here" if there is not None and here >= there else f" · {here} here"
    opens = {"id": "open", "label": "Open", "href": f"/study?id={found.study_id}"}
    is_complete = there is not None and here >= there > 0
    fetches = {"id": "fetch", "label": "Fetch", "primary": not is_complete}
    name = validation.display_name(study.patient_name)
    return {
        "id": number,
        "label": name,
        "patient": name,
        "ident": _ident(study.patient_id, study.patient_birth_date),
        "day": _day(study.study_date),
        "modality": _modalities(study.modalities),
        "study": study.study_description or "Study",
        "images": images,
        "actions": [*([opens] if found.study_id else []), fetches],
    }


def transfer_line(ctx: Context, row: FetchRow) -> dict[str, Any]:
    """Return one transfer as a row."""
    label, tone = STATES[row.state]
    at = row.asked_at.astimezone(ctx.zone)
    parts = [f"{row.completed} here"] if row.completed else []
    if row.remaining and row.state in (FetchState.WAITING, FetchState.RUNNING):
        parts.append(f"{row.remaining} to come")
    if row.failed:
        parts.append(f"{row.failed} failed")
    name = validation.display_name(row.patient_name)
    opens = {"id": "open", "label": "Open", "href": f"/study?id={row.study_id}"}
    return {
        "id": row.id,
        "label": name,
        "patient": name,
        "ident": row.patient_id,
        "day": _day(row.study_date),
        "study": " ".join(filter(None, (_modalities(row.modalities), row.study_description)))
        or "Study",
        "peer": f"from {row.peer_name} · asked by {row.asked_by}, {at:%Y-%m-%d %H:%M}",
        "state": label,
        "state_tone": tone,
        "state_live": row.state is FetchState.RUNNING,
        "figures": ", ".join(parts),
        "note": row.message,
        "actions": [opens] if row.study_id else [],
    }


def _modalities(in_study: str) -> str:
    return ", ".join(taken(in_study))


class SearchArchive(Task):
    """What to look for, and where."""

    title = "Search another archive"
    submit_label = "Search"

    def __init__(self, ctx: Context, search: Callable[[int, StudyQuery], None]) -> None:
        self.ctx, self.search = ctx, search

    def fields(self) -> list[Field]:
        """Ask for the archive and two identifiers."""
        archives = fetching.archives(self.ctx)
        if not archives:
            raise NotFound("No other archive is known: an administrator adds it under Devices.")
        options = [{"value": str(row.id), "label": row.peer_name} for row in archives]
        return [
            {
                "name": "peer_id",
                "label": "Archive",
                "kind": "select",
                "options": options,
                "value": options[0]["value"],
            },
            {"name": "patient_id", "label": "Patient ID", "width": "half"},
            {
                "name": "patient_name",
                "label": "Name begins with",
                "width": "half",
                "placeholder": "Family name^given name",
            },
            {"name": "first_day", "label": "From", "kind": "date", "width": "half"},
            {"name": "last_day", "label": "To", "kind": "date", "width": "half"},
            {
                "name": "modality",
                "label": "Modality",
                "kind": "select",
                "options": [{"value": each, "label": each or "All"} for each in MODALITIES],
                "value": "",
            },
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Ask the archive; the findings come into the page's table."""
        del agreed
        query = fetching.checked(
            StudyQuery(
                patient_id=values["patient_id"] or "",
                patient_name=values["patient_name"] or "",
                first_day=typed_day(values["first_day"] or "", "first_day"),
                last_day=typed_day(values["last_day"] or "", "last_day"),
                modality=values["modality"] or "",
            )
        )
        self.search(key(values["peer_id"], "peer_id", "Choose an archive."), query)
        return Done("")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _ident(patient_id: str, birth_date: str) -> str:
    return " · ".join(filter(None, (patient_id, _day(birth_date))))


def _day(da: str) -> str:
    return f"{da[:4]}-{da[4:6]}-{da[6:8]}" if len(da) == 8 and da.isdigit() else da
