"""How the tables of `services.cohort` are laid out, and what is left of a value in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pandas as pd

from clinic_panel.context import Context
from clinic_panel.errors import Invalid

OLDEST_AGE = 90  # older people are few enough to be recognised by their age
DAY = "datetime64[s]"  # midnight of a calendar date, without a zone
MOMENT = "moment"  # becomes an aware datetime64 in the clinic's zone

PATIENTS = {
    "patient_key": "string",
    "patient_sex": "string",
    "age_years": "Int64",
    "appointments": "Int64",
    "studies": "Int64",
    "registered_at": MOMENT,
}
APPOINTMENTS = {
    "appointment_key": "string",
    "patient_key": "string",
    "start_at": MOMENT,
    "duration_min": "Int64",
    "room": "string",
    "modality": "string",
    "procedure_code": "string",
    "procedure": "string",
    "status": "string",
    "priority": "string",
    "checked_in_at": MOMENT,
    "images_at": MOMENT,
    "signed_at": MOMENT,
}
STUDIES = {
    "study_uid": "string",
    "patient_key": "string",
    "appointment_key": "string",
    "modality": "string",
    "study_date": DAY,
    "received_at": MOMENT,
    "procedure_code": "string",
    "procedure": "string",
    "body_part_examined": "string",
    "patient_sex": "string",
    "age_years": "Int64",
    "series": "Int64",
    "instances": "Int64",
    "report_status": "string",
}
SERIES = {
    "series_uid": "string",
    "study_uid": "string",
    "modality": "string",
    "series_number": "Int64",
    "body_part_examined": "string",
    "instances": "Int64",
}
INSTANCES = {
    "instance_uid": "string",
    "series_uid": "string",
    "sop_class_uid": "string",
    "transfer_syntax_uid": "string",
    "instance_number": "Int64",
    "rows": "Int64",
    "columns": "Int64",
    "frames": "Int64",
    "size_bytes": "Int64",
    "received_at": MOMENT,
}
REPORTS = {
    "report_key": "string",
    "study_uid": "string",
    "modality": "string",
    "status": "string",
    "template": "string",
    "versions": "Int64",
    "reader_key": "string",
    "started_at": MOMENT,
    "signed_at": MOMENT,
}


def frame(ctx: Context, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame with exactly these columns and types, also when there are no rows."""
    found = pd.DataFrame(rows, columns=list(columns))
    for name, kind in columns.items():
        if kind == MOMENT:
            moments = pd.to_datetime(found[name], utc=True)
            found[name] = moments.dt.tz_convert(ctx.zone).dt.as_unit("us")
        elif kind == DAY:
            found[name] = pd.to_datetime(found[name]).dt.as_unit("s")
        else:
            found[name] = found[name].astype(kind)  # type: ignore[call-overload]
    return found


def day_of(value: str | date) -> date:
    """Return a calendar date from a date, a moment or ISO 8601 text.

    Raises
    ------
    Invalid
        The text is no date.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise Invalid("A day is written as in 2026-01-31.") from None


def age_years(born: date | None, at: date) -> int | None:
    """Return completed years of life, the oldest taken together; None when not known.

    A day before the birth is a wrong day: a clock without power, or a date mistyped.
    """
    if born is None or at < born:
        return None
    years = at.year - born.year - ((at.month, at.day) < (born.month, born.day))
    return min(years, OLDEST_AGE)


def sex(text: str) -> str:
    """Return one of the terms of PS3.3 C.7.1.1, else nothing."""
    return text if text in ("F", "M", "O") else ""
