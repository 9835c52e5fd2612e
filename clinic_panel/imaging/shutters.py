"""Shutters: what of an image is to be seen, and what stands in its place (PS3.3 C.7.6.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.imaging.annotations import cielab, grey, pairs
from clinic_panel.imaging.displayed import Point
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.measure import Shape, mask

_SHAPE: Final = 0x00181600
_EDGES: Final = (0x00181602, 0x00181606, 0x00181604, 0x00181608)  # left, upper, right, lower
_CENTER, _RADIUS, _VERTICES = 0x00181610, 0x00181612, 0x00181620
_VALUE, _COLOUR = 0x00181622, 0x00181624
SHUTTER_TAGS: Final = frozenset({_SHAPE, *_EDGES, _CENTER, _RADIUS, _VERTICES, _VALUE, _COLOUR})
MOST_CORNERS: Final = 500  # they travel with each image


@dataclass(frozen=True, slots=True)
class Shutter:
    """What of the image is to be seen: corners in image coordinates, or a circle.

    A ``radius`` counts columns: where pixels are not square, a circle on the screen is none of
    rows and columns. ``colour`` covers the rest, as a screen writes it; empty is black.
    """

    shape: str
    points: tuple[Point, ...]
    radius: float = 0.0
    colour: str = ""


def shapes_said(found: Elements) -> list[str]:
    """The names of the shapes that are said to hold."""
    return [one.strip() for one in found.text(_SHAPE).split("\\")]


def colour_said(found: Elements) -> str:
    """What is to stand in place of the rest."""
    return cielab(found.integers(_COLOUR)) or grey(found.integer(_VALUE))


def shutters_of(found: Elements) -> tuple[Shutter, ...]:
    """Read the shutters of a data set or an item; only what lies within all of them is seen."""
    return tuple(_shutters(found)) if _SHAPE in found else ()


def _shutters(found: Elements) -> Iterator[Shutter]:
    shapes, colour = shapes_said(found), colour_said(found)
    edges = [found.numbers(tag) for tag in _EDGES]
    if "RECTANGULAR" in shapes and all(edges):
        left, top, right, bottom = (edge[0] for edge in edges)
        # The edges are pixels counted from one that still belong to what is seen.
        yield Shutter("rectangle", ((left - 1, top - 1), (right, bottom)), colour=colour)
    center, radius = found.numbers(_CENTER), found.numbers(_RADIUS)
    if "CIRCULAR" in shapes and len(center) >= 2 and radius and radius[0] > 0:
        yield Shutter("circle", ((center[1] - 0.5, center[0] - 0.5),), radius[0], colour)
    corners = tuple((column - 0.5, row - 0.5) for row, column in pairs(found.numbers(_VERTICES)))
    if "POLYGONAL" in shapes and 3 <= len(corners) <= MOST_CORNERS:
        yield Shutter("polygon", corners, colour=colour)


def cover(
    picture: NDArray[np.uint8], shutters: Sequence[Shutter], aspect: float, step: int = 1
) -> None:
    """Cover in a picture, (rows, columns) or of RGB, what is not to be seen; the viewer does so.

    Parameters
    ----------
    aspect
        A pixel's height by its width.
    step
        The picture has every so many pixels of the image.
    """
    rows, columns = picture.shape[:2]
    for one in shutters:
        points = [(x / step, y / step) for x, y in one.points]
        kind = Shape.POLYGON
        if one.shape == "circle":
            [(x, y)], across = points, one.radius / step
            kind, points = (
                Shape.ELLIPSE,
                [
                    (x - across, y - across / aspect),
                    (x + across, y + across / aspect),
                ],
            )
        elif one.shape == "rectangle":
            kind = Shape.RECTANGLE
        colour = np.array([int(one.colour[i : i + 2] or "0", 16) for i in (1, 3, 5)], np.uint8)
        covered = ~mask(kind, points, rows, columns)
        picture[covered] = colour if picture.ndim == 3 else colour.mean().astype(np.uint8)
