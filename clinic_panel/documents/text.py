"""Free text made ready for paper: harmless characters, direction, language, paragraphs."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

# Overrides and isolates can make a line read differently from what was signed; marks that only
# hint (LRM, RLM, ALM) and joiners that shape letters stay.
_BIDI_CONTROLS = frozenset(chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_KEPT_CONTROLS = frozenset("\n\t")
_WIDE = frozenset("WMwm@%ЩШЖЮщшжюῼﷲش")
_BULLETS = ("- ", "* ", "• ", "– ")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a list with one item a line."""

    lines: tuple[str, ...]
    bulleted: bool
    direction: str


def plain(value: str) -> str:
    """Return the text without what a page can't or mustn't show: controls and bidi overrides."""
    unified = value.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter for letter in unified if _is_printable(letter))


def direction(value: str) -> str:
    """Return ``rtl`` or ``ltr`` by the first strong character (Unicode UAX #9, P2 and P3)."""
    for letter in value:
        kind = unicodedata.bidirectional(letter)
        if kind in {"R", "AL"}:
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def language_of(value: str, otherwise: str) -> str:
    """Return the language whose letter shapes a name needs; Han alone doesn't say.

    Parameters
    ----------
    value
        All groups of one name: the phonetic group tells a Japanese from a Chinese name.
    otherwise
        BCP 47 tag for a name in letters that no language claims.
    """
    scripts = {unicodedata.name(letter, "").split(" ", 1)[0] for letter in value}
    if scripts & {"HIRAGANA", "KATAKANA"}:
        return "ja"
    if "HANGUL" in scripts:
        return "ko"
    if "CJK" in scripts:
        return otherwise if otherwise[:2] in {"ja", "ko", "zh"} else "zh"
    return otherwise


def width_em(value: str) -> float:
    """Return a generous width of the text, one em being the height of its type."""
    return sum(_letter_em(letter) for letter in value)


def blocks(value: str) -> list[Block]:
    """Return the paragraphs: apart by a blank line, or by where a bulleted list starts and ends."""
    found: list[Block] = []
    lines: list[str] = []
    bulleted = False
    for line in [*plain(value).strip().split("\n"), ""]:
        is_item = line.lstrip().startswith(_BULLETS)
        if lines and (not line.strip() or is_item != bulleted):
            found.append(Block(tuple(lines), bulleted, direction(" ".join(lines))))
            lines = []
        if line.strip():
            bulleted = is_item
            lines.append(line.lstrip()[2:].strip() if is_item else line.rstrip())
    return found


def _is_printable(letter: str) -> bool:
    if letter in _KEPT_CONTROLS:
        return True
    category = unicodedata.category(letter)
    return category not in {"Cc", "Cs", "Co", "Cn"} and letter not in _BIDI_CONTROLS


def _letter_em(letter: str) -> float:
    if letter in _WIDE or unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return 0.66
