"""What is known of one thing, as labelled values."""

import param

from clinic_panel.components.part import Part


class Facts(Part):
    """Labels and values. In: ``items``."""

    _source = "facts"

    items = param.List(
        item_type=dict, doc="Dicts of `label`, `value`, and optionally `tone`, `wide`."
    )
    label = param.String(default="Details", doc="Accessible name.")
