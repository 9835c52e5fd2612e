"""Compressed frames: compare their size with the header's, then decode with pylibjpeg."""

import struct
import warnings
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import codestream
from clinic_panel.imaging.picture import Picture

DAMAGED: Final = "The compressed image is damaged."
# What decoders and pydicom raise on damaged streams; none of it says more than that.
DECODER_ERRORS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_PANIC_MODULE: Final = "pyo3_runtime"  # Rust's panics are no Exceptions, and have no public name
_RLE_MOST: Final = 64  # two bytes of a run make at most 128 (PS3.5 G.3.2)
_DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"  # PS3.5 A.4.13
# Streams that carry every allocated bit; which of them are stored is ours to say, as when native.
_WHOLE_WORDS: Final = frozenset({RLELossless, JPEGLossless, JPEGLosslessSV1, _DEFLATED_FRAMES})
_DEFLATE_MOST: Final = 1032  # RFC 1951: 258 bytes for two bits
# Retired in 1998 with their processes of ISO 10918-1 (6 & 8, 10 & 12), which decoders still know.
_RETIRED_JPEG: Final = frozenset({"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"})
_LOSSY_JPEG: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})
_J2K: Final = frozenset(JPEG2000TransferSyntaxes)
_JPEG: Final = frozenset({*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *_RETIRED_JPEG})
_ELSEWHERE: Final = frozenset(
    {
        *("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95"),
        *("1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205"),
    }
)
_VIDEO: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))


def keeps_whole_words(picture: Picture) -> bool:
    """Whether decoded frames hold the bits beside the stored ones, which are then to be cut off."""
    return not picture.encapsulated or (
        picture.samples == 1 and picture.transfer_syntax_uid in _WHOLE_WORDS
    )


def check_dimensions(picture: Picture, data: bytes) -> None:
    """Compare what the compressed frame says of its size with what the header says.

    Raises
    ------
    NotDisplayable
        They differ, so that decoding might cost any amount of memory.
    """
    uid = picture.transfer_syntax_uid
    if uid in (RLELossless, _DEFLATED_FRAMES):
        most = _RLE_MOST if uid == RLELossless else _DEFLATE_MOST
        if len(data) * most < picture.frame_bytes:
            raise NotDisplayable("The compressed image holds fewer pixels than it says.")
        return
    if uid in _JPEG:
        size = codestream.jpeg_dimensions(data)
    elif uid in _J2K:
        size = codestream.j2k_dimensions(data)
    else:
        raise NotDisplayable(_why_not(uid))
    if (size.rows, size.columns) != (picture.rows, picture.columns):
        raise NotDisplayable("The compressed image has another size than its header says.")
    if size.samples != picture.samples:
        raise NotDisplayable("The compressed image has other colours than its header says.")


def _why_not(transfer_syntax_uid: str) -> str:
    """Why a transfer syntax cannot be shown, in plain words."""
    if transfer_syntax_uid in _VIDEO:
        return "This is a video (MPEG-2, MPEG-4 or HEVC), which the viewer does not play."
    if transfer_syntax_uid in _ELSEWHERE:
        return "The pixels of this image were left on the server it came from."
    return "The image is compressed in a way that cannot be decoded here."


def options_of(picture: Picture) -> dict[str, Any]:
    """What pydicom's decoders need to know of a frame; plain values."""
    whole = keeps_whole_words(picture)
    options: dict[str, Any] = {
        "number_of_frames": 1,
        "rows": picture.rows,
        "columns": picture.columns,
        "samples_per_pixel": picture.samples,
        "bits_allocated": picture.bits_allocated,
        "bits_stored": picture.bits_allocated if whole else picture.bits_stored,
        "pixel_representation": int(picture.signed),
        "photometric_interpretation": picture.photometric,
        "pixel_keyword": "PixelData",
    }
    if picture.samples > 1:
        options["planar_configuration"] = picture.planar
    return options


