"""Colour models: from what a frame holds to 8-bit RGB (PS3.3 C.7.6.3.1.2)."""

from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import convert_color_space

from clinic_panel.errors import NotDisplayable

# Native frames with half the colours: Y Y B R for two pixels.
HALVED: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
_PARTIAL: Final = frozenset({"YBR_PARTIAL_422", "YBR_PARTIAL_420"})
_AS_RGB: Final = frozenset({"RGB", "YBR_ICT", "YBR_RCT"})  # the codec has undone the transforms
_ELSEWHERE: Final = frozenset({"HSV", "ARGB", "CMYK", "XYB"})  # retired, or of codecs not read here
# CCIR 601-2, with Y from 16 to 235 and colours from 16 to 240: to R, G, B.
_FROM_PARTIAL: Final = np.array(
    [[1.1644, 1.1644, 1.1644], [0.0, -0.3917, 2.0173], [1.5960, -0.8129, 0.0]], np.float32
)


def why_not(photometric: str, samples: int, columns: int, *, native: bool) -> str:
    """Why the colours of an image cannot be shown, in a sentence; empty when they can."""
    if photometric in _ELSEWHERE:
        return f"The colours of this image are in {photometric}, which is not shown here."
    if photometric == "PALETTE COLOR" and samples != 1:
        return "The image contradicts itself about its colours."
    if samples == 3 and photometric.startswith("MONOCHROME"):
        return "The image contradicts itself about its colours."
    if native and photometric == "YBR_PARTIAL_420":
        return "The colours of this image are laid out as only videos lay them out."
    if native and photometric in HALVED and columns % 2:
        return "The image halves its colours, which an odd number of columns does not allow."
    return ""


def doubled(flat: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Give each pixel of a native frame with half the colours its own: (rows, columns, 3)."""
    pairs = flat.reshape(rows, columns // 2, 4)
    full = np.empty((rows, columns, 3), flat.dtype)
    full[:, 0::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    full[..., 1] = np.repeat(pairs[..., 2], 2, axis=1)
    full[..., 2] = np.repeat(pairs[..., 3], 2, axis=1)
    return full


def rgb_of(array: NDArray[Any], photometric: str, bits_stored: int) -> NDArray[np.uint8]:
    """The three samples of each pixel (rows, columns, 3) as 8-bit RGB.

    Raises
    ------
    NotDisplayable
        The colour model is none of those that images have.
    """
    eight = array
    if array.dtype.itemsize > 1:
        eight = (array >> max(bits_stored - 8, 0)).astype(np.uint8)
    if photometric in _PARTIAL:
        return _from_partial(eight)
    if photometric.startswith("YBR_FULL"):
        return cast("NDArray[np.uint8]", convert_color_space(eight, "YBR_FULL", "RGB"))
    if photometric not in _AS_RGB:
        raise NotDisplayable("The image's colour model cannot be shown.")
    return cast("NDArray[np.uint8]", eight)


def _from_partial(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shifted = array.astype(np.float32) - np.array([16, 128, 128], np.float32)
    return np.clip(np.rint(shifted @ _FROM_PARTIAL), 0, 255).astype(np.uint8)
