"""Waveforms: samples of each channel in their unit (PS3.3 C.10.9)."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.header import encodings_of
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.imaging.structured import Words

MOST_GROUPS: Final = 16
MOST_CHANNELS: Final = 128
MOST_SECONDS: Final = 60.0  # of a long recording, at a time
MOST_SAMPLES: Final = 4 * 2**20  # of one group, all channels, at a time
MOST_NOTES: Final = 200
_FULL: Final = 32_767
_KINDS: Final = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
_LEADS: Final = frozenset(
    {"I", "II", "III", "aVR", "aVL", "aVF", "X", "Y", "Z", "A", "D", "J"}
    | {f"V{number}{side}" for number in range(1, 10) for side in ("", "R")}
)
_GROUPS: Final = frozenset({"RHYTHM", "MEDIAN BEAT", "MEDIAN"})
_MILLI: Final = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "nV": 1e-6}


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: ``values`` in ``unit``, NaN where nothing was recorded."""

    label: str
    unit: str
    values: NDArray[np.float32] = field(repr=False)
    skew_s: float = 0.0  # how much later than the group's start its first sample is
    filters: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it: scaled 16-bit integers, the least for no value."""
        known = np.abs(self.values[np.isfinite(self.values)])
        scale = float(known.max(initial=0.0)) / _FULL or 1.0
        packed = np.where(np.isfinite(self.values), np.round(self.values / scale), -_FULL - 1)
        return {
            "label": self.label,
            "unit": self.unit,
            "skew": self.skew_s,
            "filters": self.filters,
            "scale": scale,
            "data": base64.b64encode(packed.astype("<i2").tobytes()).decode(),
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Channels sampled together; of the ``seconds`` of a recording, those from ``start_s`` on."""

    label: str
    frequency_hz: float
    seconds: float
    channels: tuple[Channel, ...]
    start_s: float = 0.0

    @property
    def seconds_here(self) -> float:
        """How many of the seconds are here."""
        return len(self.channels[0].values) / self.frequency_hz

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it than is here."""
        return self.seconds_here < self.seconds

    @property
    def times_s(self) -> NDArray[np.float64]:
        """When each sample was taken, from the start of the recording, without a channel's skew."""
        first = round(self.start_s * self.frequency_hz)
        count = len(self.channels[0].values)
        return np.arange(first, first + count, dtype=np.float64) / self.frequency_hz

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "label": self.label,
            "hz": self.frequency_hz,
            "seconds": self.seconds,
            "start": self.start_s,
            "channels": [one.as_dict() for one in self.channels],
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """All groups of a waveform object, and what is written beside them."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {"groups": [one.as_dict() for one in self.groups], "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a recording is read: from ``start_s`` on, at most so much."""

    start_s: float
    seconds: float
    samples: int  # all channels


def read_recording(
    source: Path | bytes, span: Span | None = None, words: type[Words] = Words
) -> Recording:
    """Read a waveform object; of a long recording its first minute.

    Parameters
    ----------
    span
        Another part of each group.
    words
        How text is read; ``discreet.Discreet`` keeps back what may name a person.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        It holds no samples, or writes them in a way that is not read here.
    """
    with opened_elements(source) as found:
        top = words(found, encodings_of(found))
        groups = tuple(_group(item, span or shown_from()) for item in _items(top))
        if not groups:
            raise NotDisplayable("The recording holds no samples.")
        return Recording(groups, tuple(_notes(top)))


def read_group(
    source: Path | bytes, number: int, span: Span | None = None, words: type[Words] = Words
) -> Group:
    """Read a part of one zero-based group of a waveform object, as `read_recording` does.

    Raises
    ------
    NotUnderstood, NotDisplayable
        As `read_recording`; NotDisplayable also where there is no such group.
    """
    with opened_elements(source) as found:
        item = next(islice(_items(words(found, encodings_of(found))), number, None), None)
        if item is None:
            raise NotDisplayable("The recording has no such part.")
        return _group(item, span or shown_from())


def shown_from(start_s: float = 0.0) -> Span:
    """As much of a recording as is shown at a time, from there on."""
    return Span(start_s, MOST_SECONDS, MOST_SAMPLES)


def _items(top: Words) -> Iterator[Words]:
    return islice(top.items(0x54000100), MOST_GROUPS)


