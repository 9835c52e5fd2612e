"""The form of an examination."""

from __future__ import annotations

from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Invalid, Unconfirmed
from clinic_panel.services import examinations
from clinic_panel.services.examinations import (
    LONGEST_MIN,
    SHORTEST_MIN,
    STEP_MIN,
    Examination,
    ExaminationForm,
)
from clinic_panel.services.rooms import MODALITIES


def modality_field(label: str, value: str) -> Field:
    """Return the choice of what examines."""
    return {
        "name": "modality",
        "label": label,
        "kind": "select",
        "required": True,
        "value": value,
        "options": [
            {"value": term, "label": f"{term} · {meaning}"} for term, meaning in MODALITIES.items()
        ],
        "width": "half",
    }


class EditExamination(Task):
    """An examination, new or known."""

    submit_label = "Save"

    def __init__(self, ctx: Context, row: Examination | None = None) -> None:
        self.ctx, self.row = ctx, row
        word = "Add" if row is None else "Edit"
        self.title = f"{word} an examination"  # type: ignore[misc]

    def fields(self) -> list[Field]:
        """Ask what it is called, what does it and how long it takes."""
        row = self.row
        return [
            {
                "name": "requested_procedure_description",
                "label": "Examination",
                "required": True,
                "value": row.requested_procedure_description if row else "",
            },
            {
                "name": "code_value",
                "label": "Code",
                "required": True,
                "value": row.code_value if row else "",
                "width": "half",
                "help": "Your own; scanners choose their protocol by it.",
            },
            modality_field("Examined with", row.modality if row else "CT"),
            {
                "name": "body_part_examined",
                "label": "Body part",
                "value": row.body_part_examined if row else "",
                "width": "half",
                "help": "Such as CHEST; earlier studies of the same part are hung beside.",
            },
            {
                "name": "duration_min",
                "label": "Minutes",
                "kind": "number",
                "required": True,
                "min": SHORTEST_MIN,
                "max": LONGEST_MIN,
                "step": STEP_MIN,
                "value": str(row.duration_min if row else 20),
                "width": "half",
            },
            {
                "name": "is_active",
                "label": "Can be booked",
                "kind": "checkbox",
                "value": row.is_active if row else True,
            },
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Keep it."""
        del agreed
        if not str(values["duration_min"]).isdigit():
            raise Invalid("How many minutes?", field="duration_min")
        form = ExaminationForm(
            requested_procedure_description=values["requested_procedure_description"],
            code_value=values["code_value"],
            modality=values["modality"] or "",
            body_part_examined=values["body_part_examined"],
            duration_min=int(values["duration_min"]),
            is_active=bool(values["is_active"]),
        )
        if self.row is None:
            examinations.add(self.ctx, form)
            return Done("It can be booked where a room examines with it.")
        examinations.change(self.ctx, self.row, form)
        return Done("Saved.")
