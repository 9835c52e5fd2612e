"""The sample clinic's days: which visits there are, and how far each has come by now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import Enum, auto
from random import Random
from typing import Final

from clinic_panel.demo.cast import PROCEDURES, ROOMS, ProcedurePlan, RoomPlan
from clinic_panel.models.appointment import SLOT, Priority

OPENS, CLOSES = time(8), time(17)
PAST_DAYS, COMING_DAYS = 3, 4  # working days before and after today
# Always some hours around now, so that the demo shows the same at any time of the day.
AROUND: Final = timedelta(hours=3)
_MINUTE: Final = timedelta(minutes=1)


class Fate(Enum):
    """How far a visit has come."""

    BOOKED = auto()
    CANCELLED = auto()
    MISSED = auto()
    WAITING = auto()  # checked in, no images yet
    TO_READ = auto()
    REPORTED = auto()

    @property
    def has_images(self) -> bool:
        """Whether the modality has sent something."""
        return self in (Fate.TO_READ, Fate.REPORTED)


@dataclass(slots=True)
class Visit:
    """One visit to be booked; ``patient`` counts the cast from 0."""

    room: RoomPlan
    procedure: ProcedurePlan
    patient: int
    start_at: datetime
    fate: Fate
    priority: Priority = Priority.ROUTINE


def visits(days: list[date], now: datetime, patients: int) -> list[Visit]:
    """Return the visits of some days, in the order of their start.

    Parameters
    ----------
    days
        Clinic days; the one that ``now`` is on gets people who wait at this moment.
    now
        Aware, in the clinic's zone.
    patients
        How many people there are to choose from; nobody comes twice a day.
    """
    found: list[Visit] = []
    for day in days:
        random = Random(day.toordinal())  # noqa: S311 - a believable day, not a secret
        people = random.sample(range(patients), patients)
        times = [(room, *slot) for room in ROOMS for slot in _day(room, day, now, random)]
        times.sort(key=lambda time: time[2] is not Fate.WAITING)  # on a full day these come first
        for room, start_at, fate in times[: len(people)]:
            procedure = random.choice([p for p in PROCEDURES if p.modality == room.modality])
            priority = random.choices(tuple(Priority), weights=(5, 10, 85))[0]
            if (
                fate is Fate.TO_READ
                and start_at < now - AROUND
                and priority is not Priority.ROUTINE
            ):
                fate = Fate.REPORTED  # what was urgent this morning has been read
            found.append(Visit(room, procedure, people.pop(), start_at, fate, priority))
    return sorted(found, key=lambda visit: visit.start_at)


def working_days(today: date) -> list[date]:
    """Return the working days around today, and today whatever day it is."""
    days = [today]
    for step, wanted in ((-1, PAST_DAYS), (1, COMING_DAYS)):
        day, found = today, 0
        while found < wanted:
            day += timedelta(days=step)
            if day.weekday() < 5:
                days.append(day)
                found += 1
    return sorted(days)


def _day(
    room: RoomPlan, day: date, now: datetime, random: Random
) -> Iterator[tuple[datetime, Fate]]:
    if day == now.date():
        for start_at, fate in _today(ROOMS.index(room), now, random):
            yield start_at.astimezone(now.tzinfo), fate
        return
    number = (2 if room.modality == "DX" else 1) if day < now.date() else 3
    at = _on(day, OPENS, now.tzinfo) + random.randrange(0, 90, 5) * _MINUTE
    for _ in range(number):
        yield at, _past_fate(random) if day < now.date() else Fate.BOOKED
        at += random.randrange(70, 150, 5) * _MINUTE


def _today(number: int, now: datetime, random: Random) -> Iterator[tuple[datetime, Fate]]:
    """One room today: some done, one or two waiting about now, the rest to come."""
    zone, today = now.tzinfo, now.date()
    midnight = _on(today, time(), zone).astimezone(UTC)
    tomorrow = _on(today + timedelta(days=1), time(), zone).astimezone(UTC)
    opens_at, closes_at = (_on(today, at, zone).astimezone(UTC) for at in (OPENS, CLOSES))
    now = now.astimezone(UTC)  # a day of 23 or 25 hours has no gap or overlap there
    begin = max(midnight, min(opens_at, now - AROUND))
    end = min(tomorrow - 30 * _MINUTE, max(closes_at, now + AROUND))
    at = _rounded(begin) + number * 10 * _MINUTE
    first = True
    while at < now - 80 * _MINUTE:
        old = at < now - 150 * _MINUTE
        fate = Fate.REPORTED if old and random.random() < 0.6 else Fate.TO_READ
        if first and number == 1:
            fate = Fate.MISSED
        elif first and number == 3:
            fate = Fate.CANCELLED
        yield at, fate
        first = False
        at += random.randrange(140, 190, 5) * _MINUTE
    yield max(midnight, _rounded(now - (35 - 8 * number) * _MINUTE)), Fate.WAITING
    at = _rounded(now + (45 + 5 * number) * _MINUTE)
    second = _rounded(now + 15 * _MINUTE)
    if number == 1 and second < tomorrow:  # X-ray is quick: one more sits there already
        yield second, Fate.WAITING
    while at < end:
        yield at, Fate.BOOKED
        at += random.randrange(45, 90, 5) * _MINUTE


def _past_fate(random: Random) -> Fate:
    chance = random.random()
    if chance < 0.08:
        return Fate.MISSED
    if chance < 0.14:
        return Fate.CANCELLED
    return Fate.TO_READ if chance < 0.26 else Fate.REPORTED


def _on(day: date, at: time, zone: tzinfo | None) -> datetime:
    return datetime.combine(day, at, zone)


def _rounded(moment: datetime) -> datetime:
    """Return the last full five minutes."""
    step = SLOT.total_seconds()
    return datetime.fromtimestamp(moment.timestamp() // step * step, moment.tzinfo)
