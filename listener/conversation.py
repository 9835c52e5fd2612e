"""One C-MOVE or C-GET as a conversation: its counts, its responses, and the wire they take.

Both are served by the association's own thread, which writes its responses and sub-operations to
the socket itself: through the library's queue a response could end up inside an object.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_GET_RSP, C_MOVE_RSP
from pynetdicom.dimse_primitives import C_GET, C_MOVE, C_STORE
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext

from clinic_panel.dimse.store import LinkLost, send_all
from clinic_panel.incoming import Buffer
from clinic_panel.services.retrieve import Match

SUCCESS = 0x0000
SOP_CLASS_NOT_SUPPORTED = 0x0122
CANNOT_COUNT = 0xA701
CANNOT_SEND = 0xA702
DESTINATION_UNKNOWN = 0xA801
IDENTIFIER_DOES_NOT_MATCH = 0xA900
SOME_FAILED = 0xB000
UNABLE_TO_PROCESS = 0xC001
CANCELLED = 0xFE00
PENDING = 0xFF00
# What we answer (PS3.4 C.4.2.1.5, C.4.3.1.4), for the conformance statement.
STATUSES = {
    SUCCESS: "All sub-operations are complete, none failed; or nothing matches",
    SOP_CLASS_NOT_SUPPORTED: "The SOP class is not that of the presentation context",
    CANNOT_COUNT: "Refused: the index does not answer, or more than 65535 objects match",
    CANNOT_SEND: "Refused: no object could be sent; the comment says why",
    DESTINATION_UNKNOWN: "Refused: no active peer with an address has this AE title (C-MOVE)",
    IDENTIFIER_DOES_NOT_MATCH: "Failed: level or unique keys are missing or not valid",
    SOME_FAILED: "Warning: sub-operations are complete, some failed or had a warning",
    UNABLE_TO_PROCESS: "Failed: unable to process",
    CANCELLED: "Cancelled by C-CANCEL",
    PENDING: "Sub-operations are continuing",
}
PENDING_EVERY = 20  # sub-operations
PENDING_EVERY_S = 1.0
_PATIENCE_S = 60.0
_STORE_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})  # beside Bxxx (PS3.7 C)
_RESPONSES: dict[type, type] = {C_MOVE: C_MOVE_RSP, C_GET: C_GET_RSP}


class RequestorGone(Exception):
    """The association of the C-MOVE or C-GET has ended."""


@dataclass(slots=True)
class Progress:
    """How far the sub-operations have come."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    # By study, not audited yet: what was taken, and what was tried and not taken.
    sent: Counter[int] = field(default_factory=Counter)
    unsent: Counter[int] = field(default_factory=Counter)

    def count(self, match: Match, status: int, *, was_tried: bool = True) -> None:
        """Count one sub-operation by the status of its C-STORE."""
        self.remaining -= 1
        if status == SUCCESS:
            self.completed += 1
        elif status >> 12 == 0xB or status in _STORE_WARNINGS:
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(match.stored.sop_instance_uid)
            if was_tried:
                self.unsent[match.study_id] += 1
            return
        self.sent[match.study_id] += 1

    @property
    def status(self) -> int:
        """The final status (PS3.4 C.4.2.3.1)."""
        if not self.failed and not self.warning:
            return SUCCESS
        return SOME_FAILED if self.completed or self.warning else CANNOT_SEND


