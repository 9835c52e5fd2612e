"""Specific character sets of answers: the asker's own where it can say all, else UTF-8.

Source: PS3.3 C.12.1.1.2, PS3.5 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

UTF_8 = "ISO_IR 192"
_ASCII_ONLY = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_HALF_WIDTH_KATAKANA = range(0xFF61, 0xFFA0)


def declared(data: Dataset) -> tuple[str, ...]:
    """Return the values of Specific Character Set, the empty first one of an extension included."""
    value = data.get("SpecificCharacterSet")
    if value is None or value == "":
        return ()
    parts = value if isinstance(value, MultiValue | list) else [value]
    return tuple(str(part).strip() for part in parts)


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
    try:
        character.encode(python_encoding[name])
    except UnicodeEncodeError:
        return False
    return True
