"""Presentation states: how somebody wished images to be seen (PS3.3 A.33, C.10.4 to C.11.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.header import encodings_of, parse_date
from clinic_panel.imaging.lut import table_of
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.imaging.structured import Reference, Words
from clinic_panel.validation import display_name

MOST_OBJECTS: Final = 2_000  # graphics and texts of one state
MOST_POINTS: Final = 20_000  # of all of them
MOST_IMAGES: Final = 5_000
_SHAPES: Final = {"POINT": 1, "POLYLINE": 2, "INTERPOLATED": 2, "CIRCLE": 2, "ELLIPSE": 4}

type Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Graphic:
    """A drawn object; ``points`` are x and y in image coordinates, or shares of the view."""

    shape: str
    points: tuple[Point, ...]
    of_view: bool
    filled: bool
    layer: str
    images: frozenset[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Label:
    """A text; in ``box`` (two corners) or beside ``anchor``."""

    text: str = field(repr=False)
    box: tuple[Point, Point] | None
    box_of_view: bool
    anchor: Point | None
    anchor_of_view: bool
    is_pointing: bool
    layer: str
    images: frozenset[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shutter:
    """What of the image is to be seen: corners in image coordinates, or a circle."""

    shape: str
    points: tuple[Point, ...]
    radius: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """Window and area for some images; an empty set means all."""

    images: frozenset[str] = field(repr=False)
    center: float | None = None
    width: float | None = None
    area: tuple[Point, Point] | None = None
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Presentation:
    """One presentation state."""

    label: str = field(repr=False)
    description: str = field(repr=False)
    creator: str = field(repr=False)
    created_on: str
    images: tuple[Reference, ...] = field(repr=False)
    windows: tuple[View, ...]
    areas: tuple[View, ...]
    graphics: tuple[Graphic, ...] = field(repr=False)
    labels: tuple[Label, ...] = field(repr=False)
    shutters: tuple[Shutter, ...]
    is_inverse: bool
    rotation: int
    is_flipped: bool
    left_out: tuple[str, ...]  # what the state asks for and this viewer does not do


def read_presentation(source: Path | bytes) -> Presentation:
    """Read a grayscale or colour softcopy presentation state.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        It refers to no image.
    """
    with opened_elements(source) as found:
        words = Words(found, encodings_of(found))
        images = tuple(_images(found))
        if not images:
            raise NotDisplayable("The presentation state refers to no image.")
        drawn = _Drawn(words)
        return Presentation(
            label=words.text(0x00700080),
            description=words.text(0x00700081),
            creator=display_name(words.text(0x00700084)) if words.text(0x00700084) else "",
            created_on=str(parse_date(words.text(0x00700082)) or ""),
            images=images,
            windows=tuple(_windows(found)),
            areas=tuple(_areas(found)),
            graphics=tuple(drawn.graphics),
            labels=tuple(drawn.labels),
            shutters=tuple(_shutters(found)),
            is_inverse=found.text(0x20500020) == "INVERSE",
            rotation=(found.integer(0x00700042) or 0) % 360,
            is_flipped=found.text(0x00700041) == "Y",
            left_out=tuple(_left_out(found, drawn)),
        )


def _references(item: Elements) -> Iterator[Reference]:
    for image in item.items(0x00081140):
        frames = tuple(int(number) - 1 for number in image.numbers(0x00081160) if number >= 1)
        yield Reference(image.text(0x00081150)[:64], image.text(0x00081155)[:64], frames)


def _images(found: Elements) -> Iterator[Reference]:
    count = 0
    for series in found.items(0x00081115):
        for reference in _references(series):
            count += 1
            if count > MOST_IMAGES:
                return
            yield reference


def _meant(item: Elements) -> frozenset[str]:
    """Which images (or frames of them) an item is about, as ``places`` writes them."""
    return frozenset(place for one in _references(item) for place in places(one))


def places(reference: Reference) -> Iterator[str]:
    """Write a reference as keys: the UID for all of an object, UID and frame for a part."""
    if not reference.frames:
        yield reference.sop_instance_uid
    for frame in reference.frames:
        yield f"{reference.sop_instance_uid}/{frame}"


def _windows(found: Elements) -> Iterator[View]:
    for item in found.items(0x00283110):
        centers, widths = item.numbers(0x00281050), item.numbers(0x00281051)
        if centers and widths and widths[0] > 0:
            yield View(_meant(item), center=centers[0], width=widths[0])
        elif table := table_of(item.first(0x00283010)):
            # The table's own shape is not applied, its span is (`left_out` says so).
            count = len(table.entries)
            yield View(_meant(item), center=table.first + count / 2, width=float(count))


def _areas(found: Elements) -> Iterator[View]:
    for item in found.items(0x0070005A):
        corners = [item.longs(tag, signed=True) for tag in (0x00700052, 0x00700053)]
        if any(len(corner) < 2 for corner in corners):
            continue
        (left, top), (right, bottom) = corners[0][:2], corners[1][:2]
        # Corners are pixels, counted from one and both included (PS3.3 C.10.4).
        area = (
            (min(left, right) - 1.0, min(top, bottom) - 1.0),
            (max(left, right), max(top, bottom)),
        )
        yield View(_meant(item), area=area, mode=item.text(0x00700100))


def _pairs(numbers: tuple[float, ...]) -> tuple[Point, ...]:
    finite = numbers if all(abs(one) < 1e9 for one in numbers) else ()
    return tuple(zip(finite[::2], finite[1::2], strict=False))


class _Drawn:
    """Graphics and texts of a state, within bounds."""

    def __init__(self, words: Words) -> None:
        self.graphics: list[Graphic] = []
        self.labels: list[Label] = []
        self.is_cut = False
        self._points = MOST_POINTS
        for annotation in words.found.items(0x00700001):
            images, layer = _meant(annotation), annotation.text(0x00700002)
            for item in annotation.items(0x00700009):
                self._graphic(item, images, layer)
            for item in annotation.items(0x00700008):
                self._label(Words(item, words.encodings), images, layer)

    def _has_room(self, points: int) -> bool:
        self._points -= points
        full = len(self.graphics) + len(self.labels) >= MOST_OBJECTS or self._points < 0
        self.is_cut = self.is_cut or full
        return not full

    def _graphic(self, item: Elements, images: frozenset[str], layer: str) -> None:
        shape = item.text(0x00700023)
        points = _pairs(item.floats(0x00700022, "f"))
        if shape not in _SHAPES or len(points) < _SHAPES[shape] or not self._has_room(len(points)):
            return
        self.graphics.append(
            Graphic(
                shape=shape.lower(),
                points=points,
                of_view=item.text(0x00700005) == "DISPLAY",
                filled=item.text(0x00700024) == "Y",
                layer=layer,
                images=images,
            )
        )

    def _label(self, words: Words, images: frozenset[str], layer: str) -> None:
        item, text = words.found, words.text(0x00700006)[:1_000]
        corners = _pairs(item.floats(0x00700010, "f") + item.floats(0x00700011, "f"))
        anchor = _pairs(item.floats(0x00700014, "f"))
        if not text or not (corners or anchor) or not self._has_room(1):
            return
        self.labels.append(
            Label(
                text=text,
                box=(corners[0], corners[1]) if len(corners) == 2 else None,
                box_of_view=item.text(0x00700003) == "DISPLAY",
                anchor=anchor[0] if anchor else None,
                anchor_of_view=item.text(0x00700004) == "DISPLAY",
                is_pointing=item.text(0x00700015) == "Y",
                layer=layer,
                images=images,
            )
        )


def _shutters(found: Elements) -> Iterator[Shutter]:
    shapes = found.text(0x00181600).split("\\")
    edges = [found.numbers(tag) for tag in (0x00181602, 0x00181606, 0x00181604, 0x00181608)]
    if "RECTANGULAR" in shapes and all(edges):
        left, top, right, bottom = (edge[0] for edge in edges)
        # The edges are pixels counted from one that still belong to what is seen.
        yield Shutter("rectangle", ((left - 1, top - 1), (right, bottom)))
    center, radius = found.numbers(0x00181610), found.numbers(0x00181612)
    if "CIRCULAR" in shapes and len(center) >= 2 and radius and radius[0] > 0:
        yield Shutter("circle", ((center[1] - 0.5, center[0] - 0.5),), radius[0])
    corners = tuple((column - 0.5, row - 0.5) for row, column in _pairs(found.numbers(0x00181620)))
    if "POLYGONAL" in shapes and 3 <= len(corners) <= MOST_POINTS:
        yield Shutter("polygon", corners)


def _left_out(found: Elements, drawn: _Drawn) -> Iterator[str]:
    if "BITMAP" in found.text(0x00181600):
        yield "a bitmap shutter"
    if any(item.first(0x00283010) for item in found.items(0x00283110)):
        yield "a grey-scale table"
    if found.first(0x00283000):
        yield "a modality table"
    if found.first(0x20500010):
        yield "a presentation table"
    if found.first(0x00286100):
        yield "a subtracted mask"
    if drawn.is_cut:
        yield "some of many annotations"


def as_dict(state: Presentation, reference: Reference, frame: int) -> dict[str, Any]:
    """Return what a state says of one image, as the viewer takes it.

    Parameters
    ----------
    frame
        Zero-based frame of the image that is shown.
    """
    keys = {reference.sop_instance_uid, f"{reference.sop_instance_uid}/{frame}"}

    def here(images: frozenset[str]) -> bool:
        return not images or bool(images & keys)

    window = next((one for one in state.windows if here(one.images)), None)
    area = next((one for one in state.areas if here(one.images)), None)
    return {
        "window": [window.center, window.width] if window else None,
        "area": area.area if area else None,
        "mode": area.mode if area else "",
        "inverse": state.is_inverse,
        "rotation": state.rotation,
        "flipped": state.is_flipped,
        "shutters": [
            {"shape": one.shape, "points": one.points, "radius": one.radius}
            for one in state.shutters
        ],
        "graphics": [
            {"shape": one.shape, "points": one.points, "of_view": one.of_view, "filled": one.filled}
            for one in state.graphics
            if here(one.images)
        ],
        "labels": [
            {
                "text": one.text,
                "box": one.box,
                "box_of_view": one.box_of_view,
                "anchor": one.anchor,
                "anchor_of_view": one.anchor_of_view,
                "pointing": one.is_pointing,
            }
            for one in state.labels
            if here(one.images)
        ],
    }
