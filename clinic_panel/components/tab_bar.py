"""Sections of one page: only the one that is open is built."""

import param

from clinic_panel.components.part import Part


class TabBar(Part):
    """A strip of tabs. In: ``tabs``. In and out: ``active``."""

    _source = "tab_bar"
    _heard = ("active",)

    tabs = param.List(
        item_type=dict, doc="Dicts of `id`, `label`, and optionally `count` and its `tone`."
    )
    active = param.String(doc="Id of the open tab.")
    label = param.String(default="Sections", doc="Accessible name of the strip.")
