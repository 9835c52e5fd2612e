"""One frame at a time: native frames sliced from the file, compressed ones decoded alone."""

import warnings
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import colour
from clinic_panel.imaging.decoding import DAMAGED, DECODER_ERRORS, decode, keeps_whole_words
from clinic_panel.imaging.frame import ColourRange, Format, Frame, FrameInfo
from clinic_panel.imaging.geometry import orientation_letters
from clinic_panel.imaging.opened import GE_IMPLICIT_BIG_PIXELS
from clinic_panel.imaging.overlays import mask
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.realworld import rescale_unit
from clinic_panel.imaging.window import VoiFunction, automatic

type Decoder = Callable[[Picture, bytes], tuple[NDArray[Any], str]]

FORMATS: Final[dict[str, Format]] = {  # of NumPy's kind and bytes
    "u1": "uint8",
    "u2": "uint16",
    "i2": "int16",
    "u4": "uint32",
    "i4": "int32",
    "f4": "float32",
}
_WHOLE_BYTES: Final = (8, 16, 32, 64)


def read_frame(
    source: Picture | Path | bytes, frame: int = 0, *, decoder: Decoder = decode
) -> Frame:
    """Decode one frame for a screen.

    Parameters
    ----------
    source
        The image; describe it once and pass the ``Picture`` when reading many frames.
    frame
        Zero-based.
    decoder
        Decodes a compressed frame; servers pass an ``IsolatedDecoder``.

    Returns
    -------
    Frame
        Mono images in their stored values, of 8, 16 or 32 bits; wider ones as float32, NaN where
        they hold no finite number; colour as 8-bit RGB.

    Raises
    ------
    NotUnderstood, NotDisplayable
        No DICOM object, or a frame that is missing, damaged or larger than it says.
    """
    picture = source if isinstance(source, Picture) else describe(source)
    if not 0 <= frame < picture.frames:
        raise NotDisplayable("The image has no such frame.")
    with picture.opened() as file:
        if picture.encapsulated:
            array, photometric = decoder(picture, compressed_frame(picture, file, frame))
        else:
            array, photometric = _native(picture, file, frame), picture.photometric
        overlay = mask(picture.overlays, file, frame, array) if picture.overlays else b""
    shown = _shown(picture, array, photometric, frame)
    if overlay:
        return replace(shown, info=replace(shown.info, overlay=True), overlay=overlay)
    return shown


def _shown(picture: Picture, array: NDArray[Any], photometric: str, frame: int) -> Frame:
    if picture.palette is not None:
        return _colour(picture, picture.palette.of(_stored_bits(picture, array)), frame)
    if picture.samples == 3:
        return _colour(picture, colour.rgb_of(array, photometric, picture.bits_stored), frame)
    return _mono(picture, array, frame)


# -- native ------------------------------------------------------------------------------------


def _native(picture: Picture, file: BinaryIO, frame: int) -> NDArray[Any]:
    """Slice one frame from uncompressed pixel data."""
    size, bits = picture.frame_bytes, picture.bits_allocated
    first_bit, start = 0, frame * size
    if bits % 8:  # frames of single bits are not padded to bytes (PS3.5 8.1.1)
        first = frame * picture.rows * picture.columns * bits
        first_bit, start = first % 8, first // 8
        size = (first_bit + picture.rows * picture.columns * bits + 7) // 8
    # Big endian bytes are swapped inside 16-bit words where pixel data are OW (PS3.5 7.3).
    words = picture.syntax.big and bits == 8 and picture.pixels.vr == b"OW"
    if words:
        first_bit, start, size = start % 2, start - start % 2, size + start % 2
        size += size % 2
    if start + size > picture.pixels.length:
        raise NotDisplayable("The image holds fewer pixels than it says.")
    file.seek(picture.pixels.start + start)
    raw = file.read(size)
    if len(raw) < size:
        raise NotDisplayable("The image is cut short.")
    if bits not in _WHOLE_BYTES:
        return _unpacked(picture, raw, first_bit)
    if words:
        raw = np.frombuffer(raw, ">u2").astype("<u2").tobytes()
        raw = raw[first_bit : first_bit + picture.frame_bytes]
    return _shape(picture, np.frombuffer(raw, _dtype(picture)))


def _unpacked(picture: Picture, raw: bytes, first_bit: int) -> NDArray[Any]:
    """Pixels that are not of whole bytes, the lowest bit first, in the next wider whole number."""
    bits, count = picture.bits_allocated, picture.rows * picture.columns
    flat = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[first_bit:]
    if bits == 1:
        return flat[:count].reshape(picture.rows, picture.columns)
    size = next(size for size in (1, 2, 4) if bits <= 8 * size)
    cells = np.zeros((count, 8 * size), np.uint8)
    cells[:, :bits] = flat[: count * bits].reshape(count, bits)
    kind = "i" if picture.signed else "u"
    packed = np.packbits(cells, axis=1, bitorder="little")
    return packed.reshape(-1).view(f"<{kind}{size}").reshape(picture.rows, picture.columns)


def _dtype(picture: Picture) -> np.dtype[Any]:
    big = picture.syntax.big or picture.transfer_syntax_uid == GE_IMPLICIT_BIG_PIXELS
    kind = {0x7FE00008: "f", 0x7FE00009: "f"}.get(picture.pixel_tag, "i" if picture.signed else "u")
    return np.dtype(f"{'>' if big else '<'}{kind}{picture.bits_allocated // 8}")


