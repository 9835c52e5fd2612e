"""What stands on the clinic's reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clinic_panel.components.admin.section import Section
from clinic_panel.components.facts import Facts
from clinic_panel.components.heading import Heading
from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Unconfirmed
from clinic_panel.services import site
from clinic_panel.services.site import Letterhead


class LetterheadSettings(Section):
    """The letterhead."""

    id = "clinic"
    label = "Clinic"

    def build(self) -> list[Any]:
        """Make the summary."""
        self.heading = Heading(
            title="Letterhead",
            note="Printed on reports that are signed from now on.",
            buttons=[{"id": "edit", "label": "Edit", "icon": "edit"}],
        )
        self.facts = Facts(label="Letterhead")
        self.heading.param.watch(self._pressed, "pressed")
        return [self.heading, self.facts]

    def reload(self) -> None:
        """Show it."""
        self.kept = site.letterhead(self.ctx)
        self.facts.items = [
            {"label": "Name", "value": self.kept.name or "not set"},
            {"label": "Address", "value": self.kept.address or "not set", "wide": True},
            {"label": "Telephone", "value": self.kept.phone or "not set"},
        ]

    def _pressed(self, event: Any) -> None:
        if event.new == "edit":
            self.tasks.open(EditLetterhead(self.ctx, self.kept))


class EditLetterhead(Task):
    """Name, address and telephone of the clinic."""

    title = "Letterhead"

    def __init__(self, ctx: Context, kept: Letterhead) -> None:
        self.ctx, self.kept = ctx, kept

    def fields(self) -> list[Field]:
        """Ask for what is printed."""
        return [
            {"name": "name", "label": "Clinic name", "required": True, "value": self.kept.name},
            {
                "name": "address",
                "label": "Address",
                "kind": "textarea",
                "rows": 3,
                "value": self.kept.address,
            },
            {"name": "phone", "label": "Telephone", "value": self.kept.phone},
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Keep it."""
        del agreed
        site.set_letterhead(
            self.ctx,
            replace(
                self.kept, name=values["name"], address=values["address"], phone=values["phone"]
            ),
        )
        return Done("Saved.")
