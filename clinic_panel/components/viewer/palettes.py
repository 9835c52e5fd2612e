"""Colour maps for grey images: those DICOM names, and Bokeh's even ones.

Any other goes into the viewer's ``palettes``, such as HoloViews' ``process_cmap(name, 256)``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from bokeh import palettes as bokeh
from pydicom import dcmread

COLOURS: Final = 256
_WELL_KNOWN: Final = {  # PS3.6 B.1, as pydicom ships them
    "Hot Iron": "hotiron",
    "PET": "pet",
    "Hot Metal Blue": "hotmetalblue",
    "PET 20 Step": "pet20step",
}
_EVEN: Final = {  # equal steps of value look equal
    "Viridis": bokeh.Viridis256,
    "Inferno": bokeh.Inferno256,
    "Cividis": bokeh.Cividis256,
    "Turbo": bokeh.Turbo256,
}
USUAL: Final = {"NM": "Hot Iron", "PT": "PET"}


def _well_known(name: str) -> tuple[str, ...]:
    ds = dcmread(Path(pydicom.__file__).parent / "data" / "palettes" / f"{name}.dcm")
    planes = []
    for colour in ("Red", "Green", "Blue"):
        count, _, bits = ds[f"{colour}PaletteColorLookupTableDescriptor"].value
        data = ds[f"{colour}PaletteColorLookupTableData"].value
        plane = np.frombuffer(data, np.uint8 if bits == 8 else "<u2")[: count or COLOURS]
        planes.append(plane if bits == 8 else plane >> 8)
    return tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*planes, strict=True))


PALETTES: Final[dict[str, tuple[str, ...]]] = {
    name: _well_known(file) for name, file in _WELL_KNOWN.items()
} | {name: tuple(colours) for name, colours in _EVEN.items()}


def packed(colours: Sequence[str]) -> str:
    """Write a palette of 256 as the browser takes it: its RGB bytes in Base64."""
    return b64encode(bytes.fromhex("".join(colours).replace("#", ""))).decode("ascii")
