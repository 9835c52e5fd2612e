"""What a shape on an image measures; the viewer's ``measure.js`` does the same arithmetic.

Points are (x, y) in image coordinates: x in columns, y in rows, pixel (c, r) covering
[c, c + 1) x [r, r + 1). A region holds the pixels whose centres lie in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

type Point = tuple[float, float]


class Shape(StrEnum):
    """What can be drawn."""

    LENGTH = "length"
    ANGLE = "angle"
    RECTANGLE = "rectangle"
    ELLIPSE = "ellipse"
    ARROW = "arrow"

    @property
    def points(self) -> int:
        """How many points it has; those of a region are opposite corners of its box."""
        return 3 if self is Shape.ANGLE else 2

    @property
    def is_region(self) -> bool:
        """Whether it holds pixels."""
        return self in (Shape.RECTANGLE, Shape.ELLIPSE)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the values in a region, in modality units; ``sd`` is that of the population."""

    count: int
    mean: float
    sd: float
    min: float
    max: float


def mask(shape: Shape, points: Sequence[Point], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which pixels a region holds, as bool (rows, columns).

    Raises
    ------
    ValueError
        The shape is no region.
    """
    if not shape.is_region:
        raise ValueError(f"a {shape} holds no pixels")
    (x1, y1), (x2, y2) = points
    y, x = np.ogrid[0.5:rows, 0.5:columns]
    half_width, half_height = abs(x2 - x1) / 2, abs(y2 - y1) / 2
    across, down = np.abs(x - (x1 + x2) / 2), np.abs(y - (y1 + y2) / 2)
    if shape is Shape.RECTANGLE:
        return (across <= half_width) & (down <= half_height)
    if not half_width or not half_height:
        return np.zeros((rows, columns), bool)
    with np.errstate(over="ignore"):  # far outside a sliver is infinitely far
        return (across / half_width) ** 2 + (down / half_height) ** 2 <= 1


def statistics(values: NDArray[np.generic], inside: NDArray[np.bool_]) -> Statistics | None:
    """Describe the values (rows, columns) of a region; None when it holds no pixel."""
    chosen = values[inside].astype(np.float64)
    if not chosen.size:
        return None
    return Statistics(
        count=int(chosen.size),
        mean=float(chosen.mean()),
        sd=float(chosen.std()),
        min=float(chosen.min()),
        max=float(chosen.max()),
    )


def length(points: Sequence[Point], row: float, column: float) -> float:
    """Return the distance of two points, in the unit of ``row`` and ``column``: a pixel's size."""
    (x1, y1), (x2, y2) = points
    return math.hypot((x2 - x1) * column, (y2 - y1) * row)


def profile(
    values: NDArray[np.generic], points: Sequence[Point]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values (rows, columns) along a line: how far along, in pixels, and the values there.

    One sample about every pixel, interpolated between the four nearest centres.
    """
    (x1, y1), (x2, y2) = points
    size = math.hypot(x2 - x1, y2 - y1)
    along = np.linspace(0.0, 1.0, max(round(size) + 1, 2))
    # From corners, which the coordinates count from, to centres, which the values stand at.
    x = np.clip(x1 + along * (x2 - x1) - 0.5, 0, values.shape[1] - 1)
    y = np.clip(y1 + along * (y2 - y1) - 0.5, 0, values.shape[0] - 1)
    left, top = x.astype(int), y.astype(int)
    right = np.minimum(left + 1, values.shape[1] - 1)
    below = np.minimum(top + 1, values.shape[0] - 1)
    fx, fy = x - left, y - top
    upper = values[top, left] * (1 - fx) + values[top, right] * fx
    lower = values[below, left] * (1 - fx) + values[below, right] * fx
    return along * size, upper * (1 - fy) + lower * fy
