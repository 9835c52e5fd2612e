"""An association of our own for C-STORE: pynetdicom negotiates it, then the socket is ours.

Once it is established the library's two threads are ended, because both poll and one of them would
read the answers. What is left to say is an abort or a release.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clinic_panel.dimse.messages import MOST_PDU_BYTES, StoreAnswer
from clinic_panel.dimse.model import Caller, Remote
from clinic_panel.dimse.store import LinkLost, send_all
from clinic_panel.errors import PeerUnavailable
from clinic_panel.incoming import Buffer

ANSWER_S: Final = 60
RELEASE_S: Final = 5
MOST_CONTEXTS: Final = 128  # PS3.8 9.3.2.2: odd numbers of one byte
_TICK_S: Final = 1.0
_P_DATA, _RELEASE_RQ, _RELEASE_RP = 4, 5, 6
_ESTABLISHED: Final = "Sta6"  # PS3.8 9.2.1


@dataclass(frozen=True, slots=True)
class Agreed:
    """One accepted presentation context in which we may send."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str


class OutgoingLink:
    """The connection of an association that we asked for."""

    def __init__(
        self, association: Any, on_wait: Callable[[], None], *, answer_s: float = ANSWER_S
    ) -> None:
        """Take the connection over from the library.

        Parameters
        ----------
        on_wait
            Called about once a second while the peer keeps us waiting; what it raises goes on.

        Raises
        ------
        PeerUnavailable
            The association ended while it was taken over.
        """
        self.contexts = tuple(
            Agreed(
                context.context_id, str(context.abstract_syntax), str(context.transfer_syntax[0])
            )
            for context in association.accepted_contexts
            if context.as_scu
        )
        self.maximum_length: int | None = association.acceptor.maximum_length
        self._on_wait, self._answer_s = on_wait, answer_s
        association.dul.kill_dul()
        association._kill = True
        association._reactor_checkpoint.set()
        association.dul.join()
        association.join()
        connection: socket.socket | None = association.dul.socket.socket
        if connection is None or association.dul.state_machine.current_state != _ESTABLISHED:
            if connection is not None:
                connection.close()
            raise PeerUnavailable
        self._socket = connection
        if isinstance(connection, ssl.SSLSocket):  # its records are not what poll sees
            connection.settimeout(answer_s)
        else:
            connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll = select.poll()

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send all of them."""
        until = time.monotonic() + self._answer_s
        send_all(self._socket, buffers, lambda: self._wait(select.POLLOUT, until))

    def answer(self, message_id: int) -> int:
        """Wait for the C-STORE-RSP and return its status."""
        answer, until = StoreAnswer(message_id), time.monotonic() + self._answer_s
        while True:
            kind, body = self._pdu(until)
            if kind != _P_DATA:
                raise LinkLost("the peer ended the association")
            status = answer.take(body)
            if status is not None:
                return status

    def release(self) -> None:
        """End the association in order (PS3.8 7.2); harmless when it is gone."""
        with contextlib.suppress(OSError):
            self.write([bytes([_RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0])])
            self._on_wait = lambda: None
            until = time.monotonic() + RELEASE_S
            while self._pdu(until)[0] not in (_RELEASE_RP, 7):
                pass
        self._socket.close()

    def abort(self) -> None:
        """Break the association off (PS3.8 7.3)."""
        with contextlib.suppress(OSError):
            self._socket.send(bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
        self._socket.close()

    def _pdu(self, until: float) -> tuple[int, bytes]:
        head = self._exactly(6, until)
        length = int.from_bytes(head[2:], "big")
        if length > MOST_PDU_BYTES:
            raise LinkLost("the peer sends more than an answer")
        return head[0], self._exactly(length, until)

    def _exactly(self, count: int, until: float) -> bytes:
        data = b""
        while len(data) < count:
            try:
                part = self._socket.recv(count - len(data))
            except BlockingIOError:
                self._wait(select.POLLIN, until)
                continue
            if not part:
                raise LinkLost("the peer closed the connection")
            data += part
        # A peer that leaves Nagle's algorithm on answers in pieces and waits for us to say so.
        with contextlib.suppress(OSError, AttributeError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def _wait(self, event: int, until: float) -> None:
        self._poll.register(self._socket, event)
        while not self._poll.poll(_TICK_S * 1000):
            if time.monotonic() > until:
                raise LinkLost("the peer does not answer")
            self._on_wait()


@contextlib.contextmanager
def associated(
    caller: Caller,
    remote: Remote,
    proposed: Sequence[tuple[str, Sequence[str]]],
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[OutgoingLink]:
    """Ask for an association to store, and release it at the end; an error inside aborts it.

    Parameters
    ----------
    proposed
        SOP Class UID and transfer syntaxes of each presentation context, 128 at most.

    Raises
    ------
    PeerUnavailable
        There is no association.
    """
    # Those who only name what is sent, as the web process does, need no DICOM library.
    from clinic_panel.dimse.association import Proposal, opened

    contexts = [Proposal(sop_class, syntaxes) for sop_class, syntaxes in proposed]
    link = OutgoingLink(opened(caller, remote, contexts), on_wait)
    try:
        yield link
    except BaseException:
        link.abort()
        raise
    link.release()
