"""``clinic user``: accounts and their roles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from clinic_panel.cli.options import at_home, opened

if TYPE_CHECKING:
    from clinic_panel.config import Settings

ROLES = ("receptionist", "technologist", "clinician", "analyst", "admin")


@click.group()
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
@at_home
def user_add(settings: Settings, username: str, role: str, name: str, password_stdin: bool) -> None:
    """Make an account; the first administrator is made here."""
    from clinic_panel.models.user import Role
    from clinic_panel.services import accounts

    with opened(settings) as ctx:
        password = _read_password(password_stdin)
        accounts.add_user(ctx, username, role=Role(role), password=password, display_name=name)
    click.echo(f"{username} may sign in as {role}.")


@user.command("list")
@at_home
def user_list(settings: Settings) -> None:
    """List the accounts."""
    from clinic_panel.services import accounts

    with opened(settings) as ctx:
        for row in accounts.list_users(ctx):
            state = "" if row.is_active else "disabled"
            if row.locked_until_at:
                state = f"locked until {row.locked_until_at.astimezone(ctx.zone):%H:%M}"
            click.echo(
                f"{row.username:<20} {row.role.value:<14} {row.display_name:<28} {state}".rstrip()
            )


@user.command("passwd")
@click.argument("username")
@_password_option
@at_home
def user_passwd(settings: Settings, username: str, password_stdin: bool) -> None:
    """Give an account a new password and end its sessions."""
    from clinic_panel.services import accounts

    with opened(settings) as ctx:
        accounts.set_password(ctx, username, _read_password(password_stdin))
    click.echo(f"{username} has a new password.")


@user.command("disable")
@click.argument("username")
@at_home
def user_disable(settings: Settings, username: str) -> None:
    """Close an account and end its sessions."""
    from clinic_panel.services import accounts

    with opened(settings) as ctx:
        accounts.disable(ctx, username)
    click.echo(f"{username} can no longer sign in.")


@user.command("unlock")
@click.argument("username")
@at_home
def user_unlock(settings: Settings, username: str) -> None:
    """Let an account try again after too many failures; open it if it was disabled."""
    from clinic_panel.services import accounts

    with opened(settings) as ctx:
        accounts.unlock(ctx, username)
        accounts.enable(ctx, username)
    click.echo(f"{username} may sign in again.")
