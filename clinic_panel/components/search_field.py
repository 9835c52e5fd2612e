"""One line that asks the server while somebody types."""

import param

from clinic_panel.components.part import Part


class SearchField(Part):
    """A search line. Out: ``text``, after each pause in typing."""

    _source = "search_field"
    _heard = ("text",)

    text = param.String(doc="What is searched, trimmed.")
    label = param.String(default="Search", doc="Accessible name.")
    placeholder = param.String(doc="What can be typed.")
