"""When a room is free, and when the clinic is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Invalid
from clinic_panel.models.appointment import SLOT, AppointmentSlot, slots_between
from clinic_panel.models.site import SiteSetting

OPENING_HOURS_KEY = "opening_hours"  # of the site's settings
MAX_MINUTES = 600
SEARCH_DAYS = 14  # how far ahead the next free time is looked for


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Clinic-local times of each day: open from ``begin`` up to ``end``."""

    begin: time = time(7)
    end: time = time(19)

    @classmethod
    def of(cls, session: Session) -> OpeningHours:
        """Read the site's hours, kept as ``{"begin": "07:00", "end": "19:00"}``."""
        kept = session.get(SiteSetting, OPENING_HOURS_KEY)
        if kept is None:
            return cls()
        return cls(time.fromisoformat(kept.value["begin"]), time.fromisoformat(kept.value["end"]))

    def on(self, ctx: Context, day: date) -> tuple[datetime, datetime]:
        """Return when a day's opening begins and ends, in UTC."""
        begin, end = (
            datetime.combine(day, at, ctx.zone).astimezone(UTC) for at in (self.begin, self.end)
        )
        return begin, end


def offers(
    opens_at: datetime, closes_at: datetime, taken: Iterable[datetime], length: timedelta
) -> Iterator[datetime]:
    """Yield the starts to offer: at each gap's begin, then at quarter hours.

    Parameters
    ----------
    opens_at, closes_at
        The span to look at, on the five-minute grid.
    taken
        Five-minute marks that are booked.
    length
        How long the room is needed.
    """
    booked = frozenset(taken)
    start, gap_begins = opens_at, True
    while start + length <= closes_at:
        hit = next((mark for mark in slots_between(start, start + length) if mark in booked), None)
        if hit is not None:
            start, gap_begins = hit + SLOT, True
            continue
        if gap_begins or start.minute % 15 == 0:
            yield start
        gap_begins = False
        start += SLOT


def free_starts(
    ctx: Context, session: Session, room_pk: int, day: date, length: timedelta
) -> list[datetime]:
    """Return the starts of one day at which the room is free for the whole length."""
    opens_at, closes_at = OpeningHours.of(session).on(ctx, day)
    opens_at = max(opens_at, rounded_up(ctx.clock()))
    taken = session.scalars(
        select(AppointmentSlot.slot_at).where(
            AppointmentSlot.room_pk == room_pk,
            AppointmentSlot.slot_at >= opens_at,
            AppointmentSlot.slot_at < closes_at,
        )
    )
    return list(offers(opens_at, closes_at, taken, length))


def next_free(
    ctx: Context, session: Session, room_pk: int, after: datetime, length: timedelta
) -> datetime | None:
    """Return the first free start at or after a moment, within two weeks."""
    day = after.astimezone(ctx.zone).date()
    for ahead in range(SEARCH_DAYS):
        starts = free_starts(ctx, session, room_pk, day + timedelta(days=ahead), length)
        if (found := next((start for start in starts if start >= after), None)) is not None:
            return found
    return None


def rounded_up(moment: datetime) -> datetime:
    """Return the next full five minutes."""
    step = SLOT.total_seconds()
    return datetime.fromtimestamp(-(-moment.timestamp() // step) * step, UTC)


def duration(minutes: int) -> timedelta:
    """Return the length of a visit.

    Raises
    ------
    Invalid
        It is not 1 to 600 minutes.
    """
    if not 0 < minutes <= MAX_MINUTES:
        raise Invalid("The length of a visit cannot be right.", field="duration_min")
    return timedelta(minutes=minutes)
