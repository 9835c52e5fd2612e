"""A few figures in a row."""

import param

from clinic_panel.components.part import Part


class KpiStrip(Part):
    """Cards with one figure each, updated in place. In: ``items``."""

    _source = "kpi"

    items = param.List(
        item_type=dict,
        doc="Dicts of `label`, `value`, and optionally `detail`, `tone`, `icon`.",
    )
    label = param.String(default="Key figures", doc="Accessible name of the strip.")
