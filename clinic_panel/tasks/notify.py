"""Tells peers by Instance Availability Notification which studies are here."""

from __future__ import annotations

import threading

from clinic_panel.context import Context
from clinic_panel.dimse.availability import notifying
from clinic_panel.dimse.model import Caller
from clinic_panel.errors import GivenUp, PeerRefuses, PeerUnavailable
from clinic_panel.services import availability


def notify(ctx: Context, peer_id: int, stopping: threading.Event) -> None:
    """Tell a peer of every study that it has not heard of, in one association.

    Raises
    ------
    PeerUnavailable
        It does not answer, or has no room now.
    GivenUp
        It does not offer the service, or refused a notice.
    """
    due = availability.next_notice(ctx, peer_id)
    if due is None:
        return
    refused = 0
    try:
        with notifying(Caller.of(ctx.settings), due.remote) as tell:
            while due is not None and not stopping.is_set():
                status = tell(due.study)
                if status == availability.RESOURCE_LIMITATION:
                    raise PeerUnavailable("The other system takes no notifications now.")
                if not availability.record(ctx, due, status):
                    refused = status
                due = availability.next_notice(ctx, peer_id, after=due.notice_id)
    except PeerRefuses as error:
        raise GivenUp(error.message) from None
    if refused:
        raise GivenUp(f"The other system refuses a notification: 0x{refused:04X}.")
