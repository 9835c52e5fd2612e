"""Storage commitment requests: read every object off the disk, then tell the device."""

from __future__ import annotations

import threading
import time

from clinic_panel.context import Context
from clinic_panel.dimse import commitment
from clinic_panel.dimse.model import Caller
from clinic_panel.errors import PeerFailure, PeerUnavailable
from clinic_panel.services import commitments, safekeeping

NOTE_EVERY_S = 2.0  # what was read by then is not read again after a kill


def settle(ctx: Context, request_id: int, stopping: threading.Event) -> None:
    """Check what is not checked yet, and report.

    Parameters
    ----------
    stopping
        Set it to end after the object under way.

    Raises
    ------
    PeerUnavailable, PeerFailure
        The device does not hear or take the result now.
    GivenUp
        It did not for a day.
    """
    _check(ctx, request_id, stopping)
    if stopping.is_set():
        return
    due = commitments.conclude(ctx, request_id)
    if due is None:
        return
    try:
        remote = commitments.remote_of(due)
        commitment.report(Caller.of(ctx.settings), remote, due.result)
    except (PeerUnavailable, PeerFailure) as error:
        commitments.note_failure(ctx, request_id, error.message)
        raise
    commitments.note_reported(ctx, request_id)


def _check(ctx: Context, request_id: int, stopping: threading.Event) -> None:
    while not stopping.is_set() and (items := safekeeping.unchecked(ctx, request_id)):
        reasons: dict[int, int] = {}
        until = time.monotonic() + NOTE_EVERY_S
        for item in items:
            reasons[item.item_id] = safekeeping.check(ctx.store, item)
            if stopping.is_set() or time.monotonic() > until:
                break
        safekeeping.note_checked(ctx, reasons)
