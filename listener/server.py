"""The DICOM node: binds the port and ties receiver and services."""

import logging
import socket
import ssl
import threading
import time
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.transport import (
    AddressInformation,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from clinic_panel.context import Context
from clinic_panel.imaging.isolation import IsolatedDecoder
from clinic_panel.services import dicom, flight
from clinic_panel.services.ingest import Ingest
from listener import handlers, misfits, mpps, query, receiver
from listener.acceptance import Acceptance
from listener.audits import Audits
from listener.commands import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from listener.commitment import Commitments
from listener.contexts import copied, supported_contexts
from listener.courtesy import Courtesy
from listener.finding import Finding
from listener.index_writer import IndexWriter
from listener.limits import Admission, Limits
from listener.processes import turn_lock
from listener.recorder import Recorder
from listener.retrieve import Retrieval
from listener.sink import Sink
from listener.sockets import bound_socket, tls_context
from listener.storage import Storage, StoreSink

log = logging.getLogger(__name__)

HESITATE_S = 0.002  # for each connection a process has, before it accepts another
HESITATE_AT_MOST_S = 0.05
EXPLAINING_WAITS_S = 1.0  # while queries are answered, for what is written together


class Node:
    """Our application entity, listening."""

    def __init__(
        self,
        ctx: Context,
        *,
        limits: Limits | None = None,
        accelerated: bool = True,
        listening: socket.socket | None = None,
    ) -> None:
        """Prepare to listen at the address of the settings.

        Parameters
        ----------
        limits
            What a peer may cost; the defaults are those of `Limits`.
        accelerated
            Whether to use the event-driven receiver where it fits; else pynetdicom's own path.
        listening
            A socket that is bound and shared with other processes; the first of them has brought
            archive and index together.
        """
        self.ctx = ctx
        self._listening = listening
        self.limits = limits or Limits()
        self.accelerated = accelerated and receiver.is_supported()
        self.admission = Admission(self.limits)
        self.ingest = Ingest(ctx)
        self._turns = turn_lock(ctx.settings)
        writer = IndexWriter(self.ingest.index, self.ingest.say_arrivals, self._turns)
        self.storage = Storage(ctx.store, writer, self.limits)
        courtesy = Courtesy()
        self.recorder = Recorder(
            lambda flights: flight.keep(ctx, flights, courtesy.patience(EXPLAINING_WAITS_S)),
            lambda: flight.sweep(ctx),
            ctx.clock,
        )
        self.acceptance = Acceptance(ctx, self.admission, self.recorder)
        self.commitments = Commitments(ctx)
        self.audits = Audits(ctx, courtesy)
        self.finding = Finding(ctx, self.recorder, self.audits, courtesy)
        self._decoder = IsolatedDecoder()
        self.retrieval = Retrieval(ctx, self._decoder)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is bound; of use when the settings say 0."""
        return int(self._server.server_address[1]) if self._server else 0

    def start(self) -> None:
        """Bring archive and index together, bind the port and serve it in a thread.

        Raises
        ------
        SettingsError
            The port is taken or may not be bound, or the TLS files cannot be used.
        """
        receiver.quiet_libraries()
        tls = tls_context(self.ctx.settings)
        if self._listening is None:
            adopt(self.ctx)
            self._listening = bound_socket(self.ctx.settings)
        self.storage.writer.start()
        self._server = _Server(self, self._entity(), tls, self._listening)
        self.recorder.start()
        self.audits.start()
        self.commitments.start()
        self._thread = threading.Thread(target=self._server.serve_forever, name="dicom-accept")
        self._thread.start()
        if not self.accelerated:
            log.warning("the event-driven receiver is off; storing is slower")

    def stop(self) -> None:
        """Close the port, end the associations, commit what waits."""
        if self._server is None or self._thread is None:
            return
        self.recorder.stopping()
        self._server.shutdown()
        self._thread.join()
        ending = self._server.active_associations
        for association in ending:
            association.abort()
        for association in ending:
            association.join()
        self.commitments.close()
        self.storage.writer.close()
        self.ingest.close()
        self.recorder.close()
        self.audits.close()
        if self._turns is not None:
            self._turns.close()
        self._decoder.close()
        self._server = None

    def _entity(self) -> AE:
        entity = AE(self.ctx.settings.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.maximum_pdu_size = self.limits.advertised_pdu_bytes
        # Counted here, by address as well; the library's own count looks at every thread.
        entity.maximum_associations = self.limits.connections
        entity.acse_timeout = self.limits.artim_s
        entity.network_timeout = self.limits.idle_s
        entity.dimse_timeout = self.limits.idle_s
        return entity

    def new_association(self, entity: AE) -> Association:
        """Make the association of a connection, on the receiver that was chosen."""
        association = (
            receiver.EventDrivenAssociation(entity, self.limits, self._ended, self._sink_of)
            if self.accelerated
            else receiver.LibraryAssociation(entity, self.limits, self._ended)
        )
        association.served = {C_MOVE: self.retrieval.serve, C_GET: self.retrieval.serve}
        if self.accelerated:
            association.served[C_FIND] = self.finding.serve
        return association

    def _sink_of(self, association: Association) -> Sink:
        requestor = association.requestor
        sink = StoreSink(self.storage, lambda: (requestor.ae_title, requestor.address or ""))
        return self.recorder.counting(association, sink)

    def _ended(self, association: Association) -> None:
        self.acceptance.ended(association)
        self.recorder.ended(association)


class _Connection(RequestHandler):
    """One accepted socket: TLS first, then an association of our kind."""

    server: "_Server"
    request: Any

    def setup(self) -> None:
        """Shake hands in this connection's own thread: a silent peer stalls nobody else."""
        context = self.server.ssl_context
        if context is not None:
            self.request.settimeout(self.server.node.limits.artim_s)
            self.request = context.wrap_socket(self.request, server_side=True)

    def _create_association(self) -> Association:
        association = self.server.node.new_association(self.ae)
        association._server = self.server
        association.name = f"AcceptorThread-{association.name}"
        association.set_socket(AssociationSocket(association, client_socket=self.request))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = copied(self.server.contexts)
        association.requestor.address_info = AddressInformation.from_tuple(self.client_address)
        for event, bound in self.server._handlers.items():
            if event.is_intervention:
                association.bind(event, *bound)
            else:
                for handler, arguments in bound:
                    association.bind(event, handler, arguments)
        return association


class _Server(ThreadedAssociationServer):
    """Accepts connections, as many as the limits allow."""

    daemon_threads = True

    def __init__(
        self, node: Node, entity: AE, tls: ssl.SSLContext | None, listening: socket.socket
    ) -> None:
        self.node = node
        self._listening = listening
        self._is_shared = node.ctx.settings.dicom_processes > 1
        settings = node.ctx.settings
        super().__init__(
            entity,
            (settings.dicom_host, settings.dicom_port),
            settings.ae_title,
            supported_contexts(settings),
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_REQUESTED, node.recorder.requested),
                (evt.EVT_REQUESTED, node.acceptance.admit),
                (evt.EVT_ACCEPTED, node.recorder.accepted),
                (evt.EVT_REJECTED, node.recorder.rejected),
                (evt.EVT_RELEASED, node.recorder.released),
                (evt.EVT_ABORTED, node.recorder.aborted),
                (evt.EVT_ACSE_RECV, node.recorder.heard),
                (evt.EVT_DIMSE_RECV, misfits.tidy),
                (evt.EVT_DIMSE_RECV, node.recorder.received),
                (evt.EVT_DIMSE_RECV, node.commitments.heard),
                (evt.EVT_DIMSE_SENT, node.recorder.sent),
                (evt.EVT_C_ECHO, handlers.handle_echo),
                (evt.EVT_C_STORE, handlers.handle_store, [node.storage]),
                (evt.EVT_SOP_EXTENDED, query.handle_extended),
                (evt.EVT_C_FIND, query.handle_find, [node.ctx, node.audits]),
                (evt.EVT_N_ACTION, node.commitments.handle_action),
                (evt.EVT_N_CREATE, mpps.handle_create, [node.ctx]),
                (evt.EVT_N_SET, mpps.handle_set, [node.ctx]),
                (evt.EVT_N_GET, mpps.handle_get, [node.ctx]),
                (evt.EVT_N_EVENT_REPORT, node.commitments.handle_report),
            ],
            request_handler=_Connection,
        )
        entity._servers.append(self)  # its shutdown takes itself from there

    def server_bind(self) -> None:
        """Take the socket that is bound already."""
        self.socket.close()
        self.socket: socket.socket = self._listening
        self.server_address = self._listening.getsockname()

    def server_activate(self) -> None:
        """Nothing: it listens already."""

    def server_close(self) -> None:
        """Close our end; without a shutdown, which would be one for all processes."""
        self.socket.close()

    def get_request(self) -> tuple[Any, Any]:
        """Accept, and leave TLS to the connection's thread.

        Of several processes all wake up: the busy ones hesitate, so that an idle one accepts.
        """
        if self._is_shared and (busy := self.node.admission.connections):
            time.sleep(min(HESITATE_S * busy, HESITATE_AT_MOST_S))
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection over the limit before anything is spent on it."""
        return self.node.admission.connect(_address(client_address))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Begin an association; what fails before it has its own thread ends here."""
        try:
            self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001 - the edge: the default prints a traceback
            log.info("a connection from %s failed: %s", client_address[0], type(error).__name__)
            self.node.admission.disconnect(_address(client_address))
            self.shutdown_request(request)


def _address(client_address: Any) -> str:
    return AddressInformation.from_tuple(client_address).address or ""


def adopt(ctx: Context) -> None:
    """Bring archive and index together; for when nobody receives."""
    adopted = dicom.adopt_orphans(ctx)
    if adopted:
        log.warning("%d objects without a row were indexed", adopted)
