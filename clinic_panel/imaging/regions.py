"""Regions of an ultrasound image: what a pixel is across and down in each (PS3.3 C.8.5.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clinic_panel.imaging.elements import Elements

REGIONS_TAG: Final = 0x00186011
_FLAGS: Final = 0x00186016
_CORNERS: Final = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)
_UNIT_ACROSS, _UNIT_DOWN = 0x00186024, 0x00186026
_DELTA_ACROSS, _DELTA_DOWN = 0x0018602C, 0x0018602E
_UNITS: Final = {  # C.8.5.5.1.15
    **{1: "%", 2: "dB", 3: "cm", 4: "s", 5: "Hz", 6: "dB/s", 7: "cm/s"},
    **{8: "cm²", 9: "cm²/s", 10: "cm³", 11: "cm³/s", 12: "°"},
}
_LENGTH: Final = "cm"
_LOW_PRIORITY: Final = 1
_MOST_REGIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Scale:
    """What one pixel is along an axis."""

    per_px: float
    unit: str


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an ultrasound image: its pixels' edges and what a pixel is in it.

    Millimetres where both axes show length, else the scales ``across`` and ``down``, each None
    where it shows nothing that can be measured.
    """

    left: float
    top: float
    right: float
    bottom: float
    row_mm: float | None = None
    column_mm: float | None = None
    across: Scale | None = None
    down: Scale | None = None

    def holds(self, point: tuple[float, float]) -> bool:
        """Whether a point (x, y) lies in it."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom

    @property
    def says_something(self) -> bool:
        """Whether it has a scale along an axis at least."""
        return bool(self.row_mm or self.across or self.down)

    def is_scaled_as(self, other: "Region") -> bool:
        """Whether a pixel is the same in both."""
        mine, its = ((one.row_mm, one.column_mm, one.across, one.down) for one in (self, other))
        return mine == its


def regions_of(found: Elements) -> tuple[Region, ...]:
    """The regions of an image, those first whose pixels lie over the others' (C.8.5.5.1.3)."""
    regions = []
    for item in found.items(REGIONS_TAG):
        if region := _region(item):
            is_low = bool((item.integer(_FLAGS) or 0) & _LOW_PRIORITY)
            regions.append((is_low, region))
        if len(regions) == _MOST_REGIONS:
            break
    return tuple(region for _, region in sorted(regions, key=lambda pair: pair[0]))


def _region(item: Elements) -> Region | None:
    left, top, right, bottom = (float(item.integer(tag) or 0) for tag in _CORNERS)
    if right < left or bottom < top:
        return None
    # The corners are pixels that belong to the region.
    corners = left, top, right + 1, bottom + 1
    across = _scale(item, _UNIT_ACROSS, _DELTA_ACROSS)
    down = _scale(item, _UNIT_DOWN, _DELTA_DOWN)
    if across and down and across.unit == down.unit == _LENGTH:
        return Region(*corners, row_mm=_mm(down), column_mm=_mm(across))
    return Region(*corners, across=across, down=down)


def _mm(scale: Scale) -> float:
    return round(scale.per_px * 10, 6)


def _scale(item: Elements, unit_tag: int, delta_tag: int) -> Scale | None:
    unit = _UNITS.get(item.integer(unit_tag) or 0)
    delta = abs(next(iter(item.floats(delta_tag, "d")), 0.0))
    return Scale(delta, unit) if unit and 1e-7 < delta < 1e6 else None


def home_of(regions: Sequence[Region], points: Sequence[tuple[float, float]]) -> Region | None:
    """The region that speaks for a whole shape; None where several or none would have to.

    Each point belongs to the first region that holds it. Where regions overlap and are scaled
    alike, as a colour box on the tissue round it, a shape may reach from one into the other.
    """
    homes = [next((one for one in regions if one.holds(point)), None) for point in points]
    for region in regions:
        if all(region.holds(point) for point in points) and all(
            home is not None and home.is_scaled_as(region) for home in homes
        ):
            return region
    return None


def shared_mm(regions: Sequence[Region]) -> tuple[float, float] | None:
    """One pixel size (row, column) for a whole image: that of all its spatial regions, if alike."""
    pairs = {(one.row_mm, one.column_mm) for one in regions if one.row_mm and one.column_mm}
    [pair] = pairs if len(pairs) == 1 else [(None, None)]
    return (pair[0], pair[1]) if pair[0] is not None and pair[1] is not None else None
