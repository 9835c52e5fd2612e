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


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One element: its tag, VR and length for each length a value had, padding included."""

    index: int
    vr: str
    head: bytes
    length: struct.Struct
    pad: str
    heads: dict[int, str]

    def before(self, size: int) -> bytes:
        """Return what stands before a value of so many bytes."""
        return self.head + self.length.pack(size + size % 2)

    def text(self, value: str) -> str:
        """Return the element of an ASCII value, its bytes as characters."""
        if self.vr in _NUMBERS:
            value = _NUMBERS[self.vr].pack(int(value)).decode("latin-1") if value else ""
        size = len(value)
        head = self.heads.get(size)
        if head is None:
            head = self.heads[size] = self.before(size).decode("latin-1")
        return head + value + self.pad if size & 1 else head + value


@dataclass(frozen=True, slots=True)
class _Branch:
    head: bytes
    parts: tuple[bytes | _Leaf | _Branch, ...]


@dataclass(frozen=True, slots=True)
class _TextBranch:
    head: str
    parts: tuple[str | _Leaf | _TextBranch, ...]


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
        self._texts = tuple(_as_text(part) for part in self._parts)
        self._ascii_head = self._head(charset.fitting(self._declared, ())).decode("latin-1")
        self._encoders: dict[str, tuple[bytes, Encode]] = {}

    def encode(self, row: Row) -> bytes:
        """Return the data set of one answer."""
        values = [source(row) for source in self._sources]
        if "".join(values).isascii():
            return (self._ascii_head + _text(self._texts, values)).encode("latin-1")
        chosen = charset.fitting(self._declared, values)
        key = chosen if isinstance(chosen, str) else "\\".join(chosen)
        if key not in self._encoders:
            self._encoders[key] = self._head(chosen), _encoder(chosen)
        head, encode = self._encoders[key]
        return head + _filled(self._parts, values, encode)

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
                if field.source is None:
                    constant += head + packing.pack(0)
                    continue
                pad = "\0" if field.vr == "UI" else " "
                part = _Leaf(len(self._sources), field.vr, head, packing, pad, {})
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


def _as_text(part: bytes | _Leaf | _Branch) -> str | _Leaf | _TextBranch:
    if isinstance(part, bytes):
        return part.decode("latin-1")
    if isinstance(part, _Leaf):
        return part
    return _TextBranch(part.head.decode("latin-1"), tuple(_as_text(one) for one in part.parts))


def _text(parts: Sequence[str | _Leaf | _TextBranch], values: Sequence[str]) -> str:
    """Return elements of ASCII values, each byte as a character: one encoding makes them bytes."""
    out = []
    for part in parts:
        if part.__class__ is _Leaf:
            out.append(part.text(values[part.index]))
        elif part.__class__ is str:
            out.append(part)
        elif isinstance(part, _TextBranch):
            item = _text(part.parts, values)
            length = len(item)
            around = _LENGTH.pack(length + 8) + _ITEM + _LENGTH.pack(length)
            out.append(part.head + around.decode("latin-1") + item)
    return "".join(out)


def _filled(
    parts: Sequence[bytes | _Leaf | _Branch], values: Sequence[str], encode: Encode
) -> bytes:
    out: list[bytes] = []
    for part in parts:
        if isinstance(part, _Leaf):
            value = encode(values[part.index], part.vr)
            out += (part.before(len(value)), value)
            if len(value) & 1:
                out.append(part.pad.encode("ascii"))
        elif isinstance(part, _Branch):
            item = _filled(part.parts, values, encode)
            length = len(item)
            out += (part.head, _LENGTH.pack(length + 8), _ITEM, _LENGTH.pack(length), item)
        else:
            out.append(part)
    return b"".join(out)


def _encoder(chosen: str | list[str]) -> Encode:
    """Return how text becomes bytes in a character set, with code extensions (PS3.5 6.1.2.5)."""
    encodings = charset.encodings_to_write(chosen)

    def encode(text: str, vr: str) -> bytes:
        if vr in _NUMBERS:
            return _NUMBERS[vr].pack(int(text)) if text else b""
        if text.isascii():
            return text.encode("ascii")
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
