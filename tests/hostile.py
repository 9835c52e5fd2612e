"""Image objects whose headers lie: elements with wrong values, others added, bytes changed, cut."""

import random
import struct
from pathlib import Path
from typing import Final

from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR

from clinic_panel.imaging.elements import PIXEL_DATA, Elements, Syntax
from clinic_panel.imaging.opened import open_data_set
from clinic_panel.imaging.picture import PICTURE_TAGS

SEEDS: Final = (
    *("CT_small.dcm", "MR_small_RLE.dcm", "rtdose_rle_1frame.dcm", "SC_rgb_small_odd_jpeg.dcm"),
    *("SC_rgb_rle_2frame.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm", "liver_1frame.dcm"),
    *("MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "JPGExtended.dcm"),
    *("SC_ybr_full_422_uncompressed.dcm", "image_dfl.dcm", "examples_overlay.dcm"),
)
_LONG_VRS: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT")
_DOUBLES: Final = (0.0, -1.0, 1e-310, 1e308, float("nan"), float("inf"), 0.1)
_JUNK: Final = (
    *(b"", b"\0\0", b"\1\0", b"\3\0", b"\xff\xff", b"\0\x80", b"\0" * 8, b"\xff" * 16),
    *(b"\0\1" * 3, b"\x10\0\xff\x7f\x08\0", b"\0\0\0\x80\x10\0", struct.pack("<3H", 256, 0, 16)),
    *(b"0 ", b"1 ", b"-1", b"2\\2 ", b"0\\0 ", b"1e308 ", b"-1e308\\1e308 ", b"nan\\nan "),
    *(b"inf ", b"1e-320\\1e-320 ", b"99999999999999999999", b"1\\2\\3\\4\\5\\6 ", b"1e9\\0\\0 "),
    *(b"1\\0\\0\\1\\0\\0 ", b"1\\0\\0\\0\\1\\0 ", b"5e5\\-5e5\\1e300 ", b"\\\\\\\\"),
    *(b"<img src=x onerror=alert(1)>", b"\xff\xfe\x00\xd8 ", b"=cmd|' /C calc'!A0 ", b"\r\n\r\n"),
    *(b"MONOCHROME1 ", b"PALETTE COLOR ", b"YBR_FULL_422", b"YBR_PARTIAL_420 ", b"RGB ", b"COLOR "),
    *(b"SIGMOID ", b"LINEAR_EXACT", b"INVERSE ", b"CT", b"US", b"PT", b"0123456789" * 700),
    *(struct.pack("<2d", one, one) for one in _DOUBLES),
    *(struct.pack("<2H", one, one) for one in (2, 9, 0x8000)),
)


def seeds() -> list[bytes]:
    """Files of every codec, sign and byte order, and some with tables and graphics."""
    return [Path(get_testdata_file(name)).read_bytes() for name in SEEDS]


def damaged(source: bytes, chance: random.Random) -> bytes:
    """The file with one to four of its elements wrong; sometimes bytes too, or its end missing."""
    found = bytearray(_with_other_elements(source, chance) if chance.random() < 0.8 else source)
    if chance.random() < 0.4:
        header = max(found.find(b"\xe0\x7f\x10\x00") + 12, 140)
        for _ in range(chance.randint(1, 5)):
            found[chance.randrange(132, min(header, len(found)) - 1)] = chance.randrange(256)
    if chance.random() < 0.15:
        del found[chance.randrange(len(found) // 3, len(found)) :]
    return bytes(found)


def _with_other_elements(source: bytes, chance: random.Random) -> bytes:
    opened = open_data_set(source)
    buffer, syntax = bytes(opened.buffer), opened.syntax
    pieces = _pieces(buffer, opened.start, syntax)
    tags = sorted(PICTURE_TAGS - PIXEL_DATA)
    for _ in range(chance.randint(1, 4)):
        here = [tag for tag in pieces if tag in PICTURE_TAGS and tag not in PIXEL_DATA]
        tag = chance.choice(here if here and chance.random() < 0.5 else tags)
        pieces[tag] = _element(tag, chance.choice(_JUNK), syntax)
    head = buffer[: opened.start] if buffer[128:132] == b"DICM" else b""
    if not head:  # it was deflated: the file's own meta information says so no more
        meta = _element(0x00020010, b"1.2.840.10008.1.2.1\0", Syntax())
        head = source[:132] + _element(0x00020000, struct.pack("<L", len(meta)), Syntax()) + meta
    return head + b"".join(pieces[tag] for tag in sorted(pieces))


def _pieces(buffer: bytes, start: int, syntax: Syntax) -> dict[int, bytes]:
    """The elements of the top level as they are written, by tag; pixel data to the very end."""
    found = Elements(buffer, start, len(buffer), syntax).found
    heads = {
        tag: one.start - (12 if syntax.explicit and one.vr.decode() in _LONG_VRS else 8)
        for tag, one in found.items()
    }
    ends = [*list(heads.values())[1:], len(buffer)]
    return {tag: buffer[heads[tag] : end] for tag, end in zip(heads, ends, strict=True)}


def _element(tag: int, value: bytes, syntax: Syntax) -> bytes:
    order = syntax.order
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not syntax.explicit:
        return head + struct.pack(f"{order}L", len(value)) + value
    try:
        vr = dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        vr = "UN"
    if vr in _LONG_VRS:
        return head + vr.encode() + struct.pack(f"{order}HL", 0, len(value)) + value
    return head + vr.encode() + struct.pack(f"{order}H", len(value)) + value
