"""C-FIND responses as P-DATA-TF PDUs (PS3.7 9.3.2.2, PS3.8 9.3.5), without objects."""

import struct
from collections.abc import Iterable, Iterator

from pydicom.datadict import tag_for_keyword

_C_FIND_RSP = 0x8020
_DATA_SET, _NO_DATA_SET = 0x0001, 0x0101
_P_DATA_TF = 4
_COMMAND, _LAST = 1, 2  # message control header, PS3.8 E.2
_LONGEST = 1 << 17  # of one PDU, whatever the peer could take
_SHORTEST = 128  # a peer that takes less is not believed
_BATCH_BYTES = 1 << 16  # sent at once; between batches a C-CANCEL is heard
_element = struct.Struct("<HHL")
_head = struct.Struct(">BBLLBB")
_OVERHEAD = 6  # of a PDV within its PDU
_COMMENT_BYTES = 64  # LO, PS3.5 6.2


class FindResponses:
    """Turns identifiers and a final status into the PDUs of one request's responses."""

    def __init__(
        self, context_id: int, message_id: int, sop_class_uid: str, *, peer_pdu_bytes: int
    ) -> None:
        """Prepare for one request.

        Parameters
        ----------
        peer_pdu_bytes
            Maximum length the peer receives (PS3.8 D.1); 0: it does not care.
        """
        self._context_id = context_id
        self._message_id = message_id
        self._sop_class = sop_class_uid.encode("ascii")
        self._sop_class += b"\0" * (len(self._sop_class) % 2)
        self._room = max(_SHORTEST, min(peer_pdu_bytes or _LONGEST, _LONGEST)) - _OVERHEAD

    def batches(self, status: int, identifiers: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Return how many answers a batch of whole PDUs holds, and the batch."""
        command = self._pdus(_COMMAND, self._command(status))
        gathered: list[bytes] = []
        size = count = 0
        for identifier in identifiers:
            data = self._pdus(0, identifier)
            gathered += (command, data)
            size += len(command) + len(data)
            count += 1
            if size >= _BATCH_BYTES:
                yield count, b"".join(gathered)
                gathered, size, count = [], 0, 0
        if gathered:
            yield count, b"".join(gathered)

    def final(self, status: int, comment: str = "", keyword: str = "") -> bytes:
        """Return the response that ends the answers.

        Parameters
        ----------
        comment
            Error Comment; what is longer than its VR allows is cut.
        keyword
            Offending Element.
        """
        said = b""
        if keyword and (tag := tag_for_keyword(keyword)) is not None:
            said += _value(0x0901, struct.pack("<HH", tag >> 16, tag & 0xFFFF))
        if comment:
            text = comment.encode("ascii", "replace")[:_COMMENT_BYTES]
            said += _value(0x0902, text + b" " * (len(text) % 2))
        return self._pdus(_COMMAND, self._command(status, _NO_DATA_SET, said))

    def _command(self, status: int, data_set: int = _DATA_SET, said: bytes = b"") -> bytes:
        body = _value(0x0002, self._sop_class)
        for number, value in (
            (0x0100, _C_FIND_RSP),
            (0x0120, self._message_id),
            (0x0800, data_set),
            (0x0900, status),
        ):
            body += _value(number, struct.pack("<H", value))
        body += said
        return _value(0x0000, struct.pack("<L", len(body))) + body

    def _pdus(self, kind: int, value: bytes) -> bytes:
        room, length = self._room, len(value)
        if length <= room:
            return self._pdu(kind | _LAST, value)
        return b"".join(
            self._pdu(kind | (_LAST if at + room >= length else 0), value[at : at + room])
            for at in range(0, length, room)
        )

    def _pdu(self, control: int, value: bytes) -> bytes:
        size = len(value)
        return _head.pack(_P_DATA_TF, 0, size + 6, size + 2, self._context_id, control) + value


def _value(number: int, value: bytes) -> bytes:
    return _element.pack(0, number, len(value)) + value
