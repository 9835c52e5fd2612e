"""Look-up tables: modality and VOI tables, and the three of a colour palette."""

from dataclasses import dataclass

import numpy as np

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements


@dataclass(frozen=True, slots=True)
class LookUpTable:
    """A modality LUT or one channel of a palette: entries for inputs from ``first`` on."""

    first: int
    entries: tuple[int, ...]
    bits: int

    def curve(self, most: int = 1024) -> bytes:
        """Brightness from 0 to 255 over the table's input: its entries, or ``most`` of them."""
        entries = np.asarray(self.entries, np.float64)
        if len(entries) > most:
            entries = entries[((np.arange(most) + 0.5) * len(entries) / most).astype(np.intp)]
        full = 2 ** min(max(self.bits, 1), 16) - 1
        return np.clip(np.rint(entries * 255 / full), 0, 255).astype(np.uint8).tobytes()


def table_of(item: Elements | None) -> LookUpTable | None:
    """A LUT of a Modality or VOI LUT Sequence item (PS3.3 C.11.1.1)."""
    if item is None:
        return None
    descriptor, values = item.integers(0x00283002), item.integers(0x00283006)
    if len(descriptor) != 3 or not values:
        return None
    first = descriptor[1] if descriptor[1] < 0x8000 else descriptor[1] - 0x10000
    return LookUpTable(first, values, descriptor[2])


def palette_of(found: Elements) -> tuple[LookUpTable, ...]:
    """Red, green and blue tables, plain or segmented (PS3.3 C.7.6.3.1.5, C.7.9.2)."""
    tables = []
    for channel in (1, 2, 3):
        descriptor = found.integers(0x00281100 + channel)
        plain = 0x00281200 + channel
        segmented = 0x00281220 + channel
        if len(descriptor) != 3:
            return ()
        count, bits = descriptor[0] or 0x10000, descriptor[2]
        if plain in found:
            values = _packed(found, plain, count)
        elif segmented in found:
            values = _expand(found.integers(segmented), count)
        else:
            return ()
        first = descriptor[1] if descriptor[1] < 0x8000 else descriptor[1] - 0x10000
        tables.append(LookUpTable(first, values[:count], bits))
    return tuple(tables) if all(table.entries for table in tables) else ()


def _packed(found: Elements, tag: int, count: int) -> tuple[int, ...]:
    """Entries of 16 bits; 8-bit entries are written two to a word by some."""
    raw = found.raw(tag) or b""
    return tuple(raw) if len(raw) < 2 * count else found.integers(tag)


def _expand(data: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Expand a segmented table: discrete, linear and indirect segments (PS3.3 C.7.9.2)."""
    out: list[int] = []
    pending = [(0, len(data), 0)]
    while pending and len(out) < count:
        pos, end, depth = pending.pop()
        while pos + 2 <= end and len(out) < count:
            kind, length = data[pos], data[pos + 1]
            if kind == 0:
                out.extend(data[pos + 2 : pos + 2 + length])
                pos += 2 + length
            elif kind == 1 and out and pos + 2 < end:
                last, target = out[-1], data[pos + 2]
                step = (target - last) / max(length, 1)
                out.extend(round(last + step * (i + 1)) for i in range(length))
                pos += 3
            elif kind == 2 and depth == 0 and pos + 4 <= end:
                offset = data[pos + 2] | data[pos + 3] << 16
                pending.append((pos + 4, end, 0))
                pos, end, depth = offset, _after_segments(data, offset, length), 1
            else:
                raise NotDisplayable("The colour palette of the image is damaged.")
    return tuple(out)


def _after_segments(data: tuple[int, ...], pos: int, count: int) -> int:
    for _ in range(count):
        if pos + 2 > len(data):
            raise NotDisplayable("The colour palette of the image is damaged.")
        pos += 3 if data[pos] == 1 else 2 + data[pos + 1]
    return pos
