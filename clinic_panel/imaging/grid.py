"""The grid of a stack: whether parallel slices form a volume, and the sections it is seen in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.geometry import Plane, SpacingSource, orientation_letters
from clinic_panel.imaging.picture import Picture

type Slice = tuple[Picture, int]  # the object and its zero-based frame
type Vector = tuple[float, float, float]

_GAP_TOLERANCE: Final = 0.05  # of the slice distance
_DRIFT_TOLERANCE: Final = 0.2
_SHEAR_TOLERANCE: Final = 0.02
_SHIFT_TOLERANCE_MM: Final = 0.1  # coordinates are written with few digits
_STRAIGHT_DEGREES: Final = 5
# How each section is looked at by convention: what points right and down on the screen, in LPS.
_LOOKS: Final = {
    "Axial": ((1, 0, 0), (0, 1, 0)),
    "Coronal": ((1, 0, 0), (0, 0, -1)),
    "Sagittal": ((0, 1, 0), (0, 0, -1)),
}


@dataclass(frozen=True, slots=True)
class Section:
    """One of the three families of planes along a grid's own axes.

    ``normal``, ``across`` and ``down`` name the grid's axes by 0, 1, 2 for x, y, z; a reversed one
    runs from its last voxel to the first. ``edges`` are the letters of the patient's sides at left,
    right, top and bottom; ``tilt_degrees`` is how far it leans from the plane it is named after.
    """

    name: str
    normal: int
    across: int
    down: int
    across_reversed: bool
    down_reversed: bool
    edges: tuple[str, str, str, str]
    tilt_degrees: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the voxels of a stack are.

    ``size`` counts columns, rows and slices; ``spacing`` is in millimetres in that order;
    ``origin`` is the centre of the first voxel and ``axes`` the directions of x, y and z, in the
    patient's LPS; slices ascend along z. ``spacing_source`` says who vouches for x and y.
    """

    size: tuple[int, int, int]
    spacing: Vector
    origin: Vector
    axes: tuple[Vector, Vector, Vector]
    spacing_source: str
    sections: tuple[Section, ...]

    @property
    def affine(self) -> NDArray[np.float64]:
        """The 4x4 matrix from zero-based (x, y, z) voxel indices to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.transpose(self.axes) * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def grid_of(slices: Sequence[Slice]) -> Grid:
    """Find the grid of slices that stand in order along their normal.

    Raises
    ------
    NotDisplayable
        They form no volume; the message says why in a reader's words.
    """
    planes = [picture.frame_traits(frame).plane for picture, frame in slices]
    placed = [plane for plane in planes if plane is not None]
    if len(placed) < len(planes):
        raise NotDisplayable("The series has slices without a position in the patient.")
    if len(slices) < 2:
        raise NotDisplayable("A volume needs at least two slices.")
    _check_alike(slices, placed)
    first, frame = slices[0]
    spacing = first.frame_traits(frame).spacing
    if spacing.row_mm is None or spacing.column_mm is None:
        raise NotDisplayable("The series has no pixel spacing.")
    if spacing.source is not SpacingSource.PIXEL_SPACING:
        raise NotDisplayable("The pixel spacing of the series is not that in the patient.")
    step = _step(placed)
    axes = np.asarray(placed[0].orientation).reshape(2, 3)
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    directions = (_vector(axes[0]), _vector(axes[1]), _vector(placed[0].normal))
    return Grid(
        size=(first.columns, first.rows, len(slices)),
        spacing=(spacing.column_mm, spacing.row_mm, step),
        origin=placed[0].position,
        axes=directions,
        spacing_source=spacing.source.value,
        sections=sections_of(directions),
    )


def _check_alike(slices: Sequence[Slice], planes: Sequence[Plane]) -> None:
    first, frame = slices[0]
    traits = first.frame_traits(frame)
    for picture, number in slices:
        if (picture.rows, picture.columns) != (first.rows, first.columns):
            raise NotDisplayable("The series mixes slices of different size.")
        other = picture.frame_traits(number)
        if picture.samples != 1 or picture.palette or other.coloured:
            raise NotDisplayable("A colour series has no volume of values.")
        if other.unit != traits.unit:
            raise NotDisplayable("The series mixes slices of different units.")
        if (other.spacing.row_mm, other.spacing.column_mm) != (
            traits.spacing.row_mm,
            traits.spacing.column_mm,
        ):
            raise NotDisplayable("The series mixes slices of different pixel spacing.")
    orientations = np.array([plane.orientation for plane in planes])
    if not np.allclose(orientations, orientations[0], atol=1e-3):
        raise NotDisplayable("The series mixes slices of different orientation.")


def _step(planes: Sequence[Plane]) -> float:
    """Distance of neighbouring slices in millimetres, the same everywhere in the stack."""
    places, normal = np.array([plane.position for plane in planes]), planes[0].normal
    along = places @ normal
    steps = np.diff(along)
    usual = float(np.median(steps))
    if usual <= 1e-3 or steps.min() <= 1e-3:
        raise NotDisplayable("The series has several slices at the same position.")
    if np.abs(steps - usual).max() > _GAP_TOLERANCE * usual:
        whole = np.rint(steps / usual)
        if np.abs(steps - whole * usual).max() > _GAP_TOLERANCE * usual:
            raise NotDisplayable("The slices of the series are not evenly spaced.")
        missing = int((whole - 1).sum())
        found = "1 is missing" if missing == 1 else f"{missing} are missing"
        raise NotDisplayable(f"The series has gaps between its slices: {found}.")
    step = float(along[-1] - along[0]) / (len(planes) - 1)
    even = along[0] + step * np.arange(len(planes))
    if np.abs(along - even).max() > _DRIFT_TOLERANCE * step:
        raise NotDisplayable("The slices of the series are not evenly spaced.")
    aside = places - places[0] - np.outer(along - along[0], normal)
    shear = np.linalg.norm(aside[-1]) / (len(planes) - 1)
    if shear > _SHEAR_TOLERANCE * step:
        raise NotDisplayable("The slices are shifted against each other, as by a tilted gantry.")
    straight = np.outer(np.linspace(0, 1, len(planes)), aside[-1])
    if np.linalg.norm(aside - straight, axis=1).max() > max(_SHIFT_TOLERANCE_MM, 0.2 * step):
        raise NotDisplayable("The slices are shifted against each other.")
    return step


def sections_of(axes: Sequence[Vector]) -> tuple[Section, ...]:
    """Name the planes along a grid's axes after the patient's, and turn them as readers expect.

    Parameters
    ----------
    axes
        Unit vectors of x, y and z in LPS.

    Returns
    -------
    tuple of Section
        Axial, coronal and sagittal, each across another axis of the grid.
    """
    directions = np.asarray(axes, dtype=np.float64)
    normals = {name: np.cross(right, down) for name, (right, down) in _LOOKS.items()}
    # Each name goes to one axis: the choice that leans least, all three taken together.
    leaning = np.abs(np.array([directions @ normals[name] for name in _LOOKS]))
    chosen = max(permutations(range(3)), key=lambda order: leaning[range(3), order].sum())
    return tuple(
        _section(name, normal, directions, float(leaning[place, normal]))
        for place, (name, normal) in enumerate(zip(_LOOKS, chosen, strict=True))
    )


def _section(name: str, normal: int, axes: NDArray[np.float64], cosine: float) -> Section:
    right, down = (np.asarray(way, dtype=np.float64) for way in _LOOKS[name])
    first, second = (axis for axis in range(3) if axis != normal)

    def fit(pair: tuple[int, int]) -> float:
        return float(abs(axes[pair[0]] @ right) + abs(axes[pair[1]] @ down))

    across, below = max(((first, second), (second, first)), key=fit)
    signs = [
        1.0 if axes[axis] @ way >= 0 else -1.0 for axis, way in ((across, right), (below, down))
    ]
    shown = [*(axes[across] * signs[0]), *(axes[below] * signs[1])]
    tilt = round(float(np.degrees(np.arccos(min(cosine, 1.0)))))
    return Section(
        name=name,
        normal=normal,
        across=across,
        down=below,
        across_reversed=signs[0] < 0,
        down_reversed=signs[1] < 0,
        edges=orientation_letters(shown),
        tilt_degrees=tilt if tilt >= _STRAIGHT_DEGREES else 0,
    )


def _vector(values: NDArray[np.float64]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
