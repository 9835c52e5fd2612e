"""``clinic db``: the schema, up and down."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from clinic_panel.cli.options import at_home, check_exists

if TYPE_CHECKING:
    from clinic_panel.config import Settings


@click.group()
def db() -> None:
    """Migrate the database."""


@db.command()
@click.argument("revision", default="head")
@at_home
def upgrade(settings: Settings, revision: str) -> None:
    """Bring the schema to REVISION, the newest by default."""
    bring_to(settings, revision)
    _say_revision(settings)


@db.command()
@click.argument("revision")
@at_home
def downgrade(settings: Settings, revision: str) -> None:
    """Take the schema back to REVISION ("base": remove everything). Data is lost."""
    from alembic import command

    from clinic_panel.resources import alembic_config

    check_exists(settings)
    if sys.stdin.isatty():
        click.confirm("What newer revisions store will be lost. Go on?", abort=True)
    with _migrating(settings) as engine:
        command.downgrade(alembic_config(engine), revision)
    _say_revision(settings)


@db.command()
@at_home
def current(settings: Settings) -> None:
    """Say which revision the database has, and which this program wants."""
    check_exists(settings)
    _say_revision(settings)


@db.command("renew-key")
@at_home
def renew_key(settings: Settings) -> None:
    """Go on with another secret key, since the old one is lost for good.

    All passwords have to be set again, and what the audit says so far can no longer be checked.
    """
    from clinic_panel.context import system
    from clinic_panel.resources import build_context, check_schema
    from clinic_panel.services import site

    check_exists(settings)
    if sys.stdin.isatty():
        click.confirm("Passwords end, and the audit so far cannot be checked. Go on?", abort=True)
    with _migrating(settings) as engine:
        check_schema(engine)
        site.renew_key(build_context(settings, engine, system("cli")))
    click.echo("Restart the clinic, and set passwords with `clinic user passwd NAME`.")


@contextmanager
def _migrating(settings: Settings) -> Iterator[Any]:
    from alembic.util.exc import CommandError

    from clinic_panel.errors import NotFound
    from clinic_panel.resources import build_engine

    engine = build_engine(settings)
    try:
        yield engine
    except CommandError:
        raise NotFound("There is no such revision.") from None
    finally:
        engine.dispose()


def bring_to(settings: Settings, revision: str) -> None:
    """Migrate the database, made if there is none, up to a revision."""
    from clinic_panel.resources import upgrade as run

    with _migrating(settings) as engine:
        run(engine, revision)


def _say_revision(settings: Settings) -> None:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from clinic_panel.resources import alembic_config

    with _migrating(settings) as engine, engine.connect() as connection:
        head = ScriptDirectory.from_config(alembic_config(engine)).get_current_head()
        found = MigrationContext.configure(connection).get_current_revision()
    click.echo(f"{found or 'empty'} (this program: {head})")
