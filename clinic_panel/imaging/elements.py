"""A bounded reader of DICOM data elements: no deep recursion, no unbounded inflate, no copies.

pydicom reads the same bytes, but inflates a deflated data set without limit and recurses as deep as
the sender likes. What arrives over the wire is hostile, so the index and the viewer read through
this module, which finds elements by position and decodes only the few that are asked for.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from clinic_panel.errors import NotUnderstood

type Buffer = bytes | bytearray | memoryview

MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 400_000

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_DELIMITER: Final = 0xFFFEE00D
SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
PIXEL_DATA: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)


class CutShort(NotUnderstood):
    """The bytes end inside an element: a prefix that is too short, or a damaged object."""

    default = "The object is cut short."


@dataclass(frozen=True, slots=True)
class Element:
    """Where one value lies; ``length`` is -1 for a value of undefined length."""

    vr: bytes
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Syntax:
    """How elements are written (PS3.5 A)."""

    explicit: bool = True
    big: bool = False

    @property
    def order(self) -> str:
        """The struct module's sign for the byte order."""
        return ">" if self.big else "<"


class _Budget:
    """What one object may cost; an object of a million nested items is refused, not served."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_ELEMENTS

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NotUnderstood("The object has too many elements.")


class Elements:
    """The top level (or one item) of a data set, scanned once for the wanted tags.

    Parameters
    ----------
    buffer
        Bytes that hold the elements.
    start, end
        Zero-based byte range of the elements.
    syntax
        How they are written.
    wanted
        Tags to remember; None remembers all.
    last_tag
        Scanning stops before the first greater tag.
    tolerant
        Damage ends the scan instead of raising; ``damage`` then says what it is.
    """

    __slots__ = ("_budget", "_tolerant", "buffer", "damage", "end", "found", "syntax")

    def __init__(
        self,
        buffer: Buffer,
        start: int,
        end: int,
        syntax: Syntax,
        *,
        wanted: frozenset[int] | None = None,
        last_tag: int = 0xFFFFFFFF,
        budget: _Budget | None = None,
        tolerant: bool = False,
    ) -> None:
        self.buffer = buffer
        self.syntax = syntax
        self.found: dict[int, Element] = {}
        self.damage = ""
        self._budget = budget or _Budget()
        self._tolerant = tolerant
        try:
            self.end = self._scan(start, end, wanted, last_tag)
        except NotUnderstood as error:
            if not tolerant:
                raise
            self.end, self.damage = end, error.message

    def __contains__(self, tag: int) -> bool:
        return tag in self.found

    def _scan(self, pos: int, end: int, wanted: frozenset[int] | None, last_tag: int) -> int:
        buffer, explicit, order = self.buffer, self.syntax.explicit, self.syntax.order
        short = struct.Struct(order + "HH2sH").unpack_from
        long = struct.Struct(order + "L").unpack_from
        implicit = struct.Struct(order + "HHL").unpack_from
        found, budget = self.found, self._budget
        while pos < end:
            budget.spend()
            try:
                if explicit:
                    group, number, vr, length = short(buffer, pos)
                    tag = group << 16 | number
                    if tag > last_tag or tag == ITEM_DELIMITER:
                        return pos
                    pos += 8
                    if vr in _LONG_VRS:
                        (length,) = long(buffer, pos)
                        pos += 4
                else:
                    group, number, length = implicit(buffer, pos)
                    vr, tag = b"  ", group << 16 | number
                    if tag > last_tag or tag == ITEM_DELIMITER:
                        return pos
                    pos += 8
            except struct.error:
                raise CutShort from None
            if tag in PIXEL_DATA:
                # Never walked: the frames' reader checks its length against the file's.
                found[tag] = Element(vr, pos, -1 if length == UNDEFINED else length)
                return pos
            if length == UNDEFINED:
                if wanted is None or tag in wanted:
                    found[tag] = Element(vr, pos, -1)
                pos = self._after_sequence(pos, end, self._nested(vr), 1)
                continue
            if wanted is None or tag in wanted:
                found[tag] = Element(vr, pos, length)
            pos += length
            if pos > end:
                raise CutShort
        return pos

    def _nested(self, vr: bytes) -> Syntax:
        """An unknown VR of undefined length holds implicit little endian items (PS3.5 6.2.2)."""
        return Syntax(explicit=False) if vr == b"UN" else self.syntax

    def _item_at(self, pos: int, syntax: Syntax) -> tuple[int, int]:
        try:
            group, number, length = struct.unpack_from(syntax.order + "HHL", self.buffer, pos)
        except struct.error:
            raise CutShort from None
        return group << 16 | number, length

    def _after_sequence(self, pos: int, end: int, syntax: Syntax, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise NotUnderstood("The object nests its sequences too deeply.")
        while True:
            self._budget.spend()
            tag, length = self._item_at(pos, syntax)
            pos += 8
            if tag == SEQUENCE_DELIMITER:
                return pos
            if tag != ITEM:
                raise NotUnderstood("The object holds a damaged sequence.")
            pos = self._after_item(pos, end, syntax, depth) if length == UNDEFINED else pos + length
            if pos > end:
                raise CutShort

    def _after_item(self, pos: int, end: int, syntax: Syntax, depth: int) -> int:
        while True:
            self._budget.spend()
            tag, length = self._item_at(pos, syntax)
            if tag == ITEM_DELIMITER:
                return pos + 8
            pos += 8
            vr = b"  "
            if syntax.explicit:
                vr = bytes(self.buffer[pos - 4 : pos - 2])
                if vr in _LONG_VRS:
                    length = self._long_at(pos, syntax)
                    pos += 4
                else:
                    (length,) = struct.unpack_from(syntax.order + "H", self.buffer, pos - 2)
            if length == UNDEFINED:
                pos = self._after_sequence(pos, end, self._nested(vr), depth + 1)
            else:
                pos += length
            if pos > end:
                raise CutShort

    def _long_at(self, pos: int, syntax: Syntax) -> int:
        try:
            (length,) = struct.unpack_from(syntax.order + "L", self.buffer, pos)
        except struct.error:
            raise CutShort from None
        return int(length)

    def raw(self, tag: int, most: int | None = None, *, skip: int = 0) -> bytes | None:
        """The value's bytes, at most so many of them, behind the first ``skip``.

        None when absent, empty or a sequence.
        """
        element = self.found.get(tag)
        if element is None or element.length <= 0:
            return None
        left = max(0, element.length - skip)
        start = element.start + skip
        return bytes(self.buffer[start : start + (left if most is None else min(left, most))])

    def items(self, tag: int) -> Iterator["Elements"]:
        """The items of a sequence, each scanned in full; nothing when absent."""
        element = self.found.get(tag)
        if element is None:
            return
        syntax = self._nested(element.vr) if element.length < 0 else self.syntax
        pos = element.start
        end = len(self.buffer) if element.length < 0 else pos + element.length
        while pos < end:
            kind, length = self._item_at(pos, syntax)
            if kind != ITEM:
                return
            pos += 8
            stop = len(self.buffer) if length == UNDEFINED else pos + length
            item = Elements(
                self.buffer, pos, stop, syntax, budget=self._budget, tolerant=self._tolerant
            )
            yield item
            pos = item.end + 8 if length == UNDEFINED else stop

    def first(self, tag: int) -> "Elements | None":
        """The first item of a sequence, if there is one."""
        return next(self.items(tag), None)

    def text(self, tag: int) -> str:
        """The value as text of the default repertoire, without padding; empty when absent."""
        return plain(self.raw(tag))

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Numbers of a DS or IS value; values that do not parse make the whole empty."""
        return decimals(self.raw(tag))

    def floats(self, tag: int, code: str) -> tuple[float, ...]:
        """Binary floating point values: ``code`` is ``f`` (FL) or ``d`` (FD)."""
        value = self.raw(tag) or b""
        size = struct.calcsize(code)
        count = len(value) // size
        return struct.unpack_from(f"{self.syntax.order}{count}{code}", value)

    def integers(self, tag: int) -> tuple[int, ...]:
        """Unsigned integers of a US (or wrongly UL) value."""
        value = self.raw(tag) or b""
        size, code = (4, "L") if self.found.get(tag, _NOWHERE).vr == b"UL" else (2, "H")
        return struct.unpack_from(f"{self.syntax.order}{len(value) // size}{code}", value)

    def longs(self, tag: int, *, signed: bool = False) -> tuple[int, ...]:
        """Integers of a UL or SL value, whatever syntax it is written in."""
        value = self.raw(tag) or b""
        code = "l" if signed else "L"
        return struct.unpack_from(f"{self.syntax.order}{len(value) // 4}{code}", value)

    def integer(self, tag: int) -> int | None:
        """The first unsigned integer, or None."""
        found = self.integers(tag)
        return found[0] if found else None


_NOWHERE: Final = Element(b"  ", 0, 0)


def plain(value: bytes | None) -> str:
    """A value as text of the default repertoire, without padding."""
    return value.decode("latin-1").strip(" \0") if value else ""


def decimals(value: bytes | None) -> tuple[float, ...]:
    """The numbers of a DS or IS value; one that does not parse makes the whole empty."""
    try:
        found = tuple([float(part) for part in plain(value).split("\\") if part.strip()])
    except ValueError:
        return ()
    return found if all(abs(number) < inf for number in found) else ()
