"""Small pictures of an image, windowed and reduced before they are encoded."""

from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.frame import ColourRange, Frame
from clinic_panel.imaging.lut import Palette, curve_of
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.shutters import cover
from clinic_panel.imaging.subtraction import read_as_seen
from clinic_panel.imaging.window import VoiFunction, apply

EDGE_PX: Final = 256
_MOST_PX: Final = 4096


def png(source: Picture | Path | bytes, frame: int | None = None, edge_px: int = EDGE_PX) -> bytes:
    """Return one frame as PNG bytes, at most ``edge_px`` wide and high (PS3.3 C.11.1, C.11.2).

    Parameters
    ----------
    source
        The image.
    frame
        Zero-based; None takes the middle one.
    edge_px
        Longer edge at most; smaller images are not enlarged.

    Raises
    ------
    NotUnderstood, NotDisplayable
        As ``read_frame``.
    """
    return _encode(_reduced(source, frame, edge_px), "PNG", optimize=False, compress_level=6)


def jpeg(
    source: Picture | Path | bytes,
    frame: int | None = None,
    edge_px: int = EDGE_PX,
    quality: int = 85,
) -> bytes:
    """Return one frame as JPEG bytes; parameters as for ``png``."""
    return _encode(_reduced(source, frame, edge_px), "JPEG", quality=quality)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _reduced(source: Picture | Path | bytes, frame: int | None, edge_px: int) -> Image.Image:
    if not 1 <= edge_px <= _MOST_PX:
        raise NotDisplayable("The picture's size is out of bounds.")
    picture = source if isinstance(source, Picture) else describe(source)
    return render(read_as_seen(picture, picture.frames // 2 if frame is None else frame), edge_px)


def render(
    frame: Frame,
    edge_px: int | None = None,
    *,
    window_center: float | None = None,
    window_width: float | None = None,
    inverted: bool = False,
) -> Image.Image:
    """Draw a frame as 8-bit grey or RGB in true aspect ratio, for thumbnails and key images.

    Parameters
    ----------
    frame
        As read.
    edge_px
        Longer edge at most; None keeps the size.
    window_center, window_width
        In modality units; None takes the image's own.
    inverted
        Black on white where the image itself is white on black.
    """
    info = frame.info
    height, width = _size(info.rows, info.columns, info.aspect, edge_px)
    # Whole pixels are left out first, so that windowing costs what the small picture has.
    step = max(1, min(info.rows // height, info.columns // width) // 2)
    window = window_center, window_width
    shown = _drawn(frame, frame.stored[::step, ::step], *window, inverted=inverted, step=step)
    image = Image.fromarray(np.ascontiguousarray(shown))
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BOX)
    return image


def draw(
    frame: Frame,
    *,
    window_center: float | None = None,
    window_width: float | None = None,
    inverted: bool = False,
) -> NDArray[np.uint8]:
    """Return a frame as shown, in its own pixels: (rows, columns) of grey or (rows, columns, 3).

    Parameters as for ``render``; the viewer paints the same.
    """
    return _drawn(frame, frame.stored, window_center, window_width, inverted=inverted)


def _drawn(
    frame: Frame,
    stored: NDArray[Any],
    center: float | None,
    width: float | None,
    *,
    inverted: bool,
    step: int = 1,
) -> NDArray[np.uint8]:
    info = frame.info
    shown = _shades(frame, stored, center, width, inverted=inverted)
    if info.shutters:
        shown = shown.copy()
        cover(shown, info.shutters, info.aspect, step)
    return shown


def _shades(
    frame: Frame,
    stored: NDArray[Any],
    center: float | None,
    width: float | None,
    *,
    inverted: bool,
) -> NDArray[np.uint8]:
    info = frame.info
    if info.format == "rgb8":
        return stored
    values = stored.astype(np.float32) * np.float32(info.slope) + np.float32(info.intercept)
    shown = apply(
        values,
        info.window_center if center is None else center,
        info.window_width if width is None else width,
        VoiFunction(info.voi_function),
        curve_of(b64decode(info.voi_curve)),
    )
    grey = np.rint(np.nan_to_num(shown) * 255).astype(np.uint8)
    if inverted != info.inverted:
        grey = 255 - grey
    if info.colours is not None and frame.palette is not None:
        grey = _tinted(grey, stored, info.colours, frame.palette)
    if info.padding is not None:  # what lies outside the picture stays black, inverted or not
        low, high = info.padding
        grey[(stored >= low) & (stored <= high)] = 0
    return grey


def _tinted(
    grey: NDArray[np.uint8], stored: NDArray[Any], which: ColourRange, palette: Palette
) -> NDArray[np.uint8]:
    """The picture with the colours of values that stand for one (PS3.3 C.8.16.2.1.1)."""
    places = np.clip(stored - which.first, 0, which.count - 1).astype(np.intp)
    is_colour = (stored >= which.first)[..., None]
    return np.where(is_colour, palette.colours[places], grey[..., None])


def _size(rows: int, columns: int, aspect: float, edge_px: int | None) -> tuple[int, int]:
    """Height and width in square pixels, within the edge."""
    height, width = float(rows), float(columns)
    if aspect > 1:
        height *= aspect
    else:
        width /= aspect
    edge = min(edge_px or _MOST_PX, _MOST_PX)
    scale = min(1.0, edge / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
