"""Where the frames of a tiled image lie in the whole of it (PS3.3 C.7.6.17.3, C.8.12.14)."""

from __future__ import annotations

from itertools import islice

from clinic_panel.imaging.displayed import Point
from clinic_panel.imaging.elements import Elements

_TOTAL_COLUMNS, _TOTAL_ROWS = 0x00480006, 0x00480007
_ORGANIZATION, _ROWS, _COLUMNS = 0x00209311, 0x00280010, 0x00280011
_SHARED_GROUPS, _FRAME_GROUPS = 0x52009229, 0x52009230
_PLACE, _COLUMN, _ROW = 0x0048021A, 0x0048021E, 0x0048021F


def tile_origin(found: Elements, frame: int) -> Point:
    """Column and row of a zero-based frame's first pixel in the total pixel matrix, from zero.

    An image that is not tiled is its own matrix.
    """
    total = next(iter(found.longs(_TOTAL_COLUMNS)), 0), next(iter(found.longs(_TOTAL_ROWS)), 0)
    size = found.integer(_COLUMNS) or 0, found.integer(_ROWS) or 0
    if not all(total) or not all(size):
        return 0.0, 0.0
    if found.text(_ORGANIZATION) == "TILED_FULL":
        across, down = (-(-whole // part) for whole, part in zip(total, size, strict=True))
        tile = frame % (across * down)  # planes and optical paths repeat all tiles
        return float(tile % across * size[0]), float(tile // across * size[1])
    holders = (
        next(islice(found.items(_FRAME_GROUPS), frame, None), None),
        found.first(_SHARED_GROUPS),
    )
    for holder in holders:
        place = holder.first(_PLACE) if holder else None
        if place is not None:
            column = next(iter(place.longs(_COLUMN, signed=True)), 1)
            row = next(iter(place.longs(_ROW, signed=True)), 1)
            return float(column - 1), float(row - 1)
    return 0.0, 0.0
