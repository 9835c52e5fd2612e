"""What a shape on a section of a volume covers, read anew from the slices; ``volume.js`` shows it.

The viewer may hold a volume averaged to fit; here every voxel is one of the images', and of the
layers that met in the one it showed, one is taken (``change`` says so).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.cut import SLICE, Cut
from clinic_panel.imaging.frame import Frame, FrameInfo
from clinic_panel.imaging.grid import Grid, Slice
from clinic_panel.imaging.measure import Point
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.volume import Projection

_ALONG: Final = math.cos(math.pi / 1800)  # directions less than a tenth of a degree apart
_FINEST: Final = 0.25  # pixel of a section, in edges of the smallest voxel
_SAID: Final = {Projection.MAX: "MIP", Projection.MIN: "MinIP", Projection.MEAN: "Mean"}
_REDUCE: Final[dict[Projection, Callable[..., NDArray[np.float64]]]] = {
    Projection.MAX: np.nanmax,
    Projection.MIN: np.nanmin,
    Projection.MEAN: np.nanmean,
}


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a section: an axis of the grid, and where its pixels lie along that.

    The centre of pixel ``i``, counted from zero, is at voxel ``first + i * step``.
    """

    axis: int
    first: float
    step: float

    def pixels(self, low: float, high: float, count: int) -> tuple[int, int]:
        """The pixels from one image coordinate to another that lie within so many voxels."""
        ends = sorted((end - self.first) / self.step for end in (-0.5, count - 0.5))
        within = math.ceil(ends[0] - 1e-6), math.floor(ends[1] + 1e-6)
        return max(math.floor(low), within[0]), min(math.ceil(high), within[1] + 1)

    def finer(self) -> tuple[Way, int]:
        """In steps of a voxel where the viewer took several together; how many to a pixel."""
        n = max(1, round(abs(self.step)))
        # The first edge stays where it was, half a step before the first centre.
        return Way(self.axis, self.first + (0.5 / n - 0.5) * self.step, self.step / n), n


