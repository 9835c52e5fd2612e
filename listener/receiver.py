"""The receiver: pynetdicom's association, made event-driven and bounded.

pynetdicom's reactor polls, sleeps 1 ms between PDUs, reads 4 KiB at a time and builds four objects
for every fragment; a peer's declared PDU length is believed whatever it says. Here the thread waits
on the socket, reads into one bounded buffer, and passes the data sets of C-STORE requests to a
`Sink` without building anything; the answers to what a C-GET sends are read from their bytes.
Every other PDU and message takes the library's own way, so that association, release, abort,
C-ECHO, C-FIND and all N-services stay the library's.

This reaches into private parts of pynetdicom and therefore holds for the versions in `TESTED`
only; elsewhere, and where eventfd is missing, `is_supported` says no and the listener takes
`LibraryAssociation`: pynetdicom as it comes, with the same bounds.
"""

import contextlib
import logging
import os
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import pydicom.config
import pynetdicom
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ

from clinic_panel.dimse.messages import store_response
from listener import statuses
from listener.commands import StoreRequest, store_request
from listener.limits import Limits
from listener.statuses import Status

log = logging.getLogger(__name__)

TESTED = ("3.0.4", "3.1")  # from, and before
_SOCKET_SLACK_BYTES = 1 << 16
_WAIT_MS = 500  # how late a timer may be noticed
_P_DATA, _HEADER = 4, 6
_READ_BYTES = 1 << 16
_MAY_SEND = frozenset({"Sta6", "Sta8"})  # states in which P-DATA leaves, PS3.8 9.2.3
_ENCODED_WAITING = 4  # blocks of PDUs handed over and not yet sent, for each association
_INVALID_PDU, _ARTIM_EXPIRED = "Evt19", "Evt18"  # PS3.8 9.2.2


class Sink(Protocol):
    """Takes the data sets of one association, one after the other, each in pieces."""

    def begin(self, request: StoreRequest, transfer_syntax_uid: str) -> None:
        """A data set begins."""

    def write(self, chunks: list[memoryview]) -> None:
        """Some of it; the memory is reused after the call."""

    def finish(self) -> int:
        """It is complete: return the status to answer (a `Status` has a comment). Never raises."""

    def discard(self) -> None:
        """The association ended: forget what is incomplete."""


def is_supported() -> bool:
    """Whether the event-driven receiver fits this pynetdicom and this system."""
    version = tuple(int(part) for part in pynetdicom.__version__.split(".")[:3] if part.isdigit())
    first, after = (tuple(map(int, text.split("."))) for text in TESTED)
    return first <= version < after and hasattr(os, "eventfd")


