"""``clinic …``: the commands under one name; each module of `cli` holds those of one subject."""

from __future__ import annotations

import click

from clinic_panel.cli import archive, db, doctor, export, processes, simulate, user
from clinic_panel.cli.edge import Clinic

COMMANDS = (
    processes.serve,
    processes.work,
    processes.up,
    processes.demo,
    db.db,
    user.user,
    archive.import_,
    archive.verify,
    export.export,
    doctor.doctor,
    simulate.simulate,
)


@click.group(cls=Clinic, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clinic-panel", prog_name="clinic")
def main() -> None:
    """An imaging clinic: booking, worklist, archive, viewer, reports.

    Settings come from options, CLINIC_* variables and .env, in this order.
    """


for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="clinic")
