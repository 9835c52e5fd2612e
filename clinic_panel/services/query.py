"""Queries of the archive by viewers and workstations: Query/Retrieve, the finding half (PS3.4 C).

The database narrows by what its indexes know, the keys are then compared one by one. All that is in
the archive can be found, whether it was matched to a patient or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import aliased

from clinic_panel.context import Context
from clinic_panel.imaging.matching import days
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.user import Permission
from clinic_panel.services import narrowing, searches
from clinic_panel.services.query_keys import ArchiveKey, ArchiveQuery, Row, same_patient
from clinic_panel.services.query_levels import QueryLevel
from clinic_panel.services.scan import scan
from clinic_panel.services.searches import Search

LIMIT = 20_000  # answers to one query
COMPARED_AT_MOST = 500_000  # rows that one query may cost us to look at
_LOOKED_UP = 5000  # values of one key that a statement takes
_newer, _image, _its_series = aliased(Study), aliased(Instance), aliased(Series)


@dataclass(frozen=True, slots=True)
class Found:
    """What fits a query; whether there is more than is answered."""

    rows: Sequence[Row]
    is_cut: bool


def find(ctx: Context, query: ArchiveQuery, note: Callable[[Search], None] | None = None) -> Found:
    """Return the entities of the query's level that fit, the newest studies first.

    Parameters
    ----------
    note
        Keeps what the audit is to say of it; by default it is written before this returns.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was read.
    """
    ctx.require(Permission.PATIENT_READ, Permission.IMAGE_READ)
    fitting: list[Row] = []
    compared = 0
    for row in scan(ctx, _statement(query, ctx.dialect), at_most=COMPARED_AT_MOST):
        compared += 1
        if not query.excluded_by(row):
            fitting.append(row)
        if len(fitting) > LIMIT or compared == COMPARED_AT_MOST:
            break
    found = Found(fitting[:LIMIT], len(fitting) > LIMIT or compared == COMPARED_AT_MOST)
    search = Search(ctx.clock(), "archive", len(found.rows), query.level.value)
    if note is None:
        searches.record(ctx, [search])
    else:
        note(search)
    return found


def _statement(query: ArchiveQuery, dialect: str) -> Select[*tuple[Any, ...]]:
    statement = _selected(query.level, tuple(query.chosen))
    for key, wanted in query.compared():
        statement = statement.where(*_narrowed(key, wanted, dialect))
    return statement


@lru_cache(maxsize=64)  # a workstation asks for the same keys again and again
def _selected(level: QueryLevel, keys: tuple[ArchiveKey, ...]) -> Select[*tuple[Any, ...]]:
    columns = select(*(key.column for key in keys))
    if level is QueryLevel.IMAGE:
        statement = columns.select_from(Instance).join(Series).join(Study)
        return statement.order_by(Instance.instance_number, Instance.id)
    if level is QueryLevel.SERIES:
        statement = columns.select_from(Series).join(Study)
        return statement.order_by(Series.series_number, Series.id)
    statement = columns.select_from(Study).order_by(Study.id.desc())
    if level is QueryLevel.PATIENT:  # each person once, as the newest study has it
        statement = statement.where(
            ~exists().where(same_patient(_newer), _newer.id > Study.id).correlate(Study)
        )
    return statement


def _narrowed(key: ArchiveKey, wanted: list[str], dialect: str) -> Iterator[ColumnElement[bool]]:
    """Leave out what cannot fit, where an index or a short comparison tells."""
    if len(wanted) > _LOOKED_UP:
        return
    if key.keyword == "PatientName":
        yield or_(*(narrowing.name_fits(Study, Study.id, one, dialect) for one in wanted))
    elif key.keyword == "SOPClassesInStudy":
        images = select(_image.id).join(_its_series, _image.series_pk == _its_series.id)
        images = images.where(_its_series.study_pk == Study.id, _image.sop_class_uid.in_(wanted))
        yield images.correlate(Study).exists()
    elif key.keyword == "ModalitiesInStudy":
        yield or_(*(narrowing.holds(key.column, one) for one in wanted))
    elif key.vr == "DA" and len(wanted) == 1:
        first, last = days(wanted[0])
        if first is not None:
            yield key.column >= first
        if last is not None:
            yield key.column <= last
    elif key.vr == "UI":
        yield key.column.in_(wanted)
    elif key.vr in ("AE", "CS", "LO", "SH"):
        yield or_(*(narrowing.begins(key.column, one, dialect) for one in wanted))
