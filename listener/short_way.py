"""The short way of C-STORE: from the receive buffer to the sink, without building anything.

The data sets of C-STORE requests go to a `Sink` as they arrive, and the answers to what a C-GET
sends are read from their bytes. Every other PDU and message takes the library's own way.
"""

import contextlib
import os
import socket
import ssl
from collections.abc import Callable

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from clinic_panel.dimse.messages import store_response
from listener.bounds import HEADER
from listener.commands import StoreRequest, store_request
from listener.limits import Limits
from listener.reactor import Reactor
from listener.sink import Sink

_SOCKET_SLACK_BYTES = 1 << 16
_P_DATA = 4


class EventDrivenDUL(Reactor):
    """The reactor with a short way for C-STORE, its data sets and its answers."""

    def __init__(
        self, assoc: Association, limits: Limits, sink: Sink, wake: Callable[[], None]
    ) -> None:
        super().__init__(assoc, limits, wake)
        self._wake = wake
        self._sink = sink
        self._request: StoreRequest | None = None
        self._payload: list[memoryview] = []
        self._view = memoryview(bytearray(limits.pdu_bytes + HEADER + _SOCKET_SLACK_BYTES))
        self._begin_at = self._have = 0  # what is in it and not taken yet

    def forget(self) -> None:
        """Remove what is incomplete."""
        self._sink.discard()
        self._view = memoryview(b"")

    def read(self, sock: socket.socket) -> None:
        """Read into the buffer, and take the whole PDUs out of it."""
        tls = sock if isinstance(sock, ssl.SSLSocket) else None
        while True:
            room = self._view[self._have :]
            try:
                if tls:
                    with self.turn:
                        count = tls.recv_into(room)
                else:  # past the socket's time-out, which polls once more before it reads
                    count = os.readv(sock.fileno(), [room])
            except BlockingIOError:
                return
            except OSError:
                count = 0
            if count == 0:
                self.socket.close()
                return
            self._have += count
            self._consume()
            if self._request is not None or self._begin_at != self._have:
                self._acknowledge(sock)
            if not (tls and self.is_open() and tls.pending()):
                return  # TLS may hold bytes that poll does not know of

    def _acknowledge(self, sock: socket.socket) -> None:
        """Spare a sender that leaves Nagle's algorithm on the 40 ms until TCP would acknowledge."""
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _consume(self) -> None:
        """Take the whole PDUs out of the buffer, and make room for the next."""
        view, pos = self._view, self._begin_at
        while self._have - pos >= HEADER and self.is_open():
            length = int.from_bytes(view[pos + 2 : pos + HEADER], "big")
            if not self.may_read(view[pos], length):
                self._refuse()
                return
            end = pos + HEADER + length
            if end > self._have:
                break
            if view[pos] == _P_DATA and self.state_machine.current_state == "Sta6":
                if not self._take_data(pos + HEADER, end):
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
        length = int.from_bytes(view[pos + 2 : pos + HEADER], "big") if rest >= HEADER else 0
        wanted = max(pos + HEADER + length, self._have + _SOCKET_SLACK_BYTES)
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
        self._wake()  # it takes off the queue what nobody waits for
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
            self._answer(self.socket.socket, answer)
        except OSError:
            self.socket.close()

    def _answer(self, sock: socket.socket, answer: bytes) -> None:
        if not isinstance(sock, ssl.SSLSocket):  # past the time-out, as in `read`
            with contextlib.suppress(BlockingIOError):
                answer = answer[os.write(sock.fileno(), answer) :]
        if answer:
            with self.turn:
                sock.sendall(answer)

    def _refuse(self) -> None:
        """Abort: what came is no PDU, or not one for now (PS3.8 AA-1, AA-7, AA-8)."""
        self._payload = []
        self._begin_at = self._have = 0
        self.break_off()
        self.run_events()

    def _pass_on(self, pdu: bytes) -> None:
        self._flush()
        self.take(pdu)
        self.run_events()
        self._wake()
