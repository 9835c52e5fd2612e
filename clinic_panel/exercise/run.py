"""All checks of a target, in the order in which one depends on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from clinic_panel.errors import PeerUnavailable
from clinic_panel.exercise import commitment, retrieve, steps, storage, worklist
from clinic_panel.exercise.bench import Bench
from clinic_panel.exercise.lines import Line, Outcome, Target

type Group = Callable[[], Iterator[Line]]


def exercise(
    target: Target, now: datetime, tell: Callable[[Line], None] = lambda _: None
) -> list[Line]:
    """Exercise every service of a node; of a peer only what harms nobody.

    Parameters
    ----------
    now
        In the zone of the node: what it calls today.
    tell
        Called with each line as soon as it is there.

    Returns
    -------
    list of Line
        One line a check; no line names a patient.
    """
    lines: list[Line] = []
    for name, group in _groups(Bench(target), now):
        try:
            for line in group():
                lines.append(line)
                tell(line)
        except PeerUnavailable as error:  # between two checks: the next service may still answer
            lines.append(Line(name, "", "", "an association", error.message, Outcome.FAILED, 0))
            tell(lines[-1])
        if lines[0].outcome is Outcome.FAILED:
            break  # not even verification: the rest would only say so again
    return lines


def _groups(bench: Bench, now: datetime) -> list[tuple[str, Group]]:
    if bench.target.is_peer:
        return [
            (storage.ECHO, lambda: storage.echo(bench)),
            (retrieve.FIND, lambda: retrieve.find_any(bench)),
            (storage.STORE, lambda: storage.store_one(bench)),
        ]
    return [
        (storage.ECHO, lambda: storage.echo(bench)),
        (worklist.WORKLIST, lambda: worklist.worklist(bench, now)),
        (steps.MPPS, lambda: steps.steps(bench, now)),
        (storage.STORE, lambda: storage.store(bench)),
        (commitment.COMMITMENT, lambda: commitment.commitment(bench)),
        (retrieve.FIND, lambda: retrieve.find(bench)),
        (retrieve.GET, lambda: retrieve.get(bench)),
        (retrieve.MOVE, lambda: retrieve.move(bench)),
    ]
