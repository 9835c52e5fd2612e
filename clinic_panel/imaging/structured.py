"""Structured reports and key object selections as a tree of words (PS3.3 A.35, C.17.3).

Any template is read: what an item means stands in its own codes. Hostile trees cost no more than
the limits here and those of ``elements``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.header import decode, encodings_of, parse_date, parse_time
from clinic_panel.imaging.legible import legible
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.validation import display_name

MOST_ITEMS: Final = 5_000
MOST_DEPTH: Final = 40
MOST_CHARACTERS: Final = 20_000  # of one text
ALL_CHARACTERS: Final = 2**20
_PURPOSES: Final = {"HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS PROPERTIES"}
_GRAPHICS: Final = {"SCOORD", "SCOORD3D"}
_REFERENCES: Final = {"IMAGE", "COMPOSITE", "WAVEFORM"}
_UNITS: Final = {  # UCUM as it is read aloud
    "[hnsf'U]": "HU",
    "deg": "°",
    "Cel": "°C",
    "um": "µm",
    "mm2": "mm²",
    "cm2": "cm²",
    "mm3": "mm³",
    "cm3": "cm³",
    "mm[Hg]": "mmHg",
}
_PLAIN_UNITS: Final = {"1", "{ratio}", "{counts}", "{count}", "no units"}


@dataclass(frozen=True, slots=True)
class Reference:
    """Another object; ``frames`` are zero-based, empty for all of it."""

    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One content item: what it is about, what it says, and what stands below it.

    ``aside`` marks what only qualifies the item above (its method, its observer).
    """

    kind: str
    name: str
    value: str = field(repr=False)
    note: str = ""
    aside: bool = False
    reference: Reference | None = None
    items: tuple[Item, ...] = ()

    def walk(self) -> Iterator[Item]:
        """This item and all below it, in reading order."""
        yield self
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True, slots=True)
class Document:
    """A structured document: its tree and what its head says of its standing."""

    content: Item
    is_complete: bool | None
    is_verified: bool | None
    verified_by: tuple[str, ...] = field(repr=False)
    content_at: str
    is_cut: bool = False

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the tree refers to, in reading order, each once."""
        found = (item.reference for item in self.content.walk())
        return tuple(dict.fromkeys(one for one in found if one is not None))


def read_document(source: Path | bytes, words: type[Words] | None = None) -> Document:
    """Read a structured report or a key object selection.

    Parameters
    ----------
    words
        How text is read; ``discreet.Discreet`` keeps back what may name a person.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        It holds no content.
    """
    with opened_elements(source) as found:
        reader = _Reader()
        top = (words or Words)(found, encodings_of(found))
        content = reader.item(top, 0, "")
        if not content.name and not content.items:
            raise NotDisplayable("The document holds no content.")
        day = parse_date(top.text(0x00080023))
        clock = parse_time(top.text(0x00080033))
        return Document(
            content=content,
            is_complete=_flag(top.text(0x0040A491), "COMPLETE", "PARTIAL"),
            is_verified=_flag(top.text(0x0040A493), "VERIFIED", "UNVERIFIED"),
            verified_by=tuple(_verifiers(top)),
            content_at=" ".join(
                str(one) for one in (day, clock and clock.strftime("%H:%M")) if one
            ),
            is_cut=reader.is_cut,
        )


def _flag(value: str, true: str, false: str) -> bool | None:
    return {true: True, false: False}.get(value)


def _verifiers(top: Words) -> Iterator[str]:
    for words in top.items(0x0040A073):
        name = words.text(0x0040A075)
        if name:
            yield " · ".join(filter(None, (display_name(name), moment(words.text(0x0040A030)))))


class Words:
    """Text of one item in its character set."""

    def __init__(self, found: Elements, encodings: list[str]) -> None:
        self.found = found
        self.encodings = encodings_of(found) if 0x00080005 in found else encodings

    def text(self, tag: int) -> str:
        """A text value; empty when absent."""
        return legible(decode(self.found.raw(tag), self.encodings))

    def beside(self, found: Elements) -> Self:
        """Another item of the object, read in the same way."""
        return type(self)(found, self.encodings)

    def items(self, tag: int) -> Iterator[Self]:
        """The items of a sequence, read in the same way."""
        return map(self.beside, self.found.items(tag))

    def first(self, tag: int) -> Self | None:
        """The first item of a sequence, if there is one."""
        return next(self.items(tag), None)

    def coded(self, tag: int) -> tuple[str, str, str]:
        """A code: its value, its scheme and what it means; empty when absent."""
        item = self.first(tag)
        return item.as_code() if item is not None else ("", "", "")

    def as_code(self) -> tuple[str, str, str]:
        """This item of a code sequence, as ``coded`` gives it."""
        value = self.text(0x00080100) or self.text(0x00080119) or self.text(0x00080120)
        return value, self.text(0x00080102), self.text(0x00080104)

    def code(self, tag: int) -> tuple[str, str]:
        """The meaning of a code, and the code with its scheme."""
        value, scheme, meaning = self.coded(tag)
        return meaning or value, f"{value}, {scheme}".strip(", ")

    def among(self, text: str, names: frozenset[str]) -> str:
        """A text of which ``names`` are the usual ones; a reader may take no other."""
        del names
        return text


class _Reader:
    """Reads one tree; knows what is left of the limits."""

    def __init__(self) -> None:
        self.is_cut = False
        self._left = MOST_ITEMS
        self._characters = ALL_CHARACTERS

    def item(self, words: Words, depth: int, relation: str) -> Item:
        kind = words.text(0x0040A040)
        name, code = words.code(0x0040A043)
        value, note = _value(words, kind)
        value, name = self._room(value), self._room(name)
        return Item(
            kind=kind or "REFERENCE",
            name=name,
            value=value,
            note=note or code,
            aside=relation in _PURPOSES,
            reference=_reference(words.found) if kind in _REFERENCES else None,
            items=tuple(self._below(words, depth)),
        )

    def _below(self, words: Words, depth: int) -> Iterator[Item]:
        for item in words.items(0x0040A730):
            if depth >= MOST_DEPTH or self._left <= 0:
                self.is_cut = True
                return
            self._left -= 1
            yield self.item(item, depth + 1, item.text(0x0040A010))

    def _room(self, text: str) -> str:
        room = min(MOST_CHARACTERS, max(self._characters, 0))
        if len(text) > room:
            self.is_cut = True
            text = text[:room]
        self._characters -= len(text)
        return text


def _value(words: Words, kind: str) -> tuple[str, str]:
    """What an item says, and the code behind it where it has one."""
    if kind == "TEXT":
        return words.text(0x0040A160), ""
    if kind == "CODE":
        return words.code(0x0040A168)
    if kind == "NUM":
        return _number(words)
    if kind == "PNAME":
        return display_name(words.text(0x0040A123)), ""
    if kind == "DATE":
        return str(parse_date(words.text(0x0040A121)) or words.text(0x0040A121)), ""
    if kind == "TIME":
        return str(parse_time(words.text(0x0040A122)) or words.text(0x0040A122)), ""
    if kind == "DATETIME":
        return moment(words.text(0x0040A120)), ""
    if kind == "UIDREF":
        return words.text(0x0040A124), ""
    if kind in _GRAPHICS:
        return _graphic(words), ""
    if kind == "TCOORD":
        return words.text(0x0040A130).capitalize(), ""
    if not kind and (place := words.found.longs(0x0040DB73)):
        return "See item " + ".".join(map(str, place)), ""
    return "", ""


def _number(words: Words) -> tuple[str, str]:
    inside = words.first(0x0040A300)
    if inside is None:
        reason, _ = words.code(0x0040A301)
        return reason or "No value", ""
    symbol, scheme, meaning = inside.coded(0x004008EA)
    if not symbol or symbol in _PLAIN_UNITS:
        return inside.text(0x0040A30A), ""
    # A UCUM code is what one writes, unless it annotates; codes of other schemes say nothing.
    plain = scheme == "UCUM" and not set(symbol) & set("{[")
    shown = _UNITS.get(symbol) or (symbol if plain else meaning or symbol)
    return f"{inside.text(0x0040A30A)} {shown}".strip(), meaning


def _graphic(words: Words) -> str:
    shape = words.text(0x00700023).lower()
    axes = 2 if words.text(0x0040A040) == "SCOORD" else 3
    points = len(words.found.floats(0x00700022, "f")) // axes
    return f"{shape.capitalize() or 'Shape'} of {points} point{'' if points == 1 else 's'}"


def _reference(found: Elements) -> Reference | None:
    item = found.first(0x00081199)
    if item is None:
        return None
    frames = tuple(int(number) - 1 for number in item.numbers(0x00081160) if number >= 1)
    return Reference(item.text(0x00081150)[:64], item.text(0x00081155)[:64], frames)


def moment(value: str) -> str:
    """Write a DT value as date and time of day; as it is if it is none."""
    day, clock = parse_date(value[:8]), parse_time(value[8:14])
    if day is None:
        return value
    return f"{day} {clock:%H:%M}" if clock and len(value) >= 12 else str(day)


def as_dict(item: Item, place: dict[str, Any]) -> dict[str, Any]:
    """Return a tree as the viewer takes it.

    Parameters
    ----------
    place
        Our own number of each instance that can be gone to, by SOP Instance UID.
    """
    found: dict[str, Any] = {"kind": item.kind, "name": item.name, "value": item.value}
    if item.note:
        found["note"] = item.note
    if item.aside:
        found["aside"] = True
    if item.reference is not None:
        found["image"] = place_of(item.reference, place)
    if item.items:
        found["items"] = [as_dict(one, place) for one in item.items]
    return found


def place_of(reference: Reference, place: dict[str, Any]) -> dict[str, Any]:
    """Return where the viewer goes for a reference: its first frame; no ``id`` if nowhere."""
    return {
        "id": place.get(reference.sop_instance_uid),
        "frame": reference.frames[0] if reference.frames else 0,
        "frames": len(reference.frames),
    }
