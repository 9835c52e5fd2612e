"""Compressed frames: compare their size with the header's, then decode with pylibjpeg."""

import struct
import warnings
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
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
# Streams that carry every allocated bit; which of them are stored is ours to say, as when native.
_WHOLE_WORDS: Final = frozenset({RLELossless, JPEGLossless, JPEGLosslessSV1})
_J2K: Final = frozenset(JPEG2000TransferSyntaxes)
_JPEG: Final = frozenset({*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes})


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
    if uid == RLELossless:
        if len(data) * _RLE_MOST < picture.frame_bytes:
            raise NotDisplayable("The compressed image holds fewer pixels than it says.")
        return
    if uid in _JPEG:
        size = codestream.jpeg_dimensions(data)
    elif uid in _J2K:
        size = codestream.j2k_dimensions(data)
    else:
        raise NotDisplayable("The image's transfer syntax cannot be decoded here.")
    if (size.rows, size.columns) != (picture.rows, picture.columns):
        raise NotDisplayable("The compressed image has another size than its header says.")
    if size.samples != picture.samples:
        raise NotDisplayable("The compressed image has other colours than its header says.")


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
