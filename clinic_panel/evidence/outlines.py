"""Shapes as DICOM graphics: for SR and presentation states alike, pixels from the corner (0, 0)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clinic_panel.imaging.measure import Point, Shape

type Graphic = tuple[str, NDArray[np.float64]]  # graphic type, (points, 2) of column and row


def outlines(kind: Shape, points: Sequence[Point]) -> list[Graphic]:
    """Return a shape as graphics: one, or two of those that are made of two lines."""
    if kind in (Shape.BIDIRECTIONAL, Shape.COBB):
        return [line(points[:2]), line(points[2:])]
    return [outline(kind, points)]


def outline(kind: Shape, points: Sequence[Point]) -> Graphic:
    """Return a shape as one graphic; a region is closed.

    An ellipse is given by the ends of its axes, the major one first.
    """
    if kind is Shape.POLYGON:
        return line([*points, points[0]])
    if kind not in (Shape.RECTANGLE, Shape.ELLIPSE):
        return line(points)
    (x1, y1), (x2, y2) = points
    if kind is Shape.RECTANGLE:
        return line([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)])
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    across = [(min(x1, x2), cy), (max(x1, x2), cy)]
    down = [(cx, min(y1, y2)), (cx, max(y1, y2))]
    wide = abs(x2 - x1) >= abs(y2 - y1)
    return "ELLIPSE", np.array([*across, *down] if wide else [*down, *across], float)


def line(points: Sequence[Point]) -> Graphic:
    """Return points joined in turn."""
    return "POLYLINE", np.array(points, float)


def arrow_head(points: Sequence[Point], reach: float) -> Graphic:
    """Return the two strokes of an arrow's head, ``reach`` pixels long; the head comes first."""
    head, tail = (np.array(point, float) for point in points)
    along = tail - head
    size = float(np.hypot(*along)) or 1.0
    dx, dy = along / size * reach
    strokes = []
    for turn in (-0.45, 0.45):
        cosine, sine = np.cos(turn), np.sin(turn)
        turned = np.array([dx * cosine - dy * sine, dx * sine + dy * cosine])
        strokes.append(head + turned)
    return "POLYLINE", np.array([strokes[0], head, strokes[1]])
