"""The top of a page: what it is, the day it shows, what can be done."""

from datetime import date
from typing import Any

import param
from param.parameterized import discard_events

from clinic_panel.components.part import Part


class Heading(Part):
    """Title, day and buttons of a page. In and out: ``day``. Out: ``pressed``."""

    _source = "heading"
    _heard = ("day",)
    _rename = {"pressed": None}

    title = param.String(doc="Heading of the page.")
    note = param.String(doc="A line below it; empty for none.")
    back = param.Dict(default=None, doc="Way back: `label`, `href`; None for none.")
    day = param.String(doc="Day shown, `YYYY-MM-DD`; empty for a page without one.")
    today = param.String(doc="The clinic's date, for the button *Today*.")
    chips = param.List(item_type=dict, doc="Marks beside the title: `label`, optional `tone`.")
    buttons = param.List(
        item_type=dict,
        doc="Dicts of `id`, `label`, maybe `icon`, `primary`, `danger`, `href`, `new_tab`.",
    )
    pressed = param.String(default=None, doc="Out: id of the button; None again once told.")

    @property
    def date(self) -> date:
        """The day shown; what is no date counts as today."""
        try:
            return date.fromisoformat(self.day)
        except ValueError:
            return date.fromisoformat(self.today)

    def _handle_msg(self, data: dict[str, Any]) -> None:
        if any(button["id"] == data.get("id") for button in self.buttons if "id" in button):
            self.pressed = data["id"]
            with discard_events(self):
                self.pressed = None
