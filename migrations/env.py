"""Alembic's entry: online only, on the engine handed in or on the one of the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection
from sqlalchemy.types import BigInteger

from clinic_panel.config import Settings
from clinic_panel.errors import Conflict
from clinic_panel.models.base import Base, UtcDateTime
from clinic_panel.resources import build_engine


def render_item(kind: str, item: Any, autogen: Any) -> str | bool:
    """Write product types as plain SQLAlchemy, so that old revisions never import the product."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, BigInteger) and item._variant_mapping:
        return 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
    return False


@contextmanager
def tables_rebuilt_in_peace(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table to rebuild it: else the rows that refer to it forbid it, or go too.

    The driver is asked, outside of any transaction: within one the pragma does nothing.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        connection.rollback()  # every step committed itself; this is a step that failed, or a look
        driver.execute("PRAGMA foreign_keys=ON")


def refuse_dangling_rows(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Look at the references that SQLite did not, before the commit of each step."""
    if ctx.connection is None or ctx.dialect.name != "sqlite":
        return
    found = ctx.connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if found:
        child, _rowid, parent, _number = found
        raise Conflict(
            f"Migration {step.up_revision_id} was not applied: "
            f"rows of {child} name rows of {parent} that are not there."
        )


engine = context.config.attributes.get("engine") or build_engine(Settings.read())
with engine.connect() as connection, tables_rebuilt_in_peace(connection):
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_type=True,
        on_version_apply=refuse_dangling_rows,
    )
    with context.begin_transaction():
        context.run_migrations()