def _group(words: Words, span: Span) -> Group:
    item = words.found
    channels = next(iter(item.integers(0x003A0005)), 0)
    frequency = next(iter(item.numbers(0x003A001A)), 0.0)
    samples = next(iter(item.longs(0x003A0010)), 0)
    kind = _KINDS.get(item.text(0x54001006))
    if kind is None:
        raise NotDisplayable("The samples are written in a way that cannot be shown here.")
    if not 0 < channels <= MOST_CHANNELS or not samples or not 0 < frequency <= 1e6:
        raise NotDisplayable("The recording contradicts itself about its channels.")
    dtype = np.dtype(item.syntax.order + kind)
    first = min(max(0, round(span.start_s * frequency)), samples - 1)
    wanted = min(math.ceil(span.seconds * frequency), span.samples // channels)
    taken = min(samples - first, max(wanted, 1))
    width = channels * dtype.itemsize  # bytes of one moment
    raw = item.raw(0x54001010, most=taken * width, skip=first * width) or b""
    here = len(raw) // width
    if not here:
        raise NotDisplayable("The recording holds fewer samples than it says.")
    stored = np.frombuffer(raw, dtype, here * channels).reshape(here, channels)
    padding = _padding(item, dtype)
    definitions = list(islice(words.items(0x003A0200), channels))
    return Group(
        label=words.among(Words(item, words.encodings).text(0x003A0020), _GROUPS),
        frequency_hz=frequency,
        seconds=samples / frequency,
        channels=tuple(
            _channel(
                definitions[place] if place < len(definitions) else None,
                _known(stored[:, place], padding),
                frequency,
                place,
            )
            for place in range(channels)
        ),
        start_s=first / frequency,
    )


def _known(stored: NDArray[np.generic], padding: int | None) -> NDArray[np.float64]:
    values = stored.astype(np.float64)
    if padding is not None:
        values[stored == padding] = np.nan
    return values


def _padding(item: Elements, dtype: np.dtype[np.generic]) -> int | None:
    value = item.raw(0x5400100A) or b""
    if len(value) < dtype.itemsize:
        return None
    return int(np.frombuffer(value, dtype, 1)[0])


def _channel(
    words: Words | None, values: NDArray[np.float64], frequency_hz: float, place: int
) -> Channel:
    """Apply sensitivity, correction and baseline (PS3.3 C.10.9.1.4.2 and .3)."""
    if words is None:
        return Channel(f"Channel {place + 1}", "", values.astype(np.float32))
    definition = words.found
    sensitivity = next(iter(definition.numbers(0x003A0210)), None)
    unit = ""
    if sensitivity is not None:
        factor = next(iter(definition.numbers(0x003A0212)), 1.0)
        baseline = next(iter(definition.numbers(0x003A0213)), 0.0)
        values = values * (sensitivity * factor) + baseline
        unit = words.coded(0x003A0211)[0][:16]
    if unit in _MILLI:  # one unit for all that is electric, so that one paper serves
        values, unit = values * _MILLI[unit], "mV"
    return Channel(
        label=_label(words) or f"Channel {place + 1}",
        unit=unit,
        values=values.astype(np.float32),
        skew_s=_skew_s(definition, frequency_hz),
        filters=_filters(definition),
    )


def _label(words: Words) -> str:
    """What the device calls a channel, else what it is attached to."""
    plain = Words(words.found, words.encodings)
    written = plain.text(0x003A0203) or plain.code(0x003A0208)[0]
    return words.among(lead(written), _LEADS) or lead(words.code(0x003A0208)[0])


def _skew_s(definition: Elements, frequency_hz: float) -> float:
    """In seconds, or in samples where it is not written in seconds (PS3.3 C.10.9)."""
    time = next(iter(definition.numbers(0x003A0214)), None)
    if time is not None:
        return time
    return next(iter(definition.numbers(0x003A0215)), 0.0) / frequency_hz


def lead(label: str) -> str:
    """Return a lead's short name: ``Lead aVR (MDC)`` and ``Lead V1`` are aVR and V1."""
    short = label.removeprefix("Lead ").removesuffix(" (Einthoven)").strip()
    return short[:24] or label[:24]


def _filters(definition: Elements) -> str:
    low = next(iter(definition.numbers(0x003A0220)), 0.0)
    high = next(iter(definition.numbers(0x003A0221)), 0.0)
    notch = next(iter(definition.numbers(0x003A0222)), 0.0)
    parts = []
    if low or high:
        parts.append(f"{low:g}–{high:g} Hz" if high else f"from {low:g} Hz")
    if notch:
        parts.append(f"notch {notch:g} Hz")
    return ", ".join(parts)


def _notes(top: Words) -> Iterator[str]:
    """What the device wrote: its statements and measurements (PS3.3 C.10.10)."""
    for words in islice(top.items(0x0040B020), MOST_NOTES):
        name, _ = words.code(0x0040A043)
        value, _ = words.code(0x0040A168)
        text = words.text(0x00700006) or value
        if not text and (numbers := words.found.numbers(0x0040A30A)):
            symbol = words.coded(0x004008EA)[0]
            text = " ".join(filter(None, (" ".join(f"{one:g}" for one in numbers), symbol)))
        if text:
            yield f"{name}: {text}" if name else text
