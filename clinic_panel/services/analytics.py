"""How the clinic runs, in numbers: the same tables for the analytics page and for notebooks.

No row names a person. A day is the clinic's; an hour is a clinic-local hour of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from clinic_panel.context import Context
from clinic_panel.errors import Invalid
from clinic_panel.imaging.discreet import code
from clinic_panel.imaging.kinds import taken
from clinic_panel.models.appointment import Appointment, AppointmentStatus, Room
from clinic_panel.models.imaging import Study
from clinic_panel.models.report import Report
from clinic_panel.models.user import Permission
from clinic_panel.services.cohort_frames import DAY, MOMENT, frame
from clinic_panel.services.slots import OpeningHours

MOST_DAYS = 3660  # ten years: more is a mistake in the dates

BY_HOUR = {"modality": "string", "hour": "Int64", "studies": "Int64"}
TURNAROUND = {
    "modality": "string",
    "room": "string",
    "checked_in_at": MOMENT,
    "minutes_to_images": "Float64",
    "minutes_to_report": "Float64",
}
UTILISATION = {
    "room": "string",
    "modality": "string",
    "day": DAY,
    "visits": "Int64",
    "booked_min": "Int64",
    "open_min": "Int64",
    "utilisation": "Float64",
}


@dataclass(frozen=True, slots=True)
class Days:
    """Clinic days, both included.

    Raises
    ------
    Invalid
        The last lies before the first, or too far behind it.
    """

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise Invalid("The last day lies before the first.", field="last")
        if (self.last - self.first).days > MOST_DAYS:
            raise Invalid("At most ten years, please.", field="first")

    def bounds(self, ctx: Context) -> tuple[datetime, datetime]:
        """Return ``[first midnight, midnight after the last)`` in the clinic's zone."""
        return ctx.day_bounds(self.first)[0], ctx.day_bounds(self.last)[1]


def studies_by_hour(ctx: Context, days: Days) -> pd.DataFrame:
    """Return how many studies came in each hour of the day, by modality.

    Hours without a study are left out.

    Raises
    ------
    Forbidden
        The actor may not see analytics.
    """
    ctx.require(Permission.ANALYTICS_READ)
    begin, end = days.bounds(ctx)
    query = select(Study.modalities_in_study, Study.first_received_at).where(
        Study.first_received_at >= begin, Study.first_received_at < end
    )
    counts: dict[tuple[str, int], int] = {}
    with ctx.read() as session:
        for modalities, at in session.execute(query):
            key = (main_modality(modalities), at.astimezone(ctx.zone).hour)
            counts[key] = counts.get(key, 0) + 1
    rows = [
        {"modality": modality, "hour": hour, "studies": count}
        for (modality, hour), count in sorted(counts.items())
    ]
    return frame(ctx, rows, BY_HOUR)


def turnaround(ctx: Context, days: Days) -> pd.DataFrame:
    """Return one row a visit that was checked in on those days and has images.

    ``minutes_to_report`` runs from the arrival to the first signature, and is missing until then.

    Raises
    ------
    Forbidden
        The actor may not see analytics.
    """
    ctx.require(Permission.ANALYTICS_READ)
    begin, end = days.bounds(ctx)
    query = (
        select(Appointment)
        .where(Appointment.checked_in_at >= begin, Appointment.checked_in_at < end)
        .order_by(Appointment.checked_in_at, Appointment.id)
        .options(
            joinedload(Appointment.room),
            selectinload(Appointment.studies)
            .selectinload(Study.report)
            .selectinload(Report.versions),
        )
    )
    rows = []
    with ctx.read() as session:
        for visit in session.scalars(query):
            if visit.checked_in_at is None or not visit.studies:
                continue
            came = min(study.first_received_at for study in visit.studies)
            signed = [
                version.signed_at
                for study in visit.studies
                if study.report is not None
                for version in study.report.versions
            ]
            rows.append(
                {
                    "modality": visit.room.modality,
                    "room": visit.room.room_name,
                    "checked_in_at": visit.checked_in_at,
                    "minutes_to_images": _minutes(visit.checked_in_at, came),
                    "minutes_to_report": _minutes(visit.checked_in_at, min(signed, default=None)),
                }
            )
    return frame(ctx, rows, TURNAROUND)


def turnaround_summary(found: pd.DataFrame) -> pd.DataFrame:
    """Return number, median and 90th percentile of the minutes to the report, by modality.

    Parameters
    ----------
    found
        As `turnaround` returns it.
    """
    signed = found.dropna(subset=["minutes_to_report"])
    grouped = signed.groupby("modality")["minutes_to_report"]
    summary = pd.DataFrame(
        {
            "reports": grouped.count(),
            "median_min": grouped.median(),
            "p90_min": grouped.quantile(0.9),
        }
    )
    return summary.reset_index()


def utilisation(ctx: Context, days: Days) -> pd.DataFrame:
    """Return how much of its opening hours each room was booked, one row a room and day.

    A cancelled visit gives its time back; one that was missed does not. A day on which nobody was
    booked anywhere counts as closed and is left out.

    Raises
    ------
    Forbidden
        The actor may not see analytics.
    """
    ctx.require(Permission.ANALYTICS_READ)
    begin, end = days.bounds(ctx)
    with ctx.read() as session:
        hours = OpeningHours.of(session)
        rooms = session.scalars(select(Room).where(Room.is_active).order_by(Room.room_name)).all()
        query = select(Appointment.room_pk, Appointment.start_at, Appointment.end_at).where(
            Appointment.start_at >= begin,
            Appointment.start_at < end,
            Appointment.status != AppointmentStatus.CANCELLED,
        )
        taken: dict[tuple[int, date], list[timedelta]] = {}
        for room_pk, start_at, end_at in session.execute(query):
            day = start_at.astimezone(ctx.zone).date()
            taken.setdefault((room_pk, day), []).append(end_at - start_at)
    rows = []
    for day in sorted({day for _, day in taken}):
        opens_at, closes_at = hours.on(ctx, day)
        open_min = (closes_at - opens_at).total_seconds() / 60
        for room in rooms:
            lengths = taken.get((room.id, day), [])
            booked_min = sum(lengths, timedelta()).total_seconds() / 60
            rows.append(
                {
                    "room": room.room_name,
                    "modality": room.modality,
                    "day": day,
                    "visits": len(lengths),
                    "booked_min": round(booked_min),
                    "open_min": round(open_min),
                    "utilisation": booked_min / open_min if open_min > 0 else None,
                }
            )
    return frame(ctx, rows, UTILISATION)


def main_modality(modalities_in_study: str) -> str:
    """Return what a study is counted as: its first modality that makes images."""
    return next(filter(None, map(code, taken(modalities_in_study))), "?")


def _minutes(begin: datetime, end: datetime | None) -> float | None:
    if end is None:
        return None
    return (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() / 60
