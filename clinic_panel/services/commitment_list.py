"""Storage commitment requests as the administrator sees them, and another try for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.errors import Conflict
from clinic_panel.models.audit_log import Action
from clinic_panel.models.commitment import CommitmentRequest, CommitmentState
from clinic_panel.models.job import JobKind
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, commitments, jobs


@dataclass(frozen=True, slots=True)
class CommitmentRow:
    """One request, for a table."""

    id: int
    ae_title: str
    address: str
    state: CommitmentState
    instances: int
    failures: dict[str, Any]
    attempts: int
    last_error: str
    asked_at: datetime
    give_up_at: datetime | None
    finished_at: datetime | None


def requests(ctx: Context, *, limit: int = 200) -> list[CommitmentRow]:
    """Return the latest requests, those that need a person first.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = (
        select(CommitmentRequest)
        .order_by(
            (CommitmentRequest.state == CommitmentState.GIVEN_UP).desc(),
            CommitmentRequest.id.desc(),
        )
        .limit(limit)
    )
    with ctx.read() as session:
        return [
            CommitmentRow(**{name: getattr(row, name) for name in _SHOWN})
            for row in session.scalars(query)
        ]


_SHOWN = tuple(CommitmentRow.__dataclass_fields__)


def retry(ctx: Context, request_id: int) -> None:
    """Report again, for another day; also at once what waits for its next try.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such request.
    Conflict
        The device has its result.
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        row = commitments.locked(session, request_id)
        if row.state is CommitmentState.REPORTED:
            raise Conflict("The device has the result of this request already.")
        jobs.enqueue(ctx, session, JobKind.COMMITMENT, [row.id])
        audit.record(ctx, session, Action.RETRY, row, ae_title=row.ae_title)
        changes.announce(session, Topic.ADMIN)
