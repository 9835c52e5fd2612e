"""The receiver: pynetdicom's association, made event-driven and bounded.

pynetdicom's reactor polls, sleeps 1 ms between PDUs, reads 4 KiB at a time and builds four objects
for every fragment. Here the thread waits on the socket (`reactor`), reads into one bounded buffer,
and passes the data sets of C-STORE requests to a `Sink` without building anything (`short_way`).
Every other PDU and message takes the library's own way, so that association, release, abort,
C-ECHO, C-FIND and all N-services stay the library's.

This reaches into private parts of pynetdicom and therefore holds for the versions in `TESTED`
only; elsewhere, and where eventfd is missing, `is_supported` says no and the listener takes
`LibraryAssociation`: pynetdicom as it comes, with the same bounds.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import pydicom.config
import pynetdicom
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_CANCEL, C_STORE

from clinic_panel.checkpoint import Checkpoint
from listener import misfits, statuses
from listener.bounds import BoundedDIMSE, BoundedDUL
from listener.limits import Limits
from listener.reactor import WAIT_MS
from listener.short_way import EventDrivenDUL
from listener.sink import Sink
from listener.statuses import Status

log = logging.getLogger(__name__)

TESTED = ("3.0.4", "3.1")  # from, and before


def is_supported() -> bool:
    """Whether the event-driven receiver fits this pynetdicom and this system."""
    version = tuple(int(part) for part in pynetdicom.__version__.split(".")[:3] if part.isdigit())
    first, after = (tuple(map(int, text.split("."))) for text in TESTED)
    return first <= version < after and hasattr(os, "eventfd")


class LibraryAssociation(Association):
    """An association on pynetdicom's own path, within our limits."""

    def __init__(
        self, ae: ApplicationEntity, limits: Limits, on_end: Callable[[Association], None]
    ) -> None:
        super().__init__(ae, "acceptor")
        self._reactor_checkpoint = Checkpoint()
        self.is_established: bool
        # Requests that are answered here, by their kind, past the library's service classes.
        self.served: dict[type, Callable[[Association, Any, Any], None]] = {}
        self._on_end = on_end
        self.dimse = BoundedDIMSE(self, limits)
        self.dul = BoundedDUL(self, limits)
        self._start_timers()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Answer what is served here, and what the library would abort over or pass in silence; it
        has the rest.

        The service of a request is that of its presentation context (PS3.7 9.1.1.1.9).
        """
        if isinstance(msg, C_CANCEL):
            return  # one of many: the library keeps ten, and there is nothing to answer
        context, serve = self._accepted_cx.get(context_id), self.served.get(type(msg))
        if context is None or not _is_request(msg):
            super()._serve_request(msg, context_id)
            return
        status = misfits.refusal(msg, context)
        if isinstance(msg, C_STORE):
            msg.Priority = 0 if msg.Priority is None else msg.Priority  # nothing depends on it
            if msg._dataset_path is None:
                status = statuses.MISTYPED
        if status is not None:
            self._refuse(msg, context_id, status)
        elif serve is not None:
            self.dimse.cancel_req = {}
            self._is_paused = True
            serve(self, msg, context)
            self._is_paused = False
            self.dimse.cancel_req = {}
        else:
            super()._serve_request(msg, context_id)

    def _refuse(self, msg: Any, context_id: int, status: Status) -> None:
        if msg._dataset_file is not None:
            msg._dataset_file.close()
            msg._dataset_path.unlink(missing_ok=True)
        what = type(msg).__name__.replace("_", "-")
        log.warning("%s from %s refused: 0x%04X", what, self.requestor.ae_title, status)
        self.dimse.send_msg(misfits.answer(msg, status), context_id)

    def _start_timers(self) -> None:
        # The base class gave its time-outs to a service provider that has been replaced since.
        self.acse_timeout, self.network_timeout = self.ae.acse_timeout, self.ae.network_timeout

    def run_reactor(self) -> None:
        """Run the association to its end, and say so."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - the edge: the peer is told, the process lives
            log.error("an association failed: %s", type(error).__name__)
            self.abort()
        finally:
            self.dimse.discard()
            self._on_end(self)


class EventDrivenAssociation(LibraryAssociation):
    """An association on the event-driven receiver."""

    def __init__(
        self,
        ae: ApplicationEntity,
        limits: Limits,
        on_end: Callable[[Association], None],
        sink_of: Callable[[Association], Sink],
    ) -> None:
        self._woken = threading.Event()
        super().__init__(ae, limits, on_end)
        self.dul = EventDrivenDUL(self, limits, sink_of(self), self.wake)
        self._start_timers()

    def wake(self) -> None:
        """Let the association's thread look what there is to do."""
        self._woken.set()

    def _run_reactor(self) -> None:
        """As pynetdicom's, but woken by an event in place of a sleep of 1 ms."""
        self._is_paused = False
        while not self._kill:
            self._woken.wait(WAIT_MS / 1000)
            self._woken.clear()
            self._is_paused = True
            self._reactor_checkpoint.wait()
            self._is_paused = False
            while (message := self.dimse.get_msg(block=False))[1]:
                self._serve_request(message[1], message[0])
            if self._has_ended():
                self.kill()
                return

    def _has_ended(self) -> bool:
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        if self.dul.idle_timer_expired():
            self.abort()
            return True
        return not self.dul.is_alive()


def _is_request(message: Any) -> bool:
    """Whether to answer a message, also one that lacks what the library would wait for."""
    return message.MessageID is not None and message.MessageIDBeingRespondedTo is None


def quiet_libraries() -> None:
    """Keep identifiers out of the log, and data sets of the library's path out of memory."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.STORE_RECV_CHUNKED_DATASET = True
    # A wildcard breaks the rules of some VRs, and the warning would quote the value.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    # Their messages quote what the peer sent; ours name the type of the error.
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