class Resection:
    """One section of a stack of slices."""

    def __init__(self, slices: Sequence[Slice], grid: Grid, cut: Cut) -> None:
        """Find where the section lies.

        Raises
        ------
        NotDisplayable
            It does not lie along the axes of the stack.
        """
        self._slices, self._grid, self._cut = slices, grid, cut
        row_mm, column_mm = cut.spacing
        self._across = self._way(cut.orientation[:3], column_mm)
        self._down = self._way(cut.orientation[3:], row_mm)
        if self._across.axis == self._down.axis:
            raise NotDisplayable("The section does not lie along its series.")
        self._normal = 3 - self._across.axis - self._down.axis

    def _way(self, direction: Sequence[float], size_mm: float) -> Way:
        grid = self._grid
        along = np.asarray(grid.axes) @ direction
        axis = int(np.abs(along).argmax())
        step = size_mm / grid.spacing[axis]
        if abs(along[axis]) < _ALONG or size_mm < _FINEST * min(grid.spacing):
            raise NotDisplayable("The section does not lie along its series.")
        return Way(axis, self._voxel(axis), math.copysign(step, along[axis]))

    def _voxel(self, axis: int) -> float:
        """Where along an axis of the grid the section's first pixel is, in voxels."""
        grid = self._grid
        off = np.subtract(self._cut.position, grid.origin)
        return float(off @ grid.axes[axis]) / grid.spacing[axis]

    @property
    def layers(self) -> range:
        """The layers that the section shows, along its normal."""
        grid, cut, normal = self._grid, self._cut, self._normal
        count, size = 1, grid.size[normal]
        at = round(self._voxel(normal))
        reach = max(1, self._shown / 2)  # of the layer on the screen, whose end may be no slice
        if not -reach <= at <= size - 1 + reach:
            raise NotDisplayable("The section lies outside its series.")
        if cut.slab_mode != SLICE:
            count = max(1, min(size, round(cut.slab_mm / grid.spacing[normal])))
        first = max(0, min(size - count, at - (count - 1) // 2))
        return range(first, first + count)

    @property
    def source(self) -> str:
        """Who vouches for its millimetres: within the images their pixels, else the slices too."""
        source = self._grid.spacing_source
        if self._normal == 2:
            return source
        return f"{source}, resampled; slices {self._grid.spacing[2]:.4g} mm apart"

    @property
    def change(self) -> str:
        """What has become of the values of the images on it; empty where they are as they were."""
        changes = []
        finest = [way.finer()[0] for way in (self._across, self._down)]
        if any(way.axis == 2 and abs(abs(way.step) - 1) > 1e-3 for way in finest):
            changes.append("interpolated between slices")
        if len(layers := self.layers) > 1:
            thick_mm = len(layers) * self._grid.spacing[self._normal]
            changes.append(f"{_SAID[Projection(self._cut.slab_mode)]} of {thick_mm:.1f} mm")
        elif self._cut.slab_mode == SLICE and (together := self._averaged) > 1:
            changes.append(f"of one layer where the mean of {together} was shown")
        return f"Values {', '.join(changes)}" if changes else ""

    @property
    def _shown(self) -> float:
        """How many layers the screen showed, the slab or what the viewer took together."""
        return self._cut.slab_mm / self._grid.spacing[self._normal]

    @property
    def _averaged(self) -> int:
        """How many layers of the images met in the one shown; fewer at the end of the volume."""
        at, half = self._voxel(self._normal), round(self._shown) / 2
        last = min(self._grid.size[self._normal] - 1, math.floor(at + half))
        return last - max(0, math.ceil(at - half)) + 1

    def plain(self) -> Frame:
        """An image of it without pixels worth speaking of, for what has no region."""
        return self._frame(np.full((1, 1), np.nan), self._cut.spacing)

    def about(self, points: Sequence[Point]) -> tuple[Frame, tuple[Point, ...]]:
        """Return the part about a shape as an image, and the shape's points on that.

        Its pixels are those of the images, also where the viewer took several together. What lies
        outside the picture has no number there.

        Raises
        ------
        NotDisplayable, NotUnderstood
            A slice cannot be decoded, or the section lies outside the stack.
        """
        (across, nx), (down, ny) = self._across.finer(), self._down.finer()
        fine = [(x * nx, y * ny) for x, y in points]  # from corners, so none is half a pixel off
        size = self._grid.size
        (left, right), (top, bottom) = (
            way.pixels(min(ends), max(ends), size[way.axis])
            for way, ends in zip((across, down), zip(*fine, strict=True), strict=True)
        )
        if left >= right or top >= bottom:
            return self.plain(), tuple(points)
        rows = down.first + down.step * np.arange(top, bottom)
        columns = across.first + across.step * np.arange(left, right)
        row_mm, column_mm = self._cut.spacing
        frame = self._frame(self._values(rows, columns), (row_mm / ny, column_mm / nx))
        return frame, tuple((x - left, y - top) for x, y in fine)

    def _values(
        self, rows: NDArray[np.floating], columns: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Values at these voxels down and across, of all layers seen as one."""
        needed: dict[int, tuple[int, int]] = {self._normal: (self.layers[0], self.layers[-1] + 1)}
        for way, places in ((self._down, rows), (self._across, columns)):
            within = np.clip(places, 0, self._grid.size[way.axis] - 1)
            needed[way.axis] = math.floor(within.min()), math.ceil(within.max()) + 1
        block = self._block(*(needed[axis] for axis in range(3)))
        # Of (z, y, x), with the normal first, then what runs down, then what runs across.
        order = (2 - self._normal, 2 - self._down.axis, 2 - self._across.axis)
        plane = _project(block.transpose(order), self._cut.slab_mode)
        plane = _between(plane, rows - needed[self._down.axis][0])
        return _between(plane.T, columns - needed[self._across.axis][0]).T

    def _block(
        self, across: tuple[int, int], down: tuple[int, int], through: tuple[int, int]
    ) -> NDArray[np.float64]:
        layers = []
        for picture, number in self._slices[slice(*through)]:
            frame = read_frame(picture, number)
            part = slice(*down), slice(*across)
            values = frame.values[part].astype(np.float64)
            if frame.info.padding is not None:
                least, most = frame.info.padding
                stored = frame.stored[part]
                values[(stored >= least) & (stored <= most)] = np.nan
            layers.append(values)
        return np.stack(layers)

    def _frame(self, values: NDArray[np.float64], spacing: tuple[float, float]) -> Frame:
        picture, number = self._slices[0]
        rows, columns = values.shape
        row_mm, column_mm = spacing
        info = FrameInfo(
            rows,
            columns,
            "float32",
            unit=picture.frame_traits(number).unit,
            spacing=spacing,
            spacing_source=self.source,
            aspect=row_mm / column_mm,
        )
        return Frame(info, values.astype("<f4").tobytes())


def _project(block: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """Look through layers (layers, rows, columns); where one has no value it takes no part."""
    if len(block) == 1:
        return block[0]
    some = ~np.isnan(block).all(axis=0)
    seen = np.full(block.shape[1:], np.nan)
    seen[some] = _REDUCE[Projection(mode)](block[:, some], axis=0)
    return seen


def _between(plane: NDArray[np.float64], places: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of a plane at places between them; where one has no value, the nearer alone."""
    places = np.clip(places, 0, len(plane) - 1)
    near = np.minimum(np.floor(places + 1e-6), len(plane) - 1).astype(np.intp)
    weight = np.clip(places - near, 0, 1)[:, None]
    one, other = plane[near], plane[np.minimum(near + 1, len(plane) - 1)]
    mixed = one * (1 - weight) + other * weight
    lone = np.where(weight < 0.5, one, other)
    mixed = np.where(weight < 1e-6, one, mixed)
    return np.where(np.isnan(mixed), lone, mixed)
