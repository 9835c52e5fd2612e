"""C-STORE as fast as the other side takes it: file to socket, nothing decoded, nothing polled.

pynetdicom negotiates, and knows what was agreed; its own way of sending builds an object for every
fragment and sleeps until the answer is looked for. Here a data set goes from the file into one
reused buffer, and from there to the socket together with the heads of its PDUs.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

from clinic_panel.archive import data_set_offset
from clinic_panel.dimse.messages import (
    StoreOperation,
    command_pdus,
    data_head,
    fragment_bytes,
)
from clinic_panel.errors import ClinicError, NotUnderstood
from clinic_panel.incoming import Buffer

BLOCK_BYTES: Final = 1 << 20  # read and sent at once; what an object costs in memory
IOV_MAX: Final = 512  # buffers a sendmsg takes; Linux allows 1024
_HEAD_BYTES: Final = 4096  # file meta information is in it
_LONG_HEAD_BYTES: Final = 1 << 20


class LinkLost(ConnectionError):
    """The association cannot be used any more: it broke, or an object broke off on it."""


class Payload(Protocol):
    """A data set to send, read once from its beginning to its end."""

    @property
    def size_bytes(self) -> int:
        """Size of the whole data set."""

    def readinto(self, view: memoryview) -> int:
        """Fill the view from its front; return how much was, 0 at the end."""

    def close(self) -> None:
        """Let go of what is open."""


class Link(Protocol):
    """An established association, as far as sending needs it."""

    @property
    def maximum_length(self) -> int | None:
        """The longest PDU the peer takes."""

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send all of them; raises `OSError` when that cannot be."""

    def answer(self, message_id: int) -> int:
        """Wait for the C-STORE-RSP and return its status; raises `OSError` when none comes."""


class FilePayload:
    """The data set of a file in the archive, byte for byte.

    Raises
    ------
    NotUnderstood, OSError
        The file is gone or no longer begins as it must; nothing was sent.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        try:
            start = self._start()
            self.size_bytes = os.fstat(self._fd).st_size - start
            if self.size_bytes <= 0:
                raise NotUnderstood
        except BaseException:
            self.close()
            raise
        os.lseek(self._fd, start, os.SEEK_SET)

    def _start(self) -> int:
        try:
            return data_set_offset(memoryview(os.pread(self._fd, _HEAD_BYTES, 0)))
        except NotUnderstood:
            return data_set_offset(memoryview(os.pread(self._fd, _LONG_HEAD_BYTES, 0)))

    def readinto(self, view: memoryview) -> int:
        """Read on."""
        return os.readv(self._fd, [view])

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class StoreSender:
    """Sends objects over one association, one after the other."""

    def __init__(self, link: Link, *, move_originator: tuple[str, int] | None = None) -> None:
        """Prepare to send.

        Parameters
        ----------
        move_originator
            AE title and Message ID of the C-MOVE that the objects are sent for.

        Raises
        ------
        LinkLost
            The peer takes too little at once.
        """
        self._link = link
        try:
            self._fragment = fragment_bytes(link.maximum_length)
        except ValueError:
            raise LinkLost("the peer takes too little at once") from None
        self._view = memoryview(bytearray(max(BLOCK_BYTES // self._fragment, 1) * self._fragment))
        self._move_originator = move_originator
        self._message_id = 0

    def send(
        self,
        context_id: int,
        uids: tuple[str, str],
        payload: Payload,
        *,
        priority: int = 0,
        each_block: Callable[[], None] = lambda: None,
    ) -> int:
        """Send one object and wait for the answer.

        Parameters
        ----------
        context_id
            Of an accepted presentation context in whose transfer syntax the payload is.
        uids
            SOP Class and SOP Instance UID.
        payload
            Closed at the end, whatever that is.
        each_block
            Called while a long object is under way.

        Returns
        -------
        int
            The DIMSE status of the answer.

        Raises
        ------
        LinkLost
            There is no answer, and there will be none to anything else.
        """
        self._message_id = self._message_id % 0xFFFF + 1
        operation = StoreOperation(self._message_id, *uids, priority, self._move_originator)
        head = command_pdus(context_id, operation.command(), self._fragment)
        with closing(payload):
            try:
                self._stream(context_id, head, payload, each_block)
                return self._link.answer(self._message_id)
            except LinkLost:
                raise
            # What came is no answer, or a frame in the middle of the object cannot be decoded.
            except (OSError, ValueError, ClinicError) as error:
                raise LinkLost(type(error).__name__) from None

    def _stream(
        self, context_id: int, head: bytes, payload: Payload, each_block: Callable[[], None]
    ) -> None:
        left, fragment, view = payload.size_bytes, self._fragment, self._view
        while left:
            block = view[: min(left, len(view))]
            _fill(block, payload)
            left -= len(block)
            buffers: list[Buffer] = [head] if head else []
            head = b""
            for at in range(0, len(block), fragment):
                part = block[at : at + fragment]
                is_last = not left and at + len(part) == len(block)
                buffers += [data_head(context_id, len(part), is_last=is_last), part]
            self._link.write(buffers)
            if left:
                each_block()


def _fill(view: memoryview, payload: Payload) -> None:
    at = 0
    while at < len(view):
        count = payload.readinto(view[at:])
        if not count:
            raise LinkLost("an object ends too early")
        at += count


def send_all(sock: socket.socket, buffers: Sequence[Buffer], wait: Callable[[], None]) -> None:
    """Write buffers to a socket without joining them.

    Parameters
    ----------
    wait
        Called when the socket takes nothing now; returns once it may, or raises.
    """
    if isinstance(sock, ssl.SSLSocket):
        sock.sendall(b"".join(buffers))
        return
    left = list(buffers)
    while left:
        try:
            sent = sock.sendmsg(left[:IOV_MAX], [], socket.MSG_DONTWAIT)
        except (BlockingIOError, TimeoutError):
            wait()
            continue
        done = 0
        while done < len(left) and sent >= len(left[done]):
            sent -= len(left[done])
            done += 1
        del left[:done]
        if sent:
            left[0] = memoryview(left[0])[sent:]
