"""Presentation states: how somebody wished images to be seen (PS3.3 A.33, C.10.4 to C.11.10)."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.annotations import (
    Annotations,
    Graphic,
    Label,
    Style,
    meant,
    read_annotations,
    references,
)
from clinic_panel.imaging.compound import pieces_of
from clinic_panel.imaging.displayed import Area, Point, Turn, areas_of, turn_of
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.header import encodings_of, parse_date
from clinic_panel.imaging.masking import Masking, masking_of_state
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.imaging.overlays import PLANE_GROUPS, bits_of
from clinic_panel.imaging.shutters import Shutter, colour_said, shapes_said, shutters_of
from clinic_panel.imaging.structured import Reference, Words
from clinic_panel.imaging.tiles import tile_origin
from clinic_panel.imaging.tones import Tones, read_tones
from clinic_panel.validation import display_name

MOST_IMAGES: Final = 5_000
_SHUTTER_GROUP: Final = 0x00181623
_ACTIVATION_LAYER: Final = 0x1001


@dataclass(frozen=True, slots=True)
class Bitmap:
    """One bit a pixel, the first in the lowest bit of its byte, at its place on the image.

    One without a layer is a shutter: it covers where its bits are set (PS3.3 C.7.6.15).
    """

    top: int
    left: int
    rows: int
    columns: int
    bits: bytes = field(repr=False)
    layer: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The image that a state is asked about; ``frame`` is zero-based."""

    reference: Reference
    frame: int
    columns: int
    rows: int
    has_modality_table: bool = False  # which its pixels have passed already
    origin: Point = (0.0, 0.0)  # of the frame in the whole of a tiled image

    @property
    def keys(self) -> frozenset[str]:
        """What a state calls it."""
        uid = self.reference.sop_instance_uid
        return frozenset({uid, f"{uid}/{self.frame}"})


@dataclass(frozen=True, slots=True)
class Presentation:
    """One presentation state; an empty set of images means all of them."""

    label: str = field(repr=False)
    description: str = field(repr=False)
    creator: str = field(repr=False)
    created_on: str
    images: tuple[Reference, ...] = field(repr=False)
    tones: Tones
    areas: tuple[tuple[frozenset[str], Area], ...] = field(repr=False)
    annotations: Annotations
    shutters: tuple[Shutter, ...]
    bitmaps: tuple[Bitmap, ...] = field(repr=False)
    turn: Turn
    masking: Masking
    left_out: tuple[str, ...]  # what the state asks for and this viewer does not do


def read_presentation(source: Path | bytes, reader: type[Words] = Words) -> Presentation:
    """Read a grayscale or colour softcopy presentation state.

    Parameters
    ----------
    reader
        How text is read; ``discreet.Discreet`` keeps back what may name a person.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        It refers to no image.
    """
    with opened_elements(source) as found:
        words = reader(found, encodings_of(found))
        images = tuple(_images(found))
        if not images:
            raise NotDisplayable("The presentation state refers to no image.")
        annotations = read_annotations(words)
        bitmaps, masking = tuple(_bitmaps(found)), masking_of_state(found)
        left_out = (*_left_out(found, bitmaps), *masking.left_out, *annotations.left_out)
        return Presentation(
            label=words.text(0x00700080),
            description=words.text(0x00700081),
            creator=display_name(words.text(0x00700084)) if words.text(0x00700084) else "",
            created_on=str(parse_date(words.text(0x00700082)) or ""),
            images=images,
            tones=read_tones(found),
            areas=tuple((meant(item), area) for item, area in areas_of(found)),
            annotations=annotations,
            shutters=shutters_of(found),
            bitmaps=bitmaps,
            turn=turn_of(found),
            masking=masking,
            left_out=left_out,
        )


def read_shown(source: Path | bytes, reference: Reference, frame: int) -> Shown:
    """Read of an image what a state needs to know of it.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    """
    with opened_elements(source) as found:
        columns, rows = found.integer(0x00280011) or 0, found.integer(0x00280010) or 0
        has_table, origin = found.first(0x00283000) is not None, tile_origin(found, frame)
        return Shown(reference, frame, columns, rows, has_table, origin)


def _images(found: Elements) -> Iterator[Reference]:
    count = 0
    for series in found.items(0x00081115):
        for reference in references(series):
            count += 1
            if count > MOST_IMAGES:
                return
            yield reference


def _bitmaps(found: Elements) -> Iterator[Bitmap]:
    """Planes of bits that the state brings: its shutter, and those that it puts on a layer."""
    shutter = None
    if "BITMAP" in shapes_said(found):
        shutter = found.integer(_SHUTTER_GROUP)
    for group in PLANE_GROUPS:
        layer = found.text(group << 16 | _ACTIVATION_LAYER)
        if (group == shutter or layer) and (plane := bits_of(found, group)) is not None:
            colour = colour_said(found) if group == shutter else ""
            yield Bitmap(*plane, layer="" if group == shutter else layer, colour=colour)


def _left_out(found: Elements, bitmaps: tuple[Bitmap, ...]) -> Iterator[str]:
    shapes, shutters = shapes_said(found), shutters_of(found)
    if "BITMAP" in shapes and all(one.layer for one in bitmaps):
        yield "a bitmap shutter"
    if len(shutters) < len({"RECTANGULAR", "CIRCULAR", "POLYGONAL"} & set(shapes)):
        yield "a shutter"


