"""Answers to queries, encoded straight from rows: what is the same in each is encoded only once.

A `Dataset` for each of some thousand answers costs ten times what the database does. The values of
a row are text; the elements come out in the order of their tags, sequences with defined lengths, in
a character set that fits the row (PS3.5 7.1, 7.5, 6.1).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.charset import encode_string
from pydicom.valuerep import PersonName

from clinic_panel.imaging import charset

CHARACTER_SET_TAG = 0x00080005
_LONG_VRS = frozenset({"OB", "OW", "SQ", "UC", "UN", "UR", "UT"})  # 32 bit lengths, PS3.5 7.1.2
_IN_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ENDS = re.compile(r"([\\\r\n\f\t])")
_ITEM = b"\xfe\xff\x00\xe0"
_LENGTH = struct.Struct("<L")
_SHORT = struct.Struct("<H")
_NUMBERS = {"US": struct.Struct("<H"), "UL": struct.Struct("<L")}

type Encode = Callable[[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Field[Row]:
    """One element of an answer: a text taken from the row, or nothing but its tag."""

    tag: int
    vr: str
    source: Callable[[Row], str] | None = None


@dataclass(frozen=True, slots=True)
class Items[Row]:
    """A sequence: one item with these elements, or none."""

    tag: int
    fields: tuple[Field[Row] | Items[Row], ...]


class _Heads(dict[int, str]):
    """What stands before a value, by its length: what is constant, then tag, VR and length."""

    def __init__(self, before: bytes, length: struct.Struct) -> None:
        super().__init__()
        self._before, self._length = before, length

    def __missing__(self, size: int) -> str:
        head = self[size] = (self._before + self._length.pack(size + size % 2)).decode("latin-1")
        return head


class _Around(dict[int, str]):
    """What stands before the elements of an item, by their length: the sequence and its item."""

    def __init__(self, before: bytes) -> None:
        super().__init__()
        self._before = before

    def __missing__(self, size: int) -> str:
        lengths = _LENGTH.pack(size + 8) + _ITEM + _LENGTH.pack(size)
        head = self[size] = (self._before + lengths).decode("latin-1")
        return head


class _Run:
    """Elements in a row, each with a value; bytes are characters here, as in all texts below."""

    __slots__ = ("_heads", "_pads", "_start", "_stop")

    def __init__(self, start: int, heads: Sequence[_Heads], pads: Sequence[str]) -> None:
        self._start, self._stop = start, start + len(heads)
        self._heads, self._pads = tuple(heads), tuple(pads)

    def text(self, values: Sequence[str]) -> str:
        """Return the elements, filled in."""
        mine = zip(values[self._start : self._stop], self._heads, self._pads, strict=True)
        return "".join(
            [
                heads[size] + value + pad if (size := len(value)) & 1 else heads[size] + value
                for value, heads, pad in mine
            ]
        )


class _Sequence:
    """A sequence of one item."""

    __slots__ = ("_around", "_parts")

    def __init__(self, before: bytes, parts: Sequence[_Part]) -> None:
        self._around, self._parts = _Around(before), tuple(parts)

    def text(self, values: Sequence[str]) -> str:
        """Return it, filled in."""
        item = "".join([part.text(values) for part in self._parts])
        return self._around[len(item)] + item


class _Constant:
    """What is the same in all answers."""

    __slots__ = ("_text",)

    def __init__(self, constant: bytes) -> None:
        self._text = constant.decode("latin-1")

    def text(self, _values: Sequence[str]) -> str:
        """Return it."""
        return self._text


type _Part = _Run | _Sequence | _Constant


class Template[Row]:
    """Encodes answers to one query, in Implicit or Explicit VR Little Endian."""

    def __init__(
        self,
        fields: Sequence[Field[Row] | Items[Row]],
        *,
        explicit: bool,
        character_sets: Sequence[str] = (),
    ) -> None:
        """Encode what all answers share.

        Parameters
        ----------
        fields
            The elements, in any order; Specific Character Set is not among them.
        character_sets
            What the asker declared.
        """
        self._explicit = explicit
        self._declared = tuple(character_sets)
        self._sources: list[Callable[[Row], str]] = []
        self._vrs: list[str] = []
        self._parts = tuple(self._compiled(fields))
        self._numbers = [index for index, vr in enumerate(self._vrs) if vr in _NUMBERS]
        self._ascii_head = self._head(charset.fitting(self._declared, ())).decode("latin-1")
        self._encoders: dict[str, tuple[str, Encode]] = {}

    def encode(self, row: Row) -> bytes:
        """Return the data set of one answer."""
        values = [source(row) for source in self._sources]
        head = self._ascii_head
        if not "".join(values).isascii():
            head, encode = self._chosen(values)
            values = [
                value if value.isascii() else encode(value, vr).decode("latin-1")
                for value, vr in zip(values, self._vrs, strict=True)
            ]
        for index in self._numbers:
            if value := values[index]:
                values[index] = _NUMBERS[self._vrs[index]].pack(int(value)).decode("latin-1")
        return (head + "".join([part.text(values) for part in self._parts])).encode("latin-1")

    def _chosen(self, values: Sequence[str]) -> tuple[str, Encode]:
        """Return the head of an answer in the character set that fits it, and what encodes it."""
        chosen = charset.fitting(self._declared, values)
        key = chosen if isinstance(chosen, str) else "\\".join(chosen)
        if key not in self._encoders:
            self._encoders[key] = self._head(chosen).decode("latin-1"), _encoder(chosen)
        return self._encoders[key]

    def _head(self, chosen: str | list[str]) -> bytes:
        if not chosen:
            return b""
        value = (chosen if isinstance(chosen, str) else "\\".join(chosen)).encode("ascii")
        value += b" " * (len(value) % 2)
        packing = _SHORT if self._explicit else _LENGTH
        return self._tag(CHARACTER_SET_TAG, "CS") + packing.pack(len(value)) + value

    def _compiled(self, fields: Sequence[Field[Row] | Items[Row]]) -> Iterator[_Part]:
        before = b""  # what is constant goes with what follows it
        heads: list[_Heads] = []
        pads: list[str] = []
        for field in sorted(fields, key=lambda field: field.tag):
            if isinstance(field, Items):
                if heads:
                    yield _Run(len(self._sources) - len(heads), heads, pads)
                    heads, pads = [], []
                yield _Sequence(
                    before + self._tag(field.tag, "SQ"), tuple(self._compiled(field.fields))
                )
                before = b""
                continue
            before += self._tag(field.tag, field.vr)
            packing = _SHORT if self._explicit and field.vr not in _LONG_VRS else _LENGTH
            if field.source is None:
                before += packing.pack(0)
                continue
            heads.append(_Heads(before, packing))
            pads.append("\0" if field.vr == "UI" else " ")
            self._sources.append(field.source)
            self._vrs.append(field.vr)
            before = b""
        if heads:
            yield _Run(len(self._sources) - len(heads), heads, pads)
        if before:
            yield _Constant(before)

    def _tag(self, tag: int, vr: str) -> bytes:
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if not self._explicit:
            return head
        return head + vr.encode("ascii") + (b"\0\0" if vr in _LONG_VRS else b"")


def _encoder(chosen: str | list[str]) -> Encode:
    """Return how text becomes bytes in a character set, with code extensions (PS3.5 6.1.2.5)."""
    encodings = charset.encodings_to_write(chosen)

    def encode(text: str, vr: str) -> bytes:
        if vr not in _IN_CHARACTER_SET:
            return text.encode("ascii", "replace")
        if len(encodings) == 1:
            return text.encode(encodings[0], "replace")
        if vr == "PN":
            return PersonName(text).encode(encodings)
        # What was designated ends with the value and with the line (PS3.5 6.1.2.5.3).
        return b"".join(
            encode_string(part, encodings) if index % 2 == 0 else part.encode("ascii")
            for index, part in enumerate(_ENDS.split(text))
            if part
        )

    return encode
