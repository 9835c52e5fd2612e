"""Studies that no booking was found for, and the form that gives one its booking."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from clinic_panel import validation
from clinic_panel.components.tasks import Change, Done, Field, Task, Values, key
from clinic_panel.context import Context
from clinic_panel.errors import Unconfirmed
from clinic_panel.services import matching, workflow
from clinic_panel.services.matching import UnmatchedStudy
from clinic_panel.services.workflow import AppointmentRow

COLUMNS: list[dict[str, Any]] = [
    {"id": "patient", "label": "As sent", "sub": "ident", "strong": True},
    {"id": "what", "label": "Study", "wrap": True, "sub": "when"},
    {"id": "reason", "label": "Why", "kind": "mark", "wrap": True},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "150px", "shown": 2},
]
HITS = 8
FAR = timedelta(days=30)


def lines(ctx: Context, studies: list[UnmatchedStudy]) -> list[dict[str, Any]]:
    """Return the rows of the list."""
    return [_line(ctx, study) for study in studies]


def _line(ctx: Context, study: UnmatchedStudy) -> dict[str, Any]:
    came = study.last_received_at.astimezone(ctx.zone)
    born = study.patient_birth_date.isoformat() if study.patient_birth_date else ""
    images = _images(study)
    name = validation.display_name(study.patient_name)
    modalities = ", ".join(study.modalities)
    return {
        "id": study.id,
        "label": name,
        "patient": name,
        "ident": " · ".join(filter(None, (study.patient_id, born))),
        "what": " ".join(filter(None, (modalities, study.study_description))) or "Study",
        "when": " · ".join(filter(None, (images, study.source_ae_title, f"{came:%Y-%m-%d %H:%M}"))),
        "reason": study.reason,
        "reason_tone": "amber",
        "actions": [
            {"id": "link", "label": "Link", "title": "Link to a booking"},
            {"id": "open", "label": "Open", "href": f"/study?id={study.id}"},
        ],
    }


def _images(study: UnmatchedStudy) -> str:
    count = study.number_of_instances
    return "1 image" if count == 1 else f"{count} images"


def visit_option(ctx: Context, row: AppointmentRow) -> dict[str, str]:
    """Return a visit as a row of a lookup."""
    at = row.start_at.astimezone(ctx.zone)
    born = row.patient_birth_date.isoformat() if row.patient_birth_date else ""
    return {
        "value": str(row.id),
        "label": f"{at:%d %B, %H:%M} · {row.room_name} · {row.requested_procedure_description}",
        "detail": f"{row.display_name}\n"
        + " · ".join(filter(None, (row.patient_id, born, row.accession_number))),
    }


def _likely_day(ctx: Context, study: UnmatchedStudy) -> date:
    """Return the study's day, unless it came long before or after: then the device's clock errs."""
    came = study.first_received_at.astimezone(ctx.zone).date()
    if study.study_date is None or abs(study.study_date - came) > FAR:
        return came
    return study.study_date


class LinkStudy(Task):
    """Say by hand which booking a study belongs to."""

    title = "Link a study to a booking"
    submit_label = "Link"
    anyway_label = "Link anyway"

    def __init__(self, ctx: Context, study: UnmatchedStudy) -> None:
        self.ctx, self.study = ctx, study
        name = validation.display_name(study.patient_name)
        born = study.patient_birth_date.isoformat() if study.patient_birth_date else "not sent"
        self.intro = (
            f"Sent as {name}, ID {study.patient_id or 'not sent'}, born {born}: "
            f"{study.study_description or 'study'}, {_images(study)}. "
            + " ".join(filter(None, (study.reason, "Compare two identifiers before you link.")))
        )
        self.around = _likely_day(ctx, study)
        self.hits = self._find(study.patient_id) or self._find("")

    def _find(self, text: str) -> list[dict[str, str]]:
        modality = next(iter(self.study.modalities), "")
        rows = workflow.find_bookings(
            self.ctx, text, around=self.around, modality=modality, limit=HITS
        )
        return [visit_option(self.ctx, row) for row in rows]

    def fields(self) -> list[Field]:
        """Return the visits it may belong to."""
        return [
            {
                "name": "suggested",
                "label": "Likely bookings",
                "kind": "choice",
                "cards": True,
                "options": self.hits[:4],
                "placeholder": "No booking near the study's date fits.",
            },
            {
                "name": "appointment_id",
                "label": "Or another booking",
                "kind": "lookup",
                "live": True,
                "options": [],
                "placeholder": "Name, ID, birth date or accession number",
            },
        ]

    def changed(self, name: str, values: Values, text: str) -> Change:
        """Find bookings by what is typed."""
        if name != "appointment_id" or values["appointment_id"]:
            return Change()
        suggested, other = self.fields()
        rows = workflow.find_bookings(self.ctx, text, around=self.around, limit=HITS)
        return Change([suggested, {**other, "options": [visit_option(self.ctx, r) for r in rows]}])

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Link; *Undo* takes it back unless the study is being reported."""
        chosen = values["appointment_id"] or values["suggested"]
        number = key(chosen, "suggested", "Choose a booking.")
        can_be_undone = matching.link_study(
            self.ctx,
            self.study.id,
            number,
            version=self.study.version,
            confirmed=Unconfirmed in agreed,
        )

        def back() -> Done:
            matching.unlink_study(self.ctx, self.study.id)
            return Done("The study is unmatched again.")

        return Done("Study linked.", back if can_be_undone else None)
