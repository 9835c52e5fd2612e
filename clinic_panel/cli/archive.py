"""What goes into the archive, and whether it is still there: ``clinic import``, ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinic_panel.cli.options import at_home, opened, progress

if TYPE_CHECKING:
    from clinic_panel.config import Settings

TAKEN_AT_ONCE = 64


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@at_home
def import_(settings: Settings, paths: tuple[Path, ...]) -> None:
    """Take DICOM files, folders, ZIPs and DICOMDIR media into the archive."""
    from collections import Counter
    from itertools import batched

    from clinic_panel.services import intake
    from clinic_panel.services.intake import Taken

    found: Counter[Taken] = Counter()
    with opened(settings) as ctx:
        batches = batched(intake.sources(list(paths)), TAKEN_AT_ONCE)
        with progress(batches, "Importing") as bar:
            for batch in bar:
                found.update(intake.take(ctx, batch))
    click.echo(", ".join(f"{found[kind]} {kind.value}" for kind in Taken if found[kind]) or "empty")
    if found[Taken.CONFLICT] or found[Taken.REFUSED]:
        raise click.exceptions.Exit(1)
    if not any(found[kind] for kind in (Taken.KEPT, Taken.AGAIN, Taken.REPLACED)):
        raise click.ClickException("There was no DICOM object.")


@click.command()
@click.option("--sample", type=click.IntRange(1), help="Check so many files taken at random.")
@at_home
def verify(settings: Settings, sample: int | None) -> None:
    """Read the archive again and compare it with the index; check the audit's chain."""
    from clinic_panel.services import audit, verification

    problems = 0
    with opened(settings) as ctx:
        with progress(verification.expected(ctx, sample), "Verifying") as bar:
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
