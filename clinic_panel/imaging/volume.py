"""A series of parallel slices as one array in modality units and patient coordinates."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.geometry import slice_order
from clinic_panel.imaging.grid import Grid, Slice, grid_of
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame

MAX_VOLUME_BYTES: Final = 8 * 2**30
_BLOCK_BYTES: Final = 8 * 2**20  # of slices that are decoded in one go


class Projection(StrEnum):
    """What is kept of the voxels along a line of sight."""

    MAX = "max"
    MIN = "min"
    MEAN = "mean"


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


@dataclass(frozen=True, slots=True, eq=False)
class LazyVolume:
    """A volume whose slices are decoded by Dask when something is computed from them.

    ``array`` is a ``dask.array.Array`` of what ``Volume.array`` holds, in blocks of whole slices;
    the rest is as there. What was computed is let go of: a series larger than memory can be
    projected, cropped or thinned out.
    """

    array: Any
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    unit: str

    def project(
        self, kind: Projection | str = Projection.MAX, axis: int = 1
    ) -> NDArray[np.float32]:
        """Look through the volume along an axis of ``array``, by default from the front.

        Parameters
        ----------
        kind
            Maximum, minimum or mean of each line of voxels.
        axis
            0 looks along z, 1 along y, 2 along x.

        Returns
        -------
        NDArray
            float32, the two other axes in their order.
        """
        reduce = getattr(self.array, Projection(kind).value)
        return np.asarray(reduce(axis=axis).compute(), np.float32)

    def load(self) -> Volume:
        """Decode everything into one array."""
        import dask.array as da

        if self.array.nbytes > MAX_VOLUME_BYTES:
            raise NotDisplayable("The series is too large to be loaded as one volume.")
        array = np.empty(self.array.shape, np.float32)
        da.store(self.array, array, lock=False, scheduler="threads")  # into this memory
        return Volume(array, self.spacing, self.affine, self.unit)


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
    return open_volume(sources).load()


def stack_of(pictures: Iterable[Picture]) -> tuple[list[Slice], Grid]:
    """Return the frames of one series in order along their normal, and the grid they form.

    Raises
    ------
    NotDisplayable
        They form no volume (`grid.grid_of`).
    """
    slices = [(picture, frame) for picture in pictures for frame in range(picture.frames)]
    planes = [picture.frame_traits(frame).plane for picture, frame in slices]
    placed = [plane for plane in planes if plane is not None]
    if len(placed) == len(slices):
        slices = [slices[i] for i in slice_order(placed)]
    return slices, grid_of(slices)


def open_volume(sources: Iterable[Path | bytes]) -> LazyVolume:
    """Stack the frames of one series without decoding them; as ``load_volume`` otherwise.

    Computing runs where Dask is set up to: in threads of this process, or on the cluster of a
    ``dask.distributed.Client``, whose workers must then reach the same files.
    """
    # A tenth of a second that dashboards and listener, which import this, need not spend.
    import dask
    import dask.array as da

    slices, grid = stack_of(map(describe, sources))
    columns, rows, count = grid.size
    each = max(1, _BLOCK_BYTES // (rows * columns * 4))
    decode = dask.delayed(_decoded, pure=False)  # named by chance: a key tells nothing of the file
    blocks = [
        da.from_delayed(
            decode(slices[first : first + each]),
            shape=(min(each, count - first), rows, columns),
            dtype=np.float32,
        )
        for first in range(0, count, each)
    ]
    picture, frame = slices[0]
    x_mm, y_mm, z_mm = grid.spacing
    unit = picture.frame_traits(frame).unit
    return LazyVolume(da.concatenate(blocks), (z_mm, y_mm, x_mm), grid.affine, unit)


def _decoded(slices: list[Slice]) -> NDArray[np.float32]:
    return np.stack([read_frame(picture, frame).values for picture, frame in slices])
