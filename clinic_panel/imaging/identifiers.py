"""Identifiers of C-FIND: the keys of a model, what a query asks of them, what is answered.

Worklist and archive queries differ in their tables of keys and in where their rows come from; how
an identifier is read is the same (PS3.4 C.2.2, C.4.1.1.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache, lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from clinic_panel.imaging.encoding import Field, Items
from clinic_panel.imaging.matching import combined_range, is_universal, matcher, text_of

CHARACTER_SET = "SpecificCharacterSet"
# Said of the whole query or answer: never compared with a stored value.
NEVER_MATCHED = frozenset({CHARACTER_SET, "TimezoneOffsetFromUTC"})
_LEVEL = "QueryRetrieveLevel"  # of archive queries, and not for a worklist to answer
PENDING, PENDING_UNSUPPORTED = 0xFF00, 0xFF01


@cache  # asked for hundreds of times by each query
def _tag_of(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


@cache
def vr_of(keyword: str) -> str:
    """Return the value representation of an attribute of the standard."""
    return dictionary_VR(_tag_of(keyword))


@dataclass(frozen=True, slots=True)
class Key[Row]:
    """One attribute of a model: its type in the tables of PS3.4, and where its text comes from.

    A sequence has the keys of its ``item`` instead. Without either it is answered empty and is not
    matched.
    """

    keyword: str
    return_type: str
    source: Callable[[Row], str] | None = None
    item: tuple[Key[Row], ...] = ()

    @property
    def tag(self) -> int:
        """Its tag as a number."""
        return _tag_of(self.keyword)

    @property
    def vr(self) -> str:
        """Value representation."""
        return vr_of(self.keyword)

    @property
    def is_matched(self) -> bool:
        """Whether a value in the query narrows the answers."""
        return self.source is not None or bool(self.item)


class Asked[Row]:
    """What one data set of a query, the identifier or a sequence item, asks of a table of keys."""

    def __init__(
        self,
        data: Dataset,
        keys: Iterable[Key[Row]],
        *,
        as_one: tuple[str, str] | None = None,
    ) -> None:
        """Read it.

        Parameters
        ----------
        keys
            The table; what fails first in its order is what is told.
        as_one
            Keywords of a date and a time whose ranges are matched as one moment.

        Raises
        ------
        Exception
            Whatever a value that breaks its VR makes pydicom raise.
        """
        self.data = data
        self._keys: Mapping[str, Key[Row]] = {key.keyword: key for key in keys}
        self._inner: dict[str, Asked[Row]] = {
            key.keyword: Asked(_first_item(data, key.keyword), key.item, as_one=as_one)
            for key in self._keys.values()
            if key.item and key.keyword in data
        }
        self._tests = list(self._compiled(as_one))

    def inside(self, keyword: str) -> Asked[Row]:
        """Return what the item of a sequence asks; nothing when the sequence is not there."""
        return self._inner.get(keyword) or Asked(Dataset(), self._keys[keyword].item)

    def excluded_by(self, row: Row) -> str:
        """Return the keyword that keeps a row out of the answers; empty when it fits."""
        for test in self._tests:
            if keyword := test(row):
                return keyword
        return ""

    @property
    def is_compared(self) -> bool:
        """Whether any key has a value that rows are compared with."""
        return bool(self._tests)

    @property
    def is_supported(self) -> bool:
        """Whether every key with a value is one that we match."""
        for element in self.data:
            key = self._keys.get(element.keyword)
            if element.keyword in NEVER_MATCHED or element.keyword == _LEVEL:
                continue
            if element.VR == "SQ":
                inner = _first_item(self.data, element.tag)
                if key is not None and key.item:
                    if not self._inner[element.keyword].is_supported:
                        return False
                elif any(one.VR != "SQ" and not is_universal(one.value) for one in inner):
                    return False
            elif not is_universal(element.value) and (key is None or not key.is_matched):
                return False
        return True

    @property
    def pending_status(self) -> int:
        """Status of each answer (PS3.4 Table C.4-1)."""
        return PENDING if self.is_supported else PENDING_UNSUPPORTED

    def fields(self) -> Iterator[Field[Row] | Items[Row]]:
        """Return what each answer holds: the keys asked for; what we do not have is empty."""
        for element in self.data:
            tag = element.tag
            key = self._keys.get(element.keyword)
            if element.keyword in (CHARACTER_SET, _LEVEL) or tag.is_private or not tag.element:
                continue
            if key is None and element.keyword in NEVER_MATCHED:
                continue
            if key is None:
                yield Field(int(tag), element.VR if len(element.VR) == 2 else "UN")
            elif not key.item:
                yield Field(key.tag, key.vr, key.source)
            elif len((inner := self._inner[element.keyword]).data):
                yield Items(key.tag, tuple(inner.fields()))
            else:  # an empty item, or none, asks for all of it (PS3.4 C.2.2.2.6)
                yield Items(key.tag, tuple(whole(key.item)))

    def _compiled(self, as_one: tuple[str, str] | None) -> Iterator[Callable[[Row], str]]:
        period = combined_range(*(text_of(self.data, keyword) for keyword in as_one or ("", "")))
        for keyword, key in self._keys.items():
            if keyword not in self.data or keyword in NEVER_MATCHED:
                continue
            if keyword in self._inner:
                if self._inner[keyword].is_compared:
                    yield self._inner[keyword].excluded_by
            elif period is not None and as_one is not None and keyword in as_one:
                if keyword == as_one[0]:
                    dates, times = (self._keys[one] for one in as_one)
                    yield _moment(dates, times, period)
            elif key.source is not None and not is_universal(self.data[keyword].value):
                yield _single(keyword, self.data[keyword], key.source)


@lru_cache(maxsize=4096)
def date_text(day: date | None) -> str:
    """Return a day as DA; empty when there is none."""
    return "" if day is None else f"{day.year:04d}{day.month:02d}{day.day:02d}"


def time_text(at: time | datetime | None) -> str:
    """Return a time of day as TM, with its fraction where there is one."""
    if at is None:
        return ""
    text = f"{at.hour:02d}{at.minute:02d}{at.second:02d}"
    return f"{text}.{at.microsecond:06d}" if at.microsecond else text


def whole[Row](keys: Iterable[Key[Row]]) -> Iterator[Field[Row] | Items[Row]]:
    """Return the fields of an answer that holds a whole table."""
    for key in keys:
        if key.item:
            yield Items(key.tag, tuple(whole(key.item)))
        else:
            yield Field(key.tag, key.vr, key.source)


def _single[Row](
    keyword: str, element: DataElement, source: Callable[[Row], str]
) -> Callable[[Row], str]:
    fits = matcher(element)
    return lambda row: "" if fits(source(row)) else keyword


def _moment[Row](dates: Key[Row], times: Key[Row], period: tuple[str, str]) -> Callable[[Row], str]:
    """Compare date and time as one moment; the time is told when the days alone would fit."""
    first, last = period
    day_of, time_of = dates.source, times.source
    if day_of is None or time_of is None:
        raise ValueError("keys without a source cannot be one moment")

    def test(row: Row) -> str:
        day, at = day_of(row), time_of(row)
        if day and at and first <= day + (at + "000000")[:6] <= last:
            return ""
        return times.keyword if day and first[:8] <= day <= last[:8] else dates.keyword

    return test


def _first_item(data: Dataset, key: object) -> Dataset:
    items = data[key].value if key in data else None
    return items[0] if items else Dataset()
