"""Who acts, where and when: the first argument of every service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from clinic_panel.config import Settings
from clinic_panel.errors import Conflict, Forbidden, Unavailable
from clinic_panel.models.user import PERMISSIONS, Permission, Role

if TYPE_CHECKING:
    from clinic_panel.archive import Archive

# The server is gone, the lock was not to be had, or every connection of this process is in use.
AWAY = (OperationalError, InterfaceError, PoolTimeoutError)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a process that acts. ``address`` is where the request came from."""

    username: str
    role: Role
    user_pk: int | None = None
    display_name: str = ""
    address: str = ""

    @property
    def permissions(self) -> frozenset[Permission]:
        """What this actor may do."""
        return PERMISSIONS[self.role]


def system(name: str) -> Actor:
    """Return the actor of one of our own processes."""
    return Actor(username=name, role=Role.SYSTEM)


@dataclass(frozen=True)
class Context:
    """One actor at one clinic."""

    settings: Settings
    sessions: sessionmaker[Session]
    store: Archive
    actor: Actor
    clock: Callable[[], datetime]
    # Told of what the actor may not, where nobody else would hear of it.
    on_denied: Callable[[Context], None] | None = None

    @cached_property
    def zone(self) -> ZoneInfo:
        """The clinic's time zone."""
        return self.settings.zone

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open the one transaction of a service: committed at the end, or rolled back.

        Raises
        ------
        Conflict
            A row was changed by someone else since it was read.
        Unavailable
            The database does not answer.
        """
        try:
            with self.sessions.begin() as session:
                yield session
        except StaleDataError:
            raise Conflict from None
        except AWAY:
            raise Unavailable from None

    def connect(self) -> Connection:
        """Return a connection for a service that runs for every image, past the unit of work.

        Raises
        ------
        Unavailable
            The database does not answer.
        """
        engine: Engine = self.sessions.kw["bind"]
        try:
            return engine.connect()
        except AWAY:
            raise Unavailable from None

    @property
    def dialect(self) -> str:
        """Name of the kind of database."""
        engine: Engine = self.sessions.kw["bind"]
        return engine.dialect.name

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """Open a connection for one statement that reads, with no transaction around it.

        On PostgreSQL this spares the two round trips that begin and end one.

        Raises
        ------
        Unavailable
            The database does not answer.
        """
        try:
            with self.connect() as connection:
                if self.dialect == "sqlite":
                    yield connection.execution_options(sqlite_begin="")
                    return
                # The driver's own switch: SQLAlchemy's sends two statements of its own.
                driver: Any = connection.connection.dbapi_connection
                driver.autocommit = True
                try:
                    yield connection
                finally:
                    if not driver.closed:
                        driver.autocommit = False
        except AWAY:
            raise Unavailable from None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only reads; it never waits for a writer.

        Raises
        ------
        Unavailable
            The database does not answer.
        """
        try:
            with self.sessions() as session:
                session.connection(execution_options={"sqlite_begin": "DEFERRED"})
                yield session  # closing rolls back
        except AWAY:
            raise Unavailable from None

    def require(self, *permissions: Permission) -> None:
        """Let pass an actor who holds every one of the permissions.

        Raises
        ------
        Forbidden
            One is missing; the edge that answers the request audits it, or ``on_denied``.
        """
        if not self.may(*permissions):
            if self.on_denied is not None:
                self.on_denied(self)
            raise Forbidden

    def may(self, *permissions: Permission) -> bool:
        """Whether the actor holds every one of the permissions."""
        return self.actor.permissions.issuperset(permissions)

    def acting_as(self, actor: Actor) -> Context:
        """Return the same clinic for another actor."""
        return replace(self, actor=actor)

    def today(self) -> date:
        """The clinic's calendar date."""
        return self.clock().astimezone(self.zone).date()

    def day_bounds(self, day: date) -> tuple[datetime, datetime]:
        """Return ``[midnight, next midnight)`` of a clinic day, aware; 23, 24 or 25 hours."""
        return (
            datetime.combine(day, time(), self.zone),
            datetime.combine(day + timedelta(days=1), time(), self.zone),
        )
