"""Text that hides beside compressed pixels: comments, application data, bytes after the end.

All of it is overwritten in place, so that lengths and offsets stay as they are.
"""

from __future__ import annotations

import struct
from typing import Final

from clinic_panel.errors import NotDisplayable

_JPEG_START: Final = b"\xff\xd8"
_J2K_START: Final = b"\xff\x4f\xff\x51"
_END: Final = b"\xff\xd9"
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_NO_LENGTH: Final = frozenset({0x00, 0x01, 0xFF, *range(0xD0, 0xD9)})
_STOP, _SCAN = 0xD9, 0xDA
# What decoders go by to tell colours: kept, with no more than its fixed part.
_COLOUR: Final = {b"JFIF\0": 14, b"Adobe": 12, b"mrfx": 6}
_COM, _SOT, _SOD = 0x64, 0x90, 0x93
_SHORTEST_TILE: Final = 14
_LEFT: Final = "The compressed image hides more than it shows."


def starts_picture(fragment: bytes) -> bool:
    """Whether a compressed frame begins here, and not goes on."""
    return fragment[:2] == _JPEG_START or fragment[:4] == _J2K_START


def without_text(frame: bytes) -> bytes:
    """Return a JPEG, JPEG-LS or JPEG 2000 frame with all that is no picture blanked.

    Raises
    ------
    NotDisplayable
        It is wrapped in a file format, or its segments lie about their lengths.
    """
    data = bytearray(frame)
    try:
        if data[:4] == _J2K_START:
            end = _blank_j2k(data)
        elif data[:2] == _JPEG_START:
            end = _blank_jpeg(data)
        else:
            raise NotDisplayable(_LEFT)
    except (struct.error, IndexError):
        raise NotDisplayable(_LEFT) from None
    data[end:] = bytes(len(data) - end)
    return bytes(data)


def _blank_jpeg(data: bytearray) -> int:
    """Walk the segments (ISO 10918-1 B.1.1); return where the picture ends."""
    at = 2
    while at <= len(data) - 2:
        if data[at] != 0xFF:
            raise NotDisplayable(_LEFT)
        code = data[at + 1]
        if code == _STOP:
            return at + 2
        if code in _NO_LENGTH:
            at += 1 if code == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        start, end = at + 4, at + 2 + length
        if length < 2 or end > len(data):
            raise NotDisplayable(_LEFT)
        if code == _COMMENT or code in _APPLICATION:
            kept = next((n for name, n in _COLOUR.items() if data.startswith(name, start)), 0)
            first = min(start + kept, end)
            data[first:end] = bytes(end - first)
        at = _next_marker(data, end) if code == _SCAN else end
    return len(data)  # cut short, or without its last marker


def _next_marker(data: bytearray, at: int) -> int:
    """Find where entropy-coded data end; JPEG-LS stuffs a bit: below 80 is none (T.87 A.1)."""
    while 0 <= (at := data.find(0xFF, at)) < len(data) - 1:
        following = data[at + 1]
        if following >= 0x80 and following not in _NO_LENGTH:
            return at
        at += 1
    return len(data)


def _blank_j2k(data: bytearray) -> int:
    """Walk the headers of the image and its tile parts (ISO 15444-1 A.4); return the end."""
    at, tile_end = 2, 0
    while at <= len(data) - 2:
        if data[at] != 0xFF:
            raise NotDisplayable(_LEFT)
        code = data[at + 1]
        if code == _STOP:
            return at + 2
        if code == _SOD:
            if tile_end == 0:  # the tile goes on to the end
                return data.rfind(_END) + 2 if _END in data[at:] else len(data)
            at = tile_end
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if code == _SOT:
            (part,) = struct.unpack_from(">L", data, at + 6)
            tile_end = at + part if part else 0
            if part and (part < _SHORTEST_TILE or tile_end > len(data)):
                raise NotDisplayable(_LEFT)
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise NotDisplayable(_LEFT)
        if code == _COM:
            data[at + 6 : end] = b" " * (end - at - 6)
        at = end
    return len(data)
