"""Images on sheets, as film was: a grid of pictures, each saying whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import batched
from typing import Any

from clinic_panel.documents.press import PNG_SIGNATURE, Press

MOST_COLUMNS, MOST_ROWS = 4, 6


@dataclass(frozen=True, slots=True, repr=False)
class Stroke:
    """A line drawn over a picture, in its pixels; closed strokes return to where they began."""

    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """As SVG has it."""
        return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in self.points)


@dataclass(frozen=True, slots=True, repr=False)
class Ellipse:
    """An ellipse drawn over a picture: centre and half axes, in its pixels."""

    cx: float
    cy: float
    rx: float
    ry: float


@dataclass(frozen=True, slots=True, repr=False)
class Label:
    """Lines written beside a point of a picture."""

    x: float
    y: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Cell:
    """One picture in true aspect, and what stands on it."""

    png: bytes
    width: int
    height: int
    caption: str
    window: str
    edges: tuple[str, str, str, str] = ("", "", "", "")  # left, right, top, bottom
    strokes: tuple[Stroke, ...] = ()
    ellipses: tuple[Ellipse, ...] = ()
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Sheet:
    """What every page says."""

    rows: int
    columns: int
    clinic: str
    name: str
    identity: str
    study: str
    printed: str
    notice: str
    language: str = "en"


def render(sheet: Sheet, cells: Sequence[Cell]) -> bytes:
    """Return the sheets as a PDF on A4, upright unless there are more columns than rows.

    Parameters
    ----------
    cells
        The pictures in their order, row by row; the last sheet may have room left.

    Raises
    ------
    ValueError
        The grid is out of bounds, or a picture is no PNG.
    """
    if not (1 <= sheet.columns <= MOST_COLUMNS and 1 <= sheet.rows <= MOST_ROWS):
        raise ValueError("a sheet has 1 to 4 columns and 1 to 6 rows")
    if not all(cell.png.startswith(PNG_SIGNATURE) for cell in cells):
        raise ValueError("a picture is no PNG")  # never SVG, which could name other files
    return _printer().print(sheet, cells)


class _Printer:
    """The press of sheets, and its template; built once a process."""

    def __init__(self) -> None:
        self._press = Press("film.css")
        self._template = self._press.template("film.html.j2")

    def print(self, sheet: Sheet, cells: Sequence[Cell]) -> bytes:
        wide = sheet.columns > sheet.rows
        html = self._template.render(
            sheet=sheet,
            pages=[list(batched(page, sheet.columns)) for page in _pages(sheet, cells)],
            wide=wide,
            **_measures(sheet, wide),
        )
        return self._press.print(html, {_address(n): cell.png for n, cell in enumerate(cells)})


@cache
def _printer() -> _Printer:
    return _Printer()


@dataclass(frozen=True, slots=True)
class _Placed:
    """A cell and the address of its picture."""

    address: str
    cell: Cell


def _address(place: int) -> str:
    return f"memory:picture-{place}"


def _pages(sheet: Sheet, cells: Sequence[Cell]) -> list[tuple[_Placed, ...]]:
    placed = [_Placed(_address(place), cell) for place, cell in enumerate(cells)]
    return list(batched(placed, sheet.rows * sheet.columns))


_PAGE_MM = (210.0, 297.0)
_MARGIN_MM, _HEAD_MM, _FOOT_MM, _GAP_MM = 8.0, 14.0, 9.0, 1.2


def _measures(sheet: Sheet, wide: bool) -> dict[str, Any]:
    """The size of a cell on paper, and of its type, which shrinks less than the picture does."""
    across, down = reversed(_PAGE_MM) if wide else _PAGE_MM
    width = (across - 2 * _MARGIN_MM - (sheet.columns - 1) * _GAP_MM) / sheet.columns
    room = down - 2 * _MARGIN_MM - _HEAD_MM - _FOOT_MM - (sheet.rows - 1) * _GAP_MM
    height = room / sheet.rows
    type_pt = min(9.0, max(4.6, height / 9))
    return {"width_mm": width, "height_mm": height, "gap_mm": _GAP_MM, "type_pt": type_pt}
