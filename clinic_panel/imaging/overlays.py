"""Overlay planes: graphics of one bit a pixel that lie over an image (PS3.3 C.9.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.imaging.elements import Element, Elements

PLANE_GROUPS: Final = tuple(range(0x6000, 0x6020, 2))
_ROWS, _COLUMNS, _FRAMES, _ORIGIN, _FIRST_FRAME = 0x0010, 0x0011, 0x0015, 0x0050, 0x0051
_BITS_ALLOCATED, _BIT_POSITION, _DATA = 0x0100, 0x0102, 0x3000
OVERLAY_TAGS: Final = frozenset(
    group << 16 | element
    for group in PLANE_GROUPS
    for element in (
        *(_ROWS, _COLUMNS, _FRAMES, _ORIGIN, _FIRST_FRAME),
        *(_BITS_ALLOCATED, _BIT_POSITION, _DATA),
    )
)
_MOST_PIXELS: Final = 2**27


@dataclass(frozen=True, slots=True)
class OverlayPlane:
    """One plane of graphics.

    ``top`` and ``left`` are the zero-based place of its first pixel on the image. Its bits lie in
    ``data``, or, as in old objects, in ``bit`` of the pixels themselves. ``frames`` is None for a
    plane that lies over every frame, else it covers that many from ``first_frame`` on.
    """

    rows: int
    columns: int
    top: int
    left: int
    first_frame: int
    frames: int | None
    bit: int
    data: Element | None
    swapped: bool

    def covers(self, frame: int) -> bool:
        """Whether it lies over this zero-based frame."""
        return self.frames is None or 0 <= frame - self.first_frame < self.frames


def planes_of(found: Elements, rows: int, columns: int) -> tuple[OverlayPlane, ...]:
    """The overlay planes of a data set whose image has this size; contradictory ones are left out.

    Parameters
    ----------
    found
        The data set's top level, scanned for ``OVERLAY_TAGS``.
    """
    planes = (_plane(found, group << 16, rows, columns) for group in PLANE_GROUPS)
    return tuple(plane for plane in planes if plane is not None)


def _plane(found: Elements, group: int, rows: int, columns: int) -> OverlayPlane | None:
    data = found.found.get(group | _DATA)
    bit = found.integer(group | _BIT_POSITION) or 0
    if data is None and not (bit and (found.integer(group | _BITS_ALLOCATED) or 0) > 1):
        return None
    own_rows = found.integer(group | _ROWS) or 0
    own_columns = found.integer(group | _COLUMNS) or 0
    if data is None:  # bits of the pixels have the pixels' size
        own_rows, own_columns = rows, columns
    if not 0 < own_rows * own_columns <= _MOST_PIXELS:
        return None
    origin = [_signed(value) for value in found.integers(group | _ORIGIN)]
    top, left = (origin[0] - 1, origin[1] - 1) if len(origin) == 2 else (0, 0)
    count = next(iter(found.numbers(group | _FRAMES)), None)
    return OverlayPlane(
        rows=own_rows,
        columns=own_columns,
        top=top,
        left=left,
        first_frame=(found.integer(group | _FIRST_FRAME) or 1) - 1,
        frames=None if count is None else int(count),
        bit=bit,
        data=data,
        swapped=found.syntax.big and data is not None and data.vr == b"OW",
    )


def bits_of(found: Elements, group: int) -> tuple[int, int, int, int, bytes] | None:
    """A plane that an object without pixels brings: top, left, rows, columns and its bits.

    Of several frames the first. None where there is none, or it holds fewer bits than it says.

    Parameters
    ----------
    group
        0x6000 to 0x601E.
    """
    plane = _plane(found, group << 16, 0, 0)
    raw = found.raw(group << 16 | _DATA, _MOST_PIXELS // 8 + 2)
    if plane is None or plane.data is None or raw is None:
        return None
    here = replace(plane, data=replace(plane.data, start=0, length=len(raw)))
    bits = _own_bits(here, BytesIO(raw), here.first_frame)
    if bits is None:
        return None
    packed = np.packbits(bits, bitorder="little").tobytes()
    return plane.top, plane.left, plane.rows, plane.columns, packed


def _signed(value: int) -> int:
    return value - 0x10000 if value >= 0x8000 else value


def mask(planes: Sequence[OverlayPlane], file: BinaryIO, frame: int, pixels: NDArray[Any]) -> bytes:
    """Where graphics lie over a frame.

    Parameters
    ----------
    planes
        Of the image.
    file
        Its bytes.
    frame
        Zero-based.
    pixels
        The frame (rows, columns[, samples]) as decoded, with the bits beside the stored ones.

    Returns
    -------
    bytes
        All planes together, one bit a pixel, row after row without padding, the first pixel in the
        lowest bit; empty when nothing is drawn on this frame.
    """
    drawn = np.zeros(pixels.shape[:2], np.bool_)
    for plane in planes:
        if plane.covers(frame):
            bits = _own_bits(plane, file, frame) if plane.data else _pixel_bits(plane, pixels)
            if bits is not None:
                _paste(drawn, bits, plane.top, plane.left)
    return np.packbits(drawn, bitorder="little").tobytes() if drawn.any() else b""


def _own_bits(plane: OverlayPlane, file: BinaryIO, frame: int) -> NDArray[np.bool_] | None:
    """Bits of Overlay Data; None when it holds fewer than it says."""
    assert plane.data is not None
    count = plane.rows * plane.columns
    first_bit = 0 if plane.frames is None else (frame - plane.first_frame) * count
    start, stop = first_bit // 8, (first_bit + count + 7) // 8
    if plane.swapped:  # 16-bit words (PS3.5 8.1.2)
        start, stop = start - start % 2, stop + stop % 2
    if stop > plane.data.length:
        return None
    file.seek(plane.data.start + start)
    raw = np.frombuffer(file.read(stop - start), np.uint8)
    if raw.size < stop - start:
        return None
    if plane.swapped:
        raw = raw.view(np.uint16).byteswap().view(np.uint8)
    bits = np.unpackbits(raw, bitorder="little")[first_bit - 8 * start :][:count]
    return bits.reshape(plane.rows, plane.columns).view(np.bool_)


def _pixel_bits(plane: OverlayPlane, pixels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Bits beside the stored ones, as retired in 2004 (PS3.3 C.9.2, PS3.5 8.1.2)."""
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu" or plane.bit >= 8 * pixels.dtype.itemsize:
        return None
    bits: NDArray[np.bool_] = (pixels >> plane.bit) & 1 != 0
    return bits


def _paste(drawn: NDArray[np.bool_], bits: NDArray[np.bool_], top: int, left: int) -> None:
    """Draw a plane at its place; what lies outside the image is cut off."""
    rows, columns = drawn.shape
    own_rows, own_columns = bits.shape
    first_row, last_row = max(top, 0), min(top + own_rows, rows)
    first_column, last_column = max(left, 0), min(left + own_columns, columns)
    if first_row < last_row and first_column < last_column:
        drawn[first_row:last_row, first_column:last_column] |= bits[
            first_row - top : last_row - top, first_column - left : last_column - left
        ]
