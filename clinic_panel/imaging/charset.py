"""Specific character sets: those pydicom leaves out, and which one an answer is in.

An answer is in the asker's own set where that can say all of it, else in UTF-8.
Source: PS3.3 C.12.1.1.2, PS3.5 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pydicom.charset
from pydicom.charset import (
    CODES_TO_ENCODINGS,
    ENCODINGS_TO_CODES,
    convert_encodings,
    python_encoding,
)
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# Chinese with code extensions (PS3.5 K.2): pydicom 3.0 leaves the escape sequence to Python's codec
# of GB 2312, which knows none. It stood in names that were read, and those written went without.
pydicom.charset.handled_encodings = tuple(
    name for name in pydicom.charset.handled_encodings if name != "iso_ir_58"
)
# Latin alphabet No. 9 is younger than pydicom's table (PS3.3 Tables C.12-2 and C.12-3).
_LATIN_9, _LATIN_9_ESCAPE = "iso8859_15", b"\x1b-b"
python_encoding.update({"ISO_IR 203": _LATIN_9, "ISO 2022 IR 203": _LATIN_9})
CODES_TO_ENCODINGS[_LATIN_9_ESCAPE] = _LATIN_9
ENCODINGS_TO_CODES[_LATIN_9] = _LATIN_9_ESCAPE
# The default repertoire where it is written: pydicom takes Latin-1 for it, with all its letters.
_ASCII = "ascii"
ENCODINGS_TO_CODES[_ASCII] = b"\x1b(B"

__all__ = ["UTF_8", "assume_utf_8", "declared", "encodings_to_write", "fitting", "python_encoding"]

UTF_8, UTF_8_CODEC = "ISO_IR 192", "utf-8"
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ASCII_ONLY = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_HALF_WIDTH_KATAKANA = range(0xFF61, 0xFFA0)
_SEVERAL_SETS = ("iso2022_jp", "iso2022_jp_2")  # and escape sequences that were not declared
_DOUBLE_BYTE = 2


def declared(data: Dataset) -> tuple[str, ...]:
    """Return the values of Specific Character Set, the empty first one of an extension included."""
    value = data.get("SpecificCharacterSet")
    if value is None or value == "":
        return ()
    parts = value if isinstance(value, MultiValue | list) else [value]
    names = tuple(str(part).strip() for part in parts)
    if len(names) > 1:  # some devices name the first as if it stood alone
        names = tuple(name.replace("ISO_IR ", "ISO 2022 IR ") for name in names)
    return names


def assume_utf_8(data: Dataset) -> None:
    """Let the text of a peer that declares no set be UTF-8 where all of it is.

    Some write it and never say so; the objects they send are indexed in the same way. Call it
    before a value is read.
    """
    if declared(data):
        return
    raw = [one.value for one in map(data.get_item, data.keys()) if _is_raw_text(one)]
    try:
        if not b"".join(raw).decode("utf-8").isascii():
            data.set_original_encoding(*data.original_encoding, UTF_8_CODEC)
    except UnicodeDecodeError:
        return


def _is_raw_text(element: object) -> bool:
    return (
        isinstance(element, RawDataElement)
        and bool(element.value)
        and dictionary_has_tag(element.tag)
        and dictionary_VR(element.tag) in _TEXT_VRS
    )


def encodings_to_write(chosen: str | list[str]) -> list[str]:
    """Return Python's names of the sets that an answer is in; the default one is ASCII alone."""
    first, *others = convert_encodings(chosen)
    name = chosen if isinstance(chosen, str) else chosen[0]
    return [_ASCII if name in _ASCII_ONLY else first, *others]


def fitting(names: Sequence[str], texts: Iterable[str]) -> str | list[str]:
    """Return the character set for an answer to one who declared ``names``.

    Parameters
    ----------
    names
        As declared; empty: the default repertoire.
    texts
        All the values of the answer.

    Returns
    -------
    str or list of str
        The declared set where each character has a code in it, otherwise ``ISO_IR 192``; empty
        when nothing but the default repertoire is needed and nothing else was declared.
    """
    if tuple(names) == (UTF_8,):
        return UTF_8
    said = "".join(texts)
    if not names:
        return "" if said.isascii() else UTF_8
    if not _are_known(names) or not all(_can_say(names, c) for c in set(said) if ord(c) > 127):
        return UTF_8
    return names[0] if len(names) == 1 else list(names)


def _are_known(names: Sequence[str]) -> bool:
    if len(names) == 1:
        return names[0] in python_encoding and not names[0].startswith("ISO 2022")
    # With code extensions each value is an ISO 2022 term; only the first may be empty.
    return all(
        (name.startswith("ISO 2022") and name in python_encoding) or (not name and index == 0)
        for index, name in enumerate(names)
    )


def _can_say(names: Sequence[str], character: str) -> bool:
    return any(_has_code(name, character) for name in names)


def _has_code(name: str, character: str) -> bool:
    """Whether a character lies in the set itself; Python's codecs for some reach further."""
    if name in _ASCII_ONLY:
        return False
    if name.endswith("IR 13"):  # JIS X 0201; its codec is that of all Shift JIS
        return ord(character) in _HALF_WIDTH_KATAKANA
    codec = python_encoding[name]
    try:
        encoded = character.encode(codec)
    except UnicodeEncodeError:
        return False
    if codec in _SEVERAL_SETS:
        return encoded.startswith(ENCODINGS_TO_CODES[codec])
    # Syllables that KS X 1001 lacks are spelled by Python in eight bytes, which few can read.
    return codec != "euc_kr" or len(encoded) == _DOUBLE_BYTE
