"""C-FIND past the library: the answers and the final response are written as bytes, in one piece.

The library builds a data set, a message and its fragments for every response, each of them handed
from thread to thread. A small query would take longer to say that it is done than to search.
"""

from __future__ import annotations

import logging

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import ModalityWorklistInformationFind

from clinic_panel.context import Context
from clinic_panel.services.query_levels import MODELS
from listener.answers import FindResponses
from listener.audits import Audits
from listener.courtesy import Courtesy
from listener.handlers import CANCELLED, SOP_CLASS_NOT_SUPPORTED, peer_of
from listener.query import Outcome, failed, search
from listener.recorder import Recorder

log = logging.getLogger(__name__)

_SERVED = frozenset(
    {str(ModalityWorklistInformationFind), *(model.sop_class_uids[0] for model in MODELS)}
)


class Finding:
    """Serves C-FIND for the associations of one process, on the event-driven receiver."""

    def __init__(
        self, ctx: Context, recorder: Recorder, audits: Audits, courtesy: Courtesy
    ) -> None:
        self._ctx, self._recorder, self._audits = ctx, recorder, audits
        self._courtesy = courtesy

    def serve(
        self, association: Association, request: C_FIND, context: PresentationContext
    ) -> None:
        """Answer one request, whatever happens."""
        with self._courtesy.serving():
            self._serve(association, request, context)

    def _serve(
        self, association: Association, request: C_FIND, context: PresentationContext
    ) -> None:
        event = evt.Event(
            association,
            evt.EVT_C_FIND,
            {
                "request": request,
                "context": context.as_tuple,
                "_is_cancelled": lambda number: number in association.dimse.cancel_req,
            },
        )
        responses = FindResponses(
            event.context.context_id,
            request.MessageID,
            str(request.AffectedSOPClassUID or ""),
            peer_pdu_bytes=association.requestor.maximum_length,
        )
        if context.abstract_syntax in _SERVED and (
            request.AffectedSOPClassUID == context.abstract_syntax
        ):
            outcome = search(event, self._ctx, self._audits)
        else:
            log.warning("C-FIND from %s refused: wrong SOP class", peer_of(event)[0])
            outcome = Outcome(SOP_CLASS_NOT_SUPPORTED)
        self._answer(event, outcome, responses)

    def _answer(self, event: evt.Event, outcome: Outcome, responses: FindResponses) -> None:
        """Send the batches, the last of them together with the final response."""
        count, pdus = 0, b""
        try:
            identifiers = outcome.identifiers(event.context.transfer_syntax)
            for batch in responses.batches(outcome.pending_status, identifiers):
                if event.is_cancelled:
                    break
                if count and not self._send(event, count, pdus):
                    return
                count, pdus = batch
        except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
            outcome = Outcome(failed(peer_of(event)[0], error))
        if event.is_cancelled:
            outcome, count, pdus = Outcome(CANCELLED), 0, b""
        final = responses.final(outcome.status, outcome.comment, outcome.keyword)
        self._recorder.answered(event, count)
        self._recorder.concluded(event, outcome.status, outcome.comment)
        event.assoc.dul.send_encoded(pdus + final)

    def _send(self, event: evt.Event, count: int, pdus: bytes) -> bool:
        """Send some answers; False when the association has ended."""
        if not event.assoc.dul.send_encoded(pdus):
            return False
        self._recorder.answered(event, count)
        return True
