"""From the wire to the archive, and from there to the index: one writer for all associations."""

import contextlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from clinic_panel.archive import Archive, Buffer, Incoming
from clinic_panel.errors import Conflict, NotUnderstood, StorageFull, Unavailable, WrongInstance
from clinic_panel.imaging.header import Header, read_header
from clinic_panel.services.dicom import Outcome, Received, Verdict
from listener import statuses
from listener.commands import StoreRequest, file_head
from listener.limits import Limits
from listener.statuses import Status

log = logging.getLogger(__name__)

HEAD_BYTES = 1 << 16  # of the data set, kept in memory: what is indexed lies in it
LONG_HEAD_BYTES = 16 << 20  # read again from disk when a header is longer than that
BATCH = 256
TIDY_EVERY_S = 1.0
_DUPLICATE = {
    Verdict.CONFLICT: statuses.DUPLICATE_KEPT,
    Verdict.REJECTED: statuses.DUPLICATE_REJECTED,
}
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


class IndexWriter:
    """Commits rows, one batch after the other: what gathers meanwhile goes into the next commit.

    An association that finds the index idle commits with its own hands, since to wake another
    thread costs as much as the statements; several share the cost of a durable commit, and SQLite
    has its single writer.
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
        self._waiting: queue.SimpleQueue[tuple[Received, Future[Outcome]] | None] = (
            queue.SimpleQueue()
        )
        self._committing = threading.Lock()
        self._is_next = False  # the thread has a batch in hand and waits to commit: join it
        self._thread = threading.Thread(target=self._run, name="index-writer")
        self._closed = False

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self, received: Received, *, timeout_s: float) -> Outcome:
        """Return once the row is committed.

        Raises
        ------
        TimeoutError
            The batches before took too long.
        Exception
            What the index raised.
        """
        if self._committing.acquire(blocking=False):
            try:
                if not self._is_next and self._waiting.empty() and not self._closed:
                    mine: Future[Outcome] = Future()
                    self._write([(received, mine)])
                    return mine.result(0)
            finally:
                self._committing.release()
        return self.submit(received).result(timeout_s)

    def submit(self, received: Received) -> Future[Outcome]:
        """Ask for a row; the future is done once the row is committed, or could not be."""
        future: Future[Outcome] = Future()
        if self._closed:
            future.set_exception(Unavailable())
        else:
            self._waiting.put((received, future))
        return future

    def close(self) -> None:
        """Commit what waits, then end."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()
        while not self._waiting.empty():  # came between the flag and the end
            if (late := self._waiting.get()) is not None:
                late[1].set_exception(Unavailable())

    def _run(self) -> None:
        ending, tidied_at = False, time.monotonic()
        while not ending:
            batch = []
            with contextlib.suppress(queue.Empty):
                batch.append(self._waiting.get(timeout=TIDY_EVERY_S))
                self._is_next = True
            with self._committing:
                self._is_next = False
                while len(batch) < BATCH and not self._waiting.empty():
                    batch.append(self._waiting.get())
                ending = None in batch
                if items := [item for item in batch if item is not None]:
                    self._write(items)
                if ending or time.monotonic() - tidied_at >= TIDY_EVERY_S:
                    self._tidy_up()
                    tidied_at = time.monotonic()

    def _tidy_up(self) -> None:
        try:
            with self._turns():
                self._tidy()
        except Exception as error:  # noqa: BLE001 - the edge: it is tried again
            log.warning("the audit of what arrived has to wait: %s", type(error).__name__)

    def _write(self, batch: list[tuple[Received, Future[Outcome]]], *, again: bool = True) -> None:
        try:
            with self._turns():
                outcomes = self._index([received for received, _ in batch])
        except Exception as error:  # noqa: BLE001 - the edge: no association may wait for ever
            if again and isinstance(error, Conflict):  # the desk was faster, and is done by now
                self._write(batch, again=False)
                return
            log.error("a batch of %d could not be indexed: %s", len(batch), type(error).__name__)
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for one in batch:  # one object the database refuses must not fail its neighbours
                    self._write([one])
            else:
                for _, future in batch:
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            future.set_result(outcome)


