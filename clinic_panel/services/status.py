"""How the clinic itself is: can it work, and how much is in it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from sqlalchemy import func, select

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, StorageFull, Unavailable
from clinic_panel.models.imaging import Instance, InstanceConflict, Study
from clinic_panel.models.peer import Forwarding, ForwardingState
from clinic_panel.models.report import Report
from clinic_panel.models.user import WebSession
from clinic_panel.resources import check_schema
from clinic_panel.services import jobs
from clinic_panel.services.sessions import IDLE


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of what; ``jobs`` by kind and state."""

    jobs: dict[tuple[str, str], int] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)


def check_ready(ctx: Context) -> None:
    """Make sure that database, schema and archive can be worked with.

    Raises
    ------
    Unavailable
        The message says which part is not ready, and why.
    """
    with ctx.read() as session:
        engine = session.get_bind().engine
    check_schema(engine)
    try:
        check_archive(ctx)
    except ClinicError as error:
        raise Unavailable(error.message) from None


def check_archive(ctx: Context) -> None:
    """Make sure that objects can arrive; anybody may ask, so nothing is written.

    Raises
    ------
    Unavailable, StorageFull
    """
    incoming = ctx.store.root / "incoming"
    try:
        read_only = os.statvfs(incoming).f_flag & os.ST_RDONLY
    except OSError as error:
        raise Unavailable(f"The archive cannot be written: {error.strerror}.") from None
    if read_only or not os.access(incoming, os.W_OK | os.X_OK):
        raise Unavailable("The archive cannot be written.")
    if ctx.store.free_bytes() <= 0:
        raise StorageFull("The archive is full: its disk has no room above the reserve.")


def counts(ctx: Context) -> Counts:
    """Count rows for the monitoring; nothing of it names anybody.

    Raises
    ------
    Forbidden
    """
    queue = jobs.counts(ctx)
    with ctx.read() as session:
        waiting = Forwarding.state == ForwardingState.WAITING
        since = ctx.clock() - IDLE
        open_now = WebSession.revoked_at.is_(None) & (WebSession.seen_at > since)
        return Counts(
            jobs={(kind.value, state.value): number for (kind, state), number in queue.items()},
            totals={
                "studies": session.scalar(select(func.count(Study.id))) or 0,
                "instances": session.scalar(select(func.count(Instance.id))) or 0,
                "reports": session.scalar(select(func.count(Report.id))) or 0,
                "conflicts": session.scalar(
                    select(func.count(InstanceConflict.id)).where(
                        InstanceConflict.acknowledged_at.is_(None)
                    )
                )
                or 0,
                "forwardings_waiting": session.scalar(
                    select(func.count(Forwarding.id)).where(waiting)
                )
                or 0,
                "signed_in_sessions": session.scalar(
                    select(func.count(WebSession.id)).where(open_now)
                )
                or 0,
                "archive_free_bytes": ctx.store.free_bytes(),
            },
        )
