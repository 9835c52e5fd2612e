"""The flight recorder's ears: what an association did, told to one thread that writes it down.

Everything here is off the way of the devices: an association notes in memory, a bounded queue takes
what is complete, and when the writer is behind, notes are dropped and counted, never waited for.
Objects that are stored are counted, not listed.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ABORT, A_P_ABORT
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
)

from clinic_panel.errors import ClinicError
from clinic_panel.models.flight import Ending, Service
from clinic_panel.services.flight import Flight
from listener.commands import StoreRequest
from listener.notes import IDENTIFIER_BYTES, Notes, Request, asked_of, contexts_of, is_well
from listener.sink import Sink

log = logging.getLogger(__name__)

WAITING_AT_MOST = 4096
BATCH = 256
GATHER_S = 0.5  # what comes together is written together
HEARTBEAT_S = 5.0  # how often an open association is written again
SWEEP_EVERY_S = 3600.0
LISTED_PER_ASSOCIATION = 500  # further requests are only counted
UNASKED_EVERY_S = 600.0  # for each address that connects and asks for nothing, as probes do
_PENDING = frozenset({0xFF00, 0xFF01})
_COUNTED = frozenset({Service.STORE, Service.ECHO})
_BY_MESSAGE = {
    "C_ECHO": Service.ECHO,
    "C_STORE": Service.STORE,
    "C_FIND": Service.FIND,
    "C_MOVE": Service.MOVE,
    "C_GET": Service.GET,
}
_BY_CLASS = {
    str(ModalityWorklistInformationFind): Service.WORKLIST,
    str(ModalityPerformedProcedureStep): Service.MPPS,
    str(ModalityPerformedProcedureStepRetrieve): Service.MPPS,
    str(StorageCommitmentPushModel): Service.COMMITMENT,
}


class CountingSink:
    """Counts what passes to the real sink; bytes and statuses, nothing of the objects."""

    def __init__(self, sink: Sink, count: Callable[[str, int, int, float], None]) -> None:
        self._sink, self._count = sink, count
        self._bytes, self._began, self._sop_class = 0, 0.0, ""

    def begin(self, request: StoreRequest, transfer_syntax_uid: str) -> None:
        """A data set begins."""
        self._bytes, self._began, self._sop_class = 0, time.monotonic(), request.sop_class_uid
        self._sink.begin(request, transfer_syntax_uid)

    def write(self, chunks: list[memoryview]) -> None:
        """Some of it."""
        self._bytes += sum(map(len, chunks))
        self._sink.write(chunks)

    def finish(self) -> int:
        """It is complete."""
        status = self._sink.finish()
        self._count(self._sop_class, self._bytes, status, self._began)
        return status

    def discard(self) -> None:
        """The association ended."""
        self._sink.discard()


class Recorder:
    """Hears the associations of one process and writes them down, in its own thread."""

    def __init__(
        self,
        keep: Callable[[Sequence[Flight]], list[int]],
        sweep: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare to write.

        Parameters
        ----------
        keep
            Writes associations and returns their ids; raises what it likes.
        sweep
            Forgets what is too old.
        """
        self._keep, self._sweep, self._clock = keep, sweep, clock
        self._queue: queue.Queue[tuple[Notes, Request | None] | threading.Event | None] = (
            queue.Queue(WAITING_AT_MOST)
        )
        self._open: dict[Association, Notes] = {}
        self._unasked: dict[str, float] = {}
        self._hurry = threading.Event()
        self._is_stopping = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="flight-recorder", daemon=True)

    # Called by associations: nothing here waits or raises.

    def requested(self, event: Event) -> None:
        """An A-ASSOCIATE-RQ came."""
        self._open[event.assoc] = Notes(event.assoc, self._clock())

    def accepted(self, event: Event) -> None:
        """The association was accepted, with some of its contexts or none."""
        if (notes := self._open.get(event.assoc)) is not None:
            notes.flight = replace(notes.flight, contexts=contexts_of(event.assoc))
            self._put(notes)

    def refused(self, association: Association, reason: str) -> None:
        """We rejected it."""
        if (notes := self._open.get(association)) is not None:
            notes.ending = (Ending.REFUSED, reason)

    def rejected(self, event: Event) -> None:
        """The library rejected it, for a reason of its own."""
        self.refused(event.assoc, "not acceptable to the protocol")

    def released(self, event: Event) -> None:
        """The peer ended it in order."""
        if (notes := self._open.get(event.assoc)) is not None:
            notes.ending = (Ending.RELEASED, "")

    def heard(self, event: Event) -> None:
        """An abort came from the peer, or from our side of the protocol."""
        notes = self._open.get(event.assoc)
        if notes is None or notes.ending is not None:
            return
        if isinstance(event.primitive, A_ABORT):
            notes.ending = (Ending.ABORTED_BY_PEER, "")
        elif isinstance(event.primitive, A_P_ABORT):
            connection = event.assoc.dul.socket
            is_gone = not event.assoc.dul.is_broken_off and connection.socket is None
            notes.ending = (
                (Ending.LOST, "the connection was closed")
                if is_gone
                else (Ending.ABORTED, "what came breaks the protocol")
            )

    def aborted(self, event: Event) -> None:
        """It was aborted; by us, unless it was heard from the peer."""
        notes = self._open.get(event.assoc)
        if notes is None or notes.ending is not None:
            return
        if self._is_stopping:
            notes.ending = (Ending.ABORTED, "the listener was stopped")
        elif event.assoc.dul.idle_timer_expired():
            notes.ending = (Ending.TIMED_OUT, "nothing came for too long")
        else:
            notes.ending = (Ending.ABORTED, "")

    def received(self, event: Event) -> None:
        """A DIMSE message came."""
        self._message(event, is_ours=False)

    def sent(self, event: Event) -> None:
        """A DIMSE message left."""
        self._message(event, is_ours=True)

    def answered(self, event: Event, count: int) -> None:
        """So many pending responses left past the library."""
        notes = self._open.get(event.assoc)
        if notes and (request := notes.pending.get((False, event.request.MessageID))):
            request.answers += count

    def concluded(self, event: Event, status: int, comment: str) -> None:
        """The final response leaves past the library."""
        notes = self._open.get(event.assoc)
        if notes and (request := notes.pending.pop((False, event.request.MessageID), None)):
            self._answered(notes, request, status, comment)

    def counting(self, association: Association, sink: Sink) -> Sink:
        """Return the sink, with what passes counted."""

        def count(sop_class: str, size: int, status: int, began: float) -> None:
            notes = self._open.get(association)
            if notes is None:
                return
            notes.received_bytes += size
            notes.instances += is_well(status)
            notes.count(Service.STORE, status)
            if not notes.stored(sop_class, size, status):
                request = Request(self._clock(), began, Service.STORE, sop_class, size)
                request.statuses[f"{status:04X}"] = 1
                notes.add(request, time.monotonic())

        return CountingSink(sink, count)

    def ended(self, association: Association) -> None:
        """The association is over, however it ended."""
        notes = self._open.pop(association, None)
        if notes is None:
            notes = self._unasked_notes(association)
            if notes is None:
                return
        ending, reason = notes.ending or (Ending.LOST, "the connection was closed")
        notes.flight = replace(notes.flight, ended_at=self._clock(), ending=ending, reason=reason)
        self._put(notes)

    def _unasked_notes(self, association: Association) -> Notes | None:
        address, now = association.requestor.address or "", time.monotonic()
        last = self._unasked.get(address)
        if last is not None and now - last < UNASKED_EVERY_S:
            return None
        if len(self._unasked) >= WAITING_AT_MOST:
            self._unasked.clear()
        self._unasked[address] = now
        notes = Notes(association, self._clock())
        notes.ending = (Ending.UNASKED, "no association was asked for")
        return notes

    def _message(self, event: Event, *, is_ours: bool) -> None:
        notes = self._open.get(event.assoc)
        if notes is None:
            return
        kind = type(event.message).__name__
        command = event.message.command_set
        if kind == "C_STORE_RQ" and is_ours:
            return  # of a C-GET, whose own answer counts them
        if kind.endswith("_RQ") and kind != "C_CANCEL_RQ":
            number = command.get("MessageID", 0)
            notes.pending[is_ours, number] = self._begun(event, kind.removesuffix("_RQ"))
        elif kind.endswith("_RSP"):
            number = (not is_ours, command.get("MessageIDBeingRespondedTo", 0))
            request, status = notes.pending.get(number), command.get("Status", 0)
            if request is None:
                return
            delivered = command.get("NumberOfCompletedSuboperations")
            request.answers = request.answers if delivered is None else int(delivered)
            if status in _PENDING:
                request.answers += delivered is None
                return
            del notes.pending[number]
            self._answered(notes, request, status, str(command.get("ErrorComment", "")))

    def _begun(self, event: Event, kind: str) -> Request:
        command = event.message.command_set
        sop_class = str(command.get("AffectedSOPClassUID") or command.get("RequestedSOPClassUID"))
        service = _BY_CLASS.get(sop_class) or _BY_MESSAGE.get(kind, Service.OTHER)
        request = Request(self._clock(), time.monotonic(), service, sop_class)
        if service is Service.STORE and event.message._data_set_file is not None:
            request.received_bytes = event.message._data_set_file.tell()
        if service in (Service.WORKLIST, Service.FIND, Service.MOVE, Service.GET):
            context = event.assoc._accepted_cx.get(event.message.context_id)
            request.identifier = event.message.data_set.getvalue()[: IDENTIFIER_BYTES + 1]
            request.received_bytes = len(request.identifier)
            request.syntax = context.transfer_syntax[0] if context else None
            request.destination = str(command.get("MoveDestination") or "").strip()
        return request

    def _answered(self, notes: Notes, request: Request, status: int, comment: str) -> None:
        now = time.monotonic()
        request.took_s, request.comment = now - request.began, comment
        request.statuses[f"{status:04X}"] = 1
        notes.count(request.service, status)
        notes.received_bytes += request.received_bytes
        if request.service in _COUNTED:
            notes.instances += request.service is Service.STORE and is_well(status)
            notes.add(request, now)
            return
        notes.listed += 1
        if notes.listed <= LISTED_PER_ASSOCIATION:
            self._put(notes, request)

    def _put(self, notes: Notes, request: Request | None = None) -> None:
        try:
            self._queue.put_nowait((notes, request))
        except queue.Full:
            self.dropped += 1

    # The writer.

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stopping(self) -> None:
        """Say that aborts from now on are those of a stop."""
        self._is_stopping = True

    def close(self) -> None:
        """Write what waits, then end."""
        self._hurry.set()
        self._queue.put(None)
        self._thread.join()

    def flush(self) -> None:
        """Wait until all that happened so far is written."""
        done = threading.Event()
        self._hurry.set()
        self._queue.put(done)
        done.wait()

    def _run(self) -> None:
        swept_at, dropped = -SWEEP_EVERY_S, 0
        is_over = False
        while not is_over:
            items, waiters, is_over = self._gather()
            self._write(items)
            for waiter in waiters:
                waiter.set()
            if self.dropped != dropped:
                log.warning("%d notes of the flight recorder were dropped", self.dropped - dropped)
                dropped = self.dropped
            if time.monotonic() - swept_at > SWEEP_EVERY_S and not is_over:
                swept_at = time.monotonic()
                self._guarded(self._sweep)

    def _gather(self) -> tuple[dict[Notes, list[Request]], list[threading.Event], bool]:
        """Take what waits, a moment after the first came."""
        items: dict[Notes, list[Request]] = {}
        waiters: list[threading.Event] = []
        try:
            item = self._queue.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            return self._alive(items), waiters, False
        self._hurry.wait(GATHER_S)
        count = 0
        while True:
            if item is None:
                return items, waiters, True
            if isinstance(item, threading.Event):
                waiters.append(item)
                self._hurry.clear()
            else:
                items.setdefault(item[0], []).extend([item[1]] if item[1] else [])
            count += 1
            if count >= BATCH or waiters:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        return self._alive(items), waiters, False

    def _alive(self, items: dict[Notes, list[Request]]) -> dict[Notes, list[Request]]:
        """Add the open associations that were not written for a while."""
        now = time.monotonic()
        for notes in list(self._open.values()):
            if notes.flight.id is not None and now - notes.written_at > HEARTBEAT_S:
                items.setdefault(notes, [])
        return items

    def _write(self, items: dict[Notes, list[Request]]) -> None:
        if not items:
            return
        flights, over = [], []
        for notes, requests in items.items():
            asked = [asked_of(request) for request in requests]
            if notes.flight.ended_at is not None:
                asked += [request.done() for request in notes.counted.values()]
                over.append(notes)
            flights.append(notes.snapshot(asked))
        ids = self._guarded(lambda: self._keep(flights))
        if ids is None:
            self.dropped += sum(1 + len(flight.asked) for flight in flights)
            return
        for notes, id_ in zip(items, ids, strict=True):
            notes.flight = replace(notes.flight, id=id_)
            notes.written_at = time.monotonic()
        for notes in over:  # its end may be in the queue yet
            notes.counted.clear()

    def _guarded[T](self, act: Callable[[], T]) -> T | None:
        try:
            return act()
        except ClinicError as error:
            log.warning("the flight recorder cannot write: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the edge: the recorder outlives what it hears
            log.error("the flight recorder failed: %s", type(error).__name__)
        return None
