"""Answers to queries, encoded straight from rows: what is the same in each is encoded only once.

A `Dataset` for each of some thousand answers costs ten times what the database does. The values of
a row are text; the elements come out in the order of their tags, sequences with defined lengths, in
a character set that fits the row (PS3.5 7.1, 7.5, 6.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings, encode_string
from pydicom.valuerep import PersonName

from clinic_panel.imaging import charset

CHARACTER_SET_TAG = 0x00080005
_LONG_VRS = frozenset({"OB", "OW", "SQ", "UC", "UN", "UR", "UT"})  # 32 bit lengths, PS3.5 7.1.2
_IN_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
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


@dataclass(frozen=True, slots=True)
class _Leaf:
    index: int
    vr: str
    head: bytes
    empty: bytes
    length: struct.Struct
    pad: bytes


@dataclass(frozen=True, slots=True)
class _Branch:
    head: bytes
    parts: tuple[bytes | _Leaf | _Branch, ...]


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
        self._parts = tuple(self._compiled(fields))
        self._ascii_head = self._head(charset.fitting(self._declared, ()))

    def encode(self, row: Row) -> bytes:
        """Return the data set of one answer."""
        values = [source(row) for source in self._sources]
        if "".join(values).isascii():
            return self._ascii_head + _filled(self._parts, values, _ascii)
        chosen = charset.fitting(self._declared, values)
        return self._head(chosen) + _filled(self._parts, values, _encoder(chosen))

    def _head(self, chosen: str | list[str]) -> bytes:
        if not chosen:
            return b""
        value = (chosen if isinstance(chosen, str) else "\\".join(chosen)).encode("ascii")
        value += b" " * (len(value) % 2)
        packing = _SHORT if self._explicit else _LENGTH
        return self._tag(CHARACTER_SET_TAG, "CS") + packing.pack(len(value)) + value

    def _compiled(
        self, fields: Sequence[Field[Row] | Items[Row]]
    ) -> Iterator[bytes | _Leaf | _Branch]:
        constant = b""
        for field in sorted(fields, key=lambda field: field.tag):
            if isinstance(field, Items):
                part: _Leaf | _Branch = _Branch(
                    self._tag(field.tag, "SQ"), tuple(self._compiled(field.fields))
                )
            else:
                head = self._tag(field.tag, field.vr)
                is_short = self._explicit and field.vr not in _LONG_VRS
                packing = _SHORT if is_short else _LENGTH
                empty = head + packing.pack(0)
                if field.source is None:
                    constant += empty
                    continue
                pad = b"\0" if field.vr == "UI" else b" "
                part = _Leaf(len(self._sources), field.vr, head, empty, packing, pad)
                self._sources.append(field.source)
            if constant:
                yield constant
                constant = b""
            yield part
        if constant:
            yield constant

    def _tag(self, tag: int, vr: str) -> bytes:
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if not self._explicit:
            return head
        return head + vr.encode("ascii") + (b"\0\0" if vr in _LONG_VRS else b"")


def _filled(
    parts: Sequence[bytes | _Leaf | _Branch], values: Sequence[str], encode: Encode
) -> bytes:
    out: list[bytes] = []
    for part in parts:
        if part.__class__ is _Leaf:
            if text := values[part.index]:
                value = encode(text, part.vr)
                if len(value) & 1:
                    value += part.pad
                out += (part.head, part.length.pack(len(value)), value)
            else:
                out.append(part.empty)
        elif isinstance(part, _Branch):
            item = _filled(part.parts, values, encode)
            length = len(item)
            out += (part.head, _LENGTH.pack(length + 8), _ITEM, _LENGTH.pack(length), item)
        else:
            out.append(part)  # type: ignore[arg-type]
    return b"".join(out)


def _ascii(text: str, vr: str) -> bytes:
    packing = _NUMBERS.get(vr)
    return text.encode("ascii") if packing is None else packing.pack(int(text))


def _encoder(chosen: str | list[str]) -> Encode:
    """Return how text becomes bytes in a character set, with code extensions (PS3.5 6.1.2.5)."""
    encodings = convert_encodings(chosen)

    def encode(text: str, vr: str) -> bytes:
        if text.isascii():
            return _ascii(text, vr)
        if vr not in _IN_CHARACTER_SET:
            return text.encode("ascii", "replace")
        if len(encodings) == 1:
            return text.encode(encodings[0], "replace")
        if vr == "PN":
            return PersonName(text).encode(encodings)
        return b"\\".join(encode_string(value, encodings) for value in text.split("\\"))

    return encode
