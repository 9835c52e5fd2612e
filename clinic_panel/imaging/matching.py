"""Attribute matching: what one key of a query says of one stored value (PS3.4 C.2.2.2).

Worklist and archive queries share it: single value, list of UID, wildcard, range and universal
matching; names match in any script without regard to case and accents.
"""

from collections.abc import Callable
from datetime import date

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from clinic_panel import validation


def value_matches(element: DataElement, have: str) -> bool:
    """Whether a stored value fits one key of a query, by the rule of the key's VR.

    A stored value of zero length fails every key that has a value (PS3.4 K.2.2.1.1.1).
    """
    rule = _RULES.get(element.VR, _wildcard)
    return bool(have) and any(rule(key, have) for key in values(element.value))


def _wildcard(key: str, have: str) -> bool:
    return wildcard_matches(key.strip(), have)


def _person_name(key: str, have: str) -> bool:
    """Match any component group, without regard to case, accents or separators."""
    pattern = validation.folded(key).strip()
    groups = (validation.folded(group) for group in (*have.split("="), have))
    return any(wildcard_matches(pattern, group) for group in groups if group)


def wildcard_matches(key: str, have: str) -> bool:
    """Whether ``have`` fits: ``*`` is any text, ``?`` is one character (PS3.4 C.2.2.2.4).

    Only the last ``*`` is ever tried again, so a hostile key costs at most the square of the
    length of ``have``; a regular expression takes exponential time for some.
    """
    at = here = 0
    star, resume = -1, 0  # the last * in the key, and where the text it stands for ends
    while here < len(have):
        if at < len(key) and key[at] == "*":
            star, resume = at, here
            at += 1
        elif at < len(key) and key[at] in ("?", have[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return not key[at:].strip("*")


def _date_range(key: str, have: str) -> bool:
    return _in_range(key.replace(".", ""), have, fill=("", ""))


def _time_range(key: str, have: str) -> bool:
    return _in_range(key.replace(":", ""), have, fill=("000000.000000", "235959.999999"))


def _in_range(key: str, have: str, fill: tuple[str, str]) -> bool:
    """Range matching on the text (PS3.4 C.2.2.2.5); a short TM stands for all it begins."""
    first, dash, last = key.partition("-")
    if not dash:
        last = first
    low = first + fill[0][len(first) :] if first else ""
    high = last + fill[1][len(last) :] if last else "~"
    value = have + fill[0][len(have) :]
    return low <= value <= high


def _uid(key: str, have: str) -> bool:
    return key == have


_RULES: dict[str, Callable[[str, str], bool]] = {
    "PN": _person_name,
    "DA": _date_range,
    "TM": _time_range,
    "UI": _uid,
}


def string(value: object) -> str:
    """Text of a single value; none is the empty string."""
    return "" if value is None else str(value)


def text_of(data: Dataset, keyword: str) -> str:
    """Text of a key; empty when it is absent."""
    return string(data.get(keyword)).strip()


def values(value: object) -> list[str]:
    """The values of a key, one or several."""
    parts = value if isinstance(value, MultiValue | list) else [value]
    return [string(part).strip() for part in parts]


def is_universal(value: object) -> bool:
    """Whether a key asks for nothing but the attribute itself (PS3.4 C.2.2.2.3)."""
    return all(set(text) <= {"*"} for text in values(value))


def plain(data: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of a key when they need no pattern, so that the database can look them up."""
    keys = values(data.get(keyword)) if keyword in data else []
    return tuple(keys) if all(key and not set(key) & set("*?") for key in keys) else ()


def days(key: str) -> tuple[date | None, date | None]:
    """First and last day of a DA key; None where it is open or is no date."""
    first, dash, last = key.replace(".", "").partition("-")
    return _day(first), _day(last if dash else first)


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
