"""What leaves the archive on a medium: ``clinic export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clinic_panel.cli.options import at_home, opened

if TYPE_CHECKING:
    from clinic_panel.config import Settings


@click.command()
@click.argument("study_uids", metavar="STUDY_UID...", nargs=-1, required=True)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to: a new or an empty one.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["dicomdir", "zip", "folder"]),
    default="dicomdir",
    show_default=True,
    help="A medium with its DICOMDIR, the same in one ZIP, or files alone.",
)
@click.option("--deidentify", is_flag=True, help="Leave out who it is, by DICOM PS3.15 Annex E.")
@click.option("--case", default="", help="What stands for name and ID; made up by default.")
@click.option("--looked", is_flag=True, help="You saw that no image has a name drawn into it.")
@at_home
def export(
    settings: Settings,
    study_uids: tuple[str, ...],
    target: Path,
    form: str,
    deidentify: bool,
    case: str,
    looked: bool,
) -> None:
    """Write studies to a folder: as they are, or de-identified.

    STUDY_UID is that of the images, or the one notebooks show. A de-identified copy leaves out
    documents and reports, and without --looked the images that usually have a name drawn into them.
    """
    from clinic_panel.services import export as services
    from clinic_panel.tasks import export as tasks

    if (case or looked) and not deidentify:
        raise click.UsageError("--case and --looked go with --deidentify.")
    tasks.check_empty(target)
    with opened(settings) as ctx:
        wanted = services.Wanted(
            deidentified=deidentify, case=case, looked=looked, with_directory=form != "folder"
        )
        order = services.order_of(ctx, study_uids, wanted)
        with _bar(2 * len(order.sources)) as bar:
            made = tasks.write(order, target, packed=form == "zip", tick=lambda: bar.update(1))
    for one in made.left:
        click.echo(f"left out: {one.series}: {one.count}. {one.reason}")
    missing = sum(one.count for one in made.left)
    click.echo(f"{made.objects} exported" + (f", {missing} left out" if missing else ""))


def _bar(length: int) -> Any:
    """Return a bar as a context, to be told of each step; it shows on a terminal."""
    return click.progressbar(
        length=length,
        label="Exporting",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    )
