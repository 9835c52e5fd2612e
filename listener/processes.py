"""Several processes on one port: a crash takes the associations of one, and no others.

The first process binds the port and brings archive and index together while nobody receives. The
others are programs of their own that inherit the socket; each association lives in the one that
accepted it. One that dies is started again, later each time. They end when their standard input
does, so that none outlives the first, however that ends.
"""

import contextlib
import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clinic_panel.config import Settings
from clinic_panel.errors import Unavailable

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 30.0
STEADY_S = 60.0  # after so long in life a death counts as the first
STOP_S = 15.0  # from SIGTERM to SIGKILL
_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class _Worker:
    """One place to fill: its process, and when the next may start should that die."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    next_at: float = field(default=0.0)


class Workers:
    """The processes that share a listening socket."""

    def __init__(self, listening: socket.socket, count: int, options: Sequence[str] = ()) -> None:
        """Prepare to start them.

        Parameters
        ----------
        options
            Further arguments of ``python -m listener``.
        """
        self._listening = listening
        self._options = tuple(options)
        self._workers = [_Worker(number) for number in range(count)]

    @property
    def pids(self) -> list[int]:
        """Those that run."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def start(self) -> None:
        """Start all, and return when each accepts associations.

        Raises
        ------
        Unavailable
            One of them ended; the others were ended too.
        """
        for worker in self._workers:
            self._start(worker)
        for worker in self._workers:
            said = worker.process.stdout if worker.process is not None else None
            if said is None or said.readline() != b"ready\n":
                self.stop()
                raise Unavailable("A process of the listener ended at its start.")

    def watch(self, stop: threading.Event) -> None:
        """Start again what dies, until told to stop."""
        while not stop.wait(_LOOK_EVERY_S):
            now = time.monotonic()
            for worker in self._workers:
                process = worker.process
                if process is not None and process.poll() is not None:
                    self._bury(worker, process, now)
                if worker.process is None and now >= worker.next_at:
                    self._start(worker)

    def stop(self) -> None:
        """End all: in order, and at last by force."""
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)
        for worker in self._workers:
            worker.process = None

    def _start(self, worker: _Worker) -> None:
        worker.began = time.monotonic()
        descriptor = self._listening.fileno()
        worker.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "listener", "--inherit", str(descriptor), *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[descriptor],
        )

    def _bury(self, worker: _Worker, process: subprocess.Popen[bytes], now: float) -> None:
        worker.deaths = 1 if now - worker.began > STEADY_S else worker.deaths + 1
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(worker.deaths - 1, 20), LAST_PAUSE_S)
        log.error(
            "process %d ended with %d; starting it again in %g s",
            worker.number,
            process.returncode,
            pause_s,
        )
        _close(process)
        worker.process, worker.next_at = None, now + pause_s


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def end_with_parent(stop: threading.Event) -> None:
    """Set ``stop`` once standard input ends: then the first process has ended."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()


class TurnLock:
    """Lets the processes of one home commit in turn.

    SQLite has one writer at a time. Who waits for it asks again after a pause, ever longer; here
    the kernel wakes the next at once. A process that dies gives its turn back.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the turn; for one thread of a process at a time."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)


def turn_lock(settings: Settings) -> TurnLock | None:
    """Return the lock that the processes of these settings share, where there is need for one."""
    if settings.dicom_processes == 1 or not settings.url.startswith("sqlite"):
        return None
    return TurnLock(settings.home / "index.lock")
