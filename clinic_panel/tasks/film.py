"""Sheets of images: each drawn as it was seen, then set on pages."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

from clinic_panel.documents.film import Cell, Ellipse, Label, Stroke, render
from clinic_panel.evidence.order import Mark, Seen
from clinic_panel.evidence.outlines import Graphic, arrow_head, outlines
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.figures import lines_of, read_shape
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.measure import Shape
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.subtraction import read_as_seen
from clinic_panel.services.film import FilmImage, FilmOrder

_EDGE_PX = {1: 2048, 2: 1400, 3: 1024}
_LEAST_EDGE_PX = 800
_HEAD_SHARE = 0.03


def pdf(order: FilmOrder) -> bytes:
    """Return the sheets of an order.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image is damaged; a film without it would not be what was asked for.
    """
    across = min(order.sheet.columns, order.sheet.rows)
    edge_px = _EDGE_PX.get(across, _LEAST_EDGE_PX)
    return render(order.sheet, [_cell(image, edge_px) for image in order.images])


def _cell(image: FilmImage, edge_px: int) -> Cell:
    seen = image.seen
    frame = read_as_seen(describe(seen.path), seen.frame, seen.mask)
    info = frame.info
    if info.mask_mode == "on" and not info.masks:
        # A window of what was subtracted of others says nothing of one that has no mask.
        seen = replace(seen, window_center=None, window_width=None)
    drawn = thumbnail.render(
        frame,
        edge_px,
        window_center=seen.window_center,
        window_width=seen.window_width,
        inverted=seen.invert,
    )
    out = BytesIO()
    drawn.save(out, "PNG")
    scale = drawn.width / info.columns, drawn.height / info.rows
    strokes, ellipses, labels = [], [], []
    for mark in image.marks:
        for graphic in _graphics(mark, info.columns):
            if graphic[0] == "ELLIPSE":
                ellipses.append(_ellipse(graphic, scale))
            else:
                strokes.append(_stroke(graphic, scale))
        labels += _label(mark, frame, scale)
    return Cell(
        png=out.getvalue(),
        width=drawn.width,
        height=drawn.height,
        caption=image.caption,
        window=_window(seen, frame),
        edges=info.edges or ("", "", "", ""),
        strokes=tuple(strokes),
        ellipses=tuple(ellipses),
        labels=tuple(labels),
    )


def _graphics(mark: Mark, columns: int) -> list[Graphic]:
    found = outlines(mark.kind, mark.points)
    if mark.kind is Shape.ARROW:
        found.append(arrow_head(mark.points, _HEAD_SHARE * columns))
    return found


def _stroke(graphic: Graphic, scale: tuple[float, float]) -> Stroke:
    return Stroke(tuple((float(x), float(y)) for x, y in graphic[1] * scale))


def _ellipse(graphic: Graphic, scale: tuple[float, float]) -> Ellipse:
    ends = graphic[1] * scale
    (left, top), (right, bottom) = ends.min(axis=0), ends.max(axis=0)
    return Ellipse(
        float(left + right) / 2,
        float(top + bottom) / 2,
        float(right - left) / 2,
        float(bottom - top) / 2,
    )


def _label(mark: Mark, frame: Frame, scale: tuple[float, float]) -> list[Label]:
    reading = read_shape(mark.kind, mark.points, frame, mark.known)
    lines = tuple(filter(None, (mark.text, *lines_of(reading))))
    x, y = max(mark.points)
    return [Label(x * scale[0], y * scale[1], lines)] if lines else []


def _window(seen: Seen, frame: Frame) -> str:
    info = frame.info
    told = [*(["Lossy compressed"] if info.lossy else []), *([info.note] if info.note else [])]
    if info.format == "rgb8":
        return " · ".join(told)
    center = info.window_center if seen.window_center is None else seen.window_center
    width = info.window_width if seen.window_width is None else seen.window_width
    digits = 2 if width < 10 else 0
    said = f"WW {width:.{digits}f} WL {center:.{digits}f}"
    said += " inverted" if seen.invert else ""
    return " · ".join([said, *told])
