"""What a compressed frame says of its own size, read before any decoder sees it."""

import struct
from dataclasses import dataclass
from typing import Final

from clinic_panel.errors import NotDisplayable

_START_OF_FRAME: Final = frozenset(
    {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
)
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_IMAGE: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_J2K_START: Final = b"\xff\x4f\xff\x51"
_J2K_CODING: Final = 0xFF52
_J2K_TILE: Final = 0xFF90
_APP0, _APP14 = 0xE0, 0xEE


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Size of the picture inside a compressed frame."""

    rows: int
    columns: int
    samples: int
    precision: int


def jpeg_dimensions(frame: bytes) -> Dimensions:
    """Read the start of frame of a JPEG or JPEG-LS stream (ISO 10918-1 B.2.2, 14495-1 C.2.2).

    Raises
    ------
    NotDisplayable
        There is none.
    """
    for marker, start, _ in _segments(frame):
        if marker in _START_OF_FRAME:
            try:
                precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, start)
            except struct.error:
                break
            return Dimensions(rows, columns, samples, precision)
    raise NotDisplayable("The compressed image is damaged.")


def j2k_dimensions(frame: bytes) -> Dimensions:
    """Read the SIZ marker of a JPEG 2000 or HTJ2K codestream (ISO 15444-1 A.5.1).

    Raises
    ------
    NotDisplayable
        There is none.
    """
    start = frame.find(_J2K_START, 0, 4096)  # a JP2 wrapper may stand before the codestream
    try:
        if start < 0:
            raise struct.error
        right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
        (samples,) = struct.unpack_from(">H", frame, start + 40)
        depth = frame[start + 42]
    except (struct.error, IndexError):
        raise NotDisplayable("The compressed image is damaged.") from None
    return Dimensions(bottom - top, right - left, samples, (depth & 0x7F) + 1)


def j2k_transforms_colours(frame: bytes) -> bool:
    """Whether a JPEG 2000 codestream turns its three components into others (ISO 15444-1 A.6.1).

    A decoder undoes it, so that what it gives is RGB.
    """
    pos = frame.find(_J2K_START, 0, 4096) + 2
    while 2 <= pos <= len(frame) - 9:
        marker, length = struct.unpack_from(">HH", frame, pos)
        if marker == _J2K_CODING:
            return frame[pos + 8] == 1
        if marker == _J2K_TILE or length < 2:
            break
        pos += 2 + length
    return False


def jpeg_colours(frame: bytes) -> str:
    """RGB or YBR_FULL where Adobe's marker in a JPEG stream says which it holds; else nothing.

    JFIF's marker means YBR whatever follows; with neither, the header has to be believed.
    """
    for marker, start, length in _segments(frame):
        if marker == _APP0 and frame[start : start + 4] == b"JFIF":
            return ""
        if marker == _APP14 and frame[start : start + 5] == b"Adobe" and length >= 12:
            return {0: "RGB", 1: "YBR_FULL"}.get(frame[start + 11], "")
    return ""


def full_spectrum(frame: bytes) -> bytes:
    """Mend a sequential 12-bit JPEG whose scan header ends its spectrum at 0.

    Old 12-bit encoders write Se=0 where ISO 10918-1 B.2.3 wants 63 for a sequential scan; decoders
    then refuse the whole frame.
    """
    for marker, start, length in _segments(frame):
        if marker == _START_OF_SCAN and length >= 4 and start + length <= len(frame):
            at = start + length - 2
            if frame[at] != 63:
                return frame[:at] + b"\x3f" + frame[at + 1 :]
            break
    return frame


def _segments(frame: bytes) -> list[tuple[int, int, int]]:
    """Markers up to the first scan: code, start of the payload, length of the payload."""
    found, pos = [], 0
    while pos + 4 <= len(frame) and frame[pos] == 0xFF:
        marker = frame[pos + 1]
        if marker == 0xFF or marker in _STANDALONE:
            pos += 1 if marker == 0xFF else 2
            continue
        if marker == _END_OF_IMAGE:
            break
        (length,) = struct.unpack_from(">H", frame, pos + 2)
        found.append((marker, pos + 4, length - 2))
        if marker == _START_OF_SCAN or length < 2:
            break
        pos += 2 + length
    return found
