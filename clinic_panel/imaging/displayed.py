"""Which part of an image a presentation state shows, how large, and which way round.

Points of a state are written in pixels of the image, or as shares of the displayed area as it
stands on the screen, turned and flipped (PS3.3 C.10.4, C.10.5.1.1, C.10.6).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from clinic_panel.imaging.elements import Elements

type Point = tuple[float, float]


class SizeMode(StrEnum):
    """How large the area is shown (PS3.3 C.10.4)."""

    FIT = "SCALE TO FIT"
    TRUE_SIZE = "TRUE SIZE"
    MAGNIFY = "MAGNIFY"


@dataclass(frozen=True, slots=True)
class Turn:
    """How an image is turned: clockwise by quarters, flipped left to right after that."""

    quarters: int = 0
    flipped: bool = False

    @classmethod
    def of_view(cls, rotation: int, mirrored: bool) -> Turn:
        """Of a view that is mirrored first, and turned clockwise by so many degrees after that."""
        quarters = rotation // 90 % 4
        return cls((4 - quarters) % 4 if mirrored else quarters, mirrored)

    def original(self, u: float, v: float) -> Point:
        """Where a share of the turned area lies in the area as it was."""
        if self.flipped:
            u = 1 - u
        for _ in range(self.quarters):
            u, v = v, 1 - u
        return u, v


@dataclass(frozen=True, slots=True)
class Area:
    """A part of an image: left, top, right and bottom edge in image coordinates.

    ``spacing_mm`` and ``aspect`` are of its pixels, row before column; ``magnification`` is screen
    pixels for each of them. What is not said is None.
    """

    left: float
    top: float
    right: float
    bottom: float
    mode: SizeMode = SizeMode.FIT
    spacing_mm: tuple[float, float] | None = None
    aspect: float | None = None
    magnification: float | None = None
    of_matrix: bool = False  # of all tiles of an image together, not of the frame

    @classmethod
    def whole(cls, columns: int, rows: int) -> Area:
        """All of an image."""
        return cls(0, 0, columns, rows)

    def on_frame(self, origin: Point) -> Area:
        """The same in coordinates of a frame that begins at a point of the whole."""
        if not self.of_matrix:
            return self
        x, y = origin
        edges = self.left - x, self.top - y, self.right - x, self.bottom - y
        return replace(
            self, left=edges[0], top=edges[1], right=edges[2], bottom=edges[3], of_matrix=False
        )

    def place(self, turn: Turn, point: Point) -> Point:
        """Image coordinates of a point that is written as shares of the displayed area."""
        x, y = turn.original(*point)
        return self.left + x * (self.right - self.left), self.top + y * (self.bottom - self.top)

    def corners(self, turn: Turn) -> tuple[tuple[int, int], tuple[int, int]]:
        """Column and row of the pixels at the top left and bottom right of the turned area.

        Counted from one and both included; part of a pixel counts as all of it (PS3.3 C.10.4).
        """
        first = math.floor(self.left) + 1, math.floor(self.top) + 1
        last = math.ceil(self.right), math.ceil(self.bottom)
        here, there = turn.original(0, 0), turn.original(1, 1)
        return (
            (last[0] if here[0] else first[0], last[1] if here[1] else first[1]),
            (last[0] if there[0] else first[0], last[1] if there[1] else first[1]),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "corners": [[self.left, self.top], [self.right, self.bottom]],
            "mode": self.mode.value,
            "spacing": self.spacing_mm,
            "aspect": self.aspect,
            "magnification": self.magnification,
        }


def turn_of(found: Elements) -> Turn:
    """Read the Spatial Transformation module."""
    degrees = found.integer(0x00700042) or 0
    return Turn(round(degrees / 90) % 4, found.text(0x00700041) == "Y")


def areas_of(found: Elements) -> Iterator[tuple[Elements, Area]]:
    """Read the displayed areas, each with the item that says what it is for."""
    for item in found.items(0x0070005A):
        corners = [item.longs(tag, signed=True)[:2] for tag in (0x00700052, 0x00700053)]
        if all(len(corner) == 2 for corner in corners):
            yield item, _area(item, corners[0], corners[1])


def _area(item: Elements, one: tuple[int, ...], other: tuple[int, ...]) -> Area:
    mode = item.text(0x00700100)
    spacing = _positive(item.numbers(0x00700101), 2)
    ratio = _positive(item.numbers(0x00700102), 2)
    magnified = _positive(item.floats(0x00700103, "f"), 1)
    if spacing:
        aspect: float | None = spacing[0] / spacing[1]
    else:
        aspect = ratio[0] / ratio[1] if ratio else None
    # Corners are pixels, counted from one and both included; once the image is turned, the top
    # left one need be neither in the image (PS3.3 C.10.4).
    return Area(
        left=min(one[0], other[0]) - 1.0,
        top=min(one[1], other[1]) - 1.0,
        right=float(max(one[0], other[0])),
        bottom=float(max(one[1], other[1])),
        mode=SizeMode(mode) if mode in SizeMode else SizeMode.FIT,
        spacing_mm=(spacing[0], spacing[1]) if spacing else None,
        aspect=aspect,
        magnification=magnified[0] if magnified else None,
        of_matrix=item.text(0x00480301) == "VOLUME",
    )


def _positive(numbers: tuple[float, ...], count: int) -> tuple[float, ...]:
    wanted = numbers[:count]
    return wanted if len(wanted) == count and all(0 < one < 1e6 for one in wanted) else ()
