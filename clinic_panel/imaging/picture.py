"""What an image object says of its pixels, read once; the frames themselves are in ``pixels``."""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.imaging.elements import (
    DEFLATED,
    PIXEL_DATA,
    Buffer,
    Element,
    Elements,
    Syntax,
    open_data_set,
)
from clinic_panel.imaging.geometry import (
    GEOMETRY_TAGS,
    Plane,
    Region,
    Spacing,
    plane_of,
    regions_of,
    spacing_of,
)
from clinic_panel.imaging.lut import LookUpTable, palette_of, table_of
from clinic_panel.imaging.overlays import OVERLAY_TAGS, OverlayPlane, planes_of
from clinic_panel.imaging.window import VoiFunction, Window

MAX_FRAME_BYTES: Final = 512 * 2**20
MAX_FRAMES: Final = 20_000
_SHARED_GROUPS: Final = 0x52009229
_FRAME_GROUPS: Final = 0x52009230
_DOSE_UNITS, _DOSE_OFFSETS, _DOSE_SCALING = 0x30040002, 0x3004000C, 0x3004000E
_MODALITY_LUT: Final = 0x00283000
_VOI_LUT: Final = 0x00283010
_PET_UNITS: Final = {"BQML": "Bq/ml", "GML": "g/ml", "CNTS": "counts"}
_FRAME_OF_REFERENCE: Final = 0x00200052
_FUNCTIONS: Final[dict[str, VoiFunction]] = {  # a table has a sequence of its own, not a name
    one.value: one for one in VoiFunction if one is not VoiFunction.TABLE
}
_TAGS: Final = (
    frozenset(
        {0x00080060, 0x00541001, 0x00180015, 0x00181063, 0x00180040, 0x00080016}
        | {0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011}
        | {0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00280121}
        | {0x00280122, 0x00280123, 0x00280124, 0x00280125}
        | {0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281054, 0x00281055, 0x00281056}
        | {0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203}
        | {0x00281221, 0x00281222, 0x00281223, 0x00282110}
        | {_FRAME_OF_REFERENCE, _DOSE_UNITS, _DOSE_OFFSETS, _DOSE_SCALING}
        | {_MODALITY_LUT, _VOI_LUT, _SHARED_GROUPS, _FRAME_GROUPS, 0x20500020}
    )
    | GEOMETRY_TAGS
    | OVERLAY_TAGS
    | PIXEL_DATA
)


@dataclass(frozen=True, slots=True)
class FrameTraits:
    """What may differ from frame to frame."""

    slope: float
    intercept: float
    unit: str
    windows: tuple[Window, ...]
    voi_function: VoiFunction
    voi_curve: bytes  # of a VOI LUT: brightness over its window (``window.apply``)
    spacing: Spacing
    plane: Plane | None


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
    frame_time_ms: float | None
    padding: tuple[float, float] | None  # least and greatest stored value outside the picture
    lossy: bool
    inverted: bool
    regions: tuple[Region, ...]
    modality_lut: LookUpTable | None = field(repr=False)
    palette: tuple[LookUpTable, ...] = field(repr=False)
    overlays: tuple[OverlayPlane, ...] = field(repr=False)
    traits: tuple[FrameTraits, ...] = field(repr=False)

    @property
    def encapsulated(self) -> bool:
        """Whether frames lie in fragments (PS3.5 A.4)."""
        return self.pixels.length < 0

    @property
    def frame_bytes(self) -> int:
        """Size of one native frame."""
        samples = self.rows * self.columns * self.samples
        if self.photometric == "YBR_FULL_422" and not self.encapsulated:
            samples = self.rows * self.columns * 2
        return (samples * self.bits_allocated + 7) // 8

    def frame_traits(self, frame: int) -> FrameTraits:
        """The traits of one zero-based frame; objects may describe fewer frames than they hold."""
        return self.traits[min(frame, len(self.traits) - 1)]

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
    found = Elements(opened.buffer, opened.start, len(opened.buffer), opened.syntax, wanted=_TAGS)
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
    photometric = found.text(0x00280004) or "MONOCHROME2"
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
        signed=found.integer(0x00280103) == 1,
        modality=found.text(0x00080060)[:16],
        body_part=found.text(0x00180015)[:16],
        frame_of_reference_uid=found.text(_FRAME_OF_REFERENCE)[:64],
        frame_time_ms=_frame_time(found),
        padding=_padding(found, signed=found.integer(0x00280103) == 1),
        lossy=found.text(0x00282110) == "01",
        inverted=photometric == "MONOCHROME1" or found.text(0x20500020) == "INVERSE",
        regions=regions_of(found),
        modality_lut=table_of(found.first(_MODALITY_LUT)),
        palette=palette_of(found) if photometric == "PALETTE COLOR" else (),
        overlays=planes_of(found, rows, columns),
        traits=_traits(found),
    )
    _check(picture)
    return picture