class Conversation:
    """One C-MOVE or C-GET request and the responses to it."""

    def __init__(
        self, association: Association, request: C_MOVE | C_GET, context: PresentationContext
    ) -> None:
        self.association = association
        self.request = request
        self.context = context
        self.progress = Progress()
        requestor = association.requestor
        self.requestor = (requestor.ae_title, requestor.address or "")
        self.destination = requestor.ae_title
        self._since, self._at = 0, 0.0

    @property
    def name(self) -> str:
        """C-MOVE or C-GET."""
        return "C-MOVE" if isinstance(self.request, C_MOVE) else "C-GET"

    @property
    def is_cancelled(self) -> bool:
        """Whether a C-CANCEL came for this request."""
        return self.request.MessageID in self.association.dimse.cancel_req

    @property
    def is_relational(self) -> bool:
        """Whether retrieval without the keys of upper levels was agreed (PS3.4 C.5.2.1)."""
        agreed = self.association.acceptor.sop_class_extended
        return bytes(agreed.get(self.context.abstract_syntax) or b"")[:1] == b"\1"

    def identifier(self) -> Dataset:
        """Return the decoded identifier; raises whatever a broken one breaks."""
        syntax = self.context.transfer_syntax[0]
        return decode(
            self.request.Identifier,
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            syntax.is_deflated,
        )

    def begin(self, count: int) -> None:
        """Say how many sub-operations there will be."""
        self.progress.remaining = count
        if count:
            self.respond(PENDING)

    def done(self, match: Match, status: int) -> None:
        """Count a sub-operation, and say so now and then."""
        self.progress.count(match, status)
        self._since += 1
        if self._since >= PENDING_EVERY and self.progress.remaining:
            self.respond(PENDING)
        else:
            self.tick()

    def tick(self) -> None:
        """Keep the requestor's patience, and learn when it has gone.

        Raises
        ------
        RequestorGone
            It has.
        """
        if self.association.acse.is_aborted() or not self.association.dul.is_alive():
            raise RequestorGone
        self.association.dul._idle_timer.restart()  # it is we who take the time
        if time.monotonic() - self._at >= PENDING_EVERY_S and self.progress.remaining:
            self.respond(PENDING)

    def respond(self, status: int, comment: str = "") -> None:
        """Send a response with the counts; a final one lists what failed.

        Raises
        ------
        RequestorGone
            It cannot be sent.
        """
        response = type(self.request)()
        response.MessageIDBeingRespondedTo = self.request.MessageID
        response.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        response.Status = status
        if comment:
            response.ErrorComment = comment[:64]
        if status in (PENDING, SUCCESS, SOME_FAILED, CANNOT_SEND, CANCELLED):
            self._say_counts(response)
        message = _RESPONSES[type(self.request)]()
        message.primitive_to_message(response)
        message.context_id = self.context.context_id
        evt.trigger(self.association, evt.EVT_DIMSE_SENT, {"message": message})
        pdus: list[Buffer] = []
        longest = self.association.dimse.maximum_pdu_size
        for data in message.encode_msg(self.context.context_id, longest):
            pdu = P_DATA_TF()
            pdu.from_primitive(data)
            pdus.append(pdu.encode())
        try:
            write(self.association, pdus)
        except OSError:
            raise RequestorGone from None
        self._since, self._at = 0, time.monotonic()

    def _say_counts(self, response: C_MOVE | C_GET) -> None:
        progress = self.progress
        if response.Status in (PENDING, CANCELLED):
            response.NumberOfRemainingSuboperations = progress.remaining
        response.NumberOfCompletedSuboperations = progress.completed
        response.NumberOfFailedSuboperations = progress.failed
        response.NumberOfWarningSuboperations = progress.warning
        if response.Status != PENDING and progress.failed_uids:
            listed = Dataset()
            listed.FailedSOPInstanceUIDList = progress.failed_uids
            syntax = self.context.transfer_syntax[0]
            encoded = encode(
                listed, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
            )
            response.Identifier = BytesIO(encoded or b"")


class SameLink:
    """The association of a C-GET, as the way to send its sub-operations (PS3.4 C.4.3)."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self.maximum_length: int | None = association.requestor.maximum_length

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send all of them."""
        write(self._association, buffers)

    def answer(self, message_id: int) -> int:
        """Wait for the C-STORE-RSP, which the association's reactor reads."""
        _, message = self._association.dimse.get_msg(block=True)
        if (
            not isinstance(message, C_STORE)
            or message.MessageIDBeingRespondedTo != message_id
            or message.Status is None
        ):
            raise LinkLost("no answer, or another message in its place")
        return int(message.Status)


def write(association: Association, buffers: Sequence[Buffer]) -> None:
    """Send PDUs past the library's queue, from the one thread that has something to say.

    Raises
    ------
    OSError
        The connection is gone, or the peer takes nothing for too long.
    """
    connection: socket.socket | None = association.dul.socket.socket
    if connection is None:
        raise LinkLost("the connection was closed")
    patience_s = association.network_timeout or _PATIENCE_S
    until = time.monotonic() + patience_s

    def wait() -> None:
        if time.monotonic() > until or not association.dul.is_alive():
            raise LinkLost("the peer takes nothing")
        poll = select.poll()
        try:
            poll.register(connection, select.POLLOUT)
        except ValueError:
            raise LinkLost("the connection was closed") from None
        poll.poll(1000)

    with association.dul.turn:
        if isinstance(connection, ssl.SSLSocket) and connection.gettimeout() is None:
            connection.settimeout(patience_s)
        send_all(connection, buffers, wait)
