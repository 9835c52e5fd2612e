"""Studies from other archives: they send, our listener takes, this only asks and counts."""

from __future__ import annotations

import threading
import time

from clinic_panel.context import Context
from clinic_panel.dimse import move
from clinic_panel.dimse.model import Caller, MoveProgress
from clinic_panel.errors import ClinicError, PeerFailure, PeerUnavailable
from clinic_panel.models.fetch import FetchState
from clinic_panel.services import fetching

NOTE_EVERY_S = 1.0


def carry(ctx: Context, fetch_id: int, stopping: threading.Event) -> None:
    """Have one study sent here and say how it went; a person asks again, not the clock.

    Parameters
    ----------
    stopping
        Set it to break the transfer off; it is begun anew by the next worker.
    """
    order = fetching.begin(ctx, fetch_id)
    caller, noted = Caller.of(ctx.settings), 0.0
    latest = MoveProgress()

    def tell(progress: MoveProgress) -> bool:
        nonlocal noted, latest
        latest = progress
        if time.monotonic() - noted > NOTE_EVERY_S:
            noted = time.monotonic()
            fetching.note(ctx, fetch_id, progress, FetchState.RUNNING)
        return not stopping.is_set()

    try:
        latest = move.move(caller, order.remote, order.study_instance_uid, caller.ae_title, tell)
    except (PeerUnavailable, PeerFailure) as error:
        fetching.note(ctx, fetch_id, latest, FetchState.FAILED, error.message)
        return
    except ClinicError as error:
        fetching.note(ctx, fetch_id, latest, FetchState.FAILED, error.message)
        raise
    if stopping.is_set():
        fetching.note(ctx, fetch_id, latest, FetchState.WAITING)
        return
    fetching.note(ctx, fetch_id, latest, *_ending(latest))


def _ending(progress: MoveProgress) -> tuple[FetchState, str]:
    if progress.failed and progress.completed:
        return FetchState.PARTLY, "The archive could not send all of it."
    if progress.failed:
        return FetchState.FAILED, "The archive could send nothing of it to us."
    if not progress.completed:
        return FetchState.FAILED, "The archive says that there is nothing to send."
    return FetchState.DONE, ""
