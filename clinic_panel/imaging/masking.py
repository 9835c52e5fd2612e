"""Which frames of a recording are subtracted from which: the Mask Module (PS3.3 C.7.6.10).

Frames are numbered from one in what is read, and from zero in what is resolved of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Final

from clinic_panel.imaging.annotations import meant
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.lut import LookUpTable, table_of

MASK_ITEMS: Final = 0x00286100
VIEWING_MODE: Final = 0x00281090
INTENSITY: Final = 0x00281040
FRAME_DISPLAY: Final = 0x00089458
INTENSITY_TABLES: Final = 0x00289422
MASK_TAGS: Final = frozenset({MASK_ITEMS, VIEWING_MODE, INTENSITY, FRAME_DISPLAY, INTENSITY_TABLES})
_SHARED_GROUPS, _FRAME_GROUPS = 0x52009229, 0x52009230
_PIXEL_SHIFTS, _PIXEL_PROPERTIES = 0x00289415, 0x00289443
_OPERATION, _RANGES, _FRAMES, _AVERAGED = 0x00286101, 0x00286102, 0x00286110, 0x00286112
_SHIFT, _OFFSET, _ITEM_ID = 0x00286114, 0x00286120, 0x00289416
_STATE_SHIFTS, _SHIFT_RANGE, _SHIFT_REGIONS, _VERTICES = (
    *(0x00289501, 0x00289506, 0x00289502, 0x00289503),
)
_LUT_FUNCTION, _LUT_RANGE = 0x00289474, 0x00289507
_MODALITY_TABLE, _SLOPE = 0x00283000, 0x00281053
_VISIBILITY: Final = 0x00289478
_FIRST_SHOWN, _LAST_SHOWN = 0x00082142, 0x00082143
_MOST_ITEMS: Final = 256
_MOST_AVERAGED: Final = 64  # frames; each is decoded
_FARTHEST_PX: Final = 1e4

type Shift = tuple[float, float]  # down and right, in pixels
type Range = tuple[int, int]  # first and last frame, from one
STILL: Final[Shift] = (0.0, 0.0)


class MaskOperation(StrEnum):
    """How the mask of a frame is found (PS3.3 C.7.6.10.1)."""

    NONE = "NONE"
    AVG_SUB = "AVG_SUB"
    TID = "TID"
    REV_TID = "REV_TID"


class ViewingMode(StrEnum):
    """How frames are to be seen from the start (Recommended Viewing Mode)."""

    SUBTRACTED = "SUB"
    NATIVE = "NAT"


@dataclass(frozen=True, slots=True)
class Subtraction:
    """What is subtracted from one frame; frames are zero-based.

    The mean of ``masks``, moved by ``shift``, is taken from the mean of ``contrast``.
    """

    contrast: tuple[int, ...]
    masks: tuple[int, ...]
    shift: Shift = STILL


@dataclass(frozen=True, slots=True)
class MaskItem:
    """One item of the Mask Subtraction Sequence; an empty set of images means all of them."""

    operation: MaskOperation
    ranges: tuple[Range, ...] = ()
    frames: tuple[int, ...] = ()
    averaged: int = 1  # contrast frames
    shift: Shift = STILL
    offset: int = 1
    images: frozenset[str] = field(default=frozenset(), repr=False)
    shifts: tuple[tuple[tuple[Range, ...], Shift], ...] = ()  # of a state, for some frames each

    def of(self, frame: int, count: int) -> Subtraction | None:
        """What is subtracted from a zero-based frame of so many, or None where nothing is."""
        number = frame + 1
        if self.ranges and not any(first <= number <= last for first, last in self.ranges):
            return None
        wanted = self._masks(number)
        masks = tuple(one - 1 for one in wanted if 1 <= one <= count)[:_MOST_AVERAGED]
        averaged = min(self.averaged, _MOST_AVERAGED)
        # Without a range, it ends where there are not enough frames to average any more.
        ends = not self.ranges and number > count - averaged + 1
        if not masks or ends or not 0 <= frame < count:
            return None
        contrast = tuple(range(frame, min(frame + averaged, count)))
        moved = (shift for at, shift in self.shifts if not at or _holds(at, number))
        return Subtraction(contrast, masks, next(moved, self.shift))

    def _masks(self, number: int) -> tuple[int, ...]:
        match self.operation:
            case MaskOperation.AVG_SUB:
                return self.frames
            case MaskOperation.TID:
                return (number - self.offset,)
            case MaskOperation.REV_TID if self.ranges:
                first = self.ranges[0][0]
                return (first - self.offset - (number - first),)
            case _:
                return ()


def _holds(ranges: tuple[Range, ...], number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)


@dataclass(frozen=True, slots=True)
class Masking:
    """What an image or a presentation state says of subtraction.

    ``tables`` turn stored values of some frames, of all where no range stands, into such as are
    logarithmic to the intensity of the X-rays; ``slope`` is a state's own. ``left_out`` is what is
    asked for and not done.
    """

    items: tuple[MaskItem, ...] = ()
    mode: ViewingMode = ViewingMode.NATIVE
    modes: tuple[tuple[Range, ViewingMode], ...] = ()
    intensity: str = ""  # Pixel Intensity Relationship: LIN, LOG, DISP or nothing
    tables: tuple[tuple[tuple[Range, ...], LookUpTable], ...] = field(default=(), repr=False)
    frame_shifts: tuple[tuple[tuple[int, Shift], ...], ...] = field(default=(), repr=False)
    ids: tuple[int | None, ...] = ()
    slope: float = 1.0
    left_out: tuple[str, ...] = ()

    def of(self, frame: int, count: int) -> Subtraction | None:
        """What is subtracted from a zero-based frame of so many: the first that holds for it."""
        for place, item in enumerate(self.items):
            found = item.of(frame, count)
            if found is not None:
                return replace(found, shift=self._shift(place, frame, found.shift))
        return None

    def _shift(self, place: int, frame: int, given: Shift) -> Shift:
        """A shift that the frame itself brings for this item (PS3.3 C.8.19.6.5)."""
        if frame >= len(self.frame_shifts):
            return given
        return dict(self.frame_shifts[frame]).get(self.ids[place] or 0, given)

    def is_seen_subtracted(self, frame: int) -> bool:
        """Whether a zero-based frame is to be seen subtracted from the start."""
        said = (mode for (first, last), mode in self.modes if first <= frame + 1 <= last)
        return next(said, self.mode) is ViewingMode.SUBTRACTED

    def table(self, frame: int) -> LookUpTable | None:
        """The table that a zero-based frame passes before it is subtracted, if there is one."""
        fitting = (one for at, one in self.tables if not at or _holds(at, frame + 1))
        return next(fitting, None)

    def about(self, sop_instance_uid: str) -> Masking:
        """What a state says of one image."""
        items = (one for one in self.items if not one.images or sop_instance_uid in one.images)
        return replace(self, items=tuple(items))


def masking_of(found: Elements) -> Masking:
    """Read an image's Mask Module, and where its values stand to the X-rays (PS3.3 C.8.7.1.1.2).

    Parameters
    ----------
    found
        The data set's top level, scanned for ``MASK_TAGS`` and the functional groups.
    """
    properties = _group(found, _PIXEL_PROPERTIES) if INTENSITY not in found else None
    intensity = (properties or found).text(INTENSITY)[:16]
    if MASK_ITEMS not in found:
        return Masking(intensity=intensity)
    items = tuple(islice(found.items(MASK_ITEMS), _MOST_ITEMS))
    tables = _group(found, INTENSITY_TABLES)
    return Masking(
        items=tuple(_item(item) for item in items),
        mode=_mode(found) or ViewingMode.NATIVE,
        modes=tuple(_modes(found)),
        intensity=intensity,
        tables=() if tables is None else tuple(_tables([tables])),
        frame_shifts=tuple(_frame_shifts(found)),
        ids=tuple(next(iter(item.integers(_ITEM_ID)), None) for item in items),
    )


def masking_of_state(found: Elements) -> Masking:
    """Read what a presentation state says of subtraction (PS3.3 C.11.13, C.11.19).

    A state that says nothing shows images as they are stored, whatever they recommend.
    """
    items = tuple(islice(found.items(MASK_ITEMS), _MOST_ITEMS))
    read = tuple(_item(item) for item in items)
    is_seen = any(item.operation is not MaskOperation.NONE for item in read)
    own = table_of(found.first(_MODALITY_TABLE))
    slopes = found.numbers(_SLOPE)
    return Masking(
        items=read,
        mode=_mode(found) or (ViewingMode.SUBTRACTED if is_seen else ViewingMode.NATIVE),
        modes=tuple(_modes(found)),
        tables=(((), own),) if own else tuple(_tables(_state_tables(found, items))),
        ids=(None,) * len(items),
        slope=slopes[0] if slopes and slopes[0] else 1.0,
        left_out=tuple(_left_out(found, items)),
    )


def _state_tables(found: Elements, items: tuple[Elements, ...]) -> Iterator[Elements]:
    for holder in (found, *items):
        yield from holder.items(INTENSITY_TABLES)


def _item(item: Elements) -> MaskItem:
    said = item.text(_OPERATION)
    offsets = [_signed(one) for one in item.integers(_OFFSET)]
    averaged = item.integer(_AVERAGED) or 1
    return MaskItem(
        operation=MaskOperation(said) if said in MaskOperation else MaskOperation.NONE,
        ranges=_ranges(item, _RANGES),
        frames=item.integers(_FRAMES)[:_MOST_AVERAGED],
        averaged=averaged,
        shift=_shift(item),
        offset=offsets[0] if offsets else 1,
        images=meant(item),
        shifts=tuple(_state_shifts(item)),
    )


def _state_shifts(item: Elements) -> Iterator[tuple[tuple[Range, ...], Shift]]:
    """Of a state: what holds for whole frames; the last that does counts (C.11.19.1.2)."""
    for one in islice(item.items(_STATE_SHIFTS), _MOST_ITEMS):
        whole = [at for at in one.items(_SHIFT_REGIONS) if _VERTICES not in at]
        if whole:
            yield _ranges(one, _SHIFT_RANGE), _shift(whole[-1])


def _left_out(found: Elements, items: tuple[Elements, ...]) -> Iterator[str]:
    regions = (
        region
        for item in items
        for shifts in item.items(_STATE_SHIFTS)
        for region in shifts.items(_SHIFT_REGIONS)
    )
    if any(_VERTICES in region for region in regions):
        yield "a shift of the mask in a part of the image"
    shown = islice(found.items(FRAME_DISPLAY), _MOST_ITEMS)
    if any(any(one.floats(_VISIBILITY, "f")) for one in shown):
        yield "a mask that shines through"


def _group(found: Elements, tag: int) -> Elements | None:
    """A functional group that all frames share, else that of the first frame."""
    holders = (found.first(_SHARED_GROUPS), found.first(_FRAME_GROUPS))
    groups = (holder.first(tag) for holder in holders if holder is not None)
    return next((group for group in groups if group is not None), None)


def _tables(
    items: Iterator[Elements] | list[Elements],
) -> Iterator[tuple[tuple[Range, ...], LookUpTable]]:
    for item in islice(items, _MOST_ITEMS):
        table = table_of(item) if item.text(_LUT_FUNCTION) in ("TO_LOG", "") else None
        if table is not None:
            yield _ranges(item, _LUT_RANGE), table


def _frame_shifts(found: Elements) -> Iterator[tuple[tuple[int, Shift], ...]]:
    """By frame: how the mask is moved for each Subtraction Item ID."""
    shared = found.first(_SHARED_GROUPS)
    common = tuple(_shifts_in(shared)) if shared else ()
    own = [tuple(_shifts_in(frame)) for frame in found.items(_FRAME_GROUPS)]
    if common or any(own):
        yield from ((*common, *one) for one in own)


def _shifts_in(group: Elements) -> Iterator[tuple[int, Shift]]:
    for item in islice(group.items(_PIXEL_SHIFTS), _MOST_ITEMS):
        yield item.integer(_ITEM_ID) or 0, _shift(item)


def _modes(found: Elements) -> Iterator[tuple[Range, ViewingMode]]:
    """Ranges of frames that say for themselves how they are to be seen (PS3.3 C.8.19.7)."""
    for item in islice(found.items(FRAME_DISPLAY), _MOST_ITEMS):
        first, last = item.numbers(_FIRST_SHOWN), item.numbers(_LAST_SHOWN)
        mode = _mode(item)
        if mode is not None and first and last:
            yield (int(first[0]), int(last[0])), mode


def _mode(item: Elements) -> ViewingMode | None:
    said = item.text(VIEWING_MODE)
    return ViewingMode(said) if said in ViewingMode else None


def _ranges(item: Elements, tag: int) -> tuple[Range, ...]:
    ends = item.integers(tag)[: 2 * _MOST_ITEMS]
    return tuple(zip(ends[::2], ends[1::2], strict=False))


def _shift(item: Elements) -> Shift:
    """Rows down and columns to the right; numbers beyond reason move nothing.

    The standard counts columns to the left (PS3.3 C.7.6.10.1.2).
    """
    given = item.floats(_SHIFT, "f")[:2]
    if len(given) != 2 or not all(abs(one) < _FARTHEST_PX for one in given):
        return STILL
    return given[0], 0.0 - given[1]


def _signed(value: int) -> int:
    return value - 0x10000 if value >= 0x8000 else value
