"""Digital subtraction: a recording's frames without the anatomy behind the contrast medium.

The subtraction takes place where stored values are logarithmic to the intensity of the X-rays
(PS3.3 C.7.6.10.1, PS3.4 N.2.1.2): values that are linear to it pass a logarithm first, others are
taken as they are. Whole numbers stay exact; where a mask is moved by parts of a pixel, the result
is rounded to the finest power of two that 16 bits hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.difference import LOG_BITS, difference, log_table, per_e
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.lut import LookUpTable
from clinic_panel.imaging.masking import STILL, Masking, Subtraction
from clinic_panel.imaging.picture import Picture
from clinic_panel.imaging.pixels import FORMATS, narrowed, read_frame
from clinic_panel.imaging.window import VoiFunction, Window

type Reading = Callable[[int], Frame]  # gives a zero-based frame as it is stored

AS_SAID: Final = ""  # by the image's own recommendation
AS_STORED: Final = "none"
OWN_MASK: Final = "own"
WISH: Final = re.compile(r"|none|own|[1-9]\d{0,4}")
OF_X_RAYS: Final = frozenset({"XA", "RF"})
_MOST_PX: Final = 2**24  # of a frame; larger ones are no recordings
_MOST_AVERAGED_PX: Final = 2**26  # of all frames of one mean
_SAMPLE: Final = 50_000  # values of a frame that a window is found by
_LEAST_WINDOW: Final = 4.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see: which frames are subtracted, and what says so."""

    mask: str = AS_SAID  # `AS_SAID`, `AS_STORED`, `OWN_MASK`, or the number of a frame, from one
    state: Masking | None = None  # of a presentation state, in place of the image's own


def mask_wished(given: object) -> str | None:
    """What a browser says was subtracted, if that is a wish; None leaves it to the image."""
    return given if isinstance(given, str) and given and WISH.fullmatch(given) else None


def can_be_subtracted(picture: Picture) -> bool:
    """Whether a mask can be taken from the frames of an image: a grey recording by X-rays."""
    is_recording = picture.frames > 1 and picture.samples == 1 and picture.palette is None
    if picture.rows * picture.columns > _MOST_PX:
        return False
    return is_recording and (picture.modality in OF_X_RAYS or bool(picture.masking.items))


