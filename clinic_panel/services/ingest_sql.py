"""The statements of the short way into the index, composed once for each kind of database.

They run for every image, so they go to the driver itself: SQLAlchemy's way to a result costs more
than the statement. On SQLite a statement takes microseconds, on PostgreSQL a round trip: so there
they are many and simple, here they are one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import (
    Connection,
    Dialect,
    Table,
    bindparam,
    exists,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from clinic_panel.feed import CHANNEL
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.arrival import Arrival
from clinic_panel.models.base import UtcDateTime
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import ChangeCounter, Topic
from clinic_panel.services.indexing import MOVED_ON
from clinic_panel.services.indexing_sql import IS_OWED
from clinic_panel.services.received import Received, instance_row


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


_instance, _series, _study = _table(Instance), _table(Series), _table(Study)
_appointment, _arrival, _peer = _table(Appointment), _table(Arrival), _table(Peer)
_counter = _table(ChangeCounter)
_COLUMNS = tuple(column.name for column in _instance.columns if column.name != "id")


@dataclass(frozen=True, slots=True)
class SeriesAtHand:
    """A series and its study: ids, and the UIDs they must still have."""

    study_id: int
    series_id: int
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Filed:
    """What came of filing some objects under their series."""

    ids: dict[str, int]  # by SOP Instance UID; none for one that was there already
    appointment_pk: int | None
    has_moved_on: bool  # whether the booking, if there is one, knows of images
    is_owed: bool  # a modality announced objects that are not here yet
    is_forwarded: bool  # some peer gets what arrives


def _has_moved_on(status: str | None, images_at: object) -> bool:
    return status in MOVED_ON and images_at is not None


class Filing(Protocol):
    """Files objects under a series, counts them there and for the audit, and says so.

    The transaction is one of the driver; what SQLAlchemy does on the connection is part of it.
    """

    def begin(self) -> None:
        """Begin a transaction."""

    def end(self, how: str) -> None:
        """End it: COMMIT or ROLLBACK."""

    def __call__(
        self, series: SeriesAtHand, items: Sequence[Received], now: datetime
    ) -> Filed | None:
        """Return None when study or series are not what they were: the caller rolls back."""


def filing(connection: Connection) -> Filing:
    """Return what files objects on this connection, which serves nothing else from now on."""
    if connection.dialect.name == "sqlite":
        return _SqliteFiling(connection.execution_options(sqlite_begin=""))
    return _PostgresFiling(connection.execution_options(isolation_level="AUTOCOMMIT"))


@contextmanager
def translated(connection: Connection) -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy would, and let go of a connection that is lost."""
    dialect = connection.dialect
    driver: Any = dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        is_lost = dialect.is_disconnect(error, connection.connection.driver_connection, None)
        if is_lost:
            connection.invalidate()
        raise DBAPIError.instance(
            None,
            None,
            error,
            driver.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=dialect,
        ) from None


def _sources(items: Sequence[Received]) -> list[tuple[tuple[str, str], int]]:
    """Who sent how many, in one order everywhere."""
    return sorted(Counter((item.source_ae_title, item.address) for item in items).items())


