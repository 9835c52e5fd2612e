"""The arithmetic of subtraction: means of frames, masks moved by parts of a pixel, logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.imaging.lut import LookUpTable
from clinic_panel.imaging.masking import STILL, Shift

LOG_BITS: Final = 16


@lru_cache(maxsize=4)
def log_table(bits: int) -> LookUpTable:
    """A table from values that are linear to the intensity to its logarithm, over 16 bits.

    Values below one count as one.
    """
    stored = np.maximum(np.arange(1 << bits), 1)
    entries = np.rint(np.log(stored) * per_e(bits)).astype(np.uint16)
    entries.flags.writeable = False
    return LookUpTable(0, entries, LOG_BITS)


def per_e(bits: int) -> float:
    """What the table of so many bits has for a natural logarithm of one."""
    return float(((1 << LOG_BITS) - 1) / math.log(max((1 << bits) - 1, 2)))


def difference(
    contrast: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]], shift: Shift = STILL
) -> tuple[NDArray[Any], float]:
    """Take the mean of masks from the mean of contrast frames.

    Parameters
    ----------
    contrast, masks
        Each (rows, columns), of whole numbers or of float64.
    shift
        By which the mask is moved: rows down and columns to the right.

    Returns
    -------
    tuple
        Whole numbers, and what one of them is: the differences are their product, exactly where
        nothing was moved and the frames are of whole numbers.
    """
    over, times = len(contrast), len(masks)
    is_whole = all(one.dtype.kind in "iu" for one in (*contrast, *masks))
    kind = np.int64 if is_whole else np.float64
    light, dark = _sum(contrast, kind), _sum(masks, kind)
    if shift == STILL and is_whole:
        found = times * light - over * dark
        fits = int(found.max()) - int(found.min()) <= 0xFFFF
        if fits or over * times == 1:
            return found, 1 / (over * times)
        return fixed(found / (over * times))
    moved = shifted(dark / times, shift) if shift != STILL else dark / times
    return fixed(light / over - moved)


def _sum(arrays: Sequence[NDArray[Any]], kind: type[Any]) -> NDArray[Any]:
    total = arrays[0].astype(kind)
    for one in arrays[1:]:
        total += one
    return total


def shifted(array: NDArray[np.float64], shift: Shift) -> NDArray[np.float64]:
    """Move an image by parts of a pixel, down and to the right (PS3.3 C.7.6.10.1.2).

    Values between pixels are interpolated in both directions; beyond an edge, its pixels go on.
    """
    for axis, by in enumerate(shift):
        if by:
            array = _moved(array, by, axis)
    return array


def _moved(array: NDArray[np.float64], by: float, axis: int) -> NDArray[np.float64]:
    size = array.shape[axis]
    at = np.arange(size) - by
    before = np.floor(at)
    share = np.expand_dims(at - before, 1 - axis)
    near = np.clip(before, 0, size - 1).astype(np.intp)
    far = np.clip(before + 1, 0, size - 1).astype(np.intp)
    return array.take(near, axis) * (1 - share) + array.take(far, axis) * share


def fixed(values: NDArray[np.float64]) -> tuple[NDArray[Any], float]:
    """Whole numbers of 16 bits, in the finest power of two in which they reach all values.

    Returns
    -------
    tuple
        int16 and the step, or int32 and one where values are too great; no value is off by more
        than half a step.
    """
    most = float(np.abs(values).max(initial=0.0))
    if most > 0x7FFF:
        return np.rint(np.clip(values, -(2.0**31), 2.0**31 - 1)).astype(np.int32), 1.0
    step = 2.0 ** -min(15, math.floor(math.log2(0x7FFF / max(most, 1e-3))))
    return np.rint(values / step).astype(np.int16), step
