"""``clinic doctor``: what could keep the clinic from working."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clinic_panel.cli.options import at_home

if TYPE_CHECKING:
    from clinic_panel.config import Settings


@click.command()
@at_home
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
