"""Who may associate (PS3.8 9.3.4), and what is kept of a refusal."""

import logging
import threading
import time

from pynetdicom import evt
from pynetdicom.association import Association

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import associations
from listener.limits import Admission
from listener.recorder import Recorder

log = logging.getLogger(__name__)

# Result, source and reason of A-ASSOCIATE-RJ (PS3.8 Table 9-21).
CONTEXT_NOT_SUPPORTED = (1, 1, 2)
CALLING_NOT_RECOGNISED = (1, 1, 3)
CALLED_NOT_RECOGNISED = (1, 1, 7)
TEMPORARY_CONGESTION = (2, 3, 1)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
REASONS = {
    CONTEXT_NOT_SUPPORTED: "another application context than that of DICOM",
    CALLING_NOT_RECOGNISED: "unknown calling AE title",
    CALLED_NOT_RECOGNISED: "wrong called AE title",
    TEMPORARY_CONGESTION: "database not available",
    LOCAL_LIMIT_EXCEEDED: "too many associations",
}
APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
REFUSAL_EVERY_S = 60.0  # one audit entry a minute for each peer: a refused device tries for ever
_REFUSALS_KEPT = 1000


class Acceptance:
    """Accepts or refuses associations, and knows those that last."""

    def __init__(self, ctx: Context, admission: Admission, recorder: Recorder) -> None:
        """Begin with no association.

        Parameters
        ----------
        admission
            Counts connections and associations against the limits.
        recorder
            Told of what is refused.
        """
        self._ctx, self._admission, self._recorder = ctx, admission, recorder
        self.associations: dict[Association, str] = {}
        self._refused: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def admit(self, event: evt.Event) -> None:
        """Decide on an A-ASSOCIATE-RQ; a refused one is answered here."""
        association = event.assoc
        request = association.requestor.primitive
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = association.requestor.address or ""
        reason = (
            self._refusal(calling, called)
            if request.application_context_name == APPLICATION_CONTEXT_NAME
            else CONTEXT_NOT_SUPPORTED
        )
        if reason is None:
            if self._admission.associate(address):
                with self._lock:
                    self.associations[association] = address
                log.info("association from %s at %s", calling, address)
                return
            reason = LOCAL_LIMIT_EXCEEDED
        association.requestor.ae_title = calling
        self._recorder.refused(association, REASONS[reason])
        association.acse.send_reject(*reason)
        association.kill()
        self._keep_refusal(calling, address, reason)

    def _refusal(self, calling: str, called: str) -> tuple[int, int, int] | None:
        if called != self._ctx.settings.ae_title:
            return CALLED_NOT_RECOGNISED
        if self._ctx.settings.unknown_ae == "accept":
            return None
        try:
            return None if associations.is_known(self._ctx, calling) else CALLING_NOT_RECOGNISED
        except Exception as error:  # noqa: BLE001 - the library would go on as if all were well
            log.error("AE titles cannot be looked up: %s", type(error).__name__)
            return TEMPORARY_CONGESTION

    def _keep_refusal(self, calling: str, address: str, reason: tuple[int, int, int]) -> None:
        now = time.monotonic()
        with self._lock:
            last = self._refused.get((calling, address))
            if last is not None and now - last < REFUSAL_EVERY_S:
                return
            if len(self._refused) >= _REFUSALS_KEPT:
                self._refused.clear()
            self._refused[calling, address] = now
        log.warning("association from %s at %s refused: %s", calling, address, REASONS[reason])
        if reason in (CALLING_NOT_RECOGNISED, CALLED_NOT_RECOGNISED):
            try:
                associations.record_refusal(self._ctx, calling, address, REASONS[reason])
            except ClinicError as error:
                log.error("a refusal could not be kept: %s", type(error).__name__)

    def ended(self, association: Association) -> None:
        """Count a connection that is over."""
        with self._lock:
            address = self.associations.pop(association, None)
        if address is not None:
            self._admission.dissociate(address)
        self._admission.disconnect(association.requestor.address or "")
