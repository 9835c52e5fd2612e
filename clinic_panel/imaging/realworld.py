"""Real world values: what stored values stand for where no rescale says it.

PS3.3 C.7.6.16.2.11, Real World Value Mapping Macro.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.window import VoiFunction, Window

_MAPPINGS: Final = 0x00409096
_SLOPE, _INTERCEPT = 0x00409225, 0x00409224
_UNITS, _CODE = 0x004008EA, 0x00080100
_MOST: Final = 1e12
# UCUM's codes that readers write another way, or that count nothing (PS3.16 CID 82 and others).
_READ_AS: Final = {"[hnsf'U]": "HU", "1": "", "{no units}": "", "um2/s": "µm²/s", "mm2/s": "mm²/s"}
# PS3.3 C.11.1.1.2: an optical density is written in its thousandth parts.
_RESCALED: Final = {"US": "", "UNSPECIFIED": "", "OD": "mOD", "MGML": "mg/ml", "PCT": "%"}

REAL_WORLD_TAGS: Final = frozenset({_MAPPINGS})


def rescale_unit(kind: str) -> str:
    """The unit that a Rescale Type or a Modality LUT Type names; empty where it names none."""
    return _RESCALED.get(kind, kind)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A linear one: stored values times ``slope`` plus ``intercept`` are in ``unit``."""

    slope: float
    intercept: float
    unit: str

    def seen_through(
        self,
        windows: tuple[Window, ...],
        function: VoiFunction,
        slope: float,
        intercept: float,
    ) -> tuple[tuple[Window, ...], VoiFunction]:
        """Windows on modality values, which ``slope`` and ``intercept`` make, as ones on these.

        The brightness of each stored value stays what it was: a linear window is an exact linear
        one of half a value less and a whole one narrower (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2).
        """
        if not windows:
            return windows, function
        ratio = self.slope / slope
        off, narrower = 0.0, 0.0
        if function is VoiFunction.LINEAR:
            off, narrower, function = 0.5, 1.0, VoiFunction.LINEAR_EXACT
        moved = tuple(
            replace(
                one,
                center=(one.center - off - intercept) * ratio + self.intercept,
                width=max((one.width - narrower) * ratio, 1e-6),
            )
            for one in windows
        )
        return moved, function


def mapping_of(found: Elements, group: Callable[[int], Elements | None]) -> Mapping | None:
    """The first linear mapping of a frame with a rising slope and a unit; None where there is none.

    Tables, and mappings without a unit, add nothing that a reader could name.
    """
    item = group(_MAPPINGS) or found.first(_MAPPINGS)
    if item is None:
        return None
    slopes, intercepts = item.floats(_SLOPE, "d"), item.floats(_INTERCEPT, "d")
    units = item.first(_UNITS)
    if not slopes or not intercepts or units is None:
        return None
    slope, intercept, code = slopes[0], intercepts[0], units.text(_CODE)
    unit = _READ_AS.get(code, code)[:16]
    if not unit or not math.isfinite(slope) or not math.isfinite(intercept):
        return None
    if not 1 / _MOST < slope < _MOST or abs(intercept) > _MOST:
        return None
    return Mapping(slope, intercept, unit)
