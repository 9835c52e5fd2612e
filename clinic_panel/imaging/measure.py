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


MOST_CORNERS = 200


class Shape(StrEnum):
    """What can be drawn."""

    LENGTH = "length"
    BIDIRECTIONAL = "bidirectional"  # the ends of the long axis, then of the short one across it
    ANGLE = "angle"  # an end, the vertex, the other end
    COBB = "cobb"  # the ends of one line, then of the other
    RECTANGLE = "rectangle"  # opposite corners
    ELLIPSE = "ellipse"  # opposite corners of its box
    POLYGON = "polygon"  # corners in turn; the last is joined to the first
    ARROW = "arrow"  # the head, then the tail
    CALIBRATION = "calibration"  # the ends of an object whose length is known

    @property
    def points(self) -> int:
        """How many points it has; of a polygon, how many at least."""
        return _POINTS.get(self, 2)

    @property
    def is_region(self) -> bool:
        """Whether it holds pixels."""
        return self in (Shape.RECTANGLE, Shape.ELLIPSE, Shape.POLYGON)

    def takes(self, count: int) -> bool:
        """Whether it can have so many points."""
        most = MOST_CORNERS if self is Shape.POLYGON else self.points
        return self.points <= count <= most


_POINTS = {Shape.ANGLE: 3, Shape.COBB: 4, Shape.BIDIRECTIONAL: 4, Shape.POLYGON: 3}


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
    if shape is Shape.POLYGON:
        return _inside(points, rows, columns)
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


def _inside(points: Sequence[Point], rows: int, columns: int) -> NDArray[np.bool_]:
    """Centres with an odd number of edges at or before them in their row."""
    y, x = np.arange(0.5, rows), np.arange(0.5, columns)
    inside = np.zeros((rows, columns), bool)
    for (x1, y1), (x2, y2) in _edges(points):
        crossed = (y1 <= y) != (y2 <= y)
        at = x1 + (y[crossed] - y1) * (x2 - x1) / (y2 - y1 or 1.0)
        inside[crossed] ^= x >= at[:, None]
    return inside


def _edges(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(points, [*points[1:], points[0]], strict=True))


def statistics(values: NDArray[np.generic], inside: NDArray[np.bool_]) -> Statistics | None:
    """Describe the numbers (rows, columns) in a region; None when it holds none."""
    chosen = values[inside].astype(np.float64)
    chosen = chosen[np.isfinite(chosen)]
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


def area(shape: Shape, points: Sequence[Point], row: float, column: float) -> float | None:
    """Return the area of a region; None for an outline that crosses itself, which has none.

    Raises
    ------
    ValueError
        The shape is no region.
    """
    if not shape.is_region:
        raise ValueError(f"a {shape} has no area")
    if shape is Shape.POLYGON:
        if crosses_itself(points):
            return None
        twice = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in _edges(points))
        return abs(twice) / 2 * row * column
    (x1, y1), (x2, y2) = points
    share = math.pi / 4 if shape is Shape.ELLIPSE else 1.0
    return abs(x2 - x1) * column * abs(y2 - y1) * row * share


def crosses_itself(points: Sequence[Point]) -> bool:
    """Whether two edges of an outline that are no neighbours have a point in common."""
    edges, count = _edges(points), len(points)
    return any(
        _meet(*edges[first], *edges[second])
        for first in range(count)
        for second in range(first + 2, count)
        if (second + 1) % count != first
    )


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments ab and cd share a point."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    def within(p: Point, q: Point, r: Point) -> bool:
        across = min(p[0], q[0]) <= r[0] <= max(p[0], q[0])
        return across and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])

    sides = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(not turn and within(*three) for turn, three in zip(sides, ends, strict=True))


def angle(shape: Shape, points: Sequence[Point], row: float, column: float) -> float:
    """Return an angle in degrees: at the vertex, 0 to 180; between two lines (Cobb), 0 to 90.

    Two lines name no direction, so the larger angle, 180 less this one, is as true; a viewer shows
    both.

    Raises
    ------
    ValueError
        The shape has no angle.
    """
    legs = {Shape.ANGLE: ((1, 0), (1, 2)), Shape.COBB: ((0, 1), (2, 3))}.get(shape)
    if legs is None:
        raise ValueError(f"a {shape} has no angle")
    a, b = (
        np.array(
            [
                (points[end][0] - points[start][0]) * column,
                (points[end][1] - points[start][1]) * row,
            ]
        )
        for start, end in legs
    )
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / size if size else 1.0
    if shape is Shape.COBB:
        cosine = abs(cosine)
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def axes(points: Sequence[Point], row: float, column: float) -> tuple[float, float]:
    """Return the longer and the shorter axis of a bidirectional measurement."""
    one, other = length(points[:2], row, column), length(points[2:], row, column)
    return max(one, other), min(one, other)


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
