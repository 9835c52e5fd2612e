"""Associations that we ask for: opened in a bounded time, ended in order, errors in plain words."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation, AssociationSocket

from clinic_panel.checkpoint import mended
from clinic_panel.dimse.model import Caller, Remote
from clinic_panel.errors import PeerRefuses, PeerUnavailable

CONNECT_S = 10.0
ANSWER_S = 60.0
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
PLAIN = (EXPLICIT, IMPLICIT)
# Source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21), as a person can act on it.
REJECTIONS: Mapping[tuple[int, int], str] = {
    (1, 1): "It gives no reason.",
    (1, 2): "It does not know the application context.",
    (1, 3): "It does not know our AE title {calling}.",
    (1, 7): "Its AE title is not {called}.",
    (2, 1): "It gives no reason.",
    (2, 2): "It does not know this version of the protocol.",
    (3, 1): "It is too busy now.",
    (3, 2): "It has no association free now.",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """One presentation context; ``as_scp`` asks to be the one who reports (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    syntaxes: Sequence[str] = PLAIN
    as_scp: bool = False


class _Connection(AssociationSocket):
    """As the library's, but one that fails is closed at once and says why."""

    failure = ""
    socket: Any

    def connect(self, primitive: Any) -> None:
        """Connect, shake hands, and from then on wait for nothing without end."""
        raw: socket.socket = self.socket
        try:
            raw.settimeout(self.assoc.connection_timeout)
            raw.connect(primitive.address_info.as_tuple)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls_args:
                context, name = self.tls_args
                raw = self.socket = context.wrap_socket(raw, server_hostname=name)
            raw.settimeout(self.assoc.network_timeout)
            address = AddressInformation.from_tuple(raw.getsockname())
            self.assoc.requestor.address_info = address
            self._is_connected = True
            evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": primitive.address_info.as_tuple})
            primitive.result = "Evt2"
        except OSError as error:
            self.failure = _reason(error)
            raw.close()
            self.socket = None
            primitive.result = "Evt17"
        finally:
            self.provider_queue.put(primitive)
            self._ready.set()

    def _shutdown_socket(self) -> None:
        """Close, also when the other side was faster: the library leaves it to the collector."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class _Entity(AE):
    """An application entity that calls."""

    connection: _Connection

    def _create_socket(self, assoc: Any, address: Any, tls_args: Any) -> _Connection:
        self.connection = _Connection(assoc, address=address)
        self.connection.tls_args = tls_args
        return self.connection


@contextlib.contextmanager
def associated(
    caller: Caller,
    remote: Remote,
    proposals: Sequence[Proposal],
    *,
    handlers: Sequence[Any] = (),
    answer_s: float = ANSWER_S,
) -> Iterator[Association]:
    """Open an association, release it at the end, abort it when something went wrong.

    Parameters
    ----------
    handlers
        pynetdicom's events and what to call, for requests of the other side.
    answer_s
        For how long an answer may stay away.

    Raises
    ------
    PeerUnavailable
        There is no association; the message says at which step it failed.
    PeerRefuses
        There would be one, but the service is not offered.
    """
    association = opened(caller, remote, proposals, handlers, answer_s)
    try:
        yield association
    except BaseException:
        if association.is_established:
            association.abort()
        raise
    if association.is_established:
        association.release()


def opened(
    caller: Caller,
    remote: Remote,
    proposals: Sequence[Proposal],
    handlers: Sequence[Any] = (),
    answer_s: float = ANSWER_S,
) -> Association:
    """Open an association that the caller ends; raises as `associated`."""
    _config.LOG_HANDLER_LEVEL = "none"  # the library's own log names UIDs
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    entity = _Entity(caller.ae_title)
    entity.connection_timeout = entity.acse_timeout = CONNECT_S
    entity.dimse_timeout = entity.network_timeout = answer_s
    where = f"{remote.ae_title} at {remote.host}:{remote.port}"
    try:
        association = entity.associate(
            remote.host,
            remote.port,
            contexts=[_context(proposal) for proposal in proposals],
            ae_title=remote.ae_title,
            ext_neg=[build_role(p.sop_class_uid, scp_role=True) for p in proposals if p.as_scp],
            evt_handlers=list(handlers),
            tls_args=(caller.tls, remote.host) if remote.uses_tls else None,
        )
    except OSError:  # the name is looked up before there is a connection
        raise PeerUnavailable(f"{where}: the host name is not known.") from None
    mended(association)
    if association.is_established:
        return association
    if association.rejected_contexts and not association.accepted_contexts:
        raise PeerRefuses(f"{where}: it does not offer this service.")
    raise PeerUnavailable(f"{where}: {_refusal(association, entity)}")


def _context(proposal: Proposal) -> PresentationContext:
    return build_context(proposal.sop_class_uid, list(proposal.syntaxes))


def _refusal(association: Association, entity: _Entity) -> str:
    if entity.connection.failure:
        return entity.connection.failure
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = REJECTIONS.get((answer.result_source, answer.diagnostic), "")
        known = reason.format(
            calling=association.requestor.ae_title, called=association.acceptor.ae_title
        )
        return f"it refuses the association. {known}".strip()
    return "it answers, but not as a DICOM node."


def _reason(error: OSError) -> str:
    match error:
        case ssl.SSLError():
            return "no agreement on encryption (TLS): certificate or setting differ."
        case ConnectionRefusedError():
            return "the machine is there, but nothing listens at this port."
        case TimeoutError():
            return "nothing answers within 10 seconds: machine off, address wrong, or a firewall."
        case _:
            return "there is no way to this address."
