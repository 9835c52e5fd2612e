"""Announce, within the changing transaction, that something changed."""

from sqlalchemy import Connection, Table, bindparam, func, select, update
from sqlalchemy.orm import Session

from clinic_panel.feed import CHANNEL
from clinic_panel.models.site import ChangeCounter, Topic

_COUNTER: Table = ChangeCounter.__table__  # type: ignore[assignment]
_RAISE = (
    update(_COUNTER)
    .where(_COUNTER.c.topic.in_(bindparam("topics", expanding=True)))
    .values(value=_COUNTER.c.value + 1)
)


def announce(session: Session, *topics: Topic) -> None:
    """Tell every process, once this transaction commits, that these topics changed."""
    announce_on(session.connection(), *topics)


def announce_on(connection: Connection, *topics: Topic) -> None:
    """As `announce`, for a transaction without a unit of work."""
    if connection.dialect.name == "postgresql":
        for topic in topics:
            connection.execute(select(func.pg_notify(CHANNEL, topic.value)))
        return
    connection.execute(_RAISE, {"topics": [topic.value for topic in topics]})
