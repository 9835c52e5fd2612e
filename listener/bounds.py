"""pynetdicom's own reactor and message assembly, within limits.

A peer's declared PDU length is believed by the library whatever it says, and a message may grow
without end. Here what is longer than the limits is refused before it is read.
"""

import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ

from listener.limits import Limits

log = logging.getLogger(__name__)

HEADER = 6  # bytes of a PDU before its value, PS3.8 9.3.1
_READ_BYTES = 1 << 16
_INVALID_PDU = "Evt19"  # PS3.8 9.2.2
_ASSOCIATE_RQ = 1  # its titles, called and calling, are bytes 11 to 42 (PS3.8 Table 9-11)
_TITLE_BYTES = 16
_NOT_YET_ACCEPTED = frozenset({"Sta1", "Sta2", "Sta3"})  # PS3.8 9.2.1
_BACKSLASH, _QUESTION_MARK = b"\\?"


class BoundedDIMSE(DIMSEServiceProvider):
    """Messages assembled by the library, but never longer or more than the limits allow."""

    def __init__(self, assoc: Association, limits: Limits) -> None:
        super().__init__(assoc)
        self.message: Any = None
        self._limits = limits
        self._received_bytes = 0

    def receive_primitive(self, primitive: Any) -> None:
        """Add fragments to the message; abort when it grows beyond its limit, or is two in one.

        Abort also when too many wait for their answer: all of them are in memory.
        """
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
            if self.msg_queue.qsize() > self._limits.messages_waiting:
                self.dul.break_off()

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
            self.let_go()

    def let_go(self) -> None:
        """The connection is over: a thread that still waits for A-ASSOCIATE-RQ goes home."""
        self.to_user_queue.put(None)

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
                head = self._exactly(HEADER, deadline)
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
        """Whether the PDU is of a known type and not longer than the limit.

        Before an association is accepted that is a shorter one: nobody knows yet who sends.
        """
        is_early = self.state_machine.current_state in _NOT_YET_ACCEPTED
        longest = self.limits.request_pdu_bytes if is_early else self.limits.pdu_bytes
        return bytes([pdu_type]) in _PDU_TYPES and length <= longest

    def take(self, pdu: bytes) -> None:
        """Hand one whole PDU to the library's state machine."""
        if pdu[0] == _ASSOCIATE_RQ:
            pdu = b"".join((pdu[:10], *map(_title, (pdu[10:26], pdu[26:42])), pdu[42:]))
        try:
            decoded, event = self._decode_pdu(bytearray(pdu))
        except Exception as error:  # noqa: BLE001 - whatever a hostile PDU breaks, the peer is told
            log.warning("a PDU could not be decoded: %s", type(error).__name__)
            self.break_off()
            return
        self._recv_pdu.put(decoded)
        self.event_queue.put(event)


def _title(raw: bytes) -> bytes:
    """Return an AE title as the library takes it, so that one it would abort over is answered.

    Some devices pad with zeros. What no title may hold becomes a question mark, as does a title of
    blanks: nobody is known by it.
    """
    text = raw.partition(b"\0")[0].strip()
    tidy = bytes(c if 0x20 <= c < 0x7F and c != _BACKSLASH else _QUESTION_MARK for c in text)
    return (tidy or b"?").ljust(_TITLE_BYTES) if len(raw) == _TITLE_BYTES else raw
