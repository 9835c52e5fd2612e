"""Announce, within the changing transaction, that something changed."""

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from clinic_panel.feed import CHANNEL
from clinic_panel.models.site import ChangeCounter, Topic


def announce(session: Session, *topics: Topic) -> None:
    """Tell every process, once this transaction commits, that these topics changed."""
    if session.get_bind().dialect.name == "postgresql":
        for topic in topics:
            session.execute(select(func.pg_notify(CHANNEL, topic.value)))
        return
    session.execute(
        update(ChangeCounter)
        .where(ChangeCounter.topic.in_([topic.value for topic in topics]))
        .values(value=ChangeCounter.value + 1)
        .execution_options(synchronize_session=False)
    )
