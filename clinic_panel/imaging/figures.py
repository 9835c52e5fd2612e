"""The numbers a shape on an image says, and the lines for them; ``measure.js`` says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from clinic_panel.imaging.calibration import Known, PixelSize, pixel_size
from clinic_panel.imaging.frame import Frame, FrameInfo
from clinic_panel.imaging.measure import (
    Point,
    Shape,
    angle,
    area,
    axes,
    length,
    mask,
    statistics,
)

CROSSED = "The outline crosses itself: no area"
MM, MM2, PX, PX2, DEGREE = "mm", "mm²", "px", "px²", "°"


class Quantity(StrEnum):
    """What a number is."""

    LENGTH = "length"
    ACROSS = "extent across"  # in a region of ultrasound that shows something else than lengths
    DOWN = "extent down"
    LONG_AXIS = "long axis"
    SHORT_AXIS = "short axis"
    ANGLE = "angle"
    COBB = "Cobb angle"
    AREA = "area"
    MEAN = "mean"
    SD = "standard deviation"
    MIN = "minimum"
    MAX = "maximum"

    @property
    def is_of_pixels(self) -> bool:
        """Whether it describes the values of pixels, in the unit of the image."""
        return self in (Quantity.MEAN, Quantity.SD, Quantity.MIN, Quantity.MAX)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and its unit: one of this module's, or that of the image's values."""

    quantity: Quantity
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a shape says; ``source`` is where its millimetres come from, or why there are none.

    It is empty where none are needed: an angle needs the shape of a pixel, not its size.
    """

    figures: tuple[Figure, ...]
    source: str
    problem: str = ""  # why there are none


def read_shape(
    kind: Shape, points: Sequence[Point], frame: Frame, known: Known | None = None
) -> Reading:
    """Measure what a shape covers of a frame.

    Parameters
    ----------
    points
        (x, y) in image coordinates, as ``imaging.measure`` has them.
    known
        The reader's own calibration that holds for the image, if there is one.
    """
    size = pixel_size(frame.info, points, known)
    row, column, in_mm = _sides(size, frame.info)
    line, square = (MM, MM2) if in_mm else (PX, PX2)
    match kind:
        case Shape.LENGTH:
            figures = _extents(points, size)
            figures = figures or [Figure(Quantity.LENGTH, length(points, row, column), line)]
        case Shape.BIDIRECTIONAL:
            long, short = axes(points, row, column)
            figures = [Figure(Quantity.LONG_AXIS, long, line)]
            figures += [Figure(Quantity.SHORT_AXIS, short, line)]
        case Shape.ANGLE | Shape.COBB:
            quantity = Quantity.COBB if kind is Shape.COBB else Quantity.ANGLE
            figure = Figure(quantity, angle(kind, points, row, column), DEGREE)
            return Reading((figure,), "" if _shows_lengths(size) else _instead(size))
        case Shape.RECTANGLE | Shape.ELLIPSE | Shape.POLYGON:
            covered = area(kind, points, row, column)
            if covered is None:
                return Reading((), "", CROSSED)
            figures = [Figure(Quantity.AREA, covered, square), *_of_pixels(kind, points, frame)]
        case _:
            return Reading((), "")
    is_told = kind is Shape.LENGTH or _shows_lengths(size)
    return Reading(tuple(figures), size.source if is_told else _instead(size))


def _shows_lengths(size: PixelSize) -> bool:
    return not (size.across or size.down)


def _extents(points: Sequence[Point], size: PixelSize) -> list[Figure]:
    """How far a line goes along each axis that has a scale of its own, such as time."""
    (x1, y1), (x2, y2) = points
    along = ((Quantity.ACROSS, x2 - x1, size.across), (Quantity.DOWN, y2 - y1, size.down))
    return [Figure(name, abs(px) * scale.per_px, scale.unit) for name, px, scale in along if scale]


def _instead(size: PixelSize) -> str:
    """Why a region of ultrasound gives a shape no millimetres: what it shows instead."""
    ways = ((size.across, "across"), (size.down, "down"))
    shown = " and ".join(f"{scale.unit} {way}" for scale, way in ways if scale)
    return f"Region of {shown}: pixels only"


def long_axis_first(
    points: Sequence[Point], frame: Frame, known: Known | None = None
) -> tuple[Sequence[Point], Sequence[Point]]:
    """Return the two lines of a bidirectional measurement, the longer one first."""
    row, column, _ = _sides(pixel_size(frame.info, points, known), frame.info)
    one, other = points[:2], points[2:]
    is_sorted = length(one, row, column) >= length(other, row, column)
    return (one, other) if is_sorted else (other, one)


def lines_of(reading: Reading) -> list[str]:
    """Write the numbers as the viewer does, the source last."""
    found = {figure.quantity: figure for figure in reading.figures}
    lines = [reading.problem] if reading.problem else []
    if figure := found.get(Quantity.LENGTH):
        lines.append(f"{_show(figure.value)} {figure.unit}")
    for quantity, way in ((Quantity.ACROSS, "across"), (Quantity.DOWN, "down")):
        if figure := found.get(quantity):
            lines.append(f"{_fine(figure.value)} {figure.unit} {way}")
    if figure := found.get(Quantity.LONG_AXIS):
        short = found[Quantity.SHORT_AXIS].value
        lines.append(f"{_show(figure.value)} × {_show(short)} {figure.unit}")
    if figure := found.get(Quantity.ANGLE):
        lines.append(f"{figure.value:.1f}{DEGREE}")
    if figure := found.get(Quantity.COBB):  # two lines name no direction
        lines += [f"{figure.value:.1f}{DEGREE}", f"or {180 - figure.value:.1f}{DEGREE}"]
    if figure := found.get(Quantity.AREA):
        large = figure.unit == MM2 and figure.value >= 1000
        lines.append(
            f"{_show(figure.value / 100, 2)} cm²"
            if large
            else f"{_show(figure.value)} {figure.unit}"
        )
    if mean := found.get(Quantity.MEAN):
        least, most = found[Quantity.MIN].value, found[Quantity.MAX].value
        unit, fine = f" {mean.unit}" if mean.unit else "", 2 if abs(most - least) < 10 else 0
        lines.append(f"Mean {_show(mean.value)}{unit}  SD {_show(found[Quantity.SD].value)}")
        lines.append(f"Min {least:.{fine}f}  Max {most:.{fine}f}")
    return [*lines, reading.source] if reading.source else lines


def _show(number: float, digits: int = 1) -> str:
    return f"{number:.{digits + (abs(number) < 10)}f}"


def _fine(number: float) -> str:
    """Three digits that count: seconds are mostly small, hertz large."""
    return f"{number:.{2 if number >= 1 else 3}f}" if number < 100 else f"{number:.0f}"


def _sides(size: PixelSize, info: FrameInfo) -> tuple[float, float, bool]:
    """A pixel's height and width in millimetres, or in pixel widths; and which of the two."""
    if size.row_mm is None or size.column_mm is None:
        return info.aspect or 1.0, 1.0, False
    return size.row_mm, size.column_mm, True


def _of_pixels(kind: Shape, points: Sequence[Point], frame: Frame) -> list[Figure]:
    """Describe the values inside; colours have none that mean anything, differences say none."""
    info = frame.info
    if info.format == "rgb8" or info.masks:
        return []
    inside = mask(kind, points, info.rows, info.columns)
    if (coloured := frame.coloured) is not None:
        inside = inside & ~coloured
    found = statistics(frame.values, inside)
    if found is None:
        return []
    return [
        Figure(Quantity.MEAN, found.mean, info.unit),
        Figure(Quantity.SD, found.sd, info.unit),
        Figure(Quantity.MIN, found.min, info.unit),
        Figure(Quantity.MAX, found.max, info.unit),
    ]
