"""What the runner sends to Dask and what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clinic_panel.errors import ClinicError, NotDisplayable, NotFound, NotUnderstood
from clinic_panel.services.jobs import Claim

TASK_LIMIT_S = 120.0

# Trying again gives the same answer.
_FINAL = (NotUnderstood, NotDisplayable, NotFound)


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """The value of one task, or what went wrong: its type, and our own sentence if it is ours."""

    value: Any = None
    error: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Work:
    """One task for Dask: a pure function and what it is called with, once for each claim."""

    claims: tuple[Claim, ...]
    function: Callable[[Any], Any]
    tasks: tuple[Any, ...]
    keep: Callable[[Sequence[tuple[Claim, Any]]], None]  # writes the values through a service
    limit_s: float = TASK_LIMIT_S  # what takes longer hangs

    @property
    def key(self) -> str:
        """What Dask knows it by: the work's name and row ids, nothing else."""
        names = [task.key for task in self.tasks]
        if len(names) == 1:
            return str(names[0])
        digest = hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
        return f"{self.function.__module__.rpartition('.')[2]}-{len(names)}-{digest}"


def run_all(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Outcome]:
    """Call a function for each task; no exception leaves, because Dask would log its text."""
    return [_run(function, task) for task in tasks]


def _run(function: Callable[[Any], Any], task: Any) -> Outcome:
    try:
        return Outcome(function(task))
    except FileNotFoundError:
        return Outcome(error="NotFound: The file is missing from the archive.", final=True)
    except ClinicError as error:
        return Outcome(error=describe(error), final=isinstance(error, _FINAL))
    except Exception as error:  # noqa: BLE001 - the runner's edge: it becomes the job's state
        return Outcome(error=describe(error))


def describe(error: BaseException) -> str:
    """Return the type of an error, and its sentence where it is one of ours."""
    name = type(error).__name__
    return f"{name}: {error.message}" if isinstance(error, ClinicError) else name
