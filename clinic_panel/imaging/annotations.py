"""What presentation states draw and write: layers, styles, graphics, texts (PS3.3 C.10.5, .7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from PIL import Image, ImageCms

from clinic_panel.imaging import compound
from clinic_panel.imaging.displayed import Point
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.structured import Reference, Words

MOST_OBJECTS: Final = 2_000  # graphics and texts of one state
MOST_POINTS: Final = 20_000  # of all of them
_SHAPES: Final = {"POINT": 1, "POLYLINE": 2, "INTERPOLATED": 2, "CIRCLE": 2, "ELLIPSE": 4}
_COMPOUNDS: Final = compound.TYPES | {"MULTILINE", "RANGELINE", "CROSSHAIR", "ARROW"}
_LAYERS: Final = 1_000
_THICKEST: Final = 20.0  # screen pixels


@dataclass(frozen=True, slots=True)
class Style:
    """How something is drawn; an empty colour is the viewer's own."""

    colour: str = ""
    fill: str = ""
    width: float = 0.0  # screen pixels; 0 is the viewer's own
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Graphic:
    """A drawn object; ``points`` are x and y in image coordinates, or shares of the view.

    Those ``of_matrix`` are in coordinates of all tiles of an image together.
    """

    shape: str
    points: tuple[Point, ...]
    of_view: bool
    filled: bool
    layer: str
    images: frozenset[str] = field(repr=False)
    style: Style = Style()
    stands_for: int | None = None  # the compound graphic that it draws for those who cannot
    of_matrix: bool = False


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
    style: Style = Style()
    justified: str = "left"
    stands_for: int | None = None
    box_of_matrix: bool = False
    anchor_of_matrix: bool = False


@dataclass(frozen=True, slots=True)
class Compound:
    """A compound graphic, to be made of simple ones where the area is known."""

    source: compound.Source
    layer: str
    images: frozenset[str] = field(repr=False)
    filled: bool
    style: Style


@dataclass(frozen=True, slots=True)
class Layer:
    """Layers are drawn by their order, what is in the highest last."""

    order: int
    colour: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """All that is drawn; ``left_out`` says what is not."""

    graphics: tuple[Graphic, ...] = field(repr=False)
    labels: tuple[Label, ...] = field(repr=False)
    compounds: tuple[Compound, ...] = field(repr=False)
    layers: Mapping[str, Layer]
    left_out: tuple[str, ...]

    def order(self, layer: str) -> int:
        """Where a layer stands; below the others if nothing is said of it."""
        return self.layers[layer].order if layer in self.layers else -1

    def style(self, layer: str, own: Style) -> Style:
        """A style of its own, else the layer's colour."""
        colour = self.layers[layer].colour if layer in self.layers else ""
        return replace(own, colour=own.colour or colour, fill=own.fill or own.colour or colour)


def read_annotations(words: Words) -> Annotations:
    """Read what is drawn and written in a state, within bounds."""
    return _Reader(words).read()


class _Reader:
    def __init__(self, words: Words) -> None:
        self.words = words
        self.graphics: list[Graphic] = []
        self.labels: list[Label] = []
        self.compounds: list[Compound] = []
        self._points = MOST_POINTS
        self._left_out: dict[str, None] = {}
        self._not_made: list[tuple[int | None, str]] = []

    def read(self) -> Annotations:
        for annotation in self.words.items(0x00700001):
            found = annotation.found
            images, layer = meant(found), found.text(0x00700002)
            for item in found.items(0x00700209):
                self._compound(item, images, layer)
            for item in found.items(0x00700009):
                self._graphic(item, images, layer)
            for words in annotation.items(0x00700008):
                self._label(words, images, layer)
        drawn = {one.source.number for one in self.compounds} - {None}
        self._say_what_is_missing()
        return Annotations(
            graphics=tuple(one for one in self.graphics if one.stands_for not in drawn),
            labels=tuple(one for one in self.labels if one.stands_for not in drawn),
            compounds=tuple(self.compounds),
            layers=_layers(self.words.found),
            left_out=tuple(self._left_out),
        )

    def _say_what_is_missing(self) -> None:
        """Compound graphics that are neither made here nor stood for, as the standard asks."""
        stood_for = {one.stands_for for one in self.graphics}
        stood_for |= {one.stands_for for one in self.labels}
        for number, kind in self._not_made:
            if number is None or number not in stood_for:
                name = f"a compound graphic ({kind})" if kind in _COMPOUNDS else ""
                self._left_out[name or "a compound graphic"] = None

    def _has_room(self, points: int) -> bool:
        self._points -= points
        objects = len(self.graphics) + len(self.labels) + len(self.compounds)
        if objects >= MOST_OBJECTS or self._points < 0:
            self._left_out["some of many annotations"] = None
            return False
        return True

    def _graphic(self, item: Elements, images: frozenset[str], layer: str) -> None:
        shape, units = item.text(0x00700023), item.text(0x00700005)
        points = pairs(item.floats(0x00700022, "f"))
        if shape not in _SHAPES or len(points) < _SHAPES[shape]:
            self._left_out["a damaged graphic"] = None
            return
        if self._has_room(len(points)):
            self.graphics.append(
                Graphic(
                    shape=shape.lower(),
                    points=points,
                    of_view=units == "DISPLAY",
                    filled=item.text(0x00700024) == "Y",
                    layer=layer,
                    images=images,
                    style=_line_style(item),
                    stands_for=_number(item),
                    of_matrix=units == "MATRIX",
                )
            )

    def _label(self, words: Words, images: frozenset[str], layer: str) -> None:
        item, text = words.found, words.text(0x00700006)[:1_000]
        corners = pairs(item.floats(0x00700010, "f") + item.floats(0x00700011, "f"))
        anchor = pairs(item.floats(0x00700014, "f"))
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
                style=_text_style(item),
                justified=_justified(item),
                stands_for=_number(item),
                box_of_matrix=item.text(0x00700003) == "MATRIX",
                anchor_of_matrix=item.text(0x00700004) == "MATRIX",
            )
        )

    def _compound(self, item: Elements, images: frozenset[str], layer: str) -> None:
        number = _number(item)
        source = compound.read_source(self.words.beside(item), number)
        if source is None:
            self._not_made.append((number, item.text(0x00700294)))
            return
        if self._has_room(len(source.points) + len(source.ticks)):
            filled = item.text(0x00700024) == "Y"
            self.compounds.append(Compound(source, layer, images, filled, _line_style(item)))


