"""What nobody waits for gives way to what a device waits for.

The threads of a process share one interpreter. One that computes holds it for up to 5 ms at a time,
and a query that reads from the database lets go of it again and again: the notes and audit entries
of the queries before made every tenth one take several times as long.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Courtesy:
    """Knows whether devices are being answered, in one process."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._served = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer a device; what asks to go on meanwhile is held up."""
        with self._free:
            self._served += 1
        try:
            yield
        finally:
            with self._free:
                self._served -= 1
                if not self._served:
                    self._free.notify_all()

    def patience(self, total_s: float) -> Callable[[], None]:
        """Return what waits while a device is answered, in all its calls together so long."""
        left_s = total_s

        def give_way() -> None:
            nonlocal left_s
            if not self._served or left_s <= 0:  # looked at without the lock: mostly nobody is
                return
            began = time.monotonic()
            with self._free:
                self._free.wait_for(lambda: not self._served, left_s)
            left_s -= time.monotonic() - began

        return give_way
