"""One writer to the index for all associations: what gathers while it commits goes in together."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from clinic_panel.errors import Conflict, Unavailable
from clinic_panel.services.dicom import Outcome, Received

log = logging.getLogger(__name__)

BATCH = 256
TIDY_EVERY_S = 1.0


class _Item:
    """An object that waits for its row, and the thread that waits with it."""

    __slots__ = ("error", "is_abandoned", "is_done", "leads", "outcome", "received", "woken")

    def __init__(self, received: Received | None) -> None:
        self.received = received
        self.outcome: Outcome | None = None
        self.error: Exception | None = None
        self.leads = self.is_done = self.is_abandoned = False
        self.woken = threading.Lock()
        self.woken.acquire()


class IndexWriter:
    """Commits rows, one batch after the other.

    Whoever finds nobody writing writes: its own object, and those of all who wait by then. The
    next of those who came meanwhile is woken to write in turn, the others when they are done; so
    no object costs more than one hand-off between threads, one association has none, several share
    a durable commit, and SQLite has its single writer.
    """

    def __init__(
        self,
        index: Callable[[Sequence[Received]], list[Outcome]],
        tidy: Callable[[], None] = lambda: None,
        turns: Callable[[], contextlib.AbstractContextManager[None]] | None = None,
    ) -> None:
        """Prepare to write.

        Parameters
        ----------
        index
            Commits a batch; called by one thread at a time.
        tidy
            Called once a second, and at the end; never while a batch is being committed.
        turns
            Held while it commits or tidies, where several processes must do so in turn.
        """
        self._index, self._tidy = index, tidy
        self._turns = turns or contextlib.nullcontext
        self._waiting: deque[_Item] = deque()
        self._is_led = self._is_closed = False
        self._lock = threading.Lock()  # of the three above; held for moments
        self._committing = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index-tidier")

    @property
    def waiting(self) -> int:
        """How many objects wait for the commit after this one."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to tidy."""
        self._thread.start()

    def write(self, received: Received, *, timeout_s: float) -> Outcome:
        """Return once the row is committed.

        Raises
        ------
        TimeoutError
            The batches before took too long; the row may come yet.
        Unavailable
            It is closed.
        Exception
            What the index raised.
        """
        mine = _Item(received)
        self._see_to(mine, timeout_s)
        if mine.error is not None:
            raise mine.error
        if mine.outcome is None:
            raise Unavailable
        return mine.outcome

    def close(self) -> None:
        """Commit what waits, then end."""
        last = _Item(None)
        self._is_closed = True
        self._see_to(last, -1)
        self._ending.set()
        self._thread.join()

    def _see_to(self, mine: _Item, timeout_s: float) -> None:
        with self._lock:
            if self._is_closed and mine.received is not None:
                raise Unavailable
            self._waiting.append(mine)
            mine.leads, self._is_led = not self._is_led, True
        if not mine.leads and not mine.woken.acquire(timeout=timeout_s):
            with self._lock:
                if not (mine.leads or mine.is_done):  # else it was woken just now
                    mine.is_abandoned = True
                    raise TimeoutError
        while mine.leads and not mine.is_done:
            self._lead()

    def _lead(self) -> None:
        """Write what waits, and hand on to the next."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        try:
            with self._committing:
                self._write([item for item in batch if item.received is not None])
        finally:
            with self._lock:
                for item in batch:
                    item.is_done = True
                heir = next((item for item in self._waiting if not item.is_abandoned), None)
                self._is_led = heir is not None
                if heir is not None:
                    heir.leads = True
                    heir.woken.release()
            for item in batch:
                if not item.leads:
                    item.woken.release()

    def _write(self, batch: Sequence[_Item]) -> None:
        if not batch:
            return
        try:
            outcomes = self._commit([item.received for item in batch if item.received])
        except Exception as error:  # noqa: BLE001 - the edge: no association may wait for ever
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for one in batch:  # one object the database refuses must not fail its neighbours
                    self._write([one])
            else:
                for item in batch:
                    item.error = error
            return
        for item, outcome in zip(batch, outcomes, strict=True):
            item.outcome = outcome

    def _commit(self, batch: Sequence[Received]) -> list[Outcome]:
        try:
            try:
                with self._turns():
                    return self._index(batch)
            except Conflict:  # the desk was faster, and is done by now
                with self._turns():
                    return self._index(batch)
        except Exception as error:
            log.error("a batch of %d could not be indexed: %s", len(batch), type(error).__name__)
            raise

    def _run(self) -> None:
        while not self._ending.wait(TIDY_EVERY_S):
            self._tidy_up()
        self._tidy_up()

    def _tidy_up(self) -> None:
        try:
            with self._committing, self._turns():
                self._tidy()
        except Exception as error:  # noqa: BLE001 - the edge: it is tried again
            log.warning("the audit of what arrived has to wait: %s", type(error).__name__)