class _Waker:
    """An eventfd that wakes a poll; safe to set from any thread, also after it is closed."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def set(self) -> None:
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        with self._lock:
            fd, self.fd = self.fd, -1
        os.close(fd)


class _WakingQueue(queue.Queue[Any]):
    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._wake()


class _Encoded:
    """P-DATA-TF PDUs as they go out, in the place of a primitive."""

    __slots__ = ("pdus",)

    def __init__(self, pdus: bytes) -> None:
        self.pdus = pdus


class BoundedDIMSE(DIMSEServiceProvider):
    """Messages assembled by the library, but never more of them than the limits allow."""

    def __init__(self, assoc: Association, limits: Limits) -> None:
        super().__init__(assoc)
        self.message: Any = None
        self._limits = limits
        self._received_bytes = 0

    def receive_primitive(self, primitive: Any) -> None:
        """Add fragments to the message; abort when it grows beyond its limit, or is two in one."""
        first = primitive.presentation_data_value_list[0][1]
        if self.message is not None and type(self.message) is not DIMSEMessage and first[0] & 1:
            self.discard()  # its command is complete, and here is another one
            self.dul.break_off()
            return
        self._received_bytes += sum(len(data) for _, data in primitive.presentation_data_value_list)
        chunked = self.message is not None and self.message._data_set_file is not None
        if self._received_bytes > (
            self._limits.object_bytes if chunked else self._limits.message_bytes
        ):
            self.discard()
            self.dul.break_off()
            return
        super().receive_primitive(primitive)
        if self.message is None:
            self._received_bytes = 0

    def discard(self) -> None:
        """Remove the temporary file of a C-STORE request that was cut short."""
        message, self.message, self._received_bytes = self.message, None, 0
        if message is not None and message._data_set_file is not None:
            message._data_set_file.close()
            message._data_set_path.unlink(missing_ok=True)


class BoundedDUL(DULServiceProvider):
    """pynetdicom's own reactor; only a PDU that declares too much is refused unread."""

    def __init__(self, assoc: Association, limits: Limits) -> None:
        super().__init__(assoc)
        self.limits = limits
        self.is_broken_off = False
        # A TLS connection is for one thread at a time; sub-operations are sent from another.
        self.turn: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()

    def break_off(self) -> None:
        """Abort at the next turn: what came is no PDU, or not one for now (PS3.8 9.2.2 Evt19)."""
        self.is_broken_off = True
        self.event_queue.put(_INVALID_PDU)

    def run_reactor(self) -> None:
        """Serve the connection until it ends; nothing that goes wrong leaves this thread."""
        connection: socket.socket | None = self.socket.socket
        if isinstance(connection, ssl.SSLSocket):
            self.turn = threading.Lock()
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - the edge: the peer is told, the process lives
            log.warning("an association failed: %s", type(error).__name__)
            self._abort()
        finally:
            if connection is not None:  # an association that was killed leaves it open
                connection.close()

    def _serve(self) -> None:
        super().run_reactor()

    def _abort(self) -> None:
        """Send A-ABORT past the state machine, which is of no more use."""
        pdu = A_ABORT_RQ()
        pdu.source, pdu.reason_diagnostic = 2, 0
        with contextlib.suppress(OSError, AttributeError):
            self.socket.send(pdu.encode())
        self.assoc.is_aborted, self.assoc.is_established = True, False
        self.assoc._kill = self._kill_thread = True

    def _send(self, pdu: Any) -> None:
        with self.turn:
            super()._send(pdu)

    def _read_pdu_data(self) -> None:
        """Read one PDU; a peer that lets us wait for the rest of it is hung up on."""
        is_associated = self.state_machine.current_state == "Sta6"
        patience_s = self.limits.idle_s if is_associated else self.limits.artim_s
        deadline = time.monotonic() + patience_s
        try:
            with self.turn:
                head = self._exactly(_HEADER, deadline)
            length = int.from_bytes(head[2:], "big")
            if not self.may_read(head[0], length):
                self.break_off()
                return
            with self.turn:
                body = self._exactly(length, deadline)
        except OSError:
            self.socket.close()
            return
        self.take(head + body)

    def _exactly(self, count: int, deadline: float) -> bytes:
        sock: socket.socket = self.socket.socket
        data = bytearray()
        try:
            while len(data) < count:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                part = sock.recv(min(count - len(data), _READ_BYTES))
                if not part:
                    raise ConnectionResetError
                data += part
        finally:
            sock.settimeout(None)
        return bytes(data)

    def may_read(self, pdu_type: int, length: int) -> bool:
        """Whether the PDU is of a known type and not longer than the limit."""
        return bytes([pdu_type]) in _PDU_TYPES and length <= self.limits.pdu_bytes

    def take(self, pdu: bytes) -> None:
        """Hand one whole PDU to the library's state machine."""
        try:
            decoded, event = self._decode_pdu(bytearray(pdu))
        except Exception as error:  # noqa: BLE001 - whatever a hostile PDU breaks, the peer is told
            log.warning("a PDU could not be decoded: %s", type(error).__name__)
            self.break_off()
            return
        self._recv_pdu.put(decoded)
        self.event_queue.put(event)


