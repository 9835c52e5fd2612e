"""What a pixel is in millimetres for a shape, and who says so; ``measure.js`` decides alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from clinic_panel.imaging.frame import FrameInfo
from clinic_panel.imaging.geometry import SpacingSource
from clinic_panel.imaging.measure import Point
from clinic_panel.imaging.regions import Scale, home_of

OUTSIDE = "Outside one calibrated region: pixels only"
UNSCALED = "Region without a scale: pixels only"
LEAST_MM, MOST_MM = 0.1, 2000.0  # of a known object


class Scope(StrEnum):
    """How far a calibration by hand speaks."""

    IMAGE = "image"  # the object it was drawn on, with all its frames
    SERIES = "series"


@dataclass(frozen=True, slots=True)
class Known:
    """An object of known length that a reader drew a line along."""

    points: tuple[Point, Point]
    length_mm: float
    by: str = ""

    @property
    def source(self) -> str:
        """What stands beside each value that rests on it."""
        by = f" by {self.by}" if self.by else " by hand"
        return f"Calibrated{by} on {self.length_mm:.6g} mm"


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Millimetres between pixel centres, or None twice where nothing says so; and the source.

    Where a region of ultrasound shows something else than lengths, ``across`` and ``down`` say
    what.
    """

    row_mm: float | None
    column_mm: float | None
    source: str
    across: Scale | None = None
    down: Scale | None = None


def pixel_size(info: FrameInfo, points: Sequence[Point], known: Known | None = None) -> PixelSize:
    """Return what a pixel is for a shape with these points.

    On ultrasound only the region that holds the whole shape may speak for it (PS3.3 C.8.5.5), and a
    calibration by hand speaks for the region it was drawn in, but not where that shows no lengths.
    One that takes the place of a spacing the object brought says so.
    """
    by_hand = _by_hand(info, known) if known is not None else None
    if info.regions:
        home = home_of(info.regions, points)
        if home is None:
            return PixelSize(None, None, OUTSIDE)
        shows_lengths = not (home.across or home.down)
        if by_hand and known and shows_lengths and home == home_of(info.regions, known.points):
            return by_hand
        source = SpacingSource.ULTRASOUND.value if home.says_something else UNSCALED
        return PixelSize(home.row_mm, home.column_mm, source, home.across, home.down)
    row, column = info.spacing or (None, None)
    return by_hand or PixelSize(row, column, info.spacing_source)


def _by_hand(info: FrameInfo, known: Known) -> PixelSize | None:
    (x1, y1), (x2, y2) = known.points
    aspect = info.aspect or 1.0
    size = math.hypot(x2 - x1, (y2 - y1) * aspect)
    if not size:
        return None
    column, source = known.length_mm / size, known.source
    own = SpacingSource.ULTRASOUND.value if info.regions else info.spacing_source
    if info.spacing is not None or info.regions:
        source = f"{source}, in place of {own}"
    return PixelSize(column * aspect, column, source)
