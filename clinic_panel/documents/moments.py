"""Dates and times moved by one amount, so that what lies between two of them stays (PS3.15 E.3.6).

The day and the time of day move together: a time that stayed would lead back through the log of the
scanner. A time without a date turns round at midnight.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.multival import MultiValue

_DA: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TM: Final = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d{1,6})?")
_DT: Final = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\.\d{1,6})?(?:[+-]\d{4})?"
)
_ANY_DAY: Final = date(2000, 1, 1)


def shifted(ds: Dataset, tag: int, offset: timedelta) -> list[str] | None:
    """Return the values of a DA, TM or DT element after the move; None if one is not understood.

    A date and its time, found by their keywords in one data set, move as one moment. A zone that a
    DT names is left out: it tells where it was.
    """
    element = ds[tag]
    values = _texts(element.value)
    if element.VR == "DT":
        moved = [_moment(text, offset) for text in values]
    else:
        partners = _partners(ds, tag, len(values))
        moved = [
            _day(text, other, offset) if element.VR == "DA" else _time(text, other, offset)
            for text, other in zip(values, partners, strict=True)
        ]
    found = [text for text in moved if text is not None]
    return found if len(found) == len(values) else None


def _texts(value: object) -> list[str]:
    listed = list(value) if isinstance(value, MultiValue | list) else [value]
    return [str(one).strip(" \0") for one in listed]


def _partners(ds: Dataset, tag: int, count: int) -> list[str]:
    """Return the times that belong to dates, or the other way round; empty where there is none."""
    keyword = keyword_for_tag(tag)
    name, wanted = ("Date", "Time") if "Date" in keyword else ("Time", "Date")
    partner = tag_for_keyword(keyword.replace(name, wanted, 1))
    if partner is None or partner == tag or partner not in ds:
        return [""] * count
    found = _texts(ds[partner].value)
    return found if len(found) == count else [""] * count


def _day(text: str, time: str, offset: timedelta) -> str | None:
    if not text:
        return ""
    day, seconds = _read_day(text), _read_time(time)
    if day is None:
        return None
    try:
        at = datetime(day.year, day.month, day.day) + timedelta(seconds=seconds or 0)  # noqa: DTZ001
        return f"{at + (offset if seconds is not None else _whole(offset)):%Y%m%d}"
    except OverflowError:
        return None


def _time(text: str, day: str, offset: timedelta) -> str | None:
    if not text:
        return ""
    seconds, match = _read_time(text), _TM.fullmatch(text)
    if seconds is None or match is None:
        return None
    on = _read_day(day) or _ANY_DAY
    at = datetime(on.year, on.month, on.day) + timedelta(seconds=seconds + offset.seconds)  # noqa: DTZ001
    return f"{at:%H%M%S}{match[4] or ''}"


def _moment(text: str, offset: timedelta) -> str | None:
    if not text:
        return ""
    match = _DT.fullmatch(text)
    if match is None:
        return None
    parts = [int(part) for part in match.groups()[:6] if part]
    try:
        at = datetime(*(parts + [1, 1][len(parts) - 1 :] if len(parts) < 3 else parts))  # type: ignore[arg-type]  # noqa: DTZ001
        at += offset if len(parts) > 3 else _whole(offset)
    except (OverflowError, ValueError):
        return None
    if len(parts) > 3:
        return f"{at:%Y%m%d%H%M%S}{match[7] or ''}"
    return f"{at:%Y%m%d}"[: 2 + 2 * len(parts)]


def _whole(offset: timedelta) -> timedelta:
    return timedelta(days=offset.days)


def _read_day(text: str) -> date | None:
    match = _DA.fullmatch(text)
    try:
        return date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None


def _read_time(text: str) -> int | None:
    match = _TM.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600 + minutes * 60 + min(seconds, 59)