def _shape(picture: Picture, flat: NDArray[Any]) -> NDArray[Any]:
    rows, columns = picture.rows, picture.columns
    if picture.samples == 1:
        return flat.reshape(rows, columns)
    if picture.photometric in colour.HALVED:
        return colour.doubled(flat, rows, columns)
    if picture.planar == 1:
        return flat.reshape(3, rows, columns).transpose(1, 2, 0)
    return flat.reshape(rows, columns, 3)


# -- compressed --------------------------------------------------------------------------------


def compressed_frame(picture: Picture, file: BinaryIO, frame: int) -> bytes:
    """The bytes of one compressed frame."""
    file.seek(picture.pixels.start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return get_frame(file, frame, number_of_frames=picture.frames)
    except DECODER_ERRORS:
        raise NotDisplayable(DAMAGED) from None


# -- to the screen -----------------------------------------------------------------------------


def _info(picture: Picture, frame: int, kind: Format) -> FrameInfo:
    traits = picture.frame_traits(frame)
    spacing, plane = traits.spacing, traits.plane
    measured = None
    if spacing.row_mm is not None and spacing.column_mm is not None:
        measured = (spacing.row_mm, spacing.column_mm)
    return FrameInfo(
        rows=picture.rows,
        columns=picture.columns,
        format=kind,
        slope=traits.slope,
        intercept=traits.intercept,
        unit=traits.unit,
        inverted=picture.inverted,
        voi_function=traits.voi_function.value,
        voi_curve=b64encode(traits.voi_curve).decode("ascii"),
        windows=traits.windows,
        spacing=measured,
        spacing_source=spacing.source.value,
        aspect=spacing.aspect,
        regions=picture.regions,
        edges=orientation_letters(plane.orientation) if plane else None,
        position=plane.position if plane else None,
        orientation=plane.orientation if plane else None,
        shutters=traits.shutters,
        frame_time_ms=picture.frame_time(frame),
        lossy=picture.lossy,
        note=picture.note,
    )


def _mono(picture: Picture, array: NDArray[Any], frame: int) -> Frame:
    if array.dtype.kind != "f":
        array = _stored_bits(picture, array)
    info, base = replace(_info(picture, frame, "uint16"), padding=picture.padding), 0.0
    palette = picture.supplement if picture.frame_traits(frame).coloured else None
    if picture.modality_lut is not None:
        table, palette = picture.modality_lut, None
        array = table.of(array)
        unit = rescale_unit(table.unit)
        info = replace(info, slope=1.0, intercept=0.0, unit=unit, padding=None)
    if array.dtype.kind == "f" or array.dtype.itemsize > 2:
        array, base = narrowed(array)
        info = replace(info, intercept=info.intercept + info.slope * base)
        if info.padding is not None:
            info = replace(info, padding=(info.padding[0] - base, info.padding[1] - base))
    if palette is not None:
        key = palette.key.hex()
        info = replace(info, colours=ColourRange(palette.first - base, len(palette.colours), key))
    array = array.astype(np.int16) if array.dtype.str[1:] == "i1" else array
    info = replace(info, format=FORMATS[array.dtype.str[1:]])
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    result = Frame(info, np.ascontiguousarray(little).tobytes(), palette=palette)
    return replace(result, info=_windowed(info, result))


def _stored_bits(picture: Picture, array: NDArray[Any]) -> NDArray[Any]:
    """Keep the stored bits alone: old overlays live in the others (PS3.5 8.1.1)."""
    if picture.bits_allocated == 1 or not keeps_whole_words(picture):
        return array
    width = 8 * array.dtype.itemsize
    stored, spare = picture.bits_stored, width - picture.high_bit - 1
    if spare < 0 or (spare == 0 and stored == width):
        return array
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return (native << spare) >> (width - stored)


def narrowed(array: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Wide values as the screen takes them, and what was taken off each.

    Whole numbers that lie close enough together fit into 16 bits exactly, which costs half as much
    to send and to paint. Of double precision, single is left.
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        return np.where(np.isfinite(single), single, np.float32("nan")), 0.0
    low, high = int(array.min()), int(array.max())
    if high - low <= 0xFFFF:
        return (array.astype(np.int64) - low).astype(np.uint16), float(low)
    if array.dtype.itemsize > 4:
        return array.astype(np.float32), 0.0
    return array, 0.0


def _windowed(info: FrameInfo, frame: Frame) -> FrameInfo:
    """Choose the window to open with: the header's first, or the values' own range."""
    if info.windows:
        window = info.windows[0]
    else:
        values = frame.stored.ravel()
        values = values[:: 7 if values.size > 100_000 else 1]
        if info.colours is not None:
            values = values[values < info.colours.first]
        if info.padding is not None:
            low, high = info.padding
            values = values[(values < low) | (values > high)]
        # A window of LINEAR is a whole number wide at least; finer values need the exact one.
        fine = info.format == "float32" or abs(info.slope) < 1
        if fine and info.voi_function == VoiFunction.LINEAR:
            info = replace(info, voi_function=VoiFunction.LINEAR_EXACT.value)
        values = values * np.float64(info.slope) + info.intercept
        window = automatic(values, least_width=1e-6 if fine else 1.0)
    return replace(info, window_center=window.center, window_width=window.width)


def _colour(picture: Picture, rgb: NDArray[np.uint8], frame: int) -> Frame:
    info = _info(picture, frame, "rgb8")
    info = replace(info, slope=1.0, intercept=0.0, unit="", windows=(), inverted=False)
    return Frame(info, np.ascontiguousarray(rgb).tobytes())