@dataclass(frozen=True, slots=True)
class Storage:
    """What every association needs to store: archive, index writer, limits."""

    archive: Archive
    writer: IndexWriter
    limits: Limits


class StoreSink:
    """Takes the C-STORE data sets of one association and makes each durable and known."""

    def __init__(self, storage: Storage, source: Callable[[], tuple[str, str]]) -> None:
        """Serve one association.

        Parameters
        ----------
        source
            Gives AE title and address of the peer, once the association is established.
        """
        self._storage = storage
        self._source = source
        self._incoming: Incoming | None = None
        self._error: Exception | None = None

    def begin(self, request: StoreRequest, transfer_syntax_uid: str) -> None:
        """Open a temporary file; what goes wrong is answered at the end of the data set."""
        self.discard()
        self._error = None
        self._request = request
        self._syntax = transfer_syntax_uid
        self._head = bytearray()
        self._size = 0
        try:
            if not _UID.fullmatch(request.sop_instance_uid):
                raise NotUnderstood("The SOP Instance UID is none.")
            self._incoming = self._storage.archive.receiving(
                file_head(
                    request.sop_class_uid,
                    request.sop_instance_uid,
                    transfer_syntax_uid,
                    self._source()[0],
                )
            )
        except Exception as error:  # noqa: BLE001 - the edge: it becomes the answer's status
            self._fail(error)

    def write(self, chunks: Sequence[Buffer]) -> None:
        """Append a piece of the data set; after a failure it is read and forgotten."""
        if self._incoming is None:
            return
        for chunk in chunks:
            self._size += len(chunk)
            if len(self._head) < HEAD_BYTES:
                self._head += chunk[: HEAD_BYTES - len(self._head)]
        try:
            if self._size > self._storage.limits.object_bytes:
                raise StorageFull("The object is larger than this node takes.")
            self._incoming.write(chunks)
        except Exception as error:  # noqa: BLE001 - the edge: it becomes the answer's status
            self._fail(error)

    def finish(self) -> Status:
        """Make the object durable, wait for its row, and return the status to answer."""
        source_ae_title, address = self._source()
        try:
            if self._error is not None:
                raise self._error
            received = self._keep(source_ae_title, address)
            outcome = self._storage.writer.write(received, timeout_s=self._storage.limits.index_s)
            if outcome.verdict in _DUPLICATE:
                log.warning(
                    "C-STORE from %s: other bytes for instance %d, %s",
                    source_ae_title,
                    outcome.instance_id,
                    "kept beside it" if outcome.verdict is Verdict.CONFLICT else "not kept",
                )
                return _DUPLICATE[outcome.verdict]
        except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
            status = statuses.status_of(error)
            log.warning(
                "C-STORE from %s refused: %s, 0x%04X", source_ae_title, type(error).__name__, status
            )
            return status
        finally:
            self.discard()
        log.debug(
            "C-STORE from %s: instance %d, %s, %d bytes",
            source_ae_title,
            outcome.instance_id,
            outcome.verdict,
            received.stored.size_bytes,
        )
        return statuses.SUCCESS

    def discard(self) -> None:
        """Forget what is not kept."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.discard()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.discard()

    def _keep(self, source_ae_title: str, address: str) -> Received:
        if self._incoming is None:
            raise NotUnderstood
        header = self._header(self._incoming)
        if (
            header.SOPInstanceUID != self._request.sop_instance_uid
            or header.SOPClassUID != self._request.sop_class_uid
        ):
            raise WrongInstance
        return Received(header, self._incoming.keep(), source_ae_title, address)

    def _header(self, incoming: Incoming) -> Header:
        """Read the header from the first bytes; from the file when it is uncommonly long."""
        partial = self._size > len(self._head)
        try:
            return read_header(self._head, transfer_syntax_uid=self._syntax, partial=partial)
        except NotUnderstood:
            if not partial:
                raise
        return read_header(
            incoming.first_bytes(LONG_HEAD_BYTES),
            transfer_syntax_uid=self._syntax,
            partial=self._size > LONG_HEAD_BYTES,
        )
