"""A C-FIND client that costs next to nothing: one association, PDUs written and read as bytes.

Time is taken from the request to its final response, so that neither the start of a program nor the
building of data sets is measured with the server.
"""

import socket
import struct
import time
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Self

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

_PDU = struct.Struct(">BxL")
_PDV = struct.Struct(">LBB")
_ELEMENT = struct.Struct("<HHL")
_P_DATA = 4
_PDU_BYTES = 131072


@dataclass(frozen=True)
class Answered:
    """How long the answers of one query took, how many came, and the final status."""

    seconds: float
    answers: int
    status: int


class FindClient:
    """One association with one presentation context, in Implicit VR Little Endian."""

    def __init__(self, port: int, sop_class_uid: str, called: str = "BENCH") -> None:
        self.sop_class_uid = sop_class_uid
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._associate(called)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.sendall(_PDU.pack(5, 4) + bytes(4))  # A-RELEASE-RQ
        self.socket.close()

    def _associate(self, called: str) -> None:
        def item(kind: int, value: bytes) -> bytes:
            return struct.pack(">BxH", kind, len(value)) + value

        context = bytes([1, 0, 0, 0]) + item(0x30, self.sop_class_uid.encode())
        context += item(0x40, str(ImplicitVRLittleEndian).encode())
        user = item(0x51, struct.pack(">L", _PDU_BYTES)) + item(0x52, b"1.2.3.4")
        body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), b"ASKER".ljust(16))
        body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
        self.socket.sendall(_PDU.pack(1, len(body)) + body)
        if self._next()[0] != 2:
            raise ConnectionError("the association was not accepted")

    def request(self, identifier: Dataset) -> bytes:
        """Return the PDUs of a request: its command set and its identifier."""
        command = b""
        for number, value in (
            (0x0002, self.sop_class_uid.encode() + b"\0" * (len(self.sop_class_uid) % 2)),
            (0x0100, struct.pack("<H", 0x0020)),
            (0x0110, struct.pack("<H", 1)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
        ):
            command += _ELEMENT.pack(0, number, len(value)) + value
        command = _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(command)) + command
        data = encode(identifier, True, True)
        assert data is not None
        pdus = b""
        for control, value in ((3, command), (2, data)):
            pdv = _PDV.pack(len(value) + 2, 1, control) + value
            pdus += _PDU.pack(_P_DATA, len(pdv)) + pdv
        return pdus

    def ask(self, request: bytes) -> Answered:
        """Send a request and take its answers."""
        began = time.perf_counter()
        self.socket.sendall(request)
        answers = 0
        while True:
            kind, body = self._next()
            if kind != _P_DATA:
                raise ConnectionError(f"PDU {kind} in place of an answer")
            pos = 0
            while pos < len(body):
                length, _, control = _PDV.unpack_from(body, pos)
                if control & 1:
                    status = _status(body[pos + 6 : pos + 4 + length])
                    if status not in (0xFF00, 0xFF01):
                        return Answered(time.perf_counter() - began, answers, status)
                    answers += 1
                pos += 4 + length

    def _next(self) -> tuple[int, bytes]:
        while len(self._buffer) < 6:
            self._receive()
        kind, length = _PDU.unpack_from(self._buffer)
        while len(self._buffer) < 6 + length:
            self._receive()
        body = bytes(self._buffer[6 : 6 + length])
        del self._buffer[: 6 + length]
        return kind, body

    def _receive(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the connection was closed")
        self._buffer += data


def _status(command: bytes) -> int:
    stream = BytesIO(command)
    while head := stream.read(8):
        _, number, length = _ELEMENT.unpack(head)
        value = stream.read(length)
        if number == 0x0900:
            return int.from_bytes(value, "little")
    raise ValueError("a response without a status")
