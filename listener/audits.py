"""Audit entries of queries, written beside the answers: an fsync is longer than most queries take.

Nobody is answered without an entry for long: when the entries cannot be written, further queries
are refused until they can.
"""

import logging
import queue
import threading

from clinic_panel.context import Context
from clinic_panel.errors import Unavailable
from clinic_panel.services import searches
from clinic_panel.services.searches import Search
from listener.courtesy import Courtesy

log = logging.getLogger(__name__)

WAITING_AT_MOST = 1024
_BATCH = 64
_RETRY_S = 1.0
_GATHER_S = 0.05  # what is asked in a row is written in one transaction
_PATIENCE_S = 0.1  # while a query is answered


class Audits:
    """Writes the entries of this process's queries, in its own thread."""

    def __init__(self, ctx: Context, courtesy: Courtesy) -> None:
        self._ctx, self._courtesy = ctx, courtesy
        self._queue: queue.Queue[Search | None] = queue.Queue(WAITING_AT_MOST)
        self._fails = False
        self._closing = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="search-audit", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, then end."""
        self._closing.set()
        self._hurry.set()
        self._queue.put(None)
        self._thread.join()

    def flush(self) -> None:
        """Wait until all entries so far are written."""
        self._hurry.set()
        self._queue.join()
        if not self._closing.is_set():
            self._hurry.clear()

    def check(self) -> None:
        """Raise unless what is searched now can be audited.

        Raises
        ------
        Unavailable
            Entries of earlier queries wait, and cannot be written.
        """
        if self._fails or self._queue.full():
            raise Unavailable

    def note(self, search: Search) -> None:
        """Have one entry written.

        Raises
        ------
        Unavailable
            Too many wait.
        """
        try:
            self._queue.put_nowait(search)
        except queue.Full:
            raise Unavailable from None

    def _run(self) -> None:
        is_over = False
        while not is_over:
            taken = [self._queue.get()]
            if self._queue.qsize() < _BATCH:
                self._hurry.wait(_GATHER_S)
            while len(taken) < _BATCH and not self._queue.empty():
                taken.append(self._queue.get())
            is_over = None in taken
            if not self._hurry.is_set():
                self._courtesy.patience(_PATIENCE_S)()
            self._write([search for search in taken if search is not None])
            for _ in taken:
                self._queue.task_done()

    def _write(self, batch: list[Search]) -> None:
        """Try until it is written, or the listener stops."""
        while batch:
            try:
                searches.record(self._ctx, batch)
            except Exception as error:  # noqa: BLE001 - the edge: queries are refused meanwhile
                log.error("searches cannot be audited: %s", type(error).__name__)
                self._fails = True
                if self._closing.wait(_RETRY_S):
                    return
                continue
            self._fails = False
            return
