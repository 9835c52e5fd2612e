"""The other side of an association in tests: a modality, well behaved or not."""

import contextlib
import socket
import struct
import threading
import time
from io import BytesIO

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import CTImageStorage

from clinic_panel.checkpoint import mended

STATION = "CT_ONE"
ABORT = 7
PATIENCE_S = 120  # what takes longer never comes, however busy the machine is


@contextlib.contextmanager
def associated(node, *contexts, ae_title=STATION, called="CLINIC", **options):
    """An association with the node; released at the end."""
    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE_S
    for abstract, syntaxes in contexts or [(CTImageStorage, [ExplicitVRLittleEndian])]:
        entity.add_requested_context(abstract, syntaxes)
    association = mended(entity.associate("127.0.0.1", node.port, ae_title=called, **options))
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store_as(association, data_set, sop_class_uid, sop_instance_uid, syntax=None):
    """Send bytes as they are, under any announced UID; return the status, None for an abort.

    With a transfer syntax, in the context of that class and syntax; else in the only one.
    """
    request = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = sop_class_uid
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.Priority = 2
    request.DataSet = BytesIO(data_set)
    [context] = [
        context
        for context in association.accepted_contexts
        if syntax is None
        or (context.abstract_syntax, context.transfer_syntax[0]) == (sop_class_uid, syntax)
    ]
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    return None if answer is None else answer.Status


class RawPeer:
    """A socket that says what it likes."""

    def __init__(self, node):
        self.socket = socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(OSError):  # it may have closed already, and rightly so
            self.socket.sendall(data)

    def associate(self, syntax=ExplicitVRLittleEndian):
        """Ask for a CT storage context, number 1, and be accepted."""
        assert self.ask(syntax)[0] == 2, "the association was not accepted"

    def ask(
        self,
        syntax=ExplicitVRLittleEndian,
        *,
        called=b"CLINIC",
        calling=b"CT_ONE",
        application_context=b"1.2.840.10008.3.1.1.1",
        version=1,
    ):
        """Ask for a CT storage context, number 1; return the answer, whatever it is."""

        def item(kind, value):
            return struct.pack(">BBH", kind, 0, len(value)) + value

        context = bytes([1, 0, 0, 0]) + item(0x30, CTImageStorage.encode())
        context += item(0x40, str(syntax).encode())
        user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
        body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), calling.ljust(16))
        body += item(0x10, application_context) + item(0x20, context) + item(0x50, user)
        self.send(pdu(1, body))
        return self.answer()

    def answer(self):
        """The next PDU as type and body; type 0 when the connection was closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        return head[0], self._exactly(int.from_bytes(head[2:], "big"))

    def _exactly(self, count):
        data = b""
        with contextlib.suppress(ConnectionError):
            while len(data) < count and (part := self.socket.recv(count - len(data))):
                data += part
        return data


def command(message_id=1, *, field=1, sop_class=CTImageStorage, sop_instance=None, without=()):
    """An encoded C-STORE-RQ command set, of which something may be missing."""
    uid = sop_instance or dcmread(get_testdata_file("CT_small.dcm")).SOPInstanceUID
    elements = {
        0x0002: sop_class.encode(),
        0x0100: field.to_bytes(2, "little"),
        0x0110: message_id.to_bytes(2, "little"),
        0x0700: b"\0\0",
        0x0800: b"\1\0",
        0x1000: uid.encode(),
    }
    if "data set" in without:
        elements[0x0800] = b"\1\1"
    body = b""
    for number, value in elements.items():
        if number in without:
            continue
        value += b"\0" * (len(value) % 2)
        body += b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
    return b"\0\0\0\0\4\0\0\0" + len(body).to_bytes(4, "little") + body


def responded(answer):
    """The command set in a C-STORE-RSP PDU, by element number."""
    kind, body = answer
    assert kind == 4
    body, found = body[6:], {}
    while body:
        number, length = struct.unpack_from("<2xHL", body)
        found[number], body = body[8 : 8 + length], body[8 + length :]
    return found


def status_in(answer):
    """The status of a C-STORE-RSP PDU."""
    return int.from_bytes(responded(answer)[0x0900], "little")


def comment_in(answer):
    """The Error Comment of a C-STORE-RSP PDU."""
    return responded(answer).get(0x0902, b"").decode("ascii").rstrip()


def pdu(kind, body, length=None):
    """One PDU; its length may lie."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def pdv(control, value, *, context_id=1, length=None):
    """One presentation data value; its length may lie."""
    said = len(value) + 2 if length is None else length
    return struct.pack(">LBB", said, context_id, control) + value


def wait_for(condition, timeout_s=PATIENCE_S):
    """Wait until the condition holds."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)