class EventDrivenDUL(BoundedDUL):
    """The reactor without sleeps, with a short way for C-STORE, its data sets and its answers."""

    def __init__(self, assoc: "EventDrivenAssociation", limits: Limits, sink: Sink) -> None:
        super().__init__(assoc, limits)
        self._waker = _Waker()
        self.to_provider_queue = _WakingQueue(self._waker.set)
        self.to_user_queue = _WakingQueue(assoc.wake)
        self._sink = sink
        self._request: StoreRequest | None = None
        self._payload: list[memoryview] = []
        self._view = memoryview(bytearray(limits.pdu_bytes + _HEADER + _SOCKET_SLACK_BYTES))
        self._begin_at = self._have = 0  # what is in it and not taken yet
        self._room = threading.Semaphore(_ENCODED_WAITING)

    def send_encoded(self, pdus: bytes) -> bool:
        """Have whole P-DATA-TF PDUs sent as they are, after all that was handed over before.

        Waits while too many are on their way: a peer that reads slowly slows its own service down.
        False when the association has ended. Not for the reactor's own thread.
        """
        while not self._room.acquire(timeout=_WAIT_MS / 1000):
            if not self.is_alive():
                return False
        if not self.is_alive() or self.assoc._sent_abort or not self.assoc.is_established:
            self._room.release()
            return False
        self.to_provider_queue.put(_Encoded(pdus))
        return True

    def kill_dul(self) -> None:
        """End the reactor at its next turn."""
        self._kill_thread = True
        self._waker.set()

    def stop_dul(self) -> bool:
        """End the reactor if the state machine is idle, and wait for it."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        self.join(self.limits.idle_s)
        return True

    def run_reactor(self) -> None:
        """Serve the connection, and leave nothing behind."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            super().run_reactor()
        finally:
            self._sink.discard()
            self._view = memoryview(b"")
            self._waker.close()
            # A thread that still waits, for A-ASSOCIATE-RQ or for an answer, goes home.
            self.to_user_queue.put(None)
            self.assoc.dimse.msg_queue.put((None, None))

    def _serve(self) -> None:
        sock: socket.socket = self.socket.socket
        sock.settimeout(self.limits.idle_s)  # a peer that stops in mid-record holds us no longer
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        poll.register(self._waker.fd, select.POLLIN)
        while not self._kill_thread:
            self._run_events()
            if not self._is_open():
                return
            if self.artim_timer.expired:
                self.event_queue.put(_ARTIM_EXPIRED)
                continue
            closing = self.state_machine.current_state == "Sta13"
            ready = poll.poll(0 if closing else _WAIT_MS)
            if not ready and closing:  # nothing more to read: PS3.8 AA-2 without the wait
                self.socket.close()
            for fd, _ in ready:
                if fd == self._waker.fd:
                    self._waker.clear()
                elif self.socket.socket is not None:
                    self._read(sock)

    def _run_events(self) -> None:
        """Let the state machine act on what came in and on what the service user wants sent."""
        while not self._kill_thread:
            try:
                event = self.event_queue.get(block=False)
            except queue.Empty:
                if not self._process_recv_primitive():
                    return
                continue
            self.state_machine.do_action(event)

    def _process_recv_primitive(self) -> bool:
        waiting = self.to_provider_queue.queue
        if not waiting or not isinstance(waiting[0], _Encoded):
            return super()._process_recv_primitive()
        encoded = self.to_provider_queue.get(block=False)
        try:
            if self.state_machine.current_state in _MAY_SEND and self._is_open():
                self._send_all(memoryview(encoded.pdus))
        finally:
            self._room.release()
        self._waker.set()  # come back, but look first what the peer says: it may be a C-CANCEL
        return False

    def _send_all(self, view: memoryview) -> None:
        """Send to a peer that may be slow; one that takes nothing for too long is cut off."""
        sock = self.socket.socket
        last = time.monotonic()
        sock.settimeout(_WAIT_MS / 1000)
        try:
            while view:
                try:
                    view = view[sock.send(view) :]
                    last = time.monotonic()
                except TimeoutError:
                    is_late = time.monotonic() - last > self.limits.idle_s
                    if is_late or self._kill_thread or self.assoc._sent_abort:
                        raise
            sock.settimeout(self.limits.idle_s)
        except OSError:
            self.socket.close()
        self._idle_timer.restart()  # it was we who took the time

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                with self.turn:
                    count = sock.recv_into(self._view[self._have :])
            except OSError:
                count = 0
            if count == 0:
                self.socket.close()
                return
            # A sender that leaves Nagle's algorithm on would wait 40 ms for our acknowledgement.
            with contextlib.suppress(OSError, AttributeError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            self._have += count
            self._consume()
            if not (isinstance(sock, ssl.SSLSocket) and self._is_open() and sock.pending()):
                return  # TLS may hold bytes that poll does not know of

    def _is_open(self) -> bool:
        return not self._kill_thread and self.socket.socket is not None

    def _consume(self) -> None:
        """Take the whole PDUs out of the buffer, and make room for the next."""
        view, pos = self._view, self._begin_at
        while self._have - pos >= _HEADER and self._is_open():
            length = int.from_bytes(view[pos + 2 : pos + _HEADER], "big")
            if not self.may_read(view[pos], length):
                self._refuse()
                return
            end = pos + _HEADER + length
            if end > self._have:
                break
            if view[pos] == _P_DATA and self.state_machine.current_state == "Sta6":
                if not self._take_data(pos + _HEADER, end):
                    self._refuse()
                    return
            else:
                self._pass_on(bytes(view[pos:end]))
            pos = end
        self._flush()
        if pos != self._begin_at:  # a PDU that comes byte by byte is no sign of life
            self._idle_timer.restart()
        self._make_room(pos)

    def _make_room(self, pos: int) -> None:
        """Move what is left to the front when the PDU that began, or the next read, needs it."""
        view, rest = self._view, self._have - pos
        length = int.from_bytes(view[pos + 2 : pos + _HEADER], "big") if rest >= _HEADER else 0
        wanted = max(pos + _HEADER + length, self._have + _SOCKET_SLACK_BYTES)
        if rest and wanted > len(view):
            view[:rest] = bytes(view[pos : self._have])
        elif rest:
            self._begin_at = pos
            return
        self._begin_at, self._have = 0, rest

    def _take_data(self, pos: int, end: int) -> bool:
        """Go through the PDVs of one P-DATA-TF (PS3.8 9.3.5, E.2); False when they lie."""
        view = self._view
        while pos < end:
            stop = pos + 4 + int.from_bytes(view[pos : pos + 4], "big")
            if stop < pos + 6 or stop > end:
                return False
            context_id, control, value = view[pos + 4], view[pos + 5], view[pos + 6 : stop]
            request = self._request
            if request is None:
                whole = bytes(value) if control & 3 == 3 else b""  # a command, not a part of one
                if not (self._begin(context_id, whole) or self._answered(context_id, whole)):
                    rest = bytes(view[pos:end])
                    self._pass_on(b"\x04\0" + len(rest).to_bytes(4, "big") + rest)
                    return True
            elif control & 1 or context_id != request.context_id:
                return False  # another message inside a data set
            else:
                self._payload.append(value)
                if control & 2:
                    self._finish(request)
            pos = stop
        return True

    def _begin(self, context_id: int, command: bytes) -> bool:
        """Start the short way; False when the message is none of its business."""
        request = store_request(context_id, command)
        context = self.assoc._accepted_cx.get(context_id)
        if (
            request is None
            or context is None
            or not context.as_scp
            or context.abstract_syntax != request.sop_class_uid
            or self.assoc.dimse.message is not None
        ):
            return False
        self._request = request
        self._sink.begin(request, str(context.transfer_syntax[0]))
        return True

    def _answered(self, context_id: int, command: bytes) -> bool:
        """Hand the answer to a C-STORE of ours to the thread that waits for it, as the library
        would; False when the message is none, or not whole.
        """
        context = self.assoc._accepted_cx.get(context_id)
        if context is None or not context.as_scu or self.assoc.dimse.message is not None:
            return False
        try:
            responded_to, status = store_response(command)
        except ValueError:
            return False
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo, answer.Status = responded_to, status
        self.assoc.dimse.msg_queue.put((context_id, answer))
        self.assoc.wake()  # it takes off the queue what nobody waits for
        return True

    def _flush(self) -> None:
        if self._payload:
            chunks, self._payload = self._payload, []
            self._sink.write(chunks)

    def _finish(self, request: StoreRequest) -> None:
        self._flush()
        self._request = None
        answer = request.response(self._sink.finish())
        self._idle_timer.restart()  # it was we who took the time
        try:
            with self.turn:
                self.socket.socket.sendall(answer)
        except OSError:
            self.socket.close()

    def _refuse(self) -> None:
        """Abort: what came is no PDU, or not one for now (PS3.8 AA-1, AA-7, AA-8)."""
        self._payload = []
        self._begin_at = self._have = 0
        self.break_off()
        self._run_events()

    def _pass_on(self, pdu: bytes) -> None:
        self._flush()
        self.take(pdu)
        self._run_events()
        self.assoc.wake()


class LibraryAssociation(Association):
    """An association on pynetdicom's own path, within our limits."""

    def __init__(
        self, ae: ApplicationEntity, limits: Limits, on_end: Callable[[Association], None]
    ) -> None:
        super().__init__(ae, "acceptor")
        self.is_established: bool
        # Requests that are answered here, by their kind, past the library's service classes.
        self.served: dict[type, Callable[[Association, Any, Any], None]] = {}
        self._on_end = on_end
        self.dimse = BoundedDIMSE(self, limits)
        self.dul = BoundedDUL(self, limits)
        self._start_timers()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Answer what is served here, and a C-STORE that the library would abort over or pass in
        silence; it has the rest.

        The service of a request is that of its presentation context (PS3.7 9.1.1.1.9).
        """
        context, serve = self._accepted_cx.get(context_id), self.served.get(type(msg))
        if serve is not None and context is not None and _is_request(msg):
            self.dimse.cancel_req = {}
            self._is_paused = True
            serve(self, msg, context)
            self._is_paused = False
            self.dimse.cancel_req = {}
            return
        if isinstance(msg, C_STORE) and context is not None and msg.MessageID is not None:
            msg.Priority = 0 if msg.Priority is None else msg.Priority  # nothing depends on it
            if msg._dataset_path is None:
                self._refuse_store(msg, context_id, statuses.MISTYPED)
                return
            if msg.AffectedSOPClassUID != context.abstract_syntax:
                self._refuse_store(msg, context_id, statuses.CLASS_NOT_SUPPORTED)
                return
        super()._serve_request(msg, context_id)

    def _refuse_store(self, msg: Any, context_id: int, status: Status) -> None:
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = msg.MessageID
        answer.AffectedSOPClassUID = msg.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = msg.AffectedSOPInstanceUID
        answer.Status, answer.ErrorComment = int(status), status.comment
        if msg._dataset_file is not None:
            msg._dataset_file.close()
            msg._dataset_path.unlink(missing_ok=True)
        log.warning("C-STORE from %s refused: 0x%04X", self.requestor.ae_title, status)
        self.dimse.send_msg(answer, context_id)

    def _start_timers(self) -> None:
        # The base class gave its time-outs to a service provider that has been replaced since.
        self.acse_timeout, self.network_timeout = self.ae.acse_timeout, self.ae.network_timeout

    def run_reactor(self) -> None:
        """Run the association to its end, and say so."""
        try:
            super().run_reactor()
        finally:
            self.dimse.discard()
            self._on_end(self)


class EventDrivenAssociation(LibraryAssociation):
    """An association on the event-driven receiver."""

    def __init__(
        self,
        ae: ApplicationEntity,
        limits: Limits,
        on_end: Callable[[Association], None],
        sink_of: Callable[[Association], Sink],
    ) -> None:
        self._woken = threading.Event()
        super().__init__(ae, limits, on_end)
        self.dul = EventDrivenDUL(self, limits, sink_of(self))
        self._start_timers()

    def wake(self) -> None:
        """Let the association's thread look what there is to do."""
        self._woken.set()

    def send_encoded(self, pdus: bytes) -> bool:
        """Send whole P-DATA-TF PDUs; see `EventDrivenDUL.send_encoded`."""
        return self.dul.send_encoded(pdus)

    def _run_reactor(self) -> None:
        """As pynetdicom's, but woken by an event in place of a sleep of 1 ms."""
        self._is_paused = False
        while not self._kill:
            self._woken.wait(_WAIT_MS / 1000)
            self._woken.clear()
            self._is_paused = True
            self._reactor_checkpoint.wait()
            self._is_paused = False
            while (message := self.dimse.get_msg(block=False))[1]:
                self._serve_request(message[1], message[0])
            if self._has_ended():
                self.kill()
                return

    def _has_ended(self) -> bool:
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        if self.dul.idle_timer_expired():
            self.abort()
            return True
        return not self.dul.is_alive()


def _is_request(message: Any) -> bool:
    """Whether to answer a message, also one that lacks what the library would wait for."""
    return message.MessageID is not None and message.MessageIDBeingRespondedTo is None


def quiet_libraries() -> None:
    """Keep identifiers out of the log, and data sets of the library's path out of memory."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.STORE_RECV_CHUNKED_DATASET = True
    # A wildcard breaks the rules of some VRs, and the warning would quote the value.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    # Their messages quote what the peer sent; ours name the type of the error.
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
