"""Waking a thread that waits on a socket, from any other."""

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Any


class Waker:
    """An eventfd that wakes a poll; safe to set from any thread, also after it is closed."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def set(self) -> None:
        """Wake the poll, now or when it begins."""
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def clear(self) -> None:
        """Take note of it."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        """Nobody polls any more."""
        with self._lock:
            fd, self.fd = self.fd, -1
        os.close(fd)


class WakingQueue(queue.Queue[Any]):
    """A queue that wakes who takes from it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put, then wake."""
        super().put(item, block, timeout)
        self._wake()
