"""What an image object says of its frames one by one: values, windows, spacing and place."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.geometry import Plane, Spacing, plane_of, spacing_of
from clinic_panel.imaging.lut import table_of
from clinic_panel.imaging.realworld import REAL_WORLD_TAGS, mapping_of, rescale_unit
from clinic_panel.imaging.shutters import SHUTTER_TAGS, Shutter, shutters_of
from clinic_panel.imaging.window import VoiFunction, Window

MAX_FRAMES: Final = 20_000
_SHARED_GROUPS: Final = 0x52009229
_FRAME_GROUPS: Final = 0x52009230
_DOSE_UNITS, _DOSE_OFFSETS, _DOSE_SCALING = 0x30040002, 0x3004000C, 0x3004000E
_MODALITY_LUT, _VOI_LUT = 0x00283000, 0x00283010
_PIXEL_PRESENTATION: Final = 0x00089205
_FRAME_SHUTTERS: Final = 0x00189472
# MR, CT, PET and Parametric Map Image Frame Type Sequences say it frame by frame.
_FRAME_TYPES: Final = (0x00189226, 0x00189329, 0x00189751, 0x00409092)
_COLOURED: Final = ("COLOR", "MIXED")
_PET_UNITS: Final = {"BQML": "Bq/ml", "GML": "g/ml", "CNTS": "counts"}
_FUNCTIONS: Final[dict[str, VoiFunction]] = {  # a table has a sequence of its own, not a name
    one.value: one for one in VoiFunction if one is not VoiFunction.TABLE
}
_MOST: Final = 1e12  # of a number that takes part in arithmetic on pixels; greater ones are noise

TRAIT_TAGS: Final = (REAL_WORLD_TAGS | SHUTTER_TAGS) | {
    *(0x00080060, 0x00541001, _PIXEL_PRESENTATION),
    *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281054, 0x00281055, 0x00281056),
    *(_DOSE_UNITS, _DOSE_OFFSETS, _DOSE_SCALING, _MODALITY_LUT, _VOI_LUT),
    *(_SHARED_GROUPS, _FRAME_GROUPS),
}

type Group = Callable[[int], Elements | None]


@dataclass(frozen=True, slots=True)
class FrameTraits:
    """What may differ from frame to frame."""

    slope: float
    intercept: float
    unit: str
    windows: tuple[Window, ...]
    voi_function: VoiFunction
    voi_curve: bytes  # of a VOI LUT: brightness over its window, in runs (``lut.curve_of``)
    spacing: Spacing
    plane: Plane | None
    shutters: tuple[Shutter, ...] = ()
    coloured: bool = False  # some of its values stand for colours (supplemental palette)


def traits_of(found: Elements, *, signed: bool) -> tuple[FrameTraits, ...]:
    """One entry for all frames, or one a frame where functional groups say so.

    Parameters
    ----------
    found
        The data set's top level, scanned for ``TRAIT_TAGS`` and those of geometry.
    signed
        Whether stored values are.
    """
    shared = found.first(_SHARED_GROUPS)
    frames = []
    for frame in found.items(_FRAME_GROUPS):
        frames.append(_frame_traits(found, shared, frame, signed=signed))
        if len(frames) == MAX_FRAMES:
            break
    if frames:
        return tuple(frames)
    one = _frame_traits(found, shared, None, signed=signed)
    return _dose_planes(found, one) or (one,)


def _dose_planes(found: Elements, one: FrameTraits) -> tuple[FrameTraits, ...]:
    """Traits of the planes of a dose grid, which stand along its normal (PS3.3 C.8.8.3.2)."""
    offsets = found.numbers(_DOSE_OFFSETS)[:MAX_FRAMES]
    if one.plane is None or len(offsets) < 2 or max(map(abs, offsets)) > _MOST:
        return ()
    plane, first = one.plane, np.asarray(one.plane.position)
    # The first offset is zero, or the others are coordinates, as the first is.
    places = (first + plane.normal * (offset - offsets[0]) for offset in offsets)
    return tuple(
        replace(one, plane=replace(plane, position=(float(x), float(y), float(z))))
        for x, y, z in places
    )


def _frame_traits(
    found: Elements, shared: Elements | None, frame: Elements | None, *, signed: bool
) -> FrameTraits:
    def group(tag: int) -> Elements | None:
        own = frame.first(tag) if frame else None
        return own or (shared.first(tag) if shared else None)

    voi = group(0x00289132) or found
    slope, intercept, unit = _transform(found, group(0x00289145) or found)
    windows, curve = _windows(voi), b""
    function: VoiFunction = _FUNCTIONS.get(voi.text(0x00281056), VoiFunction.LINEAR)
    item = None if windows else voi.first(_VOI_LUT) or found.first(_VOI_LUT)
    if item is not None and (table := table_of(item, signed=_maps_signed(item, signed, intercept))):
        # The window spans the table's input; moved or stretched, it takes the shape along.
        count = len(table.entries)
        windows = (Window(table.first + count / 2, float(count), "From the image"),)
        function, curve = VoiFunction.TABLE, table.curve()
    # Of a falling slope or a table, windows could not be said in the units of the mapping.
    is_plain = not unit and slope > 0 and _MODALITY_LUT not in found
    if is_plain and (mapping := mapping_of(found, group)):
        windows, function = mapping.seen_through(windows, function, slope, intercept)
        slope, intercept, unit = mapping.slope, mapping.intercept, mapping.unit
    return FrameTraits(
        slope=slope,
        intercept=intercept,
        unit=unit,
        windows=windows,
        voi_function=function,
        voi_curve=curve,
        spacing=spacing_of(found, group),
        plane=plane_of(found, group(0x00209113), group(0x00209116)),
        shutters=shutters_of(group(_FRAME_SHUTTERS) or found),
        coloured=_coloured(found, group),
    )


def _transform(found: Elements, transform: Elements) -> tuple[float, float, str]:
    """From stored to modality values: slope, intercept and the unit, empty where none is told."""
    slope = _sane(transform.numbers(0x00281053), 1.0) or 1.0
    intercept = _sane(transform.numbers(0x00281052), 0.0)
    unit = transform.text(0x00281054)[:16]
    if scaling := found.numbers(_DOSE_SCALING):
        slope, intercept = _sane(scaling, 1.0) or 1.0, 0.0
        unit = "Gy" if found.text(_DOSE_UNITS) == "GY" else ""
    modality = found.text(0x00080060)
    if modality == "CT" and unit in ("", "US"):
        unit = "HU"  # the only unit of a CT image's rescale (PS3.3 C.8.2.1.1.2)
    if modality == "PT" and unit in ("", "US"):
        unit = _PET_UNITS.get(found.text(0x00541001), "")  # Units (PS3.3 C.8.9.1.1.3)
    return slope, intercept, rescale_unit(unit)


def _sane(numbers: tuple[float, ...], default: float) -> float:
    """The first number, unless there is none or it would drown every other."""
    return numbers[0] if numbers and abs(numbers[0]) <= _MOST else default


def _maps_signed(item: Elements, signed: bool, intercept: float) -> bool:
    """Whether a VOI LUT takes negative values: as it is written, else as its image's may be."""
    descriptor = item.found.get(0x00283002)
    vr = descriptor.vr if descriptor else b""
    return vr == b"SS" or (vr != b"US" and (signed or intercept < 0))


def _windows(voi: Elements) -> tuple[Window, ...]:
    centers, widths = voi.numbers(0x00281050), voi.numbers(0x00281051)
    labels = [label.strip()[:64] for label in voi.text(0x00281055).split("\\")]
    windows = [
        Window(center, width, labels[i] if i < len(labels) and labels[i] else "From the image")
        for i, (center, width) in enumerate(zip(centers, widths, strict=False))
        if 0 < width <= _MOST and abs(center) <= _MOST
    ]
    return tuple(windows[:8])


def _coloured(found: Elements, group: Group) -> bool:
    """Whether a frame is to be seen through its supplemental palette (PS3.3 C.8.16.2.1.1)."""
    for tag in _FRAME_TYPES:
        if (kind := group(tag)) and (said := kind.text(_PIXEL_PRESENTATION)):
            return said in _COLOURED
    return found.text(_PIXEL_PRESENTATION) in _COLOURED
