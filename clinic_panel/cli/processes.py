"""The processes of a clinic: one by one, together, and as a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clinic_panel.cli.options import at_home, opened, with_ports

if TYPE_CHECKING:
    from clinic_panel.config import Settings


@click.command()
@with_ports
def serve(settings: Settings) -> None:
    """Run the dashboards."""
    from clinic_panel.supervisor.ports import check_port

    check_port(settings.http_host, settings.http_port, "--port")
    from clinic_panel.app import serve as run

    run(settings)


@click.command()
@at_home
def work(settings: Settings) -> None:
    """Run the worker: thumbnails, PDFs, forwarding."""
    from clinic_panel import logs
    from clinic_panel.tasks.runner import work as run

    logs.configure()
    run(settings, tell=click.echo)


@click.command()
@with_ports
def up(settings: Settings) -> None:
    """Run dashboards, DICOM node and worker together, until Ctrl-C."""
    from clinic_panel.cli.db import bring_to
    from clinic_panel.supervisor import clinic

    def prepare() -> None:
        bring_to(settings, "head")
        with opened(settings):  # what would keep every process from starting is said once, here
            pass

    clinic.up(clinic.with_ports(settings), prepare=prepare)


@click.command()
@with_ports
def demo(settings: Settings) -> None:
    """Run a sample clinic with people, bookings and a modality, until Ctrl-C."""
    from clinic_panel.demo.run import run_demo
    from clinic_panel.supervisor import clinic

    run_demo(clinic.with_ports(settings))
