"""Asks peers by storage commitment whether they hold what was forwarded to them."""

from __future__ import annotations

import threading

from clinic_panel.context import Context
from clinic_panel.dimse import commitment
from clinic_panel.dimse.model import Caller
from clinic_panel.errors import GivenUp, PeerFailure, PeerRefuses, PeerUnavailable
from clinic_panel.services import confirming


def confirm(ctx: Context, peer_id: int, stopping: threading.Event) -> None:
    """Ask a peer for all that was delivered and not confirmed; answers may come later.

    Raises
    ------
    PeerUnavailable, PeerFailure
        It does not take the request now.
    GivenUp
        It does not offer the service at all.
    """
    caller = Caller.of(ctx.settings)
    while not stopping.is_set() and (asking := confirming.next_request(ctx, peer_id)) is not None:
        try:
            result = commitment.commit(caller, asking.remote, asking.request)
        except PeerRefuses as error:
            confirming.withdraw(ctx, asking.confirmation_id)
            raise GivenUp(error.message) from None
        except (PeerUnavailable, PeerFailure):
            confirming.withdraw(ctx, asking.confirmation_id)
            raise
        if result is not None:
            confirming.note(ctx, asking.remote.ae_title, result)