def subtraction_of(picture: Picture, frame: int, wish: Wish) -> Subtraction | None:
    """What is subtracted from a zero-based frame, or None where it is seen as it is stored.

    Without a mask of its own, an image's first frame is taken for one who asks for it.
    """
    if not can_be_subtracted(picture) or wish.mask == AS_STORED:
        return None
    if wish.mask.isdigit():
        number = int(wish.mask)
        return Subtraction((frame,), (number - 1,)) if number <= picture.frames else None
    masking = picture.masking if wish.state is None else wish.state
    if wish.mask == AS_SAID and not masking.is_seen_subtracted(frame):
        return None
    found = masking.of(frame, picture.frames)
    if found is not None:  # as many as there is memory for
        most = max(1, _MOST_AVERAGED_PX // (picture.rows * picture.columns))
        found = replace(found, masks=found.masks[:most], contrast=found.contrast[:most])
    if found is None and wish.mask == OWN_MASK and not masking.items:
        return Subtraction((frame,), (0,))
    return found


def read_seen(
    picture: Picture, frame: int, wish: Wish, read: Reading, window: Window | None = None
) -> Frame:
    """Read a frame as it is to be seen: subtracted, or as it is stored.

    Parameters
    ----------
    frame
        Zero-based.
    read
        Gives the frames as they are stored.
    window
        Of the subtracted values, if it is known (``window_of``): the same for all frames, or a
        recording would flicker.

    Returns
    -------
    Frame
        Its ``info.masks`` are what was subtracted; the values are differences, of averages too.

    Raises
    ------
    NotUnderstood, NotDisplayable
        As ``pixels.read_frame``, of any frame that takes part.
    """
    found = subtraction_of(picture, frame, wish)
    if found is None:
        return _as_stored(picture, frame, wish, read(frame))
    subtracted = _subtracted(picture, frame, found, wish, read)
    window = window or window_of(picture, wish, read)
    own = subtracted.info.windows
    info = replace(
        subtracted.info,
        window_center=window.center,
        window_width=window.width,
        windows=(window, *own),
    )
    return replace(subtracted, info=info)


def read_as_seen(
    picture: Picture, frame: int, mask: str | None = None, window: Window | None = None
) -> Frame:
    """Read one zero-based frame as somebody saw it; None leaves that to the image.

    Raises
    ------
    NotUnderstood, NotDisplayable
        As ``read_seen``.
    """
    if not can_be_subtracted(picture):
        return read_frame(picture, frame)
    return read_seen(
        picture, frame, Wish(mask or AS_SAID), cache(partial(read_frame, picture)), window
    )


def _as_stored(picture: Picture, frame: int, wish: Wish, found: Frame) -> Frame:
    if not can_be_subtracted(picture):
        return found
    masking = picture.masking if wish.state is None else wish.state
    asked = wish.mask != AS_STORED
    wanted = asked and (bool(wish.mask) or masking.is_seen_subtracted(frame))
    note = found.info.note
    if wanted:
        note = "As stored: no mask is said for this frame"
    mode: Literal["off", "on"] = "on" if wanted else "off"
    return replace(found, info=replace(found.info, mask_mode=mode, note=note))


def window_of(picture: Picture, wish: Wish, read: Reading) -> Window:
    """A window for all subtracted frames of an image, found on some of them.

    What did not change stays between black and white.
    """
    seen = [
        (frame, found)
        for frame in range(picture.frames)
        if (found := subtraction_of(picture, frame, wish)) is not None
    ]
    some = {len(seen) * share // 4: None for share in (1, 2, 3) if seen}
    values = [
        _sampled(_subtracted(picture, *seen[min(place, len(seen) - 1)], wish, read))
        for place in some
    ]
    if not values:
        return Window(0.0, _LEAST_WINDOW, "Subtraction")
    low, high = np.percentile(np.concatenate(values), (0.5, 99.5))
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    width = max(1.1 * (high - low), _LEAST_WINDOW)
    return Window(float(f"{(low + high) / 2:.4g}"), float(f"{width:.4g}"), "Subtraction")


def _sampled(frame: Frame) -> NDArray[np.float64]:
    flat = frame.stored.ravel()
    flat = flat[:: max(1, flat.size // _SAMPLE)]
    return flat.astype(np.float64) * frame.info.slope + frame.info.intercept


# -- one frame ---------------------------------------------------------------------------------


def _subtracted(
    picture: Picture, frame: int, what: Subtraction, wish: Wish, read: Reading
) -> Frame:
    contrast, masks = [read(one) for one in what.contrast], [read(one) for one in what.masks]
    frames = [*contrast, *masks]
    if any(one.info.format == "rgb8" for one in frames):
        raise NotDisplayable("A colour image has no mask that could be subtracted.")
    masking = picture.masking if wish.state is None else wish.state
    places = (*what.contrast, *what.masks)
    arrays, scale = _levels(picture, masking, frames, places, is_state=wish.state is not None)
    count = len(contrast)
    values, step = difference(arrays[:count], arrays[count:], what.shift)
    shown = read(frame)
    stored, base = narrowed(values) if values.dtype.itemsize > 2 else (values, 0.0)
    info = replace(
        shown.info,
        format=FORMATS[stored.dtype.str[1:]],
        slope=step * scale,
        intercept=step * scale * base,
        padding=None,
        colours=None,
        voi_function=VoiFunction.LINEAR_EXACT.value,
        voi_curve="",
        masks=tuple(one + 1 for one in what.masks),
        mask_mode="on",
        note=note_of(what),
    )
    little = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    return Frame(info, np.ascontiguousarray(little).tobytes(), overlay=shown.overlay)


def note_of(what: Subtraction) -> str:
    """What was subtracted, in the words of a line beside the image."""
    parts = [f"Subtracted: mask {numbers([one + 1 for one in what.masks])}"]
    if len(what.contrast) > 1:
        parts.append(f"average of {len(what.contrast)} frames")
    if what.shift != STILL:
        down, right = what.shift
        ways = (
            (abs(down), "down" if down > 0 else "up"),
            (abs(right), "right" if right > 0 else "left"),
        )
        moved = ", ".join(f"{px:.3g} px {way}" for px, way in ways if px)
        parts.append(f"moved {moved}")
    return ", ".join(parts)


def numbers(frames: Sequence[int]) -> str:
    """Numbers as people write them: 1–3, 7."""
    runs: list[list[int]] = []
    for one in sorted(set(frames)):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


# -- arithmetic --------------------------------------------------------------------------------


def _levels(
    picture: Picture,
    masking: Masking,
    frames: Sequence[Frame],
    places: Sequence[int],
    *,
    is_state: bool,
) -> tuple[list[NDArray[Any]], float]:
    """The frames where they are subtracted, and what a step there is in the unit of the image."""
    tables = [masking.table(place) for place in places]
    if all(table is not None for table in tables):
        pairs = zip(frames, tables, strict=True)
        return [table.of(frame.stored) for frame, table in pairs if table is not None], 1.0
    if is_logged(picture) and not is_state:
        return [_logged(frame, picture) for frame in frames], 1.0
    first = frames[0].info
    alike = all(
        (one.info.slope, one.info.intercept) == (first.slope, first.intercept) for one in frames
    )
    if alike and first.format != "float32":
        return [frame.stored for frame in frames], masking.slope if is_state else first.slope
    return [_values(frame) for frame in frames], 1.0


def _values(frame: Frame) -> NDArray[np.float64]:
    values = frame.stored.astype(np.float64) * frame.info.slope + frame.info.intercept
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def is_logged(picture: Picture) -> bool:
    """Whether its values are linear to the intensity, and become logarithms to be subtracted."""
    is_linear = picture.masking.intensity == "LIN" and picture.modality_lut is None
    return is_linear and not picture.masking.tables


def table_before(picture: Picture) -> LookUpTable | None:
    """The table that stored values of an image pass before they are subtracted, if there is one."""
    own = picture.modality_lut or picture.masking.table(0)
    return own or (log_table_of(picture) if is_logged(picture) else None)


def log_table_of(picture: Picture) -> LookUpTable:
    """The table of logarithms for the values of an image."""
    return log_table(min(picture.bits_stored, LOG_BITS))


def _logged(frame: Frame, picture: Picture) -> NDArray[Any]:
    if frame.info.format in ("uint8", "uint16", "int16"):
        return log_table_of(picture).of(frame.stored)
    return np.log(np.maximum(_values(frame), 1.0)) * per_e(min(picture.bits_stored, 32))
