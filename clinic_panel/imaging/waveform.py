"""Waveforms: samples of each channel in their unit (PS3.3 C.10.9)."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
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
MOST_SECONDS: Final = 60.0  # of a long recording
MOST_SAMPLES: Final = 4 * 2**20  # of one group, all channels
MOST_NOTES: Final = 200
_FULL: Final = 32_767
_KINDS: Final = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
_MILLI: Final = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "nV": 1e-6}


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: ``values`` in ``unit``, NaN where nothing was recorded."""

    label: str
    unit: str
    values: NDArray[np.float32] = field(repr=False)
    skew_s: float = 0.0  # later than the group's first channel
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
    """Channels sampled together; ``seconds`` of the recording, of which the first are here."""

    label: str
    frequency_hz: float
    seconds: float
    channels: tuple[Channel, ...]
    is_cut: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "label": self.label,
            "hz": self.frequency_hz,
            "seconds": self.seconds,
            "cut": self.is_cut,
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


def read_recording(source: Path | bytes) -> Recording:
    """Read a waveform object; of a long recording its first minute.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        It holds no samples, or writes them in a way that is not read here.
    """
    with opened_elements(source) as found:
        encodings = encodings_of(found)
        groups = tuple(_groups(found, encodings))
        if not groups:
            raise NotDisplayable("The recording holds no samples.")
        return Recording(groups, tuple(_notes(found, encodings)))


def _groups(found: Elements, encodings: list[str]) -> Iterator[Group]:
    for number, item in enumerate(found.items(0x54000100)):
        if number >= MOST_GROUPS:
            return
        yield _group(item, encodings)


def _group(item: Elements, encodings: list[str]) -> Group:
    channels = next(iter(item.integers(0x003A0005)), 0)
    frequency = next(iter(item.numbers(0x003A001A)), 0.0)
    samples = next(iter(item.longs(0x003A0010)), 0)
    kind = _KINDS.get(item.text(0x54001006))
    if kind is None:
        raise NotDisplayable("The samples are written in a way that cannot be shown here.")
    if not 0 < channels <= MOST_CHANNELS or not samples or not 0 < frequency <= 1e6:
        raise NotDisplayable("The recording contradicts itself about its channels.")
    dtype = np.dtype(item.syntax.order + kind)
    taken = min(samples, math.ceil(MOST_SECONDS * frequency), MOST_SAMPLES // channels)
    raw = item.raw(0x54001010, most=taken * channels * dtype.itemsize) or b""
    here = len(raw) // (channels * dtype.itemsize)
    if not here:
        raise NotDisplayable("The recording holds fewer samples than it says.")
    stored = np.frombuffer(raw, dtype, here * channels).reshape(here, channels)
    padding = _padding(item, dtype)
    definitions = list(item.items(0x003A0200))[:channels]
    return Group(
        label=Words(item, encodings).text(0x003A0020),
        frequency_hz=frequency,
        seconds=samples / frequency,
        channels=tuple(
            _channel(
                definitions[place] if place < len(definitions) else None,
                stored[:, place],
                padding,
                Words(item, encodings),
                place,
            )
            for place in range(channels)
        ),
        is_cut=here < samples,
    )


def _padding(item: Elements, dtype: np.dtype[np.generic]) -> int | None:
    value = item.raw(0x5400100A) or b""
    if len(value) < dtype.itemsize:
        return None
    return int(np.frombuffer(value, dtype, 1)[0])


def _channel(
    definition: Elements | None,
    stored: NDArray[np.generic],
    padding: int | None,
    words: Words,
    place: int,
) -> Channel:
    """Apply sensitivity, correction and baseline (PS3.3 C.10.9.1.4.2 and .3)."""
    values = stored.astype(np.float32)
    if padding is not None:
        values[stored == padding] = np.nan
    if definition is None:
        return Channel(f"Channel {place + 1}", "", values)
    inside = Words(definition, words.encodings)
    source, _ = inside.code(0x003A0208)
    label = inside.text(0x003A0203) or source or f"Channel {place + 1}"
    sensitivity = next(iter(definition.numbers(0x003A0210)), None)
    unit = ""
    if sensitivity is not None:
        factor = next(iter(definition.numbers(0x003A0212)), 1.0)
        baseline = next(iter(definition.numbers(0x003A0213)), 0.0)
        values = values * np.float32(sensitivity * factor) + np.float32(baseline)
        unit = _unit(inside)
    if unit in _MILLI:  # one unit for all that is electric, so that one paper serves
        values, unit = values * np.float32(_MILLI[unit]), "mV"
    return Channel(
        label=lead(label),
        unit=unit,
        values=values,
        skew_s=next(iter(definition.numbers(0x003A0214)), 0.0),
        filters=_filters(definition),
    )


def _unit(words: Words) -> str:
    item = words.found.first(0x003A0211)
    if item is None:
        return ""
    return Words(item, words.encodings).text(0x00080100)[:16]


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


def _notes(found: Elements, encodings: list[str]) -> Iterator[str]:
    """What the device wrote: its statements and measurements (PS3.3 C.10.10)."""
    for number, item in enumerate(found.items(0x0040B020)):
        if number >= MOST_NOTES:
            return
        words = Words(item, encodings)
        name, _ = words.code(0x0040A043)
        value, _ = words.code(0x0040A168)
        text = words.text(0x00700006) or value
        if not text and (numbers := item.numbers(0x0040A30A)):
            unit = item.first(0x004008EA)
            symbol = Words(unit, encodings).text(0x00080100) if unit else ""
            text = " ".join(filter(None, (" ".join(f"{one:g}" for one in numbers), symbol)))
        if text:
            yield f"{name}: {text}" if name else text
