"""Builders of what a process holds: engine, sessions, archive; nothing is built at import."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from clinic_panel.archive import Archive
from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context
from clinic_panel.errors import SettingsError, Unavailable
from clinic_panel.secret import check_secret

if TYPE_CHECKING:  # loading it takes a fifth of a process' start, and only migrations need it
    from alembic.config import Config

try:
    import pysqlite3 as sqlite
except ImportError:  # no wheel for this platform: `clinic doctor` names the SQLite in use
    import sqlite3 as sqlite

BUSY_TIMEOUT_S = 30


def now() -> datetime:
    """Return this moment, aware, in UTC."""
    return datetime.now(UTC)


def build_engine(settings: Settings) -> Engine:
    """Connect to the database of the settings; SQLite in WAL with every commit fsynced.

    Raises
    ------
    SettingsError
        The URL names no database we can use.
    """
    try:
        url = make_url(settings.url)
    except ArgumentError:
        raise SettingsError("CLINIC_DATABASE_URL is not a database URL.") from None
    if url.get_backend_name() == "sqlite":
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(
            url,
            module=sqlite,
            hide_parameters=True,
            pool_use_lifo=True,  # a commit empties the page cache of every connection but its own
            connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url.set(drivername="postgresql+psycopg2"),
            hide_parameters=True,
            pool_pre_ping=True,
            pool_use_lifo=True,  # the server's process that was used last has the tables at hand
            pool_size=10,
            max_overflow=20,
        )
    raise SettingsError("CLINIC_DATABASE_URL must name SQLite or PostgreSQL.")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: a read that turns into a write fails when another came first.
    how = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    if how:  # else whoever holds the connection begins and ends with its own statements
        connection.exec_driver_sql(f"BEGIN {how}")


def build_sessions(engine: Engine) -> sessionmaker[Session]:
    """Return a factory of sessions on the engine."""
    return sessionmaker(engine, expire_on_commit=False)


def build_context(
    settings: Settings,
    engine: Engine,
    actor: Actor,
    clock: Callable[[], datetime] = now,
) -> Context:
    """Join the resources into a context."""
    return Context(
        settings=settings,
        sessions=build_sessions(engine),
        store=Archive(settings.archive_path),
        actor=actor,
        clock=clock,
    )


@contextmanager
def open_context(settings: Settings, actor: Actor) -> Iterator[Context]:
    """Open a clinic whose schema is current, and close its connections at the end.

    Raises
    ------
    Unavailable
        The schema is behind or ahead of this program, or the database does not answer.
    SettingsError
        The secret key is not the one that the database is used with.
    """
    engine = build_engine(settings)
    try:
        check_schema(engine)
        check_secret(settings, engine)
        yield build_context(settings, engine, actor)
    finally:
        engine.dispose()


def alembic_config(engine: Engine) -> Config:
    """Return Alembic's configuration, bound to the engine."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations()))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision, step by step."""
    from alembic import command

    command.upgrade(alembic_config(engine), revision)


def check_schema(engine: Engine) -> None:
    """Refuse to run on a schema of another age.

    Raises
    ------
    Unavailable
        The message says what to do.
    """
    current = None
    try:
        with engine.connect() as connection:
            if inspect(connection).has_table("alembic_version"):
                current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except OperationalError:
        raise Unavailable from None
    if current is None:
        raise Unavailable("The database is empty: run `clinic db upgrade`.")
    if current != head_revision():
        raise Unavailable(
            "The database has another schema than this program: run `clinic db upgrade`, "
            "or start the newer program."
        )


def head_revision() -> str:
    """Return the revision of the schema that this program was made for.

    Migrations form one line and their files begin with the revision.
    """
    return max(path.name.split("_")[0] for path in (_migrations() / "versions").glob("[0-9]*.py"))


def _migrations() -> Path:
    beside = Path(__file__).parent / "_migrations"  # installed from a wheel
    return beside if beside.is_dir() else Path(__file__).parents[1] / "migrations"


def process_label() -> str:
    """Return a name for this process in claims and logs."""
    return f"pid-{os.getpid()}"
