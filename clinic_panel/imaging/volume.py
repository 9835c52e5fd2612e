"""A series of parallel slices as one array in modality units and patient coordinates."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.geometry import Plane, slice_order
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame

MAX_VOLUME_BYTES: Final = 8 * 2**30
_GAP_TOLERANCE: Final = 0.05  # of the slice distance
_SHEAR_TOLERANCE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Slices stacked along their normal.

    ``array`` is float32 of shape (z, y, x) in ``unit``; ``spacing`` the distances in millimetres in
    the same order; ``affine`` the 4x4 matrix from zero-based (x, y, z) voxel indices to the
    patient's LPS millimetres.
    """

    array: NDArray[np.float32]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    unit: str

    def world(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Patient coordinates (LPS, mm) of a voxel index."""
        point = self.affine @ np.array((x, y, z, 1.0))
        return float(point[0]), float(point[1]), float(point[2])

    def index(self, point: Iterable[float]) -> tuple[float, float, float]:
        """Voxel index (x, y, z) of patient coordinates (LPS, mm)."""
        found = np.linalg.solve(self.affine, np.array((*point, 1.0)))
        return float(found[0]), float(found[1]), float(found[2])


def load_volume(sources: Iterable[Path | bytes]) -> Volume:
    """Stack the frames of one series.

    Parameters
    ----------
    sources
        The instances, in any order; multi-frame objects count each frame.

    Raises
    ------
    NotDisplayable
        The frames do not form a volume: none, without position, of different size, orientation or
        unit, in colour, two at one place, or with a gap. The message says which.
    """
    slices: list[tuple[Picture, int, Plane]] = []
    for source in sources:
        picture = describe(source)
        for frame in range(picture.frames):
            plane = picture.frame_traits(frame).plane
            if plane is None:
                raise NotDisplayable("The series has slices without a position in the patient.")
            slices.append((picture, frame, plane))
    if len(slices) < 2:
        raise NotDisplayable("A volume needs at least two slices.")
    slices = [slices[i] for i in slice_order([plane for _, _, plane in slices])]
    _check_alike(slices)
    spacing, affine = _frame_of_reference(slices)
    first = slices[0][0]
    if len(slices) * first.rows * first.columns * 4 > MAX_VOLUME_BYTES:
        raise NotDisplayable("The series is too large to be loaded as one volume.")
    array = np.empty((len(slices), first.rows, first.columns), np.float32)
    for z, (picture, frame, _) in enumerate(slices):
        array[z] = read_frame(picture, frame).values
    return Volume(array, spacing, affine, first.traits[0].unit)


def _check_alike(slices: list[tuple[Picture, int, Plane]]) -> None:
    first, _, plane = slices[0]
    for picture, _, other in slices:
        if (picture.rows, picture.columns) != (first.rows, first.columns):
            raise NotDisplayable("The series mixes slices of different size.")
        if picture.samples != 1 or picture.palette:
            raise NotDisplayable("A colour series has no volume of values.")
        if picture.traits[0].unit != first.traits[0].unit:
            raise NotDisplayable("The series mixes slices of different units.")
        if not np.allclose(other.orientation, plane.orientation, atol=1e-3):
            raise NotDisplayable("The series mixes slices of different orientation.")


def _frame_of_reference(
    slices: list[tuple[Picture, int, Plane]],
) -> tuple[tuple[float, float, float], NDArray[np.float64]]:
    picture, frame, plane = slices[0]
    spacing = picture.frame_traits(frame).spacing
    if spacing.row_mm is None or spacing.column_mm is None:
        raise NotDisplayable("The series has no pixel spacing.")
    places = np.array([other.position for _, _, other in slices])
    steps = np.diff(places @ plane.normal)
    step = float(np.median(steps))
    if step <= 1e-3 or steps.min() <= 1e-3:
        raise NotDisplayable("The series has several slices at the same position.")
    if np.abs(steps - step).max() > _GAP_TOLERANCE * step:
        gaps = int(np.count_nonzero(steps > step * (1 + _GAP_TOLERANCE)))
        raise NotDisplayable(f"The series has gaps between its slices ({gaps} found).")
    along = (places[-1] - places[0]) / (len(places) - 1)
    if np.linalg.norm(np.cross(along, plane.normal)) > _SHEAR_TOLERANCE * step:
        raise NotDisplayable("The slices are shifted against each other, as by a tilted gantry.")
    axes = np.asarray(plane.orientation)
    affine = np.eye(4)
    affine[:3, 0] = axes[:3] * spacing.column_mm
    affine[:3, 1] = axes[3:] * spacing.row_mm
    affine[:3, 2] = plane.normal * step
    affine[:3, 3] = places[0]
    return (step, spacing.row_mm, spacing.column_mm), affine
