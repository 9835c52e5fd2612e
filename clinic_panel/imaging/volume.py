"""A series of parallel slices as one array in modality units and patient coordinates."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.geometry import slice_order
from clinic_panel.imaging.grid import Slice, grid_of
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame

MAX_VOLUME_BYTES: Final = 8 * 2**30


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
        The frames do not form a volume: none, without position, of different size, orientation,
        spacing or unit, in colour, two at one place, or with a gap. The message says which.
    """
    slices: list[Slice] = []
    for source in sources:
        picture = describe(source)
        slices += [(picture, frame) for frame in range(picture.frames)]
    planes = [picture.frame_traits(frame).plane for picture, frame in slices]
    placed = [plane for plane in planes if plane is not None]
    if len(placed) == len(slices):
        slices = [slices[i] for i in slice_order(placed)]
    grid = grid_of(slices)
    columns, rows, count = grid.size
    if count * rows * columns * 4 > MAX_VOLUME_BYTES:
        raise NotDisplayable("The series is too large to be loaded as one volume.")
    array = np.empty((count, rows, columns), np.float32)
    for z, (picture, frame) in enumerate(slices):
        array[z] = read_frame(picture, frame).values
    picture, frame = slices[0]
    x_mm, y_mm, z_mm = grid.spacing
    unit = picture.frame_traits(frame).unit
    return Volume(array, (z_mm, y_mm, x_mm), grid.affine, unit)
