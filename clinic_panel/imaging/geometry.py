"""Where pixels lie in the patient: spacing with its source, slice order, orientation letters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements

_PIXEL_SPACING: Final = 0x00280030
_IMAGER_PIXEL_SPACING: Final = 0x00181164
_MAGNIFICATION: Final = 0x00181114
_NOMINAL_SPACING: Final = 0x00182010
_CALIBRATION_TYPE: Final = 0x00280A02
_ASPECT_RATIO: Final = 0x00280034
_ULTRASOUND_REGIONS: Final = 0x00186011
_CENTIMETRES: Final = 3  # PS3.3 C.8.5.5.1.15
_MOST_REGIONS: Final = 16

GEOMETRY_TAGS: Final = frozenset(
    {
        _PIXEL_SPACING,
        _IMAGER_PIXEL_SPACING,
        _CALIBRATION_TYPE,
        _MAGNIFICATION,
        _NOMINAL_SPACING,
        _ASPECT_RATIO,
        _ULTRASOUND_REGIONS,
        0x00200032,
        0x00200037,
    }
)


class SpacingSource(StrEnum):
    """Where a millimetre comes from; shown beside every length."""

    PIXEL_SPACING = "Pixel Spacing"
    GEOMETRY = "Pixel Spacing, corrected for geometry"
    FIDUCIAL = "Pixel Spacing, calibrated on a fiducial"
    IMAGER = "Imager Pixel Spacing, at the detector"
    IMAGER_CORRECTED = "Imager Pixel Spacing, corrected for magnification"
    NOMINAL_SCANNED = "Nominal Scanned Pixel Spacing"
    ULTRASOUND = "Ultrasound region calibration"
    NONE = "No calibration: pixels only"


_FOUND_BY: Final = {"GEOMETRY": SpacingSource.GEOMETRY, "FIDUCIAL": SpacingSource.FIDUCIAL}


@dataclass(frozen=True, slots=True)
class Spacing:
    """Millimetres between pixel centres, or none; ``aspect`` is pixel height over width."""

    row_mm: float | None
    column_mm: float | None
    source: SpacingSource
    aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class Region:
    """A calibrated part of an ultrasound image: its pixels' edges and size (PS3.3 C.8.5.5)."""

    left: float
    top: float
    right: float
    bottom: float
    row_mm: float
    column_mm: float


