"""Every element of an object as a list to read: tag, VR, name and value, sequences nested.

Read through the bounded reader of ``elements``: a damaged object gives what stands before the
damage, a hostile one costs no more than the limits here.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from clinic_panel.errors import NotUnderstood
from clinic_panel.imaging.elements import MAX_DEPTH, Buffer, Element, Elements, Syntax
from clinic_panel.imaging.header import encodings_of
from clinic_panel.imaging.legible import (
    MOST_CHARACTERS,
    Meaning,
    meaning_of,
    size_text,
    tag_text,
    uid_name,
    value_of,
)
from clinic_panel.imaging.opened import open_data_set

MOST_ROWS: Final = 20_000
MOST_ITEMS: Final = 200  # of one sequence
ALL_CHARACTERS: Final = 4 * 2**20  # of all values together, then each is cut to a few
FEW_CHARACTERS: Final = 64
_KEEP_BYTES: Final = 64 * 2**20  # of a deflated object
_FRAME_GROUPS: Final = 0x52009230


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """One element, or one item of a sequence, as it is shown.

    ``depth`` counts from 0; an item's ``tag`` is empty. ``length`` is in bytes, -1 where the
    object leaves it undefined. ``note`` says what a value means or that it is shortened.
    """

    depth: int
    tag: str
    vr: str
    keyword: str
    name: str
    value: str
    length: int
    note: str = ""
    private: bool = False

    def as_list(self) -> list[Any]:
        """Return it as the viewer takes it."""
        return [
            self.depth,
            self.tag,
            self.vr,
            self.keyword,
            self.name,
            self.value,
            self.length,
            self.note,
            self.private,
        ]


@dataclass(frozen=True, slots=True)
class Listing:
    """A header: its rows in the order of the object, and why some are missing."""

    sop_class: str
    transfer_syntax: str
    size_bytes: int
    rows: tuple[HeaderRow, ...] = field(repr=False)
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "sop_class": self.sop_class,
            "transfer_syntax": self.transfer_syntax,
            "size": size_text(self.size_bytes),
            "rows": [row.as_list() for row in self.rows],
            "problem": self.problem,
        }


def listing_of(source: Path | bytes, frame: int = 0) -> Listing:
    """List the elements of an object, its pixels by their length only.

    Parameters
    ----------
    source
        A DICOM file, as path (mapped, not read) or as bytes.
    frame
        Zero-based; where a long sequence describes one frame an item, those round it are listed.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    """
    if isinstance(source, bytes):
        return _Lister(source, frame).read()
    if source.stat().st_size == 0:
        raise NotUnderstood("The file is empty.")
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return _Lister(cast("Buffer", view), frame).read()


class _Lister:
    """Walks one object; knows what is left of the limits."""

    def __init__(self, data: Buffer, frame: int) -> None:
        self._data = data
        self._frame = frame
        self._left = MOST_ROWS
        self._characters = ALL_CHARACTERS
        self._problem = ""

    def read(self) -> Listing:
        opened = open_data_set(self._data, keep_bytes=_KEEP_BYTES)
        rows: list[HeaderRow] = []
        start = 132 if bytes(self._data[128:132]) == b"DICM" else 0
        if bytes(self._data[start : start + 2]) == b"\x02\x00":
            meta = Elements(
                self._data, start, len(self._data), Syntax(), last_tag=0x0002FFFF, tolerant=True
            )
            rows += self._rows(meta, 0, [])
        found = Elements(
            opened.buffer, opened.start, len(opened.buffer), opened.syntax, tolerant=True
        )
        rows += self._rows(found, 0, [])
        sop_class = found.text(0x00080016) or opened.sop_class_uid
        return Listing(
            sop_class=uid_name(sop_class),
            transfer_syntax=uid_name(opened.transfer_syntax_uid),
            size_bytes=len(self._data),
            rows=tuple(rows),
            problem=self._problem,
        )

    def _rows(self, found: Elements, depth: int, inherited: list[str]) -> list[HeaderRow]:
        self._note(found.damage)
        encodings = encodings_of(found) if 0x00080005 in found else inherited
        rows: list[HeaderRow] = []
        for tag, element in found.found.items():
            if self._left <= 0:
                self._note("The object has more elements than can be listed.")
                break
            self._left -= 1
            meaning = meaning_of(found, tag, element)
            if meaning.vr == "SQ":
                rows += self._sequence(found, tag, element, meaning, depth, encodings)
            else:
                rows.append(self._row(found, tag, element, meaning, depth, encodings))
        return rows

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem

    def _row(
        self,
        found: Elements,
        tag: int,
        element: Element,
        meaning: Meaning,
        depth: int,
        encodings: list[str],
    ) -> HeaderRow:
        value, note = value_of(found, tag, element, meaning.vr, encodings)
        room = MOST_CHARACTERS if self._characters > 0 else FEW_CHARACTERS
        if len(value) > room:
            value, note = value[:room], f"the first {room} of {len(value)} characters"
        self._characters -= len(value)
        return _row(depth, tag, element, meaning, value, note)

    def _sequence(
        self,
        found: Elements,
        tag: int,
        element: Element,
        meaning: Meaning,
        depth: int,
        encodings: list[str],
    ) -> list[HeaderRow]:
        first = max(0, self._frame - MOST_ITEMS // 2) if tag == _FRAME_GROUPS else 0
        inside: list[HeaderRow] = []
        count = 0
        deep = depth >= 2 * MAX_DEPTH  # a sequence and an item are a level each
        for number, item in enumerate(() if deep else self._items(found, tag)):
            count += 1
            if not first <= number < first + MOST_ITEMS or self._left <= 0:
                continue
            self._left -= 1
            inside.append(HeaderRow(depth + 1, "", "", "", f"Item {number + 1}", "", -1))
            inside += self._rows(item, depth + 2, encodings)
        value = f"{count} item" if count == 1 else f"{count} items"
        last = min(count, first + MOST_ITEMS)
        note = f"items {first + 1} to {last} are listed" if count > MOST_ITEMS else ""
        return [_row(depth, tag, element, meaning, value, note), *inside]

    def _items(self, found: Elements, tag: int) -> Iterator[Elements]:
        try:
            yield from found.items(tag)
        except NotUnderstood as error:
            self._note(error.message)


def _row(
    depth: int, tag: int, element: Element, meaning: Meaning, value: str, note: str
) -> HeaderRow:
    return HeaderRow(
        depth=depth,
        tag=tag_text(tag),
        vr=meaning.vr,
        keyword=meaning.keyword,
        name=meaning.name,
        value=value,
        length=element.length,
        note=note,
        private=bool(tag >> 16 & 1),
    )
