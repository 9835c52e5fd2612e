"""Grey levels of a presentation state: modality, window or table, presentation (PS3.3 C.11)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from clinic_panel.imaging.annotations import meant
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.lut import LookUpTable, curve_of, table_of
from clinic_panel.imaging.window import VoiFunction

_LEVELS: Final = 256  # that a screen is given


@dataclass(frozen=True, slots=True)
class Tone:
    """A window for some images, an empty set for all; ``curve`` are the runs of a table."""

    images: frozenset[str] = field(repr=False)
    center: float
    width: float
    function: VoiFunction
    curve: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Tones:
    """What a state does with stored values on their way to the screen."""

    windows: tuple[Tone, ...]
    rescale: tuple[float, float] | None  # slope and intercept
    modality: LookUpTable | None = field(repr=False)
    presentation: bytes = field(repr=False)  # brightness of each of 256 levels, or nothing
    is_inverse: bool

    def as_dict(self, keys: frozenset[str]) -> dict[str, Any]:
        """Return what holds for one image, as the viewer takes it."""
        here = (one for one in self.windows if not one.images or one.images & keys)
        window = next(here, None)
        return {
            "window": [window.center, window.width] if window else None,
            "function": window.function.value if window else "",
            "curve": b64encode(window.curve).decode() if window else "",
            "levels": b64encode(self.presentation).decode(),
        }

    def modality_as_dict(self) -> dict[str, Any] | None:
        """Return how stored values become those that the window is of, if the state says so."""
        if self.modality is not None:
            entries = self.modality.entries.astype("<u2").tobytes()
            return {"first": self.modality.first, "entries": b64encode(entries).decode()}
        if self.rescale is not None:
            return {"slope": self.rescale[0], "intercept": self.rescale[1]}
        return None


def read_tones(found: Elements) -> Tones:
    """Read the modality, softcopy VOI and presentation LUT modules."""
    slope, intercept = found.numbers(0x00281053), found.numbers(0x00281052)
    is_rescaled = bool(slope and intercept and slope[0])
    return Tones(
        windows=tuple(_windows(found)),
        rescale=(slope[0], intercept[0]) if is_rescaled else None,
        modality=table_of(found.first(0x00283000)),
        presentation=_levels(table_of(found.first(0x20500010))),
        is_inverse=found.text(0x20500020) == "INVERSE",
    )


def _windows(found: Elements) -> Iterator[Tone]:
    for item in found.items(0x00283110):
        centers, widths = item.numbers(0x00281050), item.numbers(0x00281051)
        if centers and widths and widths[0] > 0:
            said = item.text(0x00281056)
            function = VoiFunction(said) if said in VoiFunction else VoiFunction.LINEAR
            yield Tone(meant(item), centers[0], widths[0], function)
        elif table := table_of(item.first(0x00283010)):
            count = len(table.entries)
            center = table.first + count / 2
            yield Tone(meant(item), center, float(count), VoiFunction.TABLE, table.curve())


def _levels(table: LookUpTable | None) -> bytes:
    """A presentation LUT at the levels of a screen: P-values become levels as they are."""
    if table is None:
        return b""
    curve = curve_of(table.curve())
    places = np.arange(_LEVELS) * (len(curve) - 1) / (_LEVELS - 1)
    return curve[np.rint(places).astype(np.intp)].tobytes()
