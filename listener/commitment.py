"""Storage Commitment at the node: takes requests, and reports where the request came from.

The worker checks and, as a rule, reports on an association of its own. Here only what is *held* is
reported: for devices that want the result on the association that asked, or whose address nobody
knows. When that association ends or the grace is over, the worker has it.
"""

import logging
import threading
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.events import Event

from clinic_panel.context import Context
from clinic_panel.dimse import commitment
from clinic_panel.dimse.model import NO_RESOURCES, NO_SUCH_INSTANCE, PROCESSING_FAILURE
from clinic_panel.errors import ClinicError, Conflict, NotUnderstood
from clinic_panel.services import commitments, confirming
from listener.contexts import storage_classes

log = logging.getLogger(__name__)

SUCCESS = 0x0000
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
DUPLICATE_INVOCATION = 0x0210
MOST_REFERENCES = 10_000
LOOK_EVERY_S = 0.25  # while something is held
# Our own requests on an association of a device: any number does that is none of its own.
_FIRST_MESSAGE_ID = 0x8000
# What a request is answered with when it is not taken (PS3.7 10.1.4.1.10), for the statement.
ACTION_STATUSES = {
    SUCCESS: "The request and its job are on stable storage.",
    PROCESSING_FAILURE: "The request could not be kept.",
    NO_SUCH_INSTANCE: "The Requested SOP Instance is not the well-known one.",
    INVALID_ARGUMENT: "Transaction UID or Referenced SOP Sequence are missing, empty or malformed.",
    NO_SUCH_ACTION: "The Action Type is not 1.",
    DUPLICATE_INVOCATION: "The Transaction UID was used for other instances, again and again.",
    NO_RESOURCES: f"More than {MOST_REFERENCES} instances in one request.",
}


@dataclass(slots=True)
class _Held:
    """A request whose result may go back on an open association."""

    association: Association
    message_id: int = 0  # of the report under way; 0: none yet


class Commitments:
    """The commitment requests of one node."""

    def __init__(self, ctx: Context) -> None:
        """Prepare to take requests."""
        self._ctx = ctx
        self._classes = frozenset(storage_classes(ctx.settings.uids("private_storage_classes")))
        self._held: dict[int, _Held] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)
        self._numbers = _FIRST_MESSAGE_ID

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def close(self) -> None:
        """Leave what is held to the worker."""
        self._is_over = True
        self._changed.set()
        self._thread.join()

    # --- called by associations -------------------------------------------------------------

    def handle_action(self, event: Event) -> tuple[int, Dataset | None]:
        """Answer one N-ACTION (PS3.4 J.3.2): Success once the request is on stable storage."""
        peer = event.assoc.requestor.ae_title
        try:
            status = self._take(event)
        except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
            log.error("commitment request from %s failed: %s", peer, type(error).__name__)
            return PROCESSING_FAILURE, None
        if status != SUCCESS:
            log.warning("commitment request from %s refused: 0x%04X", peer, status)
        return status, None

    def _take(self, event: Event) -> int:
        if event.action_type != commitment.REQUEST:
            return NO_SUCH_ACTION
        if event.request.RequestedSOPInstanceUID != commitment.SOP_INSTANCE:
            return NO_SUCH_INSTANCE
        try:
            request = commitment.decode_request(event.action_information)
        except NotUnderstood:
            return INVALID_ARGUMENT
        except Exception as error:  # noqa: BLE001 - whatever breaks in what a peer sends
            log.warning("a commitment request was not understood: %s", type(error).__name__)
            return INVALID_ARGUMENT
        if len(request.references) > MOST_REFERENCES:
            return NO_RESOURCES
        requestor = event.assoc.requestor
        try:
            taken = commitments.ask(
                self._ctx, requestor.ae_title, requestor.address or "", request, self._classes
            )
        except Conflict:
            return DUPLICATE_INVOCATION
        log.info(
            "commitment request %d from %s: %d instances",
            taken.request_id,
            requestor.ae_title,
            len(request.references),
        )
        if taken.is_held:
            with self._lock:
                self._held[taken.request_id] = _Held(event.assoc)
            self._changed.set()
        return SUCCESS

    def handle_report(self, event: Event) -> tuple[int, Dataset | None]:
        """Answer one N-EVENT-REPORT: what a peer says of studies that we forwarded to it."""
        peer = event.assoc.requestor.ae_title
        try:
            result = commitment.decode_result(event.event_information)
            known = confirming.note(self._ctx, peer, result)
        except NotUnderstood:
            return INVALID_ARGUMENT, None
        except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
            log.error("a commitment result of %s failed: %s", peer, type(error).__name__)
            return PROCESSING_FAILURE, None
        log.info(
            "%s confirms %d instances, %d not", peer, len(result.committed), len(result.failed)
        )
        return (SUCCESS if known else NO_SUCH_INSTANCE), None

    def heard(self, event: Event) -> None:
        """A message came: it may be the answer to a report of ours."""
        if type(event.message).__name__ != "N_EVENT_REPORT_RSP":
            return
        command = event.message.command_set
        number = command.get("MessageIDBeingRespondedTo", 0)
        with self._lock:
            known = [
                id_
                for id_, held in self._held.items()
                if held.association is event.assoc and held.message_id == number
            ]
            for id_ in known:
                del self._held[id_]
        for id_ in known:
            status = command.get("Status", PROCESSING_FAILURE)
            log.info("commitment request %d reported: 0x%04X", id_, status)
            self._end(id_, is_reported=status == SUCCESS)

    # --- the reporting thread ---------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over:
            self._changed.wait(LOOK_EVERY_S if self._held else None)
            self._changed.clear()
            try:
                self._look()
            except ClinicError as error:
                log.warning("commitment results cannot be looked up: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the edge: later requests need this thread
                log.error("reporting a commitment failed: %s", type(error).__name__)
        for id_ in self._taken_out(list(self._held)):
            self._end(id_, is_reported=False)

    def _look(self) -> None:
        with self._lock:
            held = dict(self._held)
        gone = [id_ for id_, each in held.items() if not each.association.is_established]
        for id_ in self._taken_out(gone):
            self._end(id_, is_reported=False)
        waiting = [id_ for id_, each in held.items() if id_ not in gone and each.message_id == 0]
        if not waiting:
            return
        ready = commitments.ready(self._ctx, waiting)
        self._taken_out([id_ for id_ in waiting if id_ not in ready])  # the grace is over
        for id_, is_checked in ready.items():
            if is_checked:
                self._report(id_, held[id_])

    def _report(self, request_id: int, held: _Held) -> None:
        result = commitments.take(self._ctx, request_id)
        if result is None:
            self._taken_out([request_id])
            return
        self._numbers = self._numbers + 1 if self._numbers < 0xFFFF else _FIRST_MESSAGE_ID
        held.message_id = self._numbers
        sent = commitment.begin_report(
            held.association, result, self._ctx.settings.ae_title, held.message_id
        )
        if not sent:
            for id_ in self._taken_out([request_id]):
                self._end(id_, is_reported=False)

    def _taken_out(self, request_ids: list[int]) -> list[int]:
        """Forget requests; return those that nobody else took out meanwhile."""
        with self._lock:
            return [id_ for id_ in request_ids if self._held.pop(id_, None) is not None]

    def _end(self, request_id: int, *, is_reported: bool) -> None:
        try:
            if is_reported:
                commitments.note_reported(self._ctx, request_id)
            else:
                commitments.let_go(self._ctx, request_id)
        except ClinicError as error:  # the worker reports once more, when the grace is over
            log.warning("commitment request %d: %s", request_id, type(error).__name__)
