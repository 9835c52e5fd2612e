"""The C-STORE command set and the head of a DICOM file, as bytes (PS3.7 9.3.1, PS3.10 7.1).

Both are written for every image, so they are composed here without building element objects.
"""

import functools
import struct
from dataclasses import dataclass

from clinic_panel.archive import PREAMBLE
from listener.statuses import Status

# A UUID-derived UID of this program (PS3.5 B.2); it names no site and no patient.
IMPLEMENTATION_CLASS_UID = "2.25.284139472860131947182360571906329571208"
IMPLEMENTATION_VERSION_NAME = "CLINIC_PANEL_1"

_C_STORE_RQ = 0x0001
_C_STORE_RSP = 0x8001
_NO_DATA_SET = 0x0101
_LAST_COMMAND_FRAGMENT = 3  # PS3.8 E.2
_P_DATA_TF = 4
_MAX_UID_BYTES = 64

_SOP_CLASS, _COMMAND, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_DATA_SET_TYPE, _STATUS, _ERROR_COMMENT, _SOP_INSTANCE = 0x0800, 0x0900, 0x0902, 0x1000
_element = struct.Struct("<HHL")


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What one C-STORE-RQ announces; UIDs as sent, with their padding."""

    context_id: int
    message_id: int
    sop_class: bytes
    sop_instance: bytes

    @property
    def sop_class_uid(self) -> str:
        """Affected SOP Class UID."""
        return _text(self.sop_class)

    @property
    def sop_instance_uid(self) -> str:
        """Affected SOP Instance UID; whatever the peer wrote, so never a path or a log line."""
        return _text(self.sop_instance)

    def response(self, status: int) -> bytes:
        """Return the whole P-DATA-TF PDU of the C-STORE-RSP with this status and its comment."""
        body = (
            _short(_RESPONDED_TO, self.message_id)
            + _short(_DATA_SET_TYPE, _NO_DATA_SET)
            + _short(_STATUS, status)
        )
        if isinstance(status, Status) and status.comment:
            comment = status.comment.encode("ascii", "replace")
            body += _value(_ERROR_COMMENT, comment + b" " * (len(comment) % 2))
        body += _value(_SOP_INSTANCE, self.sop_instance)
        body = _value(_SOP_CLASS, self.sop_class) + _short(_COMMAND, _C_STORE_RSP) + body
        command = _value(0x0000, struct.pack("<L", len(body))) + body
        pdv = struct.pack(">LBB", len(command) + 2, self.context_id, _LAST_COMMAND_FRAGMENT)
        return struct.pack(">BBL", _P_DATA_TF, 0, len(pdv) + len(command)) + pdv + command


def store_request(context_id: int, command: bytes) -> StoreRequest | None:
    """Read a command set (Implicit VR Little Endian, PS3.7 6.3.1).

    Returns
    -------
    StoreRequest or None
        None for every other message and for a C-STORE-RQ that is not well formed: those take the
        library's way, which answers or aborts.
    """
    found: dict[int, bytes] = {}
    pos, end = 0, len(command)
    while pos + 8 <= end:
        group, number, length = _element.unpack_from(command, pos)
        pos += 8
        if group != 0 or pos + length > end:
            return None
        found[number] = command[pos : pos + length]
        pos += length
    message_id, kind = found.get(_MESSAGE_ID, b""), found.get(_DATA_SET_TYPE, b"")
    sop_class, sop_instance = found.get(_SOP_CLASS, b""), found.get(_SOP_INSTANCE, b"")
    if (
        pos != end
        or found.get(_COMMAND) != struct.pack("<H", _C_STORE_RQ)
        or len(message_id) != 2
        or len(kind) != 2
        or kind == struct.pack("<H", _NO_DATA_SET)
        or not 0 < len(sop_class) <= _MAX_UID_BYTES
        or not 0 < len(sop_instance) <= _MAX_UID_BYTES
    ):
        return None
    return StoreRequest(context_id, int.from_bytes(message_id, "little"), sop_class, sop_instance)


def file_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str
) -> bytes:
    """Return preamble and file meta information of a received object (PS3.10 Table 7.1-1)."""
    before, after = _around_instance(sop_class_uid, transfer_syntax_uid, source_ae_title)
    body = before + _meta(0x0003, b"UI", sop_instance_uid) + after
    return PREAMBLE + struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(body)) + body


@functools.lru_cache(maxsize=256)
def _around_instance(
    sop_class_uid: str, transfer_syntax_uid: str, source_ae_title: str
) -> tuple[bytes, bytes]:
    """Return what stands before and after the SOP Instance UID, the same for a whole series."""
    version = b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"  # File Meta Information Version 1
    return version + _meta(0x0002, b"UI", sop_class_uid), b"".join(
        (
            _meta(0x0010, b"UI", transfer_syntax_uid),
            _meta(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _meta(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _meta(0x0016, b"AE", source_ae_title),
        )
    )


def _meta(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value


def _value(number: int, value: bytes) -> bytes:
    return _element.pack(0, number, len(value)) + value


def _short(number: int, value: int) -> bytes:
    return _value(number, struct.pack("<H", value))


def _text(value: bytes) -> str:
    return value.decode("latin-1").rstrip("\0 ")
