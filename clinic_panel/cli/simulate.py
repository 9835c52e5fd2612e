"""``clinic simulate``: other people's devices, played."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clinic_panel.cli.options import at_home

if TYPE_CHECKING:
    from clinic_panel.config import Settings


@click.group()
def simulate() -> None:
    """Play other people's devices."""


def _check_services(
    settings: Settings, aet: str, host: str, port: int | None, *, tls: bool, as_json: bool
) -> int:
    from datetime import datetime

    from clinic_panel.dimse.model import Caller
    from clinic_panel.exercise.lines import TESTER, Target
    from clinic_panel.simulator.check import check_services

    target = Target(
        host,
        port or settings.dicom_port,
        settings.ae_title,
        aet or TESTER,
        tls=Caller.of(settings).tls if tls else None,
    )
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
@click.option("--tls", is_flag=True, help="With --check: encrypt, with the settings' certificates.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print JSON.")
@at_home
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
    tls: bool,
    as_json: bool,
) -> None:
    """Verify, ask the worklist, and send today's images over the network.

    With --check it sends no images of patients: it exercises every service as PS3.4 describes it
    and ends with 1 when something failed. It leaves one small study of the patient "Service Check",
    the same each time.
    """
    if check:
        raise click.exceptions.Exit(
            _check_services(settings, aet, host, port, tls=tls, as_json=as_json)
        )
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
