"""Pixels without what a person must not find in them: hidden text, old overlays, marked areas."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.imaging.hidden import starts_picture, without_text
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import Decoder, compressed_frame

MOST_BYTES: Final = 256 << 20  # of one object, decoded or not: a worker holds it three times
UNCHECKED: Final = "The image is compressed in a way that may hide text beside the pixels."
TOO_LARGE: Final = "The object is too large to be cleaned here."
_NATIVE: Final = frozenset(
    {
        *(ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        *(ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    }
)
_STREAMS: Final = frozenset(
    {
        *JPEGTransferSyntaxes,
        *("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"),  # retired processes
        *JPEGLSTransferSyntaxes,
        *JPEG2000TransferSyntaxes,
    }
)
_ITEM: Final = 0xFFFEE000
_YBR_BLACK: Final = (0, 128, 128)
_OF_THE_COMPRESSED: Final = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of an image, in pixels from its upper left corner; right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> Area:
        """Return the whole pixels around points (x, y)."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(
            max(0, math.floor(min(xs))),
            max(0, math.floor(min(ys))),
            max(0, math.ceil(max(xs))),
            max(0, math.ceil(max(ys))),
        )


def clean_pixels(ds: Dataset, transfer_syntax_uid: str) -> None:
    """Take away what is no picture: hidden text, bytes too many, bits beside the stored ones.

    Raises
    ------
    NotDisplayable
        The image is compressed in a way that cannot be looked through.
    """
    if "PixelData" not in ds:
        return
    if transfer_syntax_uid in _STREAMS:
        ds.PixelData = _fragments(bytes(ds.PixelData), blank=True)
    elif transfer_syntax_uid == RLELossless:
        ds.PixelData = _fragments(bytes(ds.PixelData), blank=False)
    elif transfer_syntax_uid in _NATIVE:
        big = transfer_syntax_uid == ExplicitVRBigEndian
        ds.PixelData = _stored_bits(ds, _exact(ds, bytes(ds.PixelData)), big=big)
    else:
        raise NotDisplayable(UNCHECKED)