def _check(picture: Picture) -> None:
    """Refuse sizes that cannot be true before anything is allocated for them."""
    if not picture.rows or not picture.columns:
        raise NotDisplayable("The image has no rows or columns.")
    if picture.bits_allocated not in (1, 8, 16, 32, 64) or picture.samples not in (1, 3):
        raise NotDisplayable("The image has a pixel format that cannot be shown.")
    if not 0 < picture.bits_stored <= picture.high_bit + 1 <= picture.bits_allocated:
        raise NotDisplayable("The image contradicts itself about its bits per pixel.")
    if picture.frame_bytes > MAX_FRAME_BYTES or picture.frames > MAX_FRAMES:
        raise NotDisplayable("The image is too large to be shown.")
    if picture.photometric == "PALETTE COLOR" and len(picture.palette) != 3:
        raise NotDisplayable("The image lacks its colour palette.")


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


def _frame_time(found: Elements) -> float | None:
    """Milliseconds a frame, from Frame Time or Cine Rate."""
    time_ms = next(iter(found.numbers(0x00181063)), 0.0)
    rate = next(iter(found.numbers(0x00180040)), 0.0)
    if time_ms <= 0 and rate > 0:
        time_ms = 1000 / rate
    return time_ms if 0 < time_ms < 60_000 else None


def _traits(found: Elements) -> tuple[FrameTraits, ...]:
    """One entry for all frames, or one a frame where functional groups say so."""
    shared = found.first(_SHARED_GROUPS)
    frames = list(found.items(_FRAME_GROUPS))
    if not frames:
        one = _frame_traits(found, shared, None)
        return _dose_planes(found, one) or (one,)
    return tuple(_frame_traits(found, shared, frame) for frame in frames[:MAX_FRAMES])


def _dose_planes(found: Elements, one: FrameTraits) -> tuple[FrameTraits, ...]:
    """Traits of the planes of a dose grid, which stand along its normal (PS3.3 C.8.8.3.2)."""
    offsets = found.numbers(_DOSE_OFFSETS)[:MAX_FRAMES]
    if one.plane is None or len(offsets) < 2:
        return ()
    plane, first = one.plane, np.asarray(one.plane.position)
    # The first offset is zero, or the others are coordinates, as the first is.
    places = (first + plane.normal * (offset - offsets[0]) for offset in offsets)
    return tuple(
        replace(one, plane=replace(plane, position=(float(x), float(y), float(z))))
        for x, y, z in places
    )


def _frame_traits(found: Elements, shared: Elements | None, frame: Elements | None) -> FrameTraits:
    def group(tag: int) -> Elements | None:
        own = frame.first(tag) if frame else None
        return own or (shared.first(tag) if shared else None)

    transform = group(0x00289145) or found
    voi = group(0x00289132) or found
    slope = next(iter(transform.numbers(0x00281053)), 1.0) or 1.0
    intercept = next(iter(transform.numbers(0x00281052)), 0.0)
    unit = transform.text(0x00281054)[:16]
    if scaling := found.numbers(_DOSE_SCALING):
        slope, intercept = scaling[0] or 1.0, 0.0
        unit = "Gy" if found.text(_DOSE_UNITS) == "GY" else ""
    modality = found.text(0x00080060)
    if modality == "CT" and unit in ("", "US"):
        unit = "HU"  # the only unit of a CT image's rescale (PS3.3 C.8.2.1.1.2)
    if modality == "PT" and unit in ("", "US"):
        unit = _PET_UNITS.get(found.text(0x00541001), "")  # Units (PS3.3 C.8.9.1.1.3)
    windows, curve = _windows(voi), b""
    function: VoiFunction = _FUNCTIONS.get(voi.text(0x00281056), VoiFunction.LINEAR)
    if not windows and (table := table_of(voi.first(_VOI_LUT) or found.first(_VOI_LUT))):
        # The window spans the table's input; moved or stretched, it takes the shape along.
        count = len(table.entries)
        windows = (Window(table.first + count / 2, float(count), "From the image"),)
        function, curve = VoiFunction.TABLE, table.curve()
    return FrameTraits(
        slope=slope,
        intercept=intercept,
        unit="" if unit in ("US", "UNSPECIFIED") else unit,
        windows=windows,
        voi_function=function,
        voi_curve=curve,
        spacing=spacing_of(found, group(0x00289110)),
        plane=plane_of(found, group(0x00209113), group(0x00209116)),
    )


def _windows(voi: Elements) -> tuple[Window, ...]:
    centers, widths = voi.numbers(0x00281050), voi.numbers(0x00281051)
    labels = [label.strip() for label in voi.text(0x00281055).split("\\")]
    windows = [
        Window(center, width, labels[i] if i < len(labels) and labels[i] else "From the image")
        for i, (center, width) in enumerate(zip(centers, widths, strict=False))
        if width > 0
    ]
    return tuple(windows[:8])
