"""Where pixels lie in the patient: spacing with its source, slice order, orientation letters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.regions import REGIONS_TAG, regions_of, shared_mm

_PIXEL_SPACING: Final = 0x00280030
_IMAGER_PIXEL_SPACING: Final = 0x00181164
_MAGNIFICATION: Final = 0x00181114
_NOMINAL_SPACING: Final = 0x00182010
_CALIBRATION_TYPE: Final = 0x00280A02
_ASPECT_RATIO: Final = 0x00280034
_MODALITY: Final = 0x00080060
_MEASURES: Final = 0x00289110
# Of enhanced angiography, frame by frame (PS3.3 C.8.19.6.4, C.8.19.6.9).
_PIXEL_PROPERTIES, _PROJECTION_CALIBRATION, _IN_BEAM = 0x00289443, 0x00189401, 0x00189404
# Where Pixel Spacing may be at the detector or in the patient (PS3.3 10.7.1.3).
_PROJECTIONS: Final = frozenset({"CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"})
_POSITION, _ORIENTATION = 0x00200032, 0x00200037
_LEAST_MM, _MOST_MM = 1e-6, 1e6
_SQUARE_ENOUGH: Final = 0.1  # cosine of the angle between rows and columns, at most

GEOMETRY_TAGS: Final = frozenset(
    {
        _PIXEL_SPACING,
        _IMAGER_PIXEL_SPACING,
        _CALIBRATION_TYPE,
        _MAGNIFICATION,
        _NOMINAL_SPACING,
        _ASPECT_RATIO,
        REGIONS_TAG,
        _MODALITY,
        _POSITION,
        _ORIENTATION,
    }
)


class SpacingSource(StrEnum):
    """Where a millimetre comes from; shown beside every length."""

    PIXEL_SPACING = "Pixel Spacing"
    UNSTATED = "Pixel Spacing, at the detector or in the patient"
    GEOMETRY = "Pixel Spacing, corrected for geometry"
    FIDUCIAL = "Pixel Spacing, calibrated on a fiducial"
    IMAGER = "Imager Pixel Spacing, at the detector"
    IMAGER_CORRECTED = "Imager Pixel Spacing, corrected for magnification"
    IN_BEAM = "Object Pixel Spacing, in the centre of the beam"
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


def spacing_of(found: Elements, group: Callable[[int], Elements | None]) -> Spacing:
    """Find the spacing of a frame and say where it comes from.

    Parameters
    ----------
    found
        The data set's top level.
    group
        Gives the frame's item of a functional group sequence, for enhanced multi-frame objects.
    """
    measured = _pair(group(_MEASURES), _PIXEL_SPACING)
    spacing = measured or _pair(found, _PIXEL_SPACING)
    imager = _pair(group(_PIXEL_PROPERTIES), _IMAGER_PIXEL_SPACING)
    imager = imager or _pair(found, _IMAGER_PIXEL_SPACING)
    if spacing and spacing != imager:
        is_placed = measured is not None or _ORIENTATION in found
        return _spacing(spacing, _found_by(found, is_placed=is_placed or imager is not None))
    if in_beam := _singles(group(_PROJECTION_CALIBRATION), _IN_BEAM):
        return _spacing(in_beam, SpacingSource.IN_BEAM)
    if imager:
        factor = next(iter(found.numbers(_MAGNIFICATION)), 0.0)
        if _LEAST_MM < factor < _MOST_MM:
            corrected = (imager[0] / factor, imager[1] / factor)
            return _spacing(corrected, SpacingSource.IMAGER_CORRECTED)
        return _spacing(imager, SpacingSource.IMAGER)
    if nominal := _pair(found, _NOMINAL_SPACING):
        return _spacing(nominal, SpacingSource.NOMINAL_SCANNED)
    if pair := shared_mm(regions_of(found)):
        return _spacing(pair, SpacingSource.ULTRASOUND)
    ratio = _pair(found, _ASPECT_RATIO)
    return Spacing(None, None, SpacingSource.NONE, ratio[0] / ratio[1] if ratio else 1.0)


def _found_by(found: Elements, *, is_placed: bool) -> SpacingSource:
    """How a Pixel Spacing was found; a radiograph's may not say (PS3.3 10.7.1.3).

    One that differs from the detector's is not that, and planes in the patient, as those of
    tomosynthesis, are measured there: both are ``is_placed``.
    """
    if said := _FOUND_BY.get(found.text(_CALIBRATION_TYPE)):
        return said
    if not is_placed and found.text(_MODALITY) in _PROJECTIONS:
        return SpacingSource.UNSTATED
    return SpacingSource.PIXEL_SPACING


def _spacing(pair: tuple[float, float], source: SpacingSource) -> Spacing:
    return Spacing(pair[0], pair[1], source, pair[0] / pair[1])


def _pair(found: Elements | None, tag: int) -> tuple[float, float] | None:
    return _sizes(found.numbers(tag)) if found else None


def _singles(found: Elements | None, tag: int) -> tuple[float, float] | None:
    return _sizes(found.floats(tag, "f")) if found else None


def _sizes(numbers: Sequence[float]) -> tuple[float, float] | None:
    if len(numbers) < 2 or not all(_LEAST_MM < number < _MOST_MM for number in numbers[:2]):
        return None
    return numbers[0], numbers[1]


def plane_of(
    found: Elements, position: Elements | None = None, orientation: Elements | None = None
) -> Plane | None:
    """The frame's plane, or None when the object does not place itself in the patient."""
    place = (position or found).numbers(_POSITION)
    axes = (orientation or found).numbers(_ORIENTATION)
    if len(place) != 3 or len(axes) != 6:
        return None
    row, column = np.asarray(axes).reshape(2, 3)
    if max(map(abs, place)) > _MOST_MM or max(map(abs, axes)) > 2:
        return None
    if not np.allclose([np.linalg.norm(row), np.linalg.norm(column)], 1.0, atol=1e-2):
        return None
    if abs(row @ column) > _SQUARE_ENOUGH:  # no plane, or none that pixels lie in
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
    axes = np.array([plane.orientation for plane in planes], np.float64).reshape(-1, 2, 3)
    normals = np.cross(axes[:, 0], axes[:, 1])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    if not np.allclose(normals, normals[0], atol=1e-3):
        raise NotDisplayable("The series mixes slices of different orientation.")
    along = np.array([plane.position for plane in planes]) @ normals[0]
    order: list[int] = np.argsort(along, kind="stable").tolist()
    return order


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
