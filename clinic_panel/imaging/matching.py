"""Attribute matching: what one key of a query says of one stored value (PS3.4 C.2.2.2).

Worklist and archive queries share it: single value, list of UID, wildcard, range and universal
matching; names match in any script without regard to case and accents.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from itertools import zip_longest

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from clinic_panel import validation

_LOOKED_UP = 5000  # values of one key that a statement takes
_DAY = ("000000.000000", "235959.999999")


def value_matches(element: DataElement, have: str) -> bool:
    """Whether a stored value fits one key of a query, by the rule of the key's VR.

    A stored value of zero length fails every key that has a value (PS3.4 K.2.2.1.1.1).
    """
    return matcher(element)(have)


def matcher(element: DataElement) -> Callable[[str], bool]:
    """Return what compares stored values with one key; of several values any may fit."""
    keys = values(element.value)
    if element.VR not in _RULES and not any(map(has_wildcard, keys)):
        wanted = frozenset(keys)  # a list of UIDs may be long
        return lambda have: bool(have) and not wanted.isdisjoint(have.split("\\"))
    rule = _RULES.get(element.VR, _wildcard)
    first, *others = (rule(key) for key in keys)

    def fits(have: str) -> bool:
        if not have:
            return False
        if not others and "\\" not in have:
            return first(have)
        return any(test(part) for test in (first, *others) for part in have.split("\\"))

    return fits


def _wildcard(key: str) -> Callable[[str], bool]:
    if key.endswith("*") and not has_wildcard(key[:-1]):
        beginning = key[:-1]
        return lambda have: have.startswith(beginning)
    if has_wildcard(key):
        return lambda have: wildcard_matches(key, have)
    return lambda have: key == have


def _person_name(key: str) -> Callable[[str], bool]:
    """Match any component group, without regard to case, accents or separators.

    A key of several groups matches group by group; one that it leaves empty may be anything.
    """
    matches = _wildcard(validation.folded(key).strip())
    groups_asked = (validation.folded(group) for group in key.split("="))
    wanted = [None if is_universal(group) else _wildcard(group) for group in groups_asked]
    is_grouped = "=" in key and any(wanted)

    def fits(have: str) -> bool:
        if not is_grouped and "=" not in have:  # most names
            folded = _folded(have)
            return bool(folded) and matches(folded)
        groups = have.split("=")
        if is_grouped and all(
            test is None or bool(part and test(_folded(part)))
            for test, part in zip_longest(wanted, groups, fillvalue=None)
        ):
            return True
        several = (*groups, have) if len(groups) > 1 else groups
        return any(matches(group) for group in map(_folded, several) if group)

    return fits


@lru_cache(maxsize=1 << 15)
def _folded(group: str) -> str:
    """Fold a stored name, once for the queries that come to it."""
    return validation.folded(group)


def has_wildcard(key: str) -> bool:
    """Whether a key holds ``*`` or ``?``."""
    return "*" in key or "?" in key


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
            if at == len(key):
                return True
        elif at < len(key) and key[at] in ("?", have[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return not key[at:].strip("*")


def _date_range(key: str) -> Callable[[str], bool]:
    return _in_range(key.replace(".", ""), fill=("", ""))


def _time_range(key: str) -> Callable[[str], bool]:
    return _in_range(key.replace(":", ""), fill=_DAY)


def _in_range(key: str, fill: tuple[str, str]) -> Callable[[str], bool]:
    """Range matching on the text (PS3.4 C.2.2.2.5); a short TM stands for all it begins."""
    first, dash, last = key.partition("-")
    if not dash:
        last = first
    low = first + fill[0][len(first) :] if first else ""
    high = last + fill[1][len(last) :] if last else "~"
    return lambda have: low <= have + fill[0][len(have) :] <= high


def _integer(key: str) -> Callable[[str], bool]:
    try:
        text = str(int(key))
    except ValueError:
        return _wildcard(key)
    return lambda have: have == text


def combined_range(dates: str, times: str) -> tuple[str, str] | None:
    """Return the moments that a range of dates and one of times stand for together.

    Compared with the text of a moment, ``YYYYMMDDHHMMSS`` (PS3.4 C.2.2.2.5.4, Table K.6-1); None
    when they are to be matched one by one.
    """
    if "-" not in dates or "-" not in times:
        return None
    first_day, _, last_day = dates.replace(".", "").partition("-")
    first_time, _, last_time = times.replace(":", "").partition("-")
    first = first_day + (first_time.partition(".")[0] + "000000")[:6] if first_day else ""
    last_time = last_time.partition(".")[0]
    last = last_day + last_time + "235959"[len(last_time) :] if last_day else "~"
    return first, last


_RULES: dict[str, Callable[[str], Callable[[str], bool]]] = {
    "PN": _person_name,
    "DA": _date_range,
    "TM": _time_range,
    "IS": _integer,
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
    is_plain = all(key and not has_wildcard(key) for key in keys)
    return tuple(keys) if is_plain and len(keys) <= _LOOKED_UP else ()


def days(key: str) -> tuple[date | None, date | None]:
    """First and last day of a DA key; None where it is open or is no date."""
    first, dash, last = key.replace(".", "").partition("-")
    return _day(first), _day(last if dash else first)


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