def black_out(ds: Dataset, path: Path, areas: Sequence[Area], decoder: Decoder) -> None:
    """Make areas of every frame black; a compressed image becomes a plain one.

    Parameters
    ----------
    ds
        The whole data set of the file at ``path``; changed, with its transfer syntax.
    decoder
        Decodes one compressed frame.

    Raises
    ------
    NotUnderstood, NotDisplayable
        The image cannot be decoded, or is too large.
    """
    picture = describe(path)
    photometric = picture.photometric
    if picture.bits_allocated == 1 or "PixelData" not in ds:
        raise NotDisplayable(UNCHECKED)
    if picture.frame_bytes * picture.frames > MOST_BYTES:
        raise NotDisplayable(TOO_LARGE)
    if not picture.encapsulated:
        ds.PixelData = _blacked_native(ds, areas)
        return
    frames = []
    with picture.opened() as file:
        for number in range(picture.frames):
            array, photometric = decoder(picture, compressed_frame(picture, file, number))
            array = np.array(array.astype(array.dtype.newbyteorder("<"), copy=False))
            _blacken(array, areas, photometric)
            frames.append(array.tobytes())
    data = b"".join(frames)
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if array.itemsize > 1 else "OB"
    ds["PixelData"].is_undefined_length = False
    ds.BitsAllocated = array.itemsize * 8
    ds.PhotometricInterpretation = photometric
    if picture.samples > 1:
        ds.PlanarConfiguration = 0
    for keyword in _OF_THE_COMPRESSED:
        ds.pop(keyword, None)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _blacked_native(ds: Dataset, areas: Sequence[Area]) -> bytes:
    """Blacken plain pixels where they lie, whatever their order."""
    raw = _exact(ds, bytes(ds.PixelData))
    big = ds.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
    if big and ds.BitsAllocated == 8:
        raise NotDisplayable(UNCHECKED)
    kind = "i" if ds.get("PixelRepresentation") else "u"
    flat = np.frombuffer(raw, f"{'>' if big else '<'}{kind}{ds.BitsAllocated // 8}").copy()
    rows, columns, samples = ds.Rows, ds.Columns, int(ds.get("SamplesPerPixel", 1))
    photometric = str(ds.PhotometricInterpretation)
    if photometric == "YBR_FULL_422":
        _blacken_422(flat[: flat.size // 4 * 4].reshape(-1, rows, columns // 2, 4), areas)
        return flat.tobytes()
    count = int(ds.get("NumberOfFrames") or 1)
    pixels = flat[: count * rows * columns * samples]
    frames: NDArray[Any]
    if samples == 1:
        frames = pixels.reshape(count, rows, columns)
    elif ds.get("PlanarConfiguration"):
        frames = pixels.reshape(count, samples, rows, columns).transpose(0, 2, 3, 1)
    else:
        frames = pixels.reshape(count, rows, columns, samples)
    for frame in frames:
        _blacken(frame, areas, photometric)
    return flat.tobytes()


def _blacken(frame: NDArray[Any], areas: Sequence[Area], photometric: str) -> None:
    """Fill areas of one frame (rows, columns[, samples]) in place."""
    black: Any = 0
    if photometric.startswith("YBR_FULL"):
        black = _YBR_BLACK
    elif photometric == "MONOCHROME1":
        black = frame.max()
    elif photometric == "MONOCHROME2":
        black = frame.min()
    for area in areas:
        frame[area.top : area.bottom, area.left : area.right] = black


def _blacken_422(frames: NDArray[Any], areas: Sequence[Area]) -> None:
    """Fill areas of frames of Y Y B R for two pixels (PS3.3 C.7.6.3.1.2)."""
    for area in areas:
        here = (slice(None), slice(area.top, area.bottom))
        pairs = slice(area.left // 2, -(-area.right // 2))
        frames[(*here, pairs)] = (0, 0, 128, 128)


def _exact(ds: Dataset, data: bytes) -> bytes:
    """Return no more bytes than the pixels take, and one to make them even."""
    samples, allocated = int(ds.get("SamplesPerPixel", 1)), int(ds.BitsAllocated)
    count = int(ds.get("NumberOfFrames") or 1) * ds.Rows * ds.Columns * samples
    if ds.get("PhotometricInterpretation") == "YBR_FULL_422":
        count = count * 2 // 3
    size = (count * allocated + 7) // 8
    if len(data) < size:
        raise NotUnderstood("The object is cut short.")
    return data[:size] + b"\0" * (size % 2)


def _stored_bits(ds: Dataset, data: bytes, *, big: bool) -> bytes:
    """Clear the bits beside the stored ones, where old overlays lie (PS3.5 8.1.1)."""
    allocated, stored = int(ds.BitsAllocated), int(ds.get("BitsStored") or ds.BitsAllocated)
    high = int(ds.get("HighBit", stored - 1))
    if allocated not in (8, 16, 32) or stored >= allocated or not stored - 1 <= high < allocated:
        return data
    if big and allocated == 8:
        return data
    signed = bool(ds.get("PixelRepresentation"))
    kind = np.dtype(f"{'>' if big else '<'}{'i' if signed else 'u'}{allocated // 8}")
    buffer = bytearray(data)
    pixels = np.frombuffer(buffer, kind, count=len(buffer) // kind.itemsize)
    pixels <<= allocated - 1 - high
    pixels >>= allocated - stored
    pixels <<= high + 1 - stored
    return bytes(buffer)


def _fragments(data: bytes, *, blank: bool) -> bytes:
    """Return encapsulated pixel data whose fragments hold pictures alone (PS3.5 A.4)."""
    found, at = _split(data), 0
    table, fragments = found[:1], found[1:]
    while blank and at < len(fragments):
        end = at + 1  # a frame may go on in further fragments
        while end < len(fragments) and not starts_picture(fragments[end]):
            end += 1
        cleaned, start = without_text(b"".join(fragments[at:end])), 0
        for number in range(at, end):
            size = len(fragments[number])
            fragments[number], start = cleaned[start : start + size], start + size
        at = end
    return b"".join(
        struct.pack("<HHL", _ITEM >> 16, _ITEM & 0xFFFF, len(one)) + one
        for one in (*table, *fragments)
    )


def _split(data: bytes) -> list[bytes]:
    """Return the items of encapsulated pixel data: the offset table, then the fragments."""
    found, at = [], 0
    try:
        while at + 8 <= len(data):
            group, element, length = struct.unpack_from("<HHL", data, at)
            if group << 16 | element != _ITEM:
                break  # the delimiter; what follows is none of ours
            if at + 8 + length > len(data):
                raise NotDisplayable(UNCHECKED)
            found.append(data[at + 8 : at + 8 + length])
            at += 8 + length
    except struct.error:
        raise NotDisplayable(UNCHECKED) from None
    return found
