"""What an image object says of its pixels, read once; the frames themselves are in ``pixels``."""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.imaging import colour
from clinic_panel.imaging.elements import PIXEL_DATA, Buffer, Element, Elements, Syntax
from clinic_panel.imaging.geometry import GEOMETRY_TAGS
from clinic_panel.imaging.lut import LookUpTable, Palette, palette_of, table_of
from clinic_panel.imaging.masking import MASK_TAGS, Masking, ViewingMode, masking_of
from clinic_panel.imaging.opened import DEFLATED, open_data_set
from clinic_panel.imaging.overlays import OVERLAY_TAGS, OverlayPlane, planes_of
from clinic_panel.imaging.regions import Region, regions_of
from clinic_panel.imaging.traits import MAX_FRAMES, TRAIT_TAGS, FrameTraits, traits_of

MAX_FRAME_BYTES: Final = 512 * 2**20
_MODALITY_LUT: Final = 0x00283000
_FRAME_OF_REFERENCE: Final = 0x00200052
_ICC_PROFILE, _COLOR_SPACE, _OPTICAL_PATHS = 0x00282000, 0x00282002, 0x00480105
_ENHANCED_PALETTE: Final = 0x0028140B
_TIME_VECTOR, _RECOMMENDED_RATE = 0x00181065, 0x00082144
_LONGEST_MS: Final = 60_000
_X_RAYS: Final = frozenset({"XA", "RF", "XRF"})
_TO_BE_SEEN: Final = frozenset({"LOG", "DISP"})
_SRGB: Final = (b"sRGB", "sRGB".encode("utf-16-be"))
_FLOATS: Final = (0x7FE00008, 0x7FE00009)
_BYTE_WIDTHS: Final = (8, 16, 32, 64)
PICTURE_TAGS: Final = (
    frozenset(
        {0x00080060, 0x00180015, 0x00181063, 0x00180040, 0x00080016}
        | {_TIME_VECTOR, _RECOMMENDED_RATE}
        | {0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011}
        | {0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00280121}
        | {0x00280122, 0x00280123, 0x00280124, 0x00280125}
        | {0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203}
        | {0x00281221, 0x00281222, 0x00281223, 0x00282110}
        | {_ICC_PROFILE, _COLOR_SPACE, _OPTICAL_PATHS, _ENHANCED_PALETTE}
        | {_FRAME_OF_REFERENCE, _MODALITY_LUT, 0x20500020}
    )
    | MASK_TAGS
    | TRAIT_TAGS
    | GEOMETRY_TAGS
    | OVERLAY_TAGS
    | PIXEL_DATA
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image object, described but not decoded."""

    source: Path | bytes = field(repr=False)
    transfer_syntax_uid: str
    syntax: Syntax
    pixels: Element
    pixel_tag: int
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    modality: str
    body_part: str
    frame_of_reference_uid: str
    frame_times_ms: tuple[float, ...]  # of each frame, one of all, or none
    padding: tuple[float, float] | None  # least and greatest stored value outside the picture
    lossy: bool
    inverted: bool
    regions: tuple[Region, ...]
    modality_lut: LookUpTable | None = field(repr=False)
    palette: Palette | None = field(repr=False)
    supplement: Palette | None = field(repr=False)  # colours of some values of a grey image
    note: str  # what a reader has to know of how it is shown
    overlays: tuple[OverlayPlane, ...] = field(repr=False)
    masking: Masking = field(repr=False)
    traits: tuple[FrameTraits, ...] = field(repr=False)

    @property
    def encapsulated(self) -> bool:
        """Whether frames lie in fragments (PS3.5 A.4)."""
        return self.pixels.length < 0

    @property
    def frame_bytes(self) -> int:
        """Size of one native frame."""
        samples = self.rows * self.columns * self.samples
        if self.samples == 3 and self.photometric in colour.HALVED and not self.encapsulated:
            samples = self.rows * self.columns * 2
        return (samples * self.bits_allocated + 7) // 8

    def frame_traits(self, frame: int) -> FrameTraits:
        """The traits of one zero-based frame; objects may describe fewer frames than they hold."""
        return self.traits[min(frame, len(self.traits) - 1)]

    def frame_time(self, frame: int) -> float | None:
        """How long one zero-based frame stands, in ms, or None."""
        times = self.frame_times_ms
        return times[min(frame, len(times) - 1)] if times else None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The bytes as a binary file."""
        if isinstance(self.source, bytes):
            yield BytesIO(self.source)
            return
        with self.source.open("rb") as file:
            yield file


def describe(source: Path | bytes) -> Picture:
    """Read the image attributes of an object without touching its pixels.

    Parameters
    ----------
    source
        A DICOM file, as path (mapped, not read) or as bytes.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        The object has no pixels, or describes them in a way that cannot be true.
    """
    if isinstance(source, bytes):
        return _describe(source, source)
    if source.stat().st_size == 0:
        raise NotUnderstood("The file is empty.")
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return _describe(cast("Buffer", view), source)


def _describe(data: Buffer, source: Path | bytes) -> Picture:
    opened = open_data_set(data)
    found = Elements(
        opened.buffer, opened.start, len(opened.buffer), opened.syntax, wanted=PICTURE_TAGS
    )
    if opened.transfer_syntax_uid in DEFLATED:
        source = bytes(opened.buffer)  # positions are those of the inflated data set
    tag = next((tag for tag in PIXEL_DATA if tag in found), None)
    if tag is None:
        raise NotDisplayable
    rows, columns = found.integer(0x00280010) or 0, found.integer(0x00280011) or 0
    frames = int(next(iter(found.numbers(0x00280008)), 1.0))
    bits_allocated = {0x7FE00008: 32, 0x7FE00009: 64}.get(tag, found.integer(0x00280100) or 0)
    bits_stored = found.integer(0x00280101) or bits_allocated
    high_bit = found.integer(0x00280102)
    photometric = found.text(0x00280004)[:16] or "MONOCHROME2"
    signed, modality = found.integer(0x00280103) == 1, found.text(0x00080060)[:16]
    traits, masking = traits_of(found, signed=signed), masking_of(found)
    is_coloured = photometric.startswith("MONOCHROME") and any(one.coloured for one in traits)
    picture = Picture(
        source=source,
        transfer_syntax_uid=opened.transfer_syntax_uid,
        syntax=opened.syntax,
        pixels=found.found[tag],
        pixel_tag=tag,
        rows=rows,
        columns=columns,
        frames=max(frames, 1),
        samples=found.integer(0x00280002) or 1,
        photometric=photometric,
        planar=found.integer(0x00280006) or 0,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        signed=signed,
        modality=modality,
        body_part=found.text(0x00180015)[:16],
        frame_of_reference_uid=found.text(_FRAME_OF_REFERENCE)[:64],
        frame_times_ms=_frame_times(found),
        padding=_padding(found, signed=signed),
        lossy=found.text(0x00282110) == "01",
        inverted=photometric == "MONOCHROME1" or found.text(0x20500020) == "INVERSE",
        regions=regions_of(found),
        modality_lut=_modality_table(found, modality, masking, signed=signed),
        palette=palette_of(found, signed=signed) if photometric == "PALETTE COLOR" else None,
        supplement=palette_of(found, signed=signed) if is_coloured else None,
        note=_note(found, masking),
        overlays=planes_of(found, rows, columns),
        masking=masking,
        traits=traits,
    )
    _check(picture)
    return picture


def _check(picture: Picture) -> None:
    """Refuse sizes that cannot be true before anything is allocated for them."""
    if not picture.rows or not picture.columns:
        raise NotDisplayable("The image has no rows or columns.")
    native = not picture.encapsulated
    problem = colour.why_not(picture.photometric, picture.samples, picture.columns, native=native)
    if problem:
        raise NotDisplayable(problem)
    if not _has_known_format(picture):
        raise NotDisplayable("The image has a pixel format that cannot be shown.")
    if not 0 < picture.bits_stored <= picture.high_bit + 1 <= picture.bits_allocated:
        raise NotDisplayable("The image contradicts itself about its bits per pixel.")
    if _is_too_large(picture):
        raise NotDisplayable("The image is too large to be shown.")
    if picture.photometric == "PALETTE COLOR" and picture.palette is None:
        raise NotDisplayable("The image lacks its colour palette.")


def _has_known_format(picture: Picture) -> bool:
    bits = picture.bits_allocated
    if picture.samples == 3:
        return bits in (8, 16, 32) and picture.pixel_tag not in _FLOATS
    if picture.samples != 1 or (picture.palette and picture.pixel_tag in _FLOATS):
        return False
    if picture.encapsulated or picture.syntax.big:
        return bits == 1 or bits in _BYTE_WIDTHS
    return 1 <= bits <= 32 or bits == 64  # others than bytes as old objects pack them (PS3.5 8.1.1)


def _is_too_large(picture: Picture) -> bool:
    if picture.frame_bytes > MAX_FRAME_BYTES or picture.frames > MAX_FRAMES:
        return True
    bits = picture.bits_allocated  # unpacking takes many times the room
    most = MAX_FRAME_BYTES if bits in _BYTE_WIDTHS else 2**28 if bits == 1 else 2**24
    return picture.rows * picture.columns > most


def _modality_table(
    found: Elements, modality: str, masking: Masking, *, signed: bool
) -> LookUpTable | None:
    """The modality LUT, unless it leads from what is seen back to the intensity of X-rays.

    That of an angiogram whose values are logarithmic to it, or made to be seen, does
    (PS3.3 C.8.7.1.1.2); it is for calculation.
    """
    if modality in _X_RAYS and masking.intensity in _TO_BE_SEEN:
        return None
    return table_of(found.first(_MODALITY_LUT), signed=signed)


def _note(found: Elements, masking: Masking) -> str:
    """What is deliberately not done to an image, in a line beside it."""
    if _ENHANCED_PALETTE in found:
        return "Enhanced palette not applied"
    if masking.items and masking.mode is ViewingMode.SUBTRACTED:
        return "Without the subtraction of its mask"
    holder = found if _ICC_PROFILE in found else found.first(_OPTICAL_PATHS)
    profile = holder.raw(_ICC_PROFILE, 2**16) if holder else None
    is_grey = found.text(0x00280004).startswith("MONOCHROME")
    if profile is None or is_grey or found.text(_COLOR_SPACE) == "SRGB":
        return ""
    # A profile of sRGB, which screens show anyway, says so in its description (ICC.1 9.2.41).
    is_srgb = any(one in profile for one in _SRGB)
    return "" if is_srgb else "ICC profile not applied"


def _padding(found: Elements, *, signed: bool) -> tuple[float, float] | None:
    """The stored values of pixels outside the picture (PS3.3 C.7.5.1.1.2)."""
    if 0x7FE00010 in found:
        ends = [found.integer(tag) for tag in (0x00280120, 0x00280121)]
        given = [float(_as_stored(end, signed=signed)) for end in ends if end is not None]
    else:
        given = [*found.floats(0x00280122, "f")[:1], *found.floats(0x00280124, "f")[:1]]
        given = given or [*found.floats(0x00280123, "d")[:1], *found.floats(0x00280125, "d")[:1]]
    given = [end for end in given if math.isfinite(end)]
    return (min(given), max(given)) if given else None


def _as_stored(value: int, *, signed: bool) -> int:
    return value - 0x10000 if signed and 0x8000 <= value < 0x10000 else value


def _frame_times(found: Elements) -> tuple[float, ...]:
    """How long the frames of a recording stand, in ms (PS3.3 C.7.6.5).

    By Frame Time, else the times from frame to frame, else the rate to play them at.
    """
    time_ms = next(iter(found.numbers(0x00181063)), 0.0)
    if 0 < time_ms < _LONGEST_MS:
        return (time_ms,)
    # What is told of a frame is the time since the one before; the last stands as long as it did.
    later = found.numbers(_TIME_VECTOR)[1 : MAX_FRAMES + 1]
    if later and all(0 <= one < _LONGEST_MS for one in later) and any(later):
        return (*later, later[-1])
    rates = (*found.numbers(0x00180040)[:1], *found.numbers(_RECOMMENDED_RATE)[:1])
    rate = next((one for one in rates if one > 0), 0.0)
    return (1000 / rate,) if rate > 1000 / _LONGEST_MS else ()