def decode(picture: Picture, data: bytes) -> tuple[NDArray[Any], str]:
    """Decode one compressed frame in this process.

    Returns
    -------
    tuple
        The array (rows, columns[, samples]) and its photometric interpretation.

    Raises
    ------
    NotDisplayable
        The frame lies about its size, is damaged, or has a syntax no plugin decodes.
    """
    check_dimensions(picture, data)
    return decode_stream(picture.transfer_syntax_uid, options_of(picture), data)


def decode_stream(
    transfer_syntax_uid: str, options: dict[str, Any], data: bytes
) -> tuple[NDArray[Any], str]:
    """Decode a frame whose size was checked."""
    if transfer_syntax_uid == JPEGExtended12Bit:
        data = codestream.full_spectrum(data)
    if transfer_syntax_uid in _RETIRED_JPEG:
        transfer_syntax_uid = JPEGExtended12Bit
    if options["samples_per_pixel"] == 3:
        told = options["photometric_interpretation"]
        options = options | {"photometric_interpretation": _held(transfer_syntax_uid, told, data)}
    if transfer_syntax_uid == _DEFLATED_FRAMES:
        return _inflated(options, data), options["photometric_interpretation"]
    if transfer_syntax_uid == RLELossless and options["bits_allocated"] == 1:
        return _packed(options, data), options["photometric_interpretation"]
    return _decoded(transfer_syntax_uid, options, data)


def _held(transfer_syntax_uid: str, told: str, data: bytes) -> str:
    """The colours that a stream itself says it holds; those the header tells where it does not."""
    if transfer_syntax_uid in _J2K:
        return "RGB" if codestream.j2k_transforms_colours(data) else told
    if transfer_syntax_uid in _LOSSY_JPEG and told in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        return codestream.jpeg_colours(data) or told
    return told


def _decoded(
    transfer_syntax_uid: str, options: dict[str, Any], data: bytes
) -> tuple[NDArray[Any], str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoder = get_decoder(transfer_syntax_uid)
            array, properties = decoder.as_array(encapsulate([data]), index=0, **options)
    except DECODER_ERRORS:
        raise NotDisplayable(DAMAGED) from None
    except BaseException as error:
        if type(error).__module__ != _PANIC_MODULE:
            raise
        raise NotDisplayable(DAMAGED) from None
    return array, str(properties["photometric_interpretation"])


def _packed(options: dict[str, Any], data: bytes) -> NDArray[np.uint8]:
    """Decode run lengths of bytes that hold eight pixels each."""
    count = options["rows"] * options["columns"]
    as_bytes = {"rows": 1, "columns": (count + 7) // 8, "bits_allocated": 8, "bits_stored": 8}
    found, _ = _decoded(RLELossless, options | as_bytes, data)
    bits = np.unpackbits(found.astype(np.uint8).ravel(), bitorder="little")[:count]
    return bits.reshape(options["rows"], options["columns"])


def _inflated(options: dict[str, Any], data: bytes) -> NDArray[Any]:
    """Inflate one frame of native bytes (PS3.5 A.4.13)."""
    shape = [options["rows"], options["columns"]]
    samples, bits = options["samples_per_pixel"], options["bits_allocated"]
    count = shape[0] * shape[1] * samples
    size = (count * bits + 7) // 8
    try:
        raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
    except zlib.error:
        raise NotDisplayable(DAMAGED) from None
    if len(raw) < size:
        raise NotDisplayable(DAMAGED)
    if bits == 1:
        return np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[:count].reshape(shape)
    kind = "i" if options["pixel_representation"] else "u"
    flat = np.frombuffer(raw, f"<{kind}{bits // 8}")
    if samples == 1:
        return flat.reshape(shape)
    if options["planar_configuration"] == 1:
        return flat.reshape(samples, *shape).transpose(1, 2, 0)
    return flat.reshape(*shape, samples)
