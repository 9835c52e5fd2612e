"""From the wire to the archive, and from there to the index."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clinic_panel.archive import Archive
from clinic_panel.errors import NotUnderstood, StorageFull, WrongInstance
from clinic_panel.imaging.header import Header, read_header
from clinic_panel.incoming import Buffer, Incoming
from clinic_panel.services.dicom import Received, Verdict
from listener import statuses
from listener.commands import StoreRequest, file_head
from listener.index_writer import IndexWriter
from listener.limits import Limits
from listener.statuses import Status

log = logging.getLogger(__name__)

HEAD_BYTES = 1 << 16  # of the data set, kept in memory: what is indexed lies in it
LONG_HEAD_BYTES = 16 << 20  # read again from disk when a header is longer than that
_DUPLICATE = {
    Verdict.CONFLICT: statuses.DUPLICATE_KEPT,
    Verdict.REJECTED: statuses.DUPLICATE_REJECTED,
}
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Storage:
    """What every association needs to store: archive, index writer, limits."""

    archive: Archive
    writer: IndexWriter
    limits: Limits


class StoreSink:
    """Takes the C-STORE data sets of one association and makes each durable and known."""

    def __init__(self, storage: Storage, source: Callable[[], tuple[str, str]]) -> None:
        """Serve one association.

        Parameters
        ----------
        source
            Gives AE title and address of the peer, once the association is established.
        """
        self._storage = storage
        self._source = source
        self._incoming: Incoming | None = None
        self._error: Exception | None = None

    def begin(self, request: StoreRequest, transfer_syntax_uid: str) -> None:
        """Open a temporary file; what goes wrong is answered at the end of the data set."""
        self.discard()
        self._error = None
        self._request = request
        self._syntax = transfer_syntax_uid
        self._head = bytearray()
        self._size = 0
        try:
            if not _UID.fullmatch(request.sop_instance_uid):
                raise NotUnderstood("The SOP Instance UID is none.")
            self._incoming = self._storage.archive.receiving(
                file_head(
                    request.sop_class_uid,
                    request.sop_instance_uid,
                    transfer_syntax_uid,
                    self._source()[0],
                )
            )
        except Exception as error:  # noqa: BLE001 - the edge: it becomes the answer's status
            self._fail(error)

    def write(self, chunks: Sequence[Buffer]) -> None:
        """Append a piece of the data set; after a failure it is read and forgotten."""
        if self._incoming is None:
            return
        for chunk in chunks:
            self._size += len(chunk)
            if len(self._head) < HEAD_BYTES:
                self._head += chunk[: HEAD_BYTES - len(self._head)]
        try:
            if self._size > self._storage.limits.object_bytes:
                raise StorageFull("The object is larger than this node takes.")
            self._incoming.write(chunks)
        except Exception as error:  # noqa: BLE001 - the edge: it becomes the answer's status
            self._fail(error)

    def finish(self) -> Status:
        """Make the object durable, wait for its row, and return the status to answer."""
        source_ae_title, address = self._source()
        try:
            if self._error is not None:
                raise self._error
            received = self._keep(source_ae_title, address)
            outcome = self._storage.writer.write(received, timeout_s=self._storage.limits.index_s)
            if outcome.verdict in _DUPLICATE:
                log.warning(
                    "C-STORE from %s: other bytes for instance %d, %s",
                    source_ae_title,
                    outcome.instance_id,
                    "kept beside it" if outcome.verdict is Verdict.CONFLICT else "not kept",
                )
                return _DUPLICATE[outcome.verdict]
        except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
            status = statuses.status_of(error)
            log.warning(
                "C-STORE from %s refused: %s, 0x%04X", source_ae_title, type(error).__name__, status
            )
            return status
        finally:
            self.discard()
        log.debug(
            "C-STORE from %s: instance %d, %s, %d bytes",
            source_ae_title,
            outcome.instance_id,
            outcome.verdict,
            received.stored.size_bytes,
        )
        return statuses.SUCCESS

    def discard(self) -> None:
        """Forget what is not kept."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.discard()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.discard()

    def _keep(self, source_ae_title: str, address: str) -> Received:
        if self._incoming is None:
            raise NotUnderstood
        header = self._header(self._incoming)
        if (
            header.SOPInstanceUID != self._request.sop_instance_uid
            or header.SOPClassUID != self._request.sop_class_uid
        ):
            raise WrongInstance
        return Received(header, self._incoming.keep(), source_ae_title, address)

    def _header(self, incoming: Incoming) -> Header:
        """Read the header from the first bytes; from the file when it is uncommonly long."""
        partial = self._size > len(self._head)
        try:
            return read_header(self._head, transfer_syntax_uid=self._syntax, partial=partial)
        except NotUnderstood:
            if not partial:
                raise
        return read_header(
            incoming.first_bytes(LONG_HEAD_BYTES),
            transfer_syntax_uid=self._syntax,
            partial=self._size > LONG_HEAD_BYTES,
        )
