"""C-MOVE and C-GET: what is answered when. Which objects and where to, the services know."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.presentation import PresentationContext

from clinic_panel.context import Context
from clinic_panel.dimse.model import Caller, Remote
from clinic_panel.dimse.objects import deliver, proposals
from clinic_panel.dimse.outgoing import Agreed, associated
from clinic_panel.dimse.store import LinkLost, StoreSender
from clinic_panel.errors import ClinicError, Invalid, NotFound, PeerUnavailable, SettingsError
from clinic_panel.imaging.pixels import Decoder
from clinic_panel.services import retrieve
from clinic_panel.services.query_levels import model_of
from clinic_panel.services.retrieve import Match
from listener.conversation import (
    CANCELLED,
    CANNOT_COUNT,
    CANNOT_SEND,
    DESTINATION_UNKNOWN,
    IDENTIFIER_DOES_NOT_MATCH,
    SOP_CLASS_NOT_SUPPORTED,
    UNABLE_TO_PROCESS,
    Conversation,
    RequestorGone,
    SameLink,
)

log = logging.getLogger(__name__)

LOST_IN_A_ROW = 2  # associations that broke before anything was answered

type Proposed = Sequence[tuple[str, Sequence[str]]]


class Retrieval:
    """Serves C-MOVE and C-GET for the associations of one process."""

    def __init__(self, ctx: Context, decoder: Decoder) -> None:
        """Prepare to serve.

        Parameters
        ----------
        decoder
            Decodes frames for peers that take no compressed images.
        """
        self._ctx, self._decoder = ctx, decoder
        self._caller = Caller.of(ctx.settings)

    def serve(
        self, association: Association, request: C_MOVE | C_GET, context: PresentationContext
    ) -> None:
        """Answer one request, whatever happens."""
        talk = Conversation(association, request, context)
        who = talk.requestor[0]
        try:
            self._serve(talk)
        except RequestorGone:
            log.info("%s from %s: the association ended before the answer", talk.name, who)
        except Exception as error:  # noqa: BLE001 - the edge: the peer always gets an answer
            log.error("%s from %s failed: %s", talk.name, who, type(error).__name__)
            with contextlib.suppress(RequestorGone):
                talk.respond(UNABLE_TO_PROCESS)

    def _serve(self, talk: Conversation) -> None:
        try:
            found, remote = self._asked_for(talk)
        except _Refused as refusal:
            who = talk.requestor[0]
            log.warning("%s from %s refused: 0x%04X", talk.name, who, refusal.status)
            talk.respond(refusal.status, refusal.comment)
            return
        talk.begin(len(found))
        comment = ""
        try:
            if remote is None:
                self._get(talk, found)
            else:
                comment = self._move(talk, found, remote)
        finally:
            self._audit(talk)
        progress = talk.progress
        log.info(
            "%s from %s: %d sent, %d failed, %d not tried",
            talk.name,
            talk.requestor[0],
            progress.completed + progress.warning,
            progress.failed,
            progress.remaining,
        )
        talk.respond(CANCELLED if progress.remaining else progress.status, comment)

    def _asked_for(self, talk: Conversation) -> tuple[list[Match], Remote | None]:
        """Return the objects, and where they go when that is not back."""
        request = talk.request
        if request.AffectedSOPClassUID != talk.context.abstract_syntax:
            raise _Refused(SOP_CLASS_NOT_SUPPORTED)
        model = model_of(str(talk.context.abstract_syntax))
        is_move = isinstance(request, C_MOVE)
        try:
            identifier = talk.identifier()
            wanted = retrieve.wanted(identifier, model, relational=talk.is_relational)
        except Invalid as error:
            raise _Refused(IDENTIFIER_DOES_NOT_MATCH, error.message) from None
        except Exception:  # noqa: BLE001 - whatever breaks in a peer's identifier
            raise _Refused(IDENTIFIER_DOES_NOT_MATCH) from None
        try:
            remote = None
            if is_move:
                remote = retrieve.destination(self._ctx, (request.MoveDestination or "").strip())
                talk.destination = remote.ae_title
            found = retrieve.matches(self._ctx, wanted)
        except NotFound:
            raise _Refused(DESTINATION_UNKNOWN, "this move destination is not known") from None
        except ClinicError:
            raise _Refused(CANNOT_COUNT, "the index does not answer") from None
        if found.is_cut:
            raise _Refused(CANNOT_COUNT, f"more than {retrieve.MOST_OBJECTS} objects match")
        return found.matches, remote

    def _get(self, talk: Conversation, found: Sequence[Match]) -> None:
        """Send the objects back on the association they were asked for on."""
        association = talk.association
        agreed = tuple(
            Agreed(
                context.context_id, str(context.abstract_syntax), str(context.transfer_syntax[0])
            )
            for context in association._accepted_cx.values()
            if context.as_scu  # agreed by role selection (PS3.7 D.3.3.4)
        )
        left = deque(found)
        try:
            sender = StoreSender(SameLink(association))
            self._send(talk, left, sender, agreed, lambda: None)
        except LinkLost:
            association.abort()  # an object broke off in the middle: nothing can follow it
            talk.progress.count(left[0], CANNOT_SEND)  # the requestor may have all of it
            raise RequestorGone from None

    def _move(self, talk: Conversation, found: Sequence[Match], remote: Remote) -> str:
        """Send the objects to a peer; return what there is to say when it did not go well."""
        comments = [
            self._move_some(
                talk, deque(m for m in found if m.stored.kind in kinds), remote, contexts
            )
            for kinds, contexts in proposals((m.stored.kind for m in found), decodes=True)
        ]
        return next(filter(None, comments), "")

    def _move_some(
        self, talk: Conversation, left: deque[Match], remote: Remote, contexts: Proposed
    ) -> str:
        """Send what goes over one kind of association; a new one follows one that breaks."""
        originator = (talk.requestor[0], talk.request.MessageID)
        lost_in_a_row = 0
        while left and not talk.is_cancelled and lost_in_a_row < LOST_IN_A_ROW:
            before = len(left)
            try:
                with associated(self._caller, remote, contexts, talk.tick) as link:
                    sender = StoreSender(link, move_originator=originator)
                    self._send(talk, left, sender, link.contexts, talk.tick)
            except (PeerUnavailable, SettingsError) as error:
                log.warning("C-MOVE from %s: %s", talk.requestor[0], error.message)
                self._fail(talk, left)
                return f"no association with {remote.ae_title}"
            except LinkLost:
                # The object at which it broke may be the reason: the others get another try.
                lost_in_a_row = 1 if len(left) < before else lost_in_a_row + 1
                self._count(talk, left.popleft(), CANNOT_SEND)
        if not talk.is_cancelled and left:
            self._fail(talk, left)
            return f"{remote.ae_title} breaks off"
        return ""

    def _send(
        self,
        talk: Conversation,
        left: deque[Match],
        sender: StoreSender,
        agreed: Sequence[Agreed],
        tick: Callable[[], None],
    ) -> None:
        """Send until all are or the requestor has had enough; `left` holds what is not done."""
        priority = talk.request.Priority or 0
        while left and not talk.is_cancelled:
            stored = left[0].stored
            status = deliver(
                sender, stored, agreed, self._decoder, priority=priority, each_block=tick
            )
            self._count(talk, left.popleft(), status)

    def _count(self, talk: Conversation, match: Match, status: int) -> None:
        progress = talk.progress
        begun = progress.sent.keys() | progress.unsent.keys()
        if begun and match.study_id not in begun:
            self._audit(talk)  # a process that is killed forgets one study at most
        talk.done(match, status)

    def _fail(self, talk: Conversation, left: deque[Match]) -> None:
        while left:
            talk.progress.count(left.popleft(), CANNOT_SEND, was_tried=False)

    def _audit(self, talk: Conversation) -> None:
        progress = talk.progress
        sent, progress.sent = progress.sent, Counter()
        unsent, progress.unsent = progress.unsent, Counter()
        if sent or unsent:
            retrieve.record(self._ctx, talk.requestor, talk.destination, sent, unsent)


class _Refused(Exception):
    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__()
        self.status, self.comment = status, comment
