"""Keeps the plots of a page in the colours of its theme, without a message to the server."""

import param

from clinic_panel.components.part import Part


class PlotTheme(Part):
    """Paints all Bokeh axes and legends of the page. In: ``painted``."""

    _source = "plot_theme"

    painted = param.Integer(default=0, doc="Raise it after plots were replaced.")
