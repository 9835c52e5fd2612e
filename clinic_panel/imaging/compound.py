"""Compound graphics of presentation states as simple ones (PS3.3 C.10.5.1.3).

A state also holds simple graphics that stand for each compound one. Those are what is drawn where a
type is not made here; the types here look as they should at any size of the view.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from clinic_panel.imaging.displayed import Area, Point, Turn
from clinic_panel.imaging.structured import Words

MOST_TICKS: Final = 500
TYPES: Final = frozenset({"RECTANGLE", "ELLIPSE", "INFINITELINE", "CUTLINE", "RULER", "AXIS"})
_TICK_SHARE: Final = 0.015  # of the displayed area's width: half a tick
_ARROW_SHARE: Final = 0.08  # the arrows of a cut line
_HEAD_SHARE: Final = 0.02
_BEYOND: Final = 100.0  # so many times the area's size is past any border of the view


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark along a ruler: at a share of its length, with a text."""

    share: float
    label: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A compound graphic as it is written: two points, and what turns and divides it."""

    kind: str
    number: int | None
    points: tuple[Point, Point]
    of_view: bool
    angle_deg: float = 0.0  # counterclockwise
    center: Point | None = None  # of the turn, and of a gap
    gap: float = 0.0  # diameter, as a share of the view
    ticks: tuple[Tick, ...] = ()
    tick_side: str = "CENTER"
    label_side: str = "BOTTOM"


@dataclass(frozen=True, slots=True)
class Piece:
    """A simple graphic in image coordinates: a polyline, an ellipse, or a text at a point."""

    shape: str
    points: tuple[Point, ...]
    text: str = field(default="", repr=False)


def read_source(words: Words, number: int | None) -> Source | None:
    """Read one item; None for a type that is not made here, or without two points."""
    item = words.found
    kind = item.text(0x00700294)
    numbers = item.floats(0x00700022, "f")
    if kind not in TYPES or len(numbers) != 4 or not _are_finite(numbers):
        return None
    center = item.floats(0x00700273, "f")[:2]
    x1, y1, x2, y2 = numbers
    return Source(
        kind=kind,
        number=number,
        points=((x1, y1), (x2, y2)),
        of_view=item.text(0x00700282) == "DISPLAY",
        angle_deg=_number(item.floats(0x00700230, "d")),
        center=(center[0], center[1]) if len(center) == 2 and _are_finite(center) else None,
        gap=min(max(_number(item.floats(0x00700261, "f")), 0.0), 1.0),
        ticks=tuple(_ticks(words)),
        tick_side=item.text(0x00700274) or "CENTER",
        label_side=item.text(0x00700279) or "BOTTOM",
    )


def _ticks(words: Words) -> Iterator[Tick]:
    shows = words.found.text(0x00700278) == "Y"
    for tick in islice(words.items(0x00700287), MOST_TICKS):
        share = _number(tick.found.floats(0x00700288, "f"))
        if 0 <= share <= 1:
            yield Tick(share, tick.text(0x00700289)[:64] if shows else "")


def _are_finite(numbers: tuple[float, ...]) -> bool:
    return all(abs(one) < 1e9 for one in numbers)


def _number(numbers: tuple[float, ...]) -> float:
    return numbers[0] if numbers and _are_finite(numbers) else 0.0


def pieces_of(source: Source, area: Area, turn: Turn) -> list[Piece]:
    """Return what a compound graphic is drawn of, in image coordinates.

    Parameters
    ----------
    area, turn
        What the state shows of the image: shares of the view are of that.
    """
    frame = _Frame(source, area, turn)
    if source.kind == "RECTANGLE":
        (left, top), (right, bottom) = source.points
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        return [frame.line(corners)]
    if source.kind == "ELLIPSE":
        (left, top), (right, bottom) = source.points
        x, y = (left + right) / 2, (top + bottom) / 2
        ends = [(left, y), (right, y), (x, top), (x, bottom)]
        return [Piece("ellipse", frame.on_image(ends))]
    if source.kind in ("RULER", "AXIS"):
        return _ruler(frame)
    return _endless(frame)


class _Frame:
    """Where the points of one compound graphic lie once it is turned."""

    def __init__(self, source: Source, area: Area, turn: Turn) -> None:
        self.source, self.area, self.turn = source, area, turn
        self.size = area.right - area.left  # of the view, in pixels of the image
        is_mirrored = source.of_view and turn.flipped
        angle = math.radians(-source.angle_deg if is_mirrored else source.angle_deg)
        self.cos, self.sin = math.cos(angle), math.sin(angle)
        self.center = self._placed(source.center) if source.center else None
        self.ends = self.on_image(source.points)

    def _placed(self, point: Point) -> Point:
        return self.area.place(self.turn, point) if self.source.of_view else point

    def _turned(self, point: Point) -> Point:
        if self.center is None or not self.source.angle_deg:
            return point
        x, y = point[0] - self.center[0], point[1] - self.center[1]
        # Counterclockwise: y runs down.
        across, down = x * self.cos + y * self.sin, y * self.cos - x * self.sin
        return self.center[0] + across, self.center[1] + down

    def on_image(self, points: list[Point] | tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple(self._turned(self._placed(point)) for point in points)

    def line(self, points: list[Point]) -> Piece:
        return Piece("polyline", self.on_image(points))

    @property
    def along(self) -> Point:
        (x1, y1), (x2, y2) = self.ends
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        return (x2 - x1) / length, (y2 - y1) / length

    @property
    def right(self) -> Point:
        """Across the line, to the right of somebody who goes along it as it is seen."""
        x, y = self.along
        return (y, -x) if self.turn.flipped else (-y, x)


def _moved(point: Point, way: Point, by: float) -> Point:
    return point[0] + way[0] * by, point[1] + way[1] * by


def _endless(frame: _Frame) -> list[Piece]:
    """A line to the borders of the view, with a gap about its centre; a cut line has arrows."""
    source, along = frame.source, frame.along
    first, last = frame.ends
    far = _BEYOND * frame.size
    outer = _moved(first, along, -far), _moved(last, along, far)
    if source.gap and frame.center is not None:
        half = source.gap * frame.size / 2
        inner = _moved(frame.center, along, -half), _moved(frame.center, along, half)
        lines = [(outer[0], inner[0]), (inner[1], outer[1])]
    else:
        lines = [outer]
    pieces = [Piece("polyline", line) for line in lines]
    if source.kind == "CUTLINE":
        for share in (0.25, 0.75):
            at = tuple(one + share * (two - one) for one, two in zip(first, last, strict=True))
            pieces += _arrow(frame, (at[0], at[1]))
    return pieces


def _arrow(frame: _Frame, tip: Point) -> Iterator[Piece]:
    """From the right of the line, its head at the line."""
    along, right = frame.along, frame.right
    head = _HEAD_SHARE * frame.size
    yield Piece("polyline", (_moved(tip, right, _ARROW_SHARE * frame.size), tip))
    back = _moved(tip, right, head)
    yield Piece("polyline", (_moved(back, along, -head / 2), tip, _moved(back, along, head / 2)))


def _ruler(frame: _Frame) -> list[Piece]:
    """A line with its ticks; what is bottom and top is said of one that runs to the right."""
    source, right = frame.source, frame.right
    half = _TICK_SHARE * frame.size
    first, last = frame.ends
    pieces = [Piece("polyline", (first, last))]
    low, high = {"BOTTOM": (0, 2 * half), "TOP": (-2 * half, 0)}.get(
        source.tick_side, (-half, half)
    )
    beside = -4 * half if source.label_side == "TOP" else 4 * half
    for tick in source.ticks:
        at = tuple(one + tick.share * (two - one) for one, two in zip(first, last, strict=True))
        place = (at[0], at[1])
        pieces.append(Piece("polyline", (_moved(place, right, low), _moved(place, right, high))))
        if tick.label:
            pieces.append(Piece("text", (_moved(place, right, beside),), tick.label))
    return pieces
