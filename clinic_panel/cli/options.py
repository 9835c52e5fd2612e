"""What commands share: the settings of an option, the clinic they open, a bar for long work."""

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


def at_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--home`` and hand the settings to the command."""

    @click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Data folder.")
    @functools.wraps(command)
    def wrapped(home: Path | None, **options: Any) -> Any:
        return command(_settings(home=home), **options)

    return wrapped


def with_ports(command: Callable[..., Any]) -> Callable[..., Any]:
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
def opened(settings: Settings) -> Iterator[Context]:
    """Open the clinic of a home, as the command line itself."""
    from clinic_panel.context import system
    from clinic_panel.resources import open_context

    check_exists(settings)
    with open_context(settings, system("cli")) as ctx:
        yield ctx


def check_exists(settings: Settings) -> None:
    """Raise `NotFound` where there is no clinic yet: a slip in ``--home`` makes none."""
    from clinic_panel.errors import NotFound

    if not settings.database_url and not (settings.home / "clinic.db").exists():
        raise NotFound(f"There is no clinic in {settings.home}: run `clinic db upgrade`.")


def progress(items: Iterable[Any], label: str) -> Any:
    """Return the items as a context; a bar shows on a terminal."""
    listed = list(items)
    return click.progressbar(
        listed, label=label, file=sys.stderr, hidden=not sys.stderr.isatty(), show_pos=True
    )