@dataclass(frozen=True, slots=True)
class Plane:
    """One image plane in the patient's frame, LPS in millimetres (PS3.3 C.7.6.2.1.1)."""

    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector along which slices are stacked: row direction x column direction."""
        axes = np.asarray(self.orientation, dtype=np.float64)
        normal = np.cross(axes[:3], axes[3:])
        return normal / np.linalg.norm(normal)


def spacing_of(found: Elements, measures: Elements | None = None) -> Spacing:
    """Find the spacing of a frame and say where it comes from.

    Parameters
    ----------
    found
        The data set's top level.
    measures
        The frame's item of Pixel Measures Sequence, for enhanced multi-frame objects.
    """
    spacing = _pair(measures, _PIXEL_SPACING) if measures else None
    spacing = spacing or _pair(found, _PIXEL_SPACING)
    imager = _pair(found, _IMAGER_PIXEL_SPACING)
    if spacing and spacing != imager:
        # How a radiograph's was found (PS3.3 10.7.1.3).
        found_by = _FOUND_BY.get(found.text(_CALIBRATION_TYPE), SpacingSource.PIXEL_SPACING)
        return _spacing(spacing, found_by)
    if imager:
        factor = next(iter(found.numbers(_MAGNIFICATION)), 0.0)
        if factor > 0:
            corrected = (imager[0] / factor, imager[1] / factor)
            return _spacing(corrected, SpacingSource.IMAGER_CORRECTED)
        return _spacing(imager, SpacingSource.IMAGER)
    if nominal := _pair(found, _NOMINAL_SPACING):
        return _spacing(nominal, SpacingSource.NOMINAL_SCANNED)
    if regions := _ultrasound(found):
        return _spacing(regions, SpacingSource.ULTRASOUND)
    ratio = _pair(found, _ASPECT_RATIO)
    return Spacing(None, None, SpacingSource.NONE, ratio[0] / ratio[1] if ratio else 1.0)


def _spacing(pair: tuple[float, float], source: SpacingSource) -> Spacing:
    return Spacing(pair[0], pair[1], source, pair[0] / pair[1])


def _pair(found: Elements, tag: int) -> tuple[float, float] | None:
    numbers = found.numbers(tag)
    if len(numbers) < 2 or not all(1e-6 < number < 1e6 for number in numbers[:2]):
        return None
    return numbers[0], numbers[1]


def _ultrasound(found: Elements) -> tuple[float, float] | None:
    """One calibration for the whole frame: regions that disagree give none (PS3.3 C.8.5.5)."""
    pairs = {(region.row_mm, region.column_mm) for region in regions_of(found)}
    return pairs.pop() if len(pairs) == 1 else None


def regions_of(found: Elements) -> tuple[Region, ...]:
    """The parts of an ultrasound image in which distances are known; others show time or none."""
    regions = []
    for item in found.items(_ULTRASOUND_REGIONS):
        units = (item.integer(0x00186024), item.integer(0x00186026))
        if units != (_CENTIMETRES, _CENTIMETRES):
            continue
        across, down = item.floats(0x0018602C, "d"), item.floats(0x0018602E, "d")
        corners = [item.integer(tag) for tag in (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)]
        if not (across and down and across[0] and down[0]):
            continue
        left, top, right, bottom = (float(corner or 0) for corner in corners)
        if math.isfinite(across[0]) and math.isfinite(down[0]):
            size = round(abs(down[0]) * 10, 6), round(abs(across[0]) * 10, 6)
            # The corners are pixels that belong to the region.
            regions.append(Region(left, top, right + 1, bottom + 1, *size))
    return tuple(regions[:_MOST_REGIONS])


def plane_of(
    found: Elements, position: Elements | None = None, orientation: Elements | None = None
) -> Plane | None:
    """The frame's plane, or None when the object does not place itself in the patient."""
    place = (position or found).numbers(0x00200032)
    axes = (orientation or found).numbers(0x00200037)
    if len(place) != 3 or len(axes) != 6:
        return None
    lengths = np.linalg.norm(np.asarray(axes).reshape(2, 3), axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-2):
        return None
    return Plane(
        (place[0], place[1], place[2]), (axes[0], axes[1], axes[2], axes[3], axes[4], axes[5])
    )


def slice_order(planes: Sequence[Plane]) -> list[int]:
    """Indices of the planes along their common normal, ascending.

    Raises
    ------
    NotDisplayable
        The planes are not parallel, as in a localizer among slices.
    """
    if not planes:
        return []
    normal = planes[0].normal
    if any(not np.allclose(plane.normal, normal, atol=1e-3) for plane in planes):
        raise NotDisplayable("The series mixes slices of different orientation.")
    along = [float(normal @ np.asarray(plane.position)) for plane in planes]
    return sorted(range(len(planes)), key=along.__getitem__)


def orientation_letters(orientation: Sequence[float]) -> tuple[str, str, str, str]:
    """Letters for the left, right, top and bottom edge of an image (PS3.3 C.7.6.1.1.1)."""
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    return _letters(-row), _letters(row), _letters(-column), _letters(column)


def _letters(direction: NDArray[np.float64]) -> str:
    """At most two letters, the larger component first; components under a quarter are left out."""
    names = (("R", "L"), ("A", "P"), ("F", "H"))
    order = np.argsort(-np.abs(direction))
    return "".join(
        names[axis][int(direction[axis] > 0)] for axis in order[:2] if abs(direction[axis]) > 0.25
    )
