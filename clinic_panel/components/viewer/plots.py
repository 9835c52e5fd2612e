"""What the viewer shows as HoloViews elements, for those who go on with it in a notebook."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import holoviews as hv
import numpy as np
from bokeh.palettes import Greys256

from clinic_panel.components.viewer.palettes import PALETTES
from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import measure
from clinic_panel.imaging.calibration import PixelSize
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.measure import Point, Shape
from clinic_panel.imaging.waveform import Group


def image_of(
    frame: Frame, center: float, width: float, *, inverted: bool, colours: str = ""
) -> hv.Image | hv.RGB:
    """Return a frame, in millimetres where it is calibrated; the header's window for width 0.

    Parameters
    ----------
    colours
        Name of a colour map (``palettes``); empty for grey.
    """
    _load_backend()
    info = frame.info
    row_mm, column_mm = info.spacing or (info.aspect, 1.0)
    bounds = (0.0, 0.0, info.columns * column_mm, info.rows * row_mm)
    unit = "mm" if info.spacing else "px"
    kdims = [hv.Dimension("x", unit=unit), hv.Dimension("y", unit=unit)]
    common = {
        "aspect": "equal",
        "invert_yaxis": False,
        "default_tools": ["save", "hover"],
        "backend": "bokeh",
    }
    if info.format == "rgb8":
        return hv.RGB(frame.stored, bounds=bounds, kdims=kdims).opts(**common)
    if width <= 0:
        center, width = info.window_center, info.window_width
    shades = list(PALETTES.get(colours) or Greys256)
    cmap = shades[::-1] if inverted != info.inverted else shades
    image = hv.Image(frame.values, bounds=bounds, kdims=kdims, vdims=[_value(frame)])
    return image.opts(cmap=cmap, clim=(center - width / 2, center + width / 2), **common)


def profile_of(frame: Frame, points: Sequence[Point], size: PixelSize) -> hv.Curve:
    """Return the values along a line, in millimetres where it is calibrated."""
    _load_backend()
    along, values = measure.profile(frame.values, points)
    row_mm, column_mm = size.row_mm, size.column_mm
    unit = "px"
    if row_mm is not None and column_mm is not None:
        along, unit = along / along[-1] * measure.length(points, row_mm, column_mm), "mm"
    distance = hv.Dimension("distance", label="Distance", unit=unit)
    return hv.Curve((along, values), [distance], [_value(frame)])


def histogram_of(frame: Frame, shape: Shape, points: Sequence[Point]) -> hv.Histogram:
    """Return how often each value stands in a region.

    Raises
    ------
    NotDisplayable
        The region holds no pixel.
    """
    _load_backend()
    values = frame.values[measure.mask(shape, points, frame.info.rows, frame.info.columns)]
    if not values.size:
        raise NotDisplayable("The region holds no pixel.")
    counts, edges = np.histogram(values, bins="auto")
    return hv.Histogram((edges, counts), kdims=[_value(frame)], vdims=[hv.Dimension("pixels")])


def waveform_of(group: Group) -> hv.Layout:
    """Return a curve for each channel, in its unit over the seconds of the recording."""
    _load_backend()
    second = hv.Dimension("time", label="Time", unit="s")
    curves = []
    for place, channel in enumerate(group.channels):
        amplitude = hv.Dimension((f"channel_{place + 1}", channel.label), unit=channel.unit or None)
        curve = hv.Curve(
            (group.times_s + channel.skew_s, channel.values), second, amplitude, label=channel.label
        )
        curves.append(
            curve.opts(height=140, responsive=True, show_grid=True, color="black", backend="bokeh")
        )
    return hv.Layout(curves).cols(1)


def _value(frame: Frame) -> Any:
    return hv.Dimension("value", label="Value", unit=frame.info.unit or None)


def _load_backend() -> None:
    # Options can only be set once a backend is loaded; a page that shows no plot needs none.
    importlib.import_module("holoviews.plotting.bokeh")
