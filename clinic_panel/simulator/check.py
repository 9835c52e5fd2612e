"""``clinic simulate modality --check``: every service exercised, the outcome as a table."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.table import Table

from clinic_panel.exercise.lines import Line, Outcome, Target, has_failed, summary
from clinic_panel.exercise.run import exercise

STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.NOT_OFFERED: "dim"}


def check_services(
    target: Target, now: datetime, *, as_json: bool = False, console: Console | None = None
) -> int:
    """Exercise a node and print a line a check.

    Returns
    -------
    int
        0 when nothing failed, else 1; no line names a patient.
    """
    console = console or Console()
    if as_json:
        lines = exercise(target, now)
        console.print_json(json.dumps([asdict(line) for line in lines]))
        return int(has_failed(lines))
    with console.status(f"Asking {target.called_ae_title}…") as status:
        lines = exercise(target, now, lambda line: status.update(f"{line.service}: {line.asked}"))
    console.print(_table(target, lines))
    console.print(summary(lines), style="red" if has_failed(lines) else "green")
    return int(has_failed(lines))


def _table(target: Target, lines: list[Line]) -> Table:
    title = f"{target.called_ae_title} at {target.host}:{target.port}, asked as {target.ae_title}"
    table = Table(title=title, title_justify="left")
    for heading in ("Service", "Asked", "PS3.4", "Expected", "Came", "ms", "Outcome"):
        table.add_column(heading, justify="right" if heading == "ms" else "left")
    for line in lines:
        table.add_row(
            line.service,
            line.asked,
            line.section,
            line.expected,
            line.came,
            str(line.duration_ms),
            f"[{STYLES[line.outcome]}]{line.outcome.value}[/]",
        )
    return table