class _Ready:
    """A statement as its driver takes it: the text, and the order of the parameters."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text, self._names = str(compiled), tuple(compiled.positiontup)
        self._literals = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def __call__(self, cursor: Any, values: dict[str, Any]) -> Any:
        values = self._literals | values
        return cursor.execute(self._text, [values[name] for name in self._names])


class _SqliteFiling:
    def __init__(self, connection: Connection) -> None:
        dialect = connection.dialect
        self._cursor: Any = connection.connection.cursor()
        self._moment: Any = UtcDateTime().dialect_impl(dialect).bind_processor(dialect)
        insert = sqlite.insert(_instance).on_conflict_do_nothing().returning(_instance.c.id)
        self._keep = _Ready(insert.values({name: bindparam(name) for name in _COLUMNS}), dialect)
        count = {"number_of_instances": _study.c.number_of_instances + bindparam("more")}
        self._count_study = _Ready(
            update(_study)
            .where(
                _study.c.id == bindparam("study_id"),
                _study.c.study_instance_uid == bindparam("study_uid"),
            )
            .values(count | {"last_received_at": bindparam("now")})
            .returning(_study.c.appointment_pk),
            dialect,
        )
        self._count_series = _Ready(
            update(_series)
            .where(
                _series.c.id == bindparam("series_id"),
                _series.c.study_pk == bindparam("study_id"),
                _series.c.series_instance_uid == bindparam("series_uid"),
            )
            .values(number_of_instances=_series.c.number_of_instances + bindparam("more")),
            dialect,
        )
        tally = sqlite.insert(_arrival).values(
            {column.name: bindparam(column.name) for column in _arrival.columns}
        )
        self._tally = _Ready(
            tally.on_conflict_do_update(
                index_elements=list(_arrival.primary_key),
                set_={"instances": _arrival.c.instances + tally.excluded.instances},
            ),
            dialect,
        )
        raised = update(_counter).where(_counter.c.topic == bindparam("name"))
        self._announce = _Ready(raised.values(value=_counter.c.value + 1), dialect)
        self._visit = _Ready(
            select(_appointment.c.status, _appointment.c.images_at).where(
                _appointment.c.id == bindparam("visit")
            ),
            dialect,
        )
        is_forwarded = exists(select(_peer.c.id).where(_peer.c.forwards))
        owing = select(IS_OWED, is_forwarded).select_from(_study)
        self._owing = _Ready(owing.where(_study.c.id == bindparam("study_id")), dialect)

    def begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")

    def end(self, how: str) -> None:
        self._cursor.execute(how)

    def __call__(
        self, series: SeriesAtHand, items: Sequence[Received], now: datetime
    ) -> Filed | None:
        cursor = self._cursor
        moment = self._moment(now)
        ids = {}
        for item in items:
            row = instance_row(item, series.series_id, moment)
            if (made := self._keep(cursor, row).fetchone()) is not None:
                ids[item.uid] = made[0]
        values = {
            "study_id": series.study_id,
            "series_id": series.series_id,
            "study_uid": series.study_instance_uid,
            "series_uid": series.series_instance_uid,
            "more": len(ids),
            "now": moment,
        }
        found = self._count_study(cursor, values).fetchone()
        if found is None or self._count_series(cursor, values).rowcount != 1:
            return None
        for (ae_title, address), count in _sources(items):
            tally = {"ae_title": ae_title, "address": address, "instances": count}
            self._tally(cursor, tally | {"series_pk": series.series_id})
        self._announce(cursor, {"name": Topic.STUDIES.value})
        visit = (None, None)
        if found[0] is not None:
            visit = self._visit(cursor, {"visit": found[0]}).fetchone()
        is_owed, is_forwarded = self._owing(cursor, values).fetchone()
        return Filed(ids, found[0], _has_moved_on(*visit), bool(is_owed), bool(is_forwarded))


_SENT = tuple(name for name in _COLUMNS if name not in ("series_pk", "received_at"))
# A list a column: one shape of statement for any number of objects. The counts wait for the
# objects and the series for its study, so that the locks are taken in the order of `indexing`.
_FILING = f"""
WITH made AS (
    INSERT INTO instance (series_pk, received_at, {", ".join(f'"{name}"' for name in _SENT)})
    SELECT %(series_id)s, %(now)s, sent.*
    FROM unnest({", ".join(f"%({name})s" for name in _SENT)}) AS sent
    ON CONFLICT DO NOTHING
    RETURNING id, sop_instance_uid
), counted AS (
    UPDATE study
    SET number_of_instances = number_of_instances + (SELECT count(*) FROM made),
        last_received_at = %(now)s
    WHERE id = %(study_id)s AND study_instance_uid = %(study_uid)s
    RETURNING id, appointment_pk
), filed AS (
    UPDATE series
    SET number_of_instances = number_of_instances + (SELECT count(*) FROM made)
    FROM counted
    WHERE series.id = %(series_id)s AND series.study_pk = counted.id
        AND series.series_instance_uid = %(series_uid)s
    RETURNING series.id
), told AS (
    INSERT INTO arrival (series_pk, ae_title, address, instances)
    SELECT filed.id, said.*
    FROM filed, unnest(%(ae_titles)s, %(addresses)s, %(counts)s) AS said
    ON CONFLICT (series_pk, ae_title, address)
    DO UPDATE SET instances = arrival.instances + excluded.instances
)
SELECT made.sop_instance_uid, made.id, counted.appointment_pk, visit.status, visit.images_at,
    EXISTS (
        SELECT FROM performed_procedure_step AS step
        JOIN performed_step_request AS request ON request.step_pk = step.id
        WHERE request.study_instance_uid = %(study_uid)s AND step.number_missing > 0
    ),
    EXISTS (SELECT FROM peer WHERE forwards),
    (SELECT pg_notify('{CHANNEL}', '{Topic.STUDIES.value}'))::text
