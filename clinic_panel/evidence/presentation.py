"""How a reader looked at images, and what they drew there, as softcopy presentation states.

A presentation state speaks of images of one size that are shown alike (PS3.3 A.33): grey ones
with one modality transformation and one polarity, or colour ones. Mixed, they make several.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import highdicom as hd
import highdicom.pr as pr
import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms
from pydicom.dataset import Dataset

from clinic_panel.evidence.equipment import common, person_name
from clinic_panel.evidence.order import DocumentOrder, Mark, Seen
from clinic_panel.evidence.outlines import arrow_head, outlines
from clinic_panel.evidence.sources import Sources, frame_numbers
from clinic_panel.imaging.displayed import Area, Turn
from clinic_panel.imaging.figures import lines_of, read_shape
from clinic_panel.imaging.frame import FrameInfo
from clinic_panel.imaging.masking import STILL, MaskOperation, Subtraction, ViewingMode
from clinic_panel.imaging.measure import Shape
from clinic_panel.imaging.subtraction import (
    AS_SAID,
    Wish,
    subtraction_of,
    table_before,
)
from clinic_panel.imaging.window import VoiFunction

SERIES_NUMBER = 9902
LAYER = "MEASUREMENTS"
_LINE_SHARE = 0.035  # of the image's height: a line of text
_WIDTH_SHARE = 0.3  # of its width: the box of a text
_HEAD_SHARE = 0.03  # of its width: an arrow's head
_ASPECT_UNITS = 1000
_FIRST_DAY = b"\x07\xd0\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"  # 2000-01-01, as ICC writes it


@dataclass(frozen=True, slots=True)
class _Way:
    """How images are shown: those that differ in it need a presentation state each."""

    rows: int
    columns: int
    aspect: float
    is_colour: bool
    slope: float
    intercept: float
    unit: str
    table_of: Path | None  # the image that brings a modality LUT of its own, or needs one
    inverse: bool
    turn: Turn
    mask: str | None = None  # what was wished to be subtracted
    subtraction: Subtraction | None = None  # and what that is; without its contrast frames
    averaged: int = 1  # contrast frames


@dataclass(slots=True)
class _State:
    """The images and marks of one presentation state."""

    seen: list[Seen] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


def build(order: DocumentOrder, sources: Sources) -> list[Dataset]:
    """Return the presentation states of an order; every mark lies on an image that is seen.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image is damaged, or cannot be decoded.
    """
    states: dict[_Way, _State] = defaultdict(_State)
    way_of: dict[tuple[Path, int], _Way] = {}
    for one in order.seen:
        way = way_of[one.path, one.frame] = _way(one, sources)
        states[way].seen.append(one)
    for mark in order.marks:
        states[way_of[mark.path, mark.frame]].marks.append(mark)
    return [
        _document(_numbered(order, place), way, state, sources)
        for place, (way, state) in enumerate(states.items())
    ]


def _numbered(order: DocumentOrder, place: int) -> DocumentOrder:
    """The first has the order's UID; the others' follow from it."""
    if not place:
        return order
    name = f"{order.identity.sop_instance_uid}.{place}"
    uid = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"
    return replace(order, identity=replace(order.identity, sop_instance_uid=uid))


def _way(one: Seen, sources: Sources) -> _Way:
    picture, info = sources.picture(one.path), sources.frame(one.path, one.frame).info
    is_colour = info.format == "rgb8"
    traits = picture.frame_traits(one.frame)
    found = subtraction_of(picture, one.frame, Wish(one.mask or AS_SAID))
    table = picture.modality_lut if found is None else table_before(picture)
    return _Way(
        rows=info.rows,
        columns=info.columns,
        aspect=info.aspect,
        is_colour=is_colour,
        slope=0.0 if is_colour else traits.slope,
        intercept=0.0 if is_colour else traits.intercept,
        unit="" if is_colour else traits.unit,
        table_of=one.path if table is not None else None,
        inverse=not is_colour and info.inverted != one.invert,
        turn=Turn.of_view(one.rotation, one.mirrored),
        mask=one.mask,
        subtraction=replace(found, contrast=()) if found else None,
        averaged=len(found.contrast) if found else 1,
    )


def _document(order: DocumentOrder, way: _Way, state: _State, sources: Sources) -> Dataset:
    images = {one.path: _image(one.path, way, sources) for one in state.seen}
    layer = pr.GraphicLayer(
        LAYER, 1, "Measurements", display_color=hd.color.CIELabColor(92, -10, 60)
    )
    drawn = [_annotation(mark, layer, images[mark.path], way, sources) for mark in state.marks]
    parts: dict[str, Any] = {
        "referenced_images": list(images.values()),
        "series_number": SERIES_NUMBER,
        "series_description": "Presentation",
        "content_label": "MEASUREMENTS" if drawn else "VIEW",
        "content_description": "Window and annotations of a reader",
        "content_creator_name": person_name(order.origin.observer),
        "graphic_annotations": drawn or None,
        "graphic_layers": [layer] if drawn else None,
    } | common(order)
    if way.is_colour:
        document = pr.ColorSoftcopyPresentationState(icc_profile=_srgb(), **parts)
    else:
        shape = "INVERSE" if way.inverse else "IDENTITY"
        document = pr.GrayscaleSoftcopyPresentationState(
            modality_lut_transformation=_modality(way, sources),
            voi_lut_transformations=_windows(state.seen, images, sources),
            presentation_lut_transformation=hd.PresentationLUTTransformation(shape),
            **parts,
        )
    if way.subtraction is not None:
        _subtract(document, way.subtraction, way.averaged)
    document.Laterality = ""  # of a pair or not, each image says for itself
    _stand(document, way.turn)
    _show_areas(document, way, state.seen, images)
    return document


def _image(path: Path, way: _Way, sources: Sources) -> Dataset:
    """The header as highdicom wants it: what it only checks is put right beforehand."""
    header = Dataset()
    header.update(sources.header(path))
    header.NumberOfFrames = int(header.get("NumberOfFrames") or 1)
    header.SamplesPerPixel = 3 if way.is_colour else 1  # palette colours are colours (PS3.4 N.2.2)
    return header


def _modality(way: _Way, sources: Sources) -> hd.ModalityLUTTransformation:
    picture = sources.picture(way.table_of) if way.table_of else None
    table = None
    if picture is not None:
        table = picture.modality_lut if way.subtraction is None else table_before(picture)
    if table is not None:
        entries = np.asarray(table.entries).astype(np.uint16)
        return hd.ModalityLUTTransformation(
            modality_lut=hd.ModalityLUT(hd.RescaleTypeValues.US, int(table.first), entries)
        )
    kind = "HU" if way.unit == "HU" else "US"
    return hd.ModalityLUTTransformation(way.intercept, way.slope, kind)


def _windows(
    seen: Sequence[Seen], images: dict[Path, Dataset], sources: Sources
) -> list[pr.SoftcopyVOILUTTransformation]:
    """Return each window once, with the images and frames that are seen through it."""
    through: dict[tuple[float, float, str], dict[Path, list[int]]] = defaultdict(dict)
    for one in seen:
        key = _window(one, sources.seen(one.path, one.frame, one.mask).info)
        through[key].setdefault(one.path, []).append(one.frame)
    found = []
    for (center, width, function), frames in through.items():
        whole = [path for path, some in frames.items() if not frame_numbers(images[path], some)]
        parts = [(path, some) for path, some in frames.items() if path not in whole]
        references = [hd.ReferencedImageSequence([images[path] for path in whole])] if whole else []
        references += [
            hd.ReferencedImageSequence([images[path]], frame_numbers(images[path], some))
            for path, some in parts
        ]
        found += [
            pr.SoftcopyVOILUTTransformation(
                window_center=center,
                window_width=width,
                voi_lut_function=function,
                referenced_images=reference,
            )
            for reference in references
        ]
    return found


def _window(one: Seen, info: FrameInfo) -> tuple[float, float, str]:
    function = VoiFunction(info.voi_function)
    # A table that a reader moved has no other form here than the window it was moved to.
    name = VoiFunction.LINEAR.value if function is VoiFunction.TABLE else function.value
    if one.window_center is None or not one.window_width:
        return info.window_center, info.window_width, name
    return one.window_center, one.window_width, name


def _annotation(
    mark: Mark, layer: pr.GraphicLayer, image: Dataset, way: _Way, sources: Sources
) -> pr.GraphicAnnotation:
    frame = sources.seen(mark.path, mark.frame, way.mask)
    rows, columns = frame.info.rows, frame.info.columns
    graphics = outlines(mark.kind, mark.points)
    if mark.kind is Shape.ARROW:
        graphics.append(arrow_head(mark.points, _HEAD_SHARE * columns))
    objects = [
        pr.GraphicObject(kind, _inside(data, rows, columns), pr.AnnotationUnitsValues.PIXEL)
        for kind, data in graphics
    ]
    lines = [mark.text, *lines_of(read_shape(mark.kind, mark.points, frame, mark.known))]
    said = [line for line in lines if line]
    texts = None
    if said:
        box = _text_box(graphics[0][1], len(said), rows, columns)
        texts = [
            pr.TextObject(
                "\r\n".join(said),
                pr.AnnotationUnitsValues.PIXEL,
                bounding_box=box,
                text_justification=pr.TextJustificationValues.LEFT,
            )
        ]
    numbers = frame_numbers(image, [mark.frame])
    return pr.GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        referenced_frame_number=numbers,
        graphic_objects=objects,
        text_objects=texts,
    )


def _inside(data: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """A shape that was moved over the edge is drawn up to it."""
    return np.clip(data, 0, (columns, rows))


def _text_box(
    data: NDArray[np.float64], lines: int, rows: int, columns: int
) -> tuple[float, float, float, float]:
    """Beside the rightmost point, as far inside the image as there is room."""
    x, y = data[int(np.argmax(data[:, 0]))]
    width, height = _WIDTH_SHARE * columns, min(_LINE_SHARE * rows * lines, rows)
    left = float(np.clip(x + 0.01 * columns, 0, columns - width))
    top = float(np.clip(y, 0, rows - height))
    return left, top, left + width, top + height


def _subtract(document: Dataset, what: Subtraction, averaged: int) -> None:
    """Say what was subtracted from the images (PS3.3 C.11.13)."""
    item = Dataset()
    item.MaskOperation = MaskOperation.AVG_SUB.value
    item.MaskFrameNumbers = [one + 1 for one in what.masks]
    item.ContrastFrameAveraging = averaged
    if what.shift != STILL:
        down, right = what.shift
        item.MaskSubPixelShift = [down, 0.0 - right]  # to the left (PS3.3 C.7.6.10.1.2)
    document.MaskSubtractionSequence = [item]
    document.RecommendedViewingMode = ViewingMode.SUBTRACTED.value


def _stand(document: Dataset, turn: Turn) -> None:
    """Say which way round the images are shown (PS3.3 C.10.6), which highdicom leaves out."""
    if turn != Turn():
        document.ImageRotation = turn.quarters * 90
        document.ImageHorizontalFlip = "Y" if turn.flipped else "N"


def _show_areas(
    document: Dataset, way: _Way, seen: Sequence[Seen], images: dict[Path, Dataset]
) -> None:
    """Say of each image which part of it is shown, and how tall a pixel is for its width.

    highdicom shows all of upright images, and takes pixels as square.
    """
    whole = (0.0, 0.0, float(way.columns), float(way.rows))
    shown: dict[tuple[float, ...], dict[Path, list[int]]] = defaultdict(dict)
    for one in seen:
        shown[one.area or whole].setdefault(one.path, []).append(one.frame)
    items = []
    for (left, top, right, bottom), frames in shown.items():
        item = Dataset()
        corners = Area(left, top, right, bottom).corners(way.turn)
        item.DisplayedAreaTopLeftHandCorner = list(corners[0])
        item.DisplayedAreaBottomRightHandCorner = list(corners[1])
        item.PresentationSizeMode = "SCALE TO FIT"
        units = round(way.aspect * _ASPECT_UNITS) if abs(way.aspect - 1) > 1e-4 else 0
        item.PresentationPixelAspectRatio = [units, _ASPECT_UNITS] if units else [1, 1]
        if len(shown) > 1:  # else it holds for all of them
            item.ReferencedImageSequence = _references(frames, images)
        items.append(item)
    document.DisplayedAreaSelectionSequence = items


def _references(frames: dict[Path, list[int]], images: dict[Path, Dataset]) -> list[Dataset]:
    return [
        reference
        for path, some in frames.items()
        for reference in hd.ReferencedImageSequence(
            [images[path]], frame_numbers(images[path], some)
        )
    ]


@cache
def _srgb() -> bytes:
    """The colour space of what a browser shows, as an input profile (PS3.3 C.11.15).

    Input and display profiles made of a matrix and curves hold the same tags (ICC.1 8.3, 8.4).
    """
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[12:16] = b"scnr"
    profile[24:36] = _FIRST_DAY  # instead of the moment it was made
    return bytes(profile)
