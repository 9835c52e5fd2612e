"""The form that takes a study from a booking it does not belong to."""

from __future__ import annotations

from typing import ClassVar

from clinic_panel import validation
from clinic_panel.components.tasks import Done, Field, Task, Values, key
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Unconfirmed
from clinic_panel.models.report import ReportStatus
from clinic_panel.services import matching
from clinic_panel.services.linked import LinkedStudy

LABEL = "Take from this booking…"


class TakeStudy(Task):
    """Say that a study is of another visit or person, whoever linked it."""

    title = "Take a study from its booking"
    submit_label = "Take from this booking"
    danger: ClassVar[bool] = True

    def __init__(self, ctx: Context, studies: list[LinkedStudy]) -> None:
        """Ask for one of a booking's studies.

        Raises
        ------
        Conflict
            There is none any more.
        """
        if not studies:
            raise Conflict("The study belongs to no booking.")
        self.ctx = ctx
        self.studies = {str(study.id): study for study in studies}
        first = studies[0]
        at = first.booked_at.astimezone(ctx.zone)
        self.intro = (
            f"Booked for {validation.display_name(first.booked_name)}, ID {first.booked_id}, "
            f"{at:%d %B %Y, %H:%M}. The images are kept and wait under Unmatched studies; "
            "the booking stands as it did before they came."
        )
        if any(study.report_status is ReportStatus.DRAFT for study in studies):
            self.intro += " A draft of a report goes with its study."

    def fields(self) -> list[Field]:
        """Return the studies, as they were sent; a choice where there are several."""
        options = [_option(study) for study in self.studies.values()]
        if len(options) == 1:
            sent = options[0]["detail"].replace("\n", ", ")
            return [{"kind": "note", "label": f"Sent as {sent}: {options[0]['label']}"}]
        return [
            {
                "name": "study_id",
                "label": "Study, as it was sent",
                "kind": "choice",
                "cards": True,
                "options": options,
            }
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Take it; *Undo* links it again."""
        number = key(
            values.get("study_id") if len(self.studies) > 1 else next(iter(self.studies)),
            "study_id",
            "Choose a study.",
        )
        study = self.studies[str(number)]
        appointment_id = matching.unlink_study(self.ctx, number, version=study.version)

        def back() -> Done:
            matching.link_study(self.ctx, number, appointment_id)
            return Done("The study belongs to the booking again.")

        return Done("The study is unmatched now.", back)


def _option(study: LinkedStudy) -> dict[str, str]:
    born = study.patient_birth_date.isoformat() if study.patient_birth_date else ""
    count = study.number_of_instances
    images = "1 image" if count == 1 else f"{count} images"
    what = " ".join(filter(None, (*study.modalities, study.study_description))) or "Study"
    return {
        "value": str(study.id),
        "label": f"{what}, {images}",
        "detail": f"{validation.display_name(study.patient_name)}\n"
        + " · ".join(filter(None, (study.patient_id, born))),
    }
