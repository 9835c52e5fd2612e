"""Look-up tables: of values (modality and VOI tables) and of colours (palettes)."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements

_DAMAGED: Final = "The colour palette of the image is damaged."
_MOST_RUNS: Final = 1024  # a curve of more is no curve that an eye could follow
_WORD: Final = 2
_RUN: Final = np.dtype([("level", "u1"), ("more", "<u2")])


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LookUpTable:
    """A modality or VOI LUT: entries (uint16, not writeable) for inputs from ``first`` on."""

    first: int
    entries: NDArray[np.uint16] = field(repr=False)
    bits: int
    unit: str = ""

    @property
    def key(self) -> bytes:
        """The same for tables that are alike."""
        return _key(self.first, self.bits, self.unit, self.entries)

    def of(self, stored: NDArray[Any]) -> NDArray[np.uint16]:
        """The entries for stored values; those beyond an end take its entry (PS3.3 C.11.1.1)."""
        return self.entries[_places(stored, self.first, len(self.entries))]

    def curve(self) -> bytes:
        """Brightness from 0 to 255 of each entry, as runs (``curve_of``)."""
        full = 2 ** min(max(self.bits, 1), 16) - 1
        levels = np.clip(np.rint(self.entries * (255 / full)), 0, 255).astype(np.uint8)
        runs = _runs(levels)
        if len(runs) > _MOST_RUNS:
            some = ((np.arange(_MOST_RUNS) + 0.5) * len(levels) / _MOST_RUNS).astype(np.intp)
            runs = _runs(levels[some])
        return runs.tobytes()


def _runs(levels: NDArray[np.uint8]) -> NDArray[Any]:
    """Levels that follow each other alike, as one with their count: few, of a table that rises."""
    starts = np.flatnonzero(np.diff(levels, prepend=levels[0] ^ 1))
    runs = np.empty(len(starts), _RUN)
    runs["level"] = levels[starts]
    runs["more"] = np.diff(starts, append=len(levels)) - 1
    return runs


def curve_of(runs: bytes) -> NDArray[np.uint8]:
    """Brightness at even steps over a window, from runs of (level, how many more of it)."""
    found = np.frombuffer(runs, _RUN)
    return np.repeat(found["level"], found["more"].astype(np.int64) + 1)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Palette:
    """Colours (entries, 3) of 8 bits, not writeable, for stored values from ``first`` on."""

    first: int
    colours: NDArray[np.uint8] = field(repr=False)

    @property
    def key(self) -> bytes:
        """The same for palettes that are alike."""
        return _key(self.first, self.colours)

    def of(self, stored: NDArray[Any]) -> NDArray[np.uint8]:
        """The colours of stored values (..., 3); those beyond an end take its colour."""
        return self.colours[_places(stored, self.first, len(self.colours))]


def _places(stored: NDArray[Any], first: int, count: int) -> NDArray[np.int64]:
    return np.clip(stored.astype(np.int64) - first, 0, count - 1)


def _key(*parts: object) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else f"{part}|".encode())
    return digest.digest()


def table_of(item: Elements | None, *, signed: bool | None = None) -> LookUpTable | None:
    """A LUT of a Modality or VOI LUT Sequence item (PS3.3 C.11.1.1).

    Parameters
    ----------
    signed
        Whether the values it maps may be negative; None goes by how the descriptor is written.
    """
    if item is None:
        return None
    descriptor = item.integers(0x00283002)
    if len(descriptor) != 3:
        return None
    count, first, bits = descriptor[0] or 0x10000, descriptor[1], descriptor[2]
    entries = _entries(item, 0x00283006, count)
    if not entries.size:
        return None
    if signed is None:
        signed = item.found[0x00283002].vr != b"US"
    unit = item.text(0x00283004)[:16]
    return LookUpTable(_as_input(first, signed=signed), _fixed(entries), bits, unit)


def palette_of(found: Elements, *, signed: bool) -> Palette | None:
    """The colours of a palette, plain or segmented (PS3.3 C.7.6.3.1.5, C.7.9.2); None without one.

    Parameters
    ----------
    signed
        Whether stored values are.

    Raises
    ------
    NotDisplayable
        A segmented palette is damaged.
    """
    firsts, channels = [], []
    for channel in (1, 2, 3):
        descriptor = found.integers(0x00281100 + channel)
        plain, segmented = 0x00281200 + channel, 0x00281220 + channel
        if len(descriptor) != 3:
            return None
        count, bits = descriptor[0] or 0x10000, descriptor[2]
        if plain in found:
            entries = _entries(found, plain, count)
        elif segmented in found:
            entries = _expanded(_segments(found, segmented, bits), count, 1 if bits == 8 else _WORD)
        else:
            return None
        if not entries.size:
            return None
        firsts.append(_as_input(descriptor[1], signed=signed))
        channels.append(entries)
    return _joined(firsts, channels)


def _joined(firsts: list[int], channels: list[NDArray[np.uint16]]) -> Palette:
    """One table of three channels, which shall start and end alike; where not, ends are held."""
    first = min(firsts)
    last = max(one + len(entries) for one, entries in zip(firsts, channels, strict=True))
    inputs = np.arange(first, last)
    colours = np.stack(
        [
            entries[_places(inputs, one, len(entries))]
            for one, entries in zip(firsts, channels, strict=True)
        ],
        axis=-1,
    )
    # Some writers say 16 bits an entry and use eight of them.
    eight = colours >> 8 if colours.max() > 0xFF else colours
    return Palette(first, _fixed(eight.astype(np.uint8)))


def _as_input(first: int, *, signed: bool) -> int:
    return first - 0x10000 if signed and first >= 0x8000 else first


def _fixed[Kind: np.generic](array: NDArray[Kind]) -> NDArray[Kind]:
    array.setflags(write=False)
    return array


def _entries(found: Elements, tag: int, count: int) -> NDArray[np.uint16]:
    """Entries of 16 bits; 8-bit entries are written two to a word by some."""
    raw = found.raw(tag) or b""
    packed = len(raw) < _WORD * count
    entries = _bytes_of(found, raw) if packed else _words_of(found, raw)
    return entries[:count].copy()


def _segments(found: Elements, tag: int, bits: int) -> NDArray[np.uint16]:
    raw = found.raw(tag) or b""
    return _bytes_of(found, raw) if bits == 8 else _words_of(found, raw)


def _words_of(found: Elements, raw: bytes) -> NDArray[np.uint16]:
    whole = raw[: len(raw) // _WORD * _WORD]
    return np.frombuffer(whole, f"{found.syntax.order}u2").astype(np.uint16)


def _bytes_of(found: Elements, raw: bytes) -> NDArray[np.uint16]:
    """Bytes of an OW value: big endian ones are swapped inside words (PS3.5 7.3)."""
    if found.syntax.big:
        return _words_of(found, raw).view(np.uint8).astype(np.uint16)
    return np.frombuffer(raw, np.uint8).astype(np.uint16)


def _expanded(data: NDArray[np.uint16], count: int, entry_bytes: int) -> NDArray[np.uint16]:
    """Expand a segmented table: discrete, linear and indirect segments (PS3.3 C.7.9.2)."""
    out: list[int] = []
    pending = [(0, len(data), False)]
    while pending and len(out) < count:
        pos, end, copying = pending.pop()
        while pos + 2 <= end and len(out) < count:
            kind, length = int(data[pos]), int(data[pos + 1])
            if kind == 0:
                out.extend(data[pos + 2 : pos + 2 + length].tolist())
                pos += 2 + length
            elif kind == 1 and out and pos + 2 < end:
                last, target = out[-1], int(data[pos + 2])
                out.extend(np.rint(np.linspace(last, target, length + 1)[1:]).astype(int).tolist())
                pos += 3
            elif kind == 2 and not copying:
                # What stands behind waits; a copied segment that is indirect itself is refused.
                place, size = _offset(data, pos + 2, entry_bytes)
                pending.append((pos + 2 + size, end, False))
                pos, end, copying = place, _after_segments(data, place, length), True
            else:
                raise NotDisplayable(_DAMAGED)
    return np.array(out[:count], np.uint16)


def _offset(data: NDArray[np.uint16], pos: int, entry_bytes: int) -> tuple[int, int]:
    """Where an indirect segment points to, in entries, and how many entries say so (C.7.9.2.3).

    The table counts in bytes from its beginning, the lower 16 bits first.
    """
    size = 4 // entry_bytes
    raw = data[pos : pos + size].astype(np.uint8 if entry_bytes == 1 else "<u2").tobytes()
    if len(raw) < 4:
        raise NotDisplayable(_DAMAGED)
    return int.from_bytes(raw, "little") // entry_bytes, size


def _after_segments(data: NDArray[np.uint16], pos: int, count: int) -> int:
    for _ in range(count):
        if pos + 2 > len(data):
            raise NotDisplayable(_DAMAGED)
        pos += 3 if data[pos] == 1 else 2 + int(data[pos + 1])
    return pos