def as_dict(state: Presentation, shown: Shown) -> dict[str, Any]:
    """Return what a state says of one image, as the viewer takes it: all in image coordinates."""
    drawing = _Drawing(state, shown)
    area = drawing.said_area
    return {
        "tones": state.tones.as_dict(shown.keys),
        "modality": None if shown.has_modality_table else state.tones.modality_as_dict(),
        "area": area.as_dict() if area else None,
        "inverse": state.tones.is_inverse,
        "rotation": state.turn.quarters * 90,
        "flipped": state.turn.flipped,
        "shutters": [asdict(one) for one in state.shutters],
        "bitmaps": drawing.bitmaps(),
        "graphics": drawing.graphics(),
        "labels": drawing.labels(),
    }


def _ends(one: Graphic) -> Sequence[Point]:
    """Points about a graphic: of a circle, whose centre and one point are said, its corners."""
    if one.shape != "circle":
        return one.points
    (x, y), (on_x, on_y) = one.points[:2]
    radius = math.hypot(on_x - x, on_y - y)
    return (x - radius, y - radius), (x + radius, y + radius)


class _Drawing:
    """What is drawn on one image, in image coordinates and in the order of its layers."""

    def __init__(self, state: Presentation, shown: Shown) -> None:
        self.state, self.keys, self.shown = state, shown.keys, shown
        here = (area for meant, area in state.areas if self._is_here(meant))
        self.said_area = next((area.on_frame(shown.origin) for area in here), None)
        self.area = self.said_area or Area.whole(shown.columns, shown.rows)
        self._texts: list[Label] = []
        self._drawn = self._all()

    def _is_here(self, images: frozenset[str]) -> bool:
        return not images or bool(images & self.keys)

    def _all(self) -> list[Graphic]:
        """The simple graphics, and those that the compound ones are drawn of."""
        annotations = self.state.annotations
        drawn = [one for one in annotations.graphics if self._is_here(one.images)]
        for one in annotations.compounds:
            if not self._is_here(one.images):
                continue
            for piece in pieces_of(one.source, self.area, self.state.turn):
                if piece.shape == "text":
                    anchor = piece.points[0]
                    label = Label(
                        piece.text, None, False, anchor, False, False, one.layer, one.images
                    )
                    self._texts.append(replace(label, style=one.style, justified="center"))
                else:
                    drawn.append(
                        Graphic(
                            piece.shape,
                            piece.points,
                            False,
                            one.filled,
                            one.layer,
                            one.images,
                            one.style,
                        )
                    )
        seen = (one for one in drawn if not one.of_matrix or self._touches(_ends(one)))
        return sorted(seen, key=lambda one: annotations.order(one.layer))

    def _place(self, point: Point, of_view: bool, of_matrix: bool = False) -> Point:
        if of_matrix:
            return point[0] - self.shown.origin[0], point[1] - self.shown.origin[1]
        return self.area.place(self.state.turn, point) if of_view else point

    def _touches(self, points: Sequence[Point]) -> bool:
        """Whether something of the whole has a part on the tile that is shown."""
        ends = [self._place(point, of_view=False, of_matrix=True) for point in points]
        room = self.shown.columns, self.shown.rows
        return all(
            min(end[axis] for end in ends) <= room[axis] and max(end[axis] for end in ends) >= 0
            for axis in (0, 1)
        )

    def _style(self, layer: str, own: Style) -> dict[str, Any]:
        style = self.state.annotations.style(layer, own)
        return {
            "colour": style.colour,
            "fill": style.fill,
            "width": style.width,
            "dashed": style.dashed,
        }

    def graphics(self) -> list[dict[str, Any]]:
        return [
            {
                "shape": one.shape,
                "points": [self._place(at, one.of_view, one.of_matrix) for at in one.points],
                "filled": one.filled,
                "style": self._style(one.layer, one.style),
            }
            for one in self._drawn
        ]

    def bitmaps(self) -> list[dict[str, Any]]:
        """The shutter first, then planes in the order of their layers."""
        annotations = self.state.annotations
        ordered = sorted(
            self.state.bitmaps, key=lambda one: (one.layer != "", annotations.order(one.layer))
        )
        return [
            {
                "top": one.top,
                "left": one.left,
                "rows": one.rows,
                "columns": one.columns,
                "bits": b64encode(one.bits).decode(),
                "is_shutter": not one.layer,
                "colour": annotations.style(one.layer, Style()).colour if one.layer else one.colour,
            }
            for one in ordered
        ]

    def _is_on_tile(self, one: Label) -> bool:
        box = one.box if one.box and one.box_of_matrix else ()
        anchor = (one.anchor,) if one.anchor and one.anchor_of_matrix else ()
        points = [*box, *anchor]
        return not points or self._touches(points)

    def labels(self) -> list[dict[str, Any]]:
        annotations = self.state.annotations
        here = [
            one for one in annotations.labels if self._is_here(one.images) and self._is_on_tile(one)
        ]
        ordered = sorted([*here, *self._texts], key=lambda one: annotations.order(one.layer))
        return [
            {
                "text": one.text,
                "box": [
                    self._place(corner, one.box_of_view, one.box_of_matrix) for corner in one.box
                ]
                if one.box
                else None,
                "anchor": self._place(one.anchor, one.anchor_of_view, one.anchor_of_matrix)
                if one.anchor
                else None,
                "pointing": one.is_pointing,
                "justified": one.justified,
                "style": self._style(one.layer, one.style),
            }
            for one in ordered
        ]
