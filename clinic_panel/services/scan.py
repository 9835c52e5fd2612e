"""The rows of one statement, however many: for queries of devices, most of which find few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, Select

from clinic_panel.context import Context

AT_ONCE = 6000  # rows that PostgreSQL sends in one piece
_BATCH = 1000


def scan(
    ctx: Context, statement: Select[*tuple[Any, ...]], *, at_most: int
) -> Iterator[Row[*tuple[Any, ...]]]:
    """Yield the rows as the database finds them; few of them are in memory at a time.

    A cursor on PostgreSQL's side, which that takes there, costs five round trips where a plain
    query costs one: so it is asked in the plain way first, and again when there is more.

    Raises
    ------
    Unavailable
        The database does not answer.
    """
    streamed = statement.limit(at_most).execution_options(yield_per=_BATCH)
    with ctx.glance() as connection:
        if ctx.dialect == "sqlite":
            yield from connection.execute(streamed)
            return
        rows = connection.execute(statement.limit(min(at_most, AT_ONCE))).all()
    if len(rows) < AT_ONCE:
        yield from rows
        return
    with ctx.read() as session:
        yield from session.connection().execute(streamed)
