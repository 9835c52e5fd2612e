"""The other side of an association in tests: a modality, well behaved or not."""

import contextlib
import socket
import struct
import threading
import time
from io import BytesIO

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import CTImageStorage

STATION = "CT_ONE"
ABORT = 7


@contextlib.contextmanager
def associated(node, *contexts, ae_title=STATION, called="CLINIC", **options):
    """An association with the node; released at the end."""
    entity = AE(ae_title)
    for abstract, syntaxes in contexts or [(CTImageStorage, [ExplicitVRLittleEndian])]:
        entity.add_requested_context(abstract, syntaxes)
    association = entity.associate("127.0.0.1", node.port, ae_title=called, **options)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store_as(association, data_set, sop_class_uid, sop_instance_uid):
    """Send bytes as they are, under any announced UID; return the status, None for an abort."""
    request = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = sop_class_uid
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.Priority = 2
    request.DataSet = BytesIO(data_set)
    [context] = association.accepted_contexts
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
        self.socket = socket.create_connection(("127.0.0.1", node.port), timeout=5)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(OSError):  # it may have closed already, and rightly so
            self.socket.sendall(data)

    def associate(self, syntax=ExplicitVRLittleEndian):
        """Ask for a CT storage context, number 1, and take the answer."""

        def item(kind, value):
            return struct.pack(">BBH", kind, 0, len(value)) + value

        context = bytes([1, 0, 0, 0]) + item(0x30, CTImageStorage.encode())
        context += item(0x40, str(syntax).encode())
        user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
        body = struct.pack(">HH16s16s32x", 1, 0, b"CLINIC".ljust(16), STATION.encode().ljust(16))
        body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
        self.send(pdu(1, body))
        assert self.answer()[0] == 2, "the association was not accepted"

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


def pdu(kind, body, length=None):
    """One PDU; its length may lie."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def pdv(control, value, *, context_id=1, length=None):
    """One presentation data value; its length may lie."""
    said = len(value) + 2 if length is None else length
    return struct.pack(">LBB", said, context_id, control) + value


def wait_for(condition, timeout_s=10):
    """Wait until the condition holds."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)