FROM made, filed, counted LEFT JOIN appointment AS visit ON visit.id = counted.appointment_pk
"""  # noqa: S608 - names of our own columns
_TYPES = {name: f"{_instance.c[name].type}[]" for name in _SENT} | {
    "study_id": "int",
    "series_id": "int",
    "study_uid": "varchar",
    "series_uid": "varchar",
    "now": "timestamptz",
    "ae_titles": "varchar[]",
    "addresses": "varchar[]",
    "counts": "int[]",
}
_NUMBERS = {name: f"${number}" for number, name in enumerate(_TYPES, 1)}
_PREPARE = f"PREPARE clinic_filing ({', '.join(_TYPES.values())}) AS " + re.sub(
    r"%\((\w+)\)s", lambda found: _NUMBERS[found[1]], _FILING
)
_EXECUTE = "EXECUTE clinic_filing ({})".format(
    ", ".join(f"%({name})s::{kind}" for name, kind in _TYPES.items())
)


class _PostgresFiling:
    """Planning the statement takes as long as doing it: it is planned once for a connection."""

    def __init__(self, connection: Connection) -> None:
        self._cursor: Any = connection.connection.cursor()
        self._begin = ""
        if not connection.info.get(_EXECUTE):  # forgotten with the connection, as the plan is
            self._cursor.execute(_PREPARE)
            connection.info[_EXECUTE] = True

    def begin(self) -> None:
        self._begin = "BEGIN;"  # on one way with the first statement

    def end(self, how: str) -> None:
        if not self._begin:
            self._cursor.execute(how)
        self._begin = ""

    def __call__(
        self, series: SeriesAtHand, items: Sequence[Received], now: datetime
    ) -> Filed | None:
        rows = [instance_row(item, series.series_id, now) for item in items]
        sources = _sources(items)
        values: dict[str, Any] = {name: [row[name] for row in rows] for name in _SENT}
        values |= {
            "study_id": series.study_id,
            "series_id": series.series_id,
            "study_uid": series.study_instance_uid,
            "series_uid": series.series_instance_uid,
            "now": now,
            "ae_titles": [ae_title for (ae_title, _), _ in sources],
            "addresses": [address for (_, address), _ in sources],
            "counts": [count for _, count in sources],
        }
        begin, self._begin = self._begin, ""
        self._cursor.execute(begin + _EXECUTE, values)
        found = self._cursor.fetchall()
        if not found:
            return None
        _, _, appointment_pk, status, images_at, is_owed, is_forwarded, _ = found[0]
        ids = {uid: id_ for uid, id_, *_ in found}
        return Filed(ids, appointment_pk, _has_moved_on(status, images_at), is_owed, is_forwarded)