def places(reference: Reference) -> Iterator[str]:
    """Write a reference as keys: the UID for all of an object, UID and frame for a part."""
    if not reference.frames:
        yield reference.sop_instance_uid
    for frame in reference.frames:
        yield f"{reference.sop_instance_uid}/{frame}"


def references(item: Elements) -> Iterator[Reference]:
    """The images that an item names; frames are zero-based."""
    for image in item.items(0x00081140):
        frames = tuple(int(number) - 1 for number in image.numbers(0x00081160) if number >= 1)
        yield Reference(image.text(0x00081150)[:64], image.text(0x00081155)[:64], frames)


def meant(item: Elements) -> frozenset[str]:
    """Which images (or frames of them) an item is about, as ``places`` writes them."""
    return frozenset(place for one in references(item) for place in places(one))


def pairs(numbers: tuple[float, ...]) -> tuple[Point, ...]:
    """Points of their coordinates; none where one is beyond reason."""
    finite = numbers if all(abs(one) < 1e9 for one in numbers) else ()
    return tuple(zip(finite[::2], finite[1::2], strict=False))


def _number(item: Elements) -> int | None:
    return next(iter(item.longs(0x00700226)), None)


def _layers(found: Elements) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    for item in found.items(0x00700060):
        if len(layers) >= _LAYERS:
            break
        order = next(iter(item.numbers(0x00700062)), 0.0)
        layers[item.text(0x00700002)] = Layer(int(order), _layer_colour(item))
    return layers


def _layer_colour(item: Elements) -> str:
    return cielab(item.integers(0x00700401)) or grey(item.integer(0x00700066))


def _line_style(item: Elements) -> Style:
    line, fill = item.first(0x00700232), item.first(0x00700233)
    style = Style(fill=cielab(fill.integers(0x00700251)) if fill else "")
    if line is None:
        return style
    width = next(iter(line.floats(0x00700253, "f")), 0.0)
    return replace(
        style,
        colour=cielab(line.integers(0x00700251)),
        width=min(width, _THICKEST) if width > 0 else 0.0,
        dashed=line.text(0x00700254) == "DASHED",
    )


def _text_style(item: Elements) -> Style:
    style = item.first(0x00700231)
    return Style(colour=cielab(style.integers(0x00700241))) if style else Style()


def _justified(item: Elements) -> str:
    style = item.first(0x00700231)
    said = (style.text(0x00700242) if style else "") or item.text(0x00700012)
    return said.lower() if said in ("LEFT", "CENTER", "RIGHT") else "left"


def grey(value: int | None) -> str:
    """Return a P-value (16 bits) as a screen writes it; empty for none."""
    return "" if value is None else "#" + f"{value >> 8 & 0xFF:02x}" * 3


def cielab(value: tuple[int, ...]) -> str:
    """Return a colour as a screen writes it, of its encoded CIELab values (PS3.3 C.10.7.1.1)."""
    if len(value) != 3:
        return ""
    lightness, a, b = (round(one * 255 / 65535) for one in value)
    # L* of 0 to 100, a* and b* of -128 to 127, each over the bytes that Pillow takes.
    pixel = Image.frombytes("LAB", (1, 1), bytes([lightness, (a - 128) % 256, (b - 128) % 256]))
    converted = ImageCms.applyTransform(pixel, _to_screen())
    assert converted is not None  # not in place
    red, green, blue = converted.getpixel((0, 0))  # type: ignore[misc]
    return f"#{red:02x}{green:02x}{blue:02x}"


@lru_cache(maxsize=1)
def _to_screen() -> Any:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
