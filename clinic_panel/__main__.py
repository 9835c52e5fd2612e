"""``clinic …``: parse, call, exit code; each command imports what it needs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from clinic_panel.config import Settings
    from clinic_panel.context import Context

ROLES = ("receptionist", "technologist", "clinician", "analyst", "admin")
TAKEN_AT_ONCE = 64


class Clinic(click.Group):
    """Turns what goes wrong into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; no traceback ever reaches the person who typed it."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - the edge: the text may quote a patient
            click.echo(f"Error: {_sentence(error)}", err=True)
            ctx.exit(1)


def _sentence(error: Exception) -> str:
    from clinic_panel.errors import ClinicError
    from clinic_panel.logs import where

    if isinstance(error, ClinicError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"something went wrong ({where(error)})."


@click.group(cls=Clinic, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clinic-panel", prog_name="clinic")
def main() -> None:
    """An imaging clinic: booking, worklist, archive, viewer, reports.

    Settings come from options, CLINIC_* variables and .env, in this order.
    """


def _at_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--home`` and hand the settings to the command."""

    @click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Data folder.")
    @functools.wraps(command)
    def wrapped(home: Path | None, **options: Any) -> Any:
        return command(_settings(home=home), **options)

    return wrapped


def _with_ports(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--home``, ``--port`` and ``--dicom-port`` and hand the settings to the command."""

    @click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Data folder.")
    @click.option("--port", type=click.IntRange(0, 65535), help="Port of the dashboards.")
    @click.option("--dicom-port", type=click.IntRange(0, 65535), help="Port of the DICOM node.")
    @functools.wraps(command)
    def wrapped(home: Path | None, port: int | None, dicom_port: int | None, **options: Any) -> Any:
        return command(_settings(home=home, http_port=port, dicom_port=dicom_port), **options)

    return wrapped


def _settings(**flags: Any) -> Settings:
    from clinic_panel.config import Settings

    return Settings.read(**flags)


@contextmanager
def _clinic(settings: Settings) -> Iterator[Context]:
    from clinic_panel.context import system
    from clinic_panel.resources import open_context

    _check_exists(settings)
    with open_context(settings, system("cli")) as ctx:
        yield ctx


def _check_exists(settings: Settings) -> None:
    from clinic_panel.errors import NotFound

    if not settings.database_url and not (settings.home / "clinic.db").exists():
        raise NotFound(f"There is no clinic in {settings.home}: run `clinic db upgrade`.")


def _progress(items: Iterable[Any], label: str) -> Any:
    """Return the items as a context; a bar shows on a terminal."""
    listed = list(items)
    return click.progressbar(
        listed, label=label, file=sys.stderr, hidden=not sys.stderr.isatty(), show_pos=True
    )


@main.command()
@_with_ports
def serve(settings: Settings) -> None:
    """Run the dashboards."""
    from clinic_panel.supervisor.ports import check_port

    check_port(settings.http_host, settings.http_port, "--port")
    from clinic_panel.app import serve as run

    run(settings)


@main.command()
@_at_home
def work(settings: Settings) -> None:
    """Run the worker: thumbnails, PDFs, forwarding."""
    from clinic_panel import logs
    from clinic_panel.tasks.runner import work as run

    logs.configure()
    run(settings, tell=click.echo)


@main.command()
@_with_ports
def up(settings: Settings) -> None:
    """Run dashboards, DICOM node and worker together, until Ctrl-C."""
    from clinic_panel.supervisor.clinic import up as run
    from clinic_panel.supervisor.clinic import with_ports

    settings = with_ports(settings)
    run(settings, prepare=lambda: _upgrade(settings, "head"))


@main.command()
@_with_ports
def demo(settings: Settings) -> None:
    """Run a sample clinic with people, bookings and a modality, until Ctrl-C."""
    from clinic_panel.demo.run import run_demo
    from clinic_panel.supervisor.clinic import with_ports

    run_demo(with_ports(settings))


@main.group()
def db() -> None:
    """Migrate the database."""


@db.command()
@click.argument("revision", default="head")
@_at_home
def upgrade(settings: Settings, revision: str) -> None:
    """Bring the schema to REVISION, the newest by default."""
    _upgrade(settings, revision)
    _say_revision(settings)


@db.command()
@click.argument("revision")
@_at_home
def downgrade(settings: Settings, revision: str) -> None:
    """Take the schema back to REVISION ("base": remove everything). Data is lost."""
    from alembic import command

    from clinic_panel.resources import alembic_config

    _check_exists(settings)
    if sys.stdin.isatty():
        click.confirm("What newer revisions store will be lost. Go on?", abort=True)
    with _migrating(settings) as engine:
        command.downgrade(alembic_config(engine), revision)
    _say_revision(settings)


@db.command()
@_at_home
def current(settings: Settings) -> None:
    """Say which revision the database has, and which this program wants."""
    _check_exists(settings)
    _say_revision(settings)


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


def _upgrade(settings: Settings, revision: str) -> None:
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


@main.group()
def user() -> None:
    """Manage accounts and their roles."""


def _password_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input."
    )(command)


def _read_password(from_stdin: bool) -> str:
    """Ask twice on a terminal; never take it from the command line, which others can list."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: use --password-stdin.")
    entered: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return entered


@user.command("add")
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the person may do.")
@click.option("--name", default="", help="Name to show, such as 'Dr. Ruth Adeyemi'.")
@_password_option
@_at_home
def user_add(settings: Settings, username: str, role: str, name: str, password_stdin: bool) -> None:
    """Make an account; the first administrator is made here."""
    from clinic_panel.models.user import Role
    from clinic_panel.services import auth

    with _clinic(settings) as ctx:
        password = _read_password(password_stdin)
        auth.add_user(ctx, username, role=Role(role), password=password, display_name=name)
    click.echo(f"{username} may sign in as {role}.")


@user.command("list")
@_at_home
def user_list(settings: Settings) -> None:
    """List the accounts."""
    from clinic_panel.services import auth

    with _clinic(settings) as ctx:
        for row in auth.list_users(ctx):
            state = "" if row.is_active else "disabled"
            if row.locked_until_at:
                state = f"locked until {row.locked_until_at.astimezone(ctx.zone):%H:%M}"
            click.echo(
                f"{row.username:<20} {row.role.value:<14} {row.display_name:<28} {state}".rstrip()
            )


@user.command("passwd")
@click.argument("username")
@_password_option
@_at_home
def user_passwd(settings: Settings, username: str, password_stdin: bool) -> None:
    """Give an account a new password and end its sessions."""
    from clinic_panel.services import auth

    with _clinic(settings) as ctx:
        auth.set_password(ctx, username, _read_password(password_stdin))
    click.echo(f"{username} has a new password.")


@user.command("disable")
@click.argument("username")
@_at_home
def user_disable(settings: Settings, username: str) -> None:
    """Close an account and end its sessions."""
    from clinic_panel.services import auth

    with _clinic(settings) as ctx:
        auth.disable(ctx, username)
    click.echo(f"{username} can no longer sign in.")


@user.command("unlock")
@click.argument("username")
@_at_home
def user_unlock(settings: Settings, username: str) -> None:
    """Let an account try again after too many failures; open it if it was disabled."""
    from clinic_panel.services import auth

    with _clinic(settings) as ctx:
        auth.unlock(ctx, username)
        auth.enable(ctx, username)
    click.echo(f"{username} may sign in again.")


@main.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@_at_home
def import_(settings: Settings, paths: tuple[Path, ...]) -> None:
    """Take DICOM files, folders, ZIPs and DICOMDIR media into the archive."""
    from collections import Counter
    from itertools import batched

    from clinic_panel.services import intake
    from clinic_panel.services.intake import Taken

    found: Counter[Taken] = Counter()
    with _clinic(settings) as ctx:
        batches = batched(intake.sources(list(paths)), TAKEN_AT_ONCE)
        with _progress(batches, "Importing") as bar:
            for batch in bar:
                found.update(intake.take(ctx, batch))
    click.echo(", ".join(f"{found[kind]} {kind.value}" for kind in Taken if found[kind]) or "empty")
    if found[Taken.CONFLICT] or found[Taken.REFUSED]:
        raise click.exceptions.Exit(1)
    if not any(found[kind] for kind in (Taken.KEPT, Taken.AGAIN, Taken.REPLACED)):
        raise click.ClickException("There was no DICOM object.")


@main.command()
@click.option("--sample", type=click.IntRange(1), help="Check so many files taken at random.")
@_at_home
def verify(settings: Settings, sample: int | None) -> None:
    """Read the archive again and compare it with the index; check the audit's chain."""
    from clinic_panel.services import audit, verification

    problems = 0
    with _clinic(settings) as ctx:
        with _progress(verification.expected(ctx, sample), "Verifying") as bar:
            checked = 0
            for item in bar:
                checked += 1
                difference = verification.check(ctx, item)
                if difference is not None:
                    problems += 1
                    click.echo(f"{item.name}: {difference.value}")
        if sample is None:
            for path in verification.strangers(ctx):
                problems += 1
                click.echo(f"{path}: {verification.Difference.UNKNOWN.value}")
        chain = audit.verify(ctx)
        for entry_id in chain.broken_ids:
            problems += 1
            click.echo(f"audit entry {entry_id}: changed, or one before it was taken out")
    click.echo(f"{checked} files and {chain.entries} audit entries checked, {problems} problem(s)")
    if problems:
        raise click.exceptions.Exit(1)


@main.command()
@_at_home
def doctor(settings: Settings) -> None:
    """Look for what could keep the clinic from working, and say how to mend it."""
    from clinic_panel.doctor import examine

    ill = 0
    for check in examine(settings):
        click.echo(f"{'ok  ' if check.is_well else 'FAIL'} {check.name}: {check.found}")
        if not check.is_well:
            ill += 1
            click.echo(f"     {check.mend}")
    if ill:
        raise click.exceptions.Exit(1)


@main.group()
def simulate() -> None:
    """Play other people's devices."""


def _check_services(
    settings: Settings, aet: str, host: str, port: int | None, *, as_json: bool
) -> int:
    from datetime import datetime

    from clinic_panel.exercise.lines import TESTER, Target
    from clinic_panel.simulator.check import check_services

    target = Target(host, port or settings.dicom_port, settings.ae_title, aet or TESTER)
    return check_services(target, datetime.now(settings.zone), as_json=as_json)


@simulate.command("modality")
@click.option("--aet", default="", help="AE title to call from; default: each room's own.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the clinic is.")
@click.option("--port", type=click.IntRange(1, 65535), help="Its DICOM port.")
@click.option("--station", multiple=True, help="Only bookings of this station; may be repeated.")
@click.option("--count", type=click.IntRange(1), help="Send at most so many studies.")
@click.option("--interval", type=float, default=0.0, help="Seconds between two studies.")
@click.option("--patience", type=float, default=0.0, help="Seconds to wait for somebody to come.")
@click.option("--arrived-only", is_flag=True, help="Leave those who have not checked in.")
@click.option("--check", is_flag=True, help="Exercise every service and say what passed.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print JSON.")
@_at_home
def simulate_modality(
    settings: Settings,
    aet: str,
    host: str,
    port: int | None,
    station: tuple[str, ...],
    count: int | None,
    interval: float,
    patience: float,
    arrived_only: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Verify, ask the worklist, and send today's images over the network.

    With --check it sends no images of patients: it exercises every service as PS3.4 describes it
    and ends with 1 when something failed. It leaves one small study of the patient "Service Check",
    the same each time.
    """
    if check:
        raise click.exceptions.Exit(_check_services(settings, aet, host, port, as_json=as_json))
    from clinic_panel.simulator.modality import Modality
    from clinic_panel.simulator.modality import simulate_modality as run

    modality = Modality(
        host=host,
        port=port or settings.dicom_port,
        called_ae_title=settings.ae_title,
        ae_title=aet,
        stations=station,
        count=count,
        interval_s=interval,
        patience_s=patience,
        arrived_only=arrived_only,
        zone=settings.zone,
    )
    raise click.exceptions.Exit(run(modality, tell=click.echo))


if __name__ == "__main__":
    main(prog_name="clinic")
