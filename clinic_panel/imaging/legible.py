"""One element in words: what it is called, and its value as text that can be read."""

import struct
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydicom.config import IGNORE
from pydicom.datadict import get_entry, private_dictionary_description, private_dictionary_VR
from pydicom.uid import UID, UID_dictionary

from clinic_panel.imaging.elements import PIXEL_DATA, Element, Elements
from clinic_panel.imaging.header import TURNING, decode

MOST_CHARACTERS: Final = 4_096  # of one value
MOST_NUMBERS: Final = 256
HEX_BYTES: Final = 32
_NUMBERS: Final = {
    "US": "H",
    "SS": "h",
    "UL": "L",
    "SL": "l",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
_PLAIN: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
# SOP classes younger than pydicom's registry.
_YOUNGER: Final = {
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an element is: VR, keyword and name; the keyword is empty where it has none."""

    vr: str
    keyword: str
    name: str


def tag_text(tag: int) -> str:
    """Write a tag as the standard does."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def uid_name(uid: str) -> str:
    """Return what a UID of the standard is called; any other as it is."""
    if not uid.startswith("1.2.840.10008."):
        return uid
    name = UID(uid, validation_mode=IGNORE).name  # a warning would quote the object
    return _YOUNGER.get(uid, str(name))


@cache
def uid_names() -> frozenset[str]:
    """Return what the UIDs of the standard are called."""
    return frozenset(_YOUNGER.values()) | {entry[0] for entry in UID_dictionary.values()}


def meaning_of(found: Elements, tag: int, element: Element) -> Meaning:
    """Say what an element is; its VR as written, or the dictionary's in an implicit syntax."""
    written = element.vr.decode("latin-1").strip()
    vr, keyword, name = "", "", ""
    if tag >> 16 & 1:
        vr, name = _private(found, tag)
    elif tag & 0xFFFF == 0:
        vr, name = "UL", "Group Length"
    else:
        try:
            vr, _, name, _, keyword = get_entry(tag)
        except KeyError:
            name = "Unknown"
    vr = vr.split(" ")[0]  # "OB or OW": the first
    if element.length < 0 and tag not in PIXEL_DATA:
        written = "SQ"  # only a sequence's length may be undefined (PS3.5 7.1)
    return Meaning(written or vr or "UN", keyword, name)


def _private(found: Elements, tag: int) -> tuple[str, str]:
    number = tag & 0xFFFF
    if number < 0x1000:
        return "LO", "Private Creator" if number >= 0x10 else "Private"
    creator = found.text((tag & 0xFFFF0000) | number >> 8)
    if not creator:
        return "", "Private, nobody's"
    try:
        described = private_dictionary_description(tag, creator)
        return private_dictionary_VR(tag, creator), f"{described} ({creator})"
    except KeyError:
        return "", f"Private of {creator}"


def value_of(
    found: Elements, tag: int, element: Element, vr: str, encodings: list[str]
) -> tuple[str, str]:
    """A value as text, and what there is to say of it."""
    if tag in PIXEL_DATA:
        return "", "compressed frames" if element.length < 0 else size_text(element.length)
    if element.length <= 0:
        return "", ""
    if vr in _NUMBERS:
        return _numbers(found, element, _NUMBERS[vr])
    if vr == "AT":
        raw = _part(found, element, 4 * MOST_NUMBERS)
        pairs = struct.iter_unpack(found.syntax.order + "HH", raw[: len(raw) // 4 * 4])
        return "\\".join(tag_text(group << 16 | number) for group, number in pairs), ""
    if vr in _PLAIN | _TEXT:
        return _words(found, element, vr, encodings)
    return _binary(found, element)


def _part(found: Elements, element: Element, most: int) -> bytes:
    stop = element.start + min(element.length, most)
    return bytes(found.buffer[element.start : min(stop, len(found.buffer))])


def _numbers(found: Elements, element: Element, code: str) -> tuple[str, str]:
    size = struct.calcsize("=" + code)
    raw = _part(found, element, size * MOST_NUMBERS)
    count = element.length // size
    numbers = struct.unpack_from(f"{found.syntax.order}{len(raw) // size}{code}", raw)
    text = "\\".join(f"{number:.8g}" if code in "fd" else str(number) for number in numbers)
    return text, f"the first {MOST_NUMBERS} of {count} values" if count > MOST_NUMBERS else ""


def _words(found: Elements, element: Element, vr: str, encodings: list[str]) -> tuple[str, str]:
    raw = _part(found, element, 4 * MOST_CHARACTERS)
    text = raw.decode("latin-1") if vr in _PLAIN else decode(raw, encodings)
    text = legible(text)
    note = f"of {size_text(element.length)}" if element.length > len(raw) else ""
    if vr == "UI":
        name = uid_name(text)
        note = name if name != text else ""
    return text, note


def legible(text: str) -> str:
    """Text without padding, control characters but line breaks, and marks that turn it round."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip(" \0")
    if text.isprintable():
        return text
    return "".join(
        char
        for char in text
        if char in "\n\t" or (unicodedata.category(char) != "Cc" and char not in TURNING)
    )


def _binary(found: Elements, element: Element) -> tuple[str, str]:
    """Bytes: as words if that is what they are, else the first of them."""
    raw = _part(found, element, MOST_CHARACTERS)
    size = size_text(element.length)
    words = raw.rstrip(b" \0")
    if words and words.isascii() and words.decode("ascii").isprintable():
        return words.decode("ascii"), size
    rest = " …" if element.length > HEX_BYTES else ""
    return raw[:HEX_BYTES].hex(" ") + rest, size


def size_text(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
