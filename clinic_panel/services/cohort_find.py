"""Studies and series that analysts ask for: by UID, or by the pseudonym that they were shown.

Apart from the tables, so that whoever makes none need not load pandas.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import NotFound
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.services import pseudonym


def find_study(ctx: Context, session: Session, study_uid: str) -> Study:
    """Return the study with this UID, or with this pseudonym of it.

    Raises
    ------
    NotFound
        There is none.
    """
    rows = session.execute(select(Study.study_instance_uid, Study.id))
    return session.get_one(Study, _named(ctx, rows, study_uid, "study"))


def find_series(ctx: Context, session: Session, series_uid: str) -> Series:
    """Return the series with this UID, or with this pseudonym of it.

    Raises
    ------
    NotFound
        There is none.
    """
    rows = session.execute(select(Series.series_instance_uid, Series.id))
    return session.get_one(Series, _named(ctx, rows, series_uid, "series"))


def _named(ctx: Context, rows: Iterable[tuple[str, int]], uid: str, what: str) -> int:
    found = pseudonym.original(ctx, uid, rows)
    if found is None:
        raise NotFound(f"There is no such {what}.")
    return found


def in_order(rows: Iterable[Instance]) -> list[Instance]:
    """Return instances as the modality numbered them."""
    return sorted(rows, key=lambda row: (row.instance_number or 0, row.id))
