"""The plane of a volume that a shape was drawn on; the viewer's ``insection.js`` writes it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from clinic_panel.imaging.volume import Projection

NAMES: Final = ("Axial", "Coronal", "Sagittal")
SLICE: Final = "slice"
_MOST_MM: Final = 1e5
_SQUARE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Cut:
    """A section as an image would have it: where it lies in the patient, and what it showed.

    ``position`` is the centre of its first pixel, ``orientation`` the directions of its rows and
    columns (LPS, mm; PS3.3 C.7.6.2.1.1), ``spacing`` a pixel's height and width in mm.
    ``slab_mode`` is "slice" for one layer or a ``Projection`` of ``slab_mm``.
    """

    name: str
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    spacing: tuple[float, float]
    slab_mode: str
    slab_mm: float

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Read what a browser sent.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is no plane.
        """
        x, y, z = map(float, given["position"])
        a, b, c, d, e, f = map(float, given["orientation"])
        height, width = map(float, given["spacing"])
        cut = cls(
            name=str(given["name"]),
            position=(x, y, z),
            orientation=(a, b, c, d, e, f),
            spacing=(height, width),
            slab_mode=str(given["slab_mode"]),
            slab_mm=float(given["slab_mm"]),
        )
        if not cut._is_sound:
            raise ValueError("not a plane of a volume")
        return cut

    @property
    def _is_sound(self) -> bool:
        sizes = (*self.spacing, self.slab_mm)
        return (
            self.name in NAMES
            and self.slab_mode in (SLICE, *Projection)
            and all(abs(value) < _MOST_MM for value in self.position)  # false of NaN
            and all(0 < size < _MOST_MM for size in sizes)
            and self._is_square
        )

    @property
    def _is_square(self) -> bool:
        along, down = self.orientation[:3], self.orientation[3:]
        products = [
            math.fsum(one * other for one, other in zip(first, second, strict=True))
            for first, second in ((along, along), (down, down), (along, down))
        ]
        wanted = (1, 1, 0)
        return all(abs(p - w) < _SQUARE for p, w in zip(products, wanted, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and the viewer."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
