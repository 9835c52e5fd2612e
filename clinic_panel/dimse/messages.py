"""Command set and PDUs of an outgoing C-STORE, as bytes (PS3.7 9.3.1, PS3.8 9.3.5).

They are composed for every image, so no element objects are built.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

LEAST_PDU_BYTES: Final = 128  # a peer that takes less in one PDU is not worth talking to
MOST_PDU_BYTES: Final = 1 << 18  # one that names no limit gets this much
_P_DATA_TF: Final = 4
_PDV_HEAD_BYTES: Final = 6  # length, context, control: within what the peer's maximum counts
_COMMAND, _LAST = 1, 2  # bits of the message control header (PS3.8 E.2)
_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001
_WITH_DATA_SET, _NO_DATA_SET = 0x0001, 0x0101
_element = struct.Struct("<HHL")
_pdu = struct.Struct(">BBLLBB")


@dataclass(frozen=True, slots=True)
class StoreOperation:
    """What one C-STORE-RQ says beside its data set.

    ``move_originator`` is AE title and Message ID of the C-MOVE that it is part of.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    priority: int = 0
    move_originator: tuple[str, int] | None = None

    def command(self) -> bytes:
        """Return the command set (Implicit VR Little Endian, PS3.7 6.3.1)."""
        body = _uid(0x0002, self.sop_class_uid)
        body += _short(0x0100, _C_STORE_RQ) + _short(0x0110, self.message_id)
        body += _short(0x0700, self.priority) + _short(0x0800, _WITH_DATA_SET)
        body += _uid(0x1000, self.sop_instance_uid)
        if self.move_originator is not None:
            ae_title, message_id = self.move_originator
            title = ae_title.encode("ascii", "replace")
            body += _value(0x1030, title + b" " * (len(title) % 2)) + _short(0x1031, message_id)
        return _value(0x0000, struct.pack("<L", len(body))) + body


def fragment_bytes(maximum_length: int | None) -> int:
    """Return how much of a data set fits one PDU: an even number, as every fragment must be.

    Parameters
    ----------
    maximum_length
        As the peer gave it (PS3.8 D.1); 0 or None is without limit.

    Raises
    ------
    ValueError
        The peer takes too little.
    """
    most = min(maximum_length or MOST_PDU_BYTES, MOST_PDU_BYTES)
    if most < LEAST_PDU_BYTES:
        raise ValueError("the peer's maximum PDU length is too small")
    return (most - _PDV_HEAD_BYTES) // 2 * 2


def command_pdus(context_id: int, command: bytes, fragment: int) -> bytes:
    """Return a command set as PDUs, each with one fragment of at most that size."""
    parts = [command[at : at + fragment] for at in range(0, len(command), fragment)]
    last = len(parts) - 1
    return b"".join(
        data_head(context_id, len(part), is_last=n == last, control=_COMMAND) + part
        for n, part in enumerate(parts)
    )


def data_head(context_id: int, length: int, *, is_last: bool, control: int = 0) -> bytes:
    """Return what comes before a fragment of that length: heads of its PDU and its PDV."""
    control |= _LAST if is_last else 0
    return _pdu.pack(
        _P_DATA_TF, 0, length + _PDV_HEAD_BYTES, length + _PDV_HEAD_BYTES - 4, context_id, control
    )


class StoreAnswer:
    """Puts the fragments of one C-STORE-RSP together."""

    def __init__(self, message_id: int) -> None:
        self._message_id = message_id
        self._command = bytearray()

    def take(self, pdu_body: bytes) -> int | None:
        """Take the body of a P-DATA-TF; return the status once the answer is complete.

        Raises
        ------
        ValueError
            It is no answer to this request.
        """
        at, end, status = 0, len(pdu_body), None
        while at < end:
            stop = at + 4 + int.from_bytes(pdu_body[at : at + 4], "big")
            if stop < at + _PDV_HEAD_BYTES or stop > end or status is not None:
                raise ValueError("this is no PDV of an answer")
            control = pdu_body[at + 5]
            if not control & _COMMAND:
                raise ValueError("an answer to C-STORE has no data set")
            self._command += pdu_body[at + _PDV_HEAD_BYTES : stop]
            if len(self._command) > MOST_PDU_BYTES:
                raise ValueError("this command set has no end")
            if control & _LAST:
                status = store_status(bytes(self._command), self._message_id)
            at = stop
        return status


def store_status(command: bytes, message_id: int) -> int:
    """Return the status of a C-STORE-RSP.

    Raises
    ------
    ValueError
        It is none, or one to another request.
    """
    responded_to, status = store_response(command)
    if responded_to != message_id:
        raise ValueError("this is the answer to another C-STORE")
    return status


def store_response(command: bytes) -> tuple[int, int]:
    """Return the Message ID that a C-STORE-RSP responds to, and its status.

    Raises
    ------
    ValueError
        It is none.
    """
    found = _elements(command)
    responded_to, status = found.get(0x0120, b""), found.get(0x0900, b"")
    if (
        found.get(0x0100) != struct.pack("<H", _C_STORE_RSP)
        or found.get(0x0800) != struct.pack("<H", _NO_DATA_SET)
        or len(responded_to) != 2
        or len(status) != 2
    ):
        raise ValueError("this is no answer to a C-STORE")
    return int.from_bytes(responded_to, "little"), int.from_bytes(status, "little")


def _elements(command: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at, end = 0, len(command)
    while at < end:
        if at + _element.size > end:
            raise ValueError("the command set is cut short")
        group, number, length = _element.unpack_from(command, at)
        at += _element.size
        if group != 0 or at + length > end:
            raise ValueError("this is no command set")
        found[number] = command[at : at + length]
        at += length
    return found


def _value(number: int, value: bytes) -> bytes:
    return _element.pack(0, number, len(value)) + value


def _short(number: int, value: int) -> bytes:
    return _value(number, struct.pack("<H", value))


def _uid(number: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    return _value(number, value + b"\0" * (len(value) % 2))
