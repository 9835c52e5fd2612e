"""What Dask was sent and has not answered, and since when it may be at work on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distributed import Future

from clinic_panel.tasks.work import Work


@dataclass(slots=True, eq=False)
class Turn:
    """One piece of work; ``began`` is None while others before it keep every process busy."""

    work: Work
    future: Future
    began: float | None = None

    @property
    def is_suspect(self) -> bool:
        """Whether it is set aside when it fails once more."""
        return any(claimed.is_last_try for claimed in self.work.claims)

    @property
    def is_hopeless(self) -> bool:
        """Whether it was alone and not slow for the first time: trying again is no use."""
        return len(self.work.claims) == 1 and self.work.claims[0].attempts > 1


def too_slow(turns: Mapping[int, Turn], at_a_time: int, now: float) -> list[int]:
    """Start the clock of all whose turn has come, and name those that used up their time.

    Parameters
    ----------
    turns
        In the order in which they were sent.
    at_a_time
        How many Dask computes at once; what comes after so many only waits.
    now
        Seconds of a monotonic clock.
    """
    slow = []
    for number, turn in list(turns.items())[:at_a_time]:
        if turn.began is None:
            turn.began = now
        elif now - turn.began > turn.work.limit_s:
            slow.append(number)
    return slow
