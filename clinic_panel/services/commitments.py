"""Storage Commitment as provider: what devices ask us to keep safe, checked and reported once.

A request and its job are one commit. The worker checks the bytes and reports on an association of
its own, back to the address the device is known by; while a request is *held*, the listener may
report on the association that asked, and the worker leaves it alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.dimse.model import (
    CLASS_NOT_SUPPORTED,
    DUPLICATE_TRANSACTION,
    Reference,
    Remote,
    Request,
    Result,
)
from clinic_panel.errors import (
    Conflict,
    GivenUp,
    NotFound,
    PeerUnavailable,
    Unavailable,
)
from clinic_panel.models.audit_log import Action
from clinic_panel.models.commitment import CommitmentItem, CommitmentRequest, CommitmentState
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs

REPORT_FOR = timedelta(days=1)
# How long an answer may take on the association that asked, once it was said.
ANSWER = timedelta(seconds=30)
MOST_UNDER_ONE_UID = 5
_ITEMS: Table = CommitmentItem.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that is on disk; ``is_held``: the result may go back on its own association."""

    request_id: int
    is_held: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A result that is due, and where the device listens; None: nobody knows."""

    result: Result
    ae_title: str
    remote: Remote | None


def ask(
    ctx: Context, ae_title: str, address: str, request: Request, supported: Collection[str]
) -> Taken:
    """Keep a request and the job that answers it; asking again while it is open changes nothing.

    Parameters
    ----------
    supported
        SOP Class UIDs that can be stored here.

    Raises
    ------
    Conflict
        The Transaction UID was used for other instances too often.
    """
    ctx.require(Permission.DICOM_WRITE)
    for _ in range(3):
        try:
            with ctx.begin() as session:
                return _take(ctx, session, ae_title, address, request, supported)
        except IntegrityError:
            continue  # the same at the same moment: what came first is there now
    raise Unavailable


def _take(
    ctx: Context,
    session: Session,
    ae_title: str,
    address: str,
    request: Request,
    supported: Collection[str],
) -> Taken:
    digest = _digest(request.references)
    query = (
        select(CommitmentRequest)
        .where(
            CommitmentRequest.ae_title == ae_title,
            CommitmentRequest.transaction_uid == request.transaction_uid,
        )
        .order_by(CommitmentRequest.number)
        .with_for_update()
    )
    earlier = session.scalars(query).all()
    row = next((row for row in earlier if row.references_sha256 == digest), None)
    if row is None:
        if len(earlier) >= MOST_UNDER_ONE_UID:
            raise Conflict("The Transaction UID was used for other instances.")
        row = CommitmentRequest(
            ae_title=ae_title,
            transaction_uid=request.transaction_uid,
            number=len(earlier),
            references_sha256=digest,
            instances=len(request.references),
            asked_at=ctx.clock(),
        )
        session.add(row)
        session.flush()
        _add_items(session, row, request.references, supported)
    elif row.state in (CommitmentState.REPORTED, CommitmentState.GIVEN_UP):
        # Its result was lost on the way, or things have changed: look again.
        session.execute(delete(CommitmentItem).where(CommitmentItem.request_pk == row.id))
        _add_items(session, row, request.references, supported)
        row.state, row.finished_at, row.failures = CommitmentState.CHECKING, None, {}
    row.address = address[:64]
    peer = _peer(session, ae_title)
    if peer is None or not peer.host or peer.reports_on_same:
        row.held_until_at = ctx.clock() + timedelta(seconds=ctx.settings.commitment_grace_s)
    jobs.enqueue(ctx, session, JobKind.COMMITMENT, [row.id])
    audit.record(ctx, session, Action.COMMIT, row, ae_title=ae_title, asked=row.instances)
    changes.announce(session, Topic.ADMIN)
    return Taken(row.id, row.held_until_at is not None)


def _add_items(
    session: Session,
    row: CommitmentRequest,
    references: Sequence[Reference],
    supported: Collection[str],
) -> None:
    def known(reference: Reference) -> int | None:
        if row.number:
            return DUPLICATE_TRANSACTION
        return None if reference.sop_class_uid in supported else CLASS_NOT_SUPPORTED

    session.connection().execute(
        insert(_ITEMS),
        [
            {
                "request_pk": row.id,
                "sop_class_uid": reference.sop_class_uid,
                "sop_instance_uid": reference.sop_instance_uid,
                "reason": known(reference),
            }
            for reference in references
        ],
    )


def conclude(ctx: Context, request_id: int) -> Report | None:
    """Close the check and return the report that is due now.

    Returns
    -------
    Report or None
        None: it was reported, or the listener has it; the job is asked for again for later.

    Raises
    ------
    NotFound
        There is no such request.
    """
    ctx.require(Permission.JOB_RUN)
    now = ctx.clock()
    with ctx.begin() as session:
        row = locked(session, request_id)
        if row.state is CommitmentState.REPORTED:
            return None
        if row.state is not CommitmentState.TO_REPORT:  # checked just now, or asked for once more
            _close_check(session, row)
            row.state, row.give_up_at = CommitmentState.TO_REPORT, now + REPORT_FOR
            row.finished_at = None
            changes.announce(session, Topic.ADMIN)
        if row.held_until_at is not None and row.held_until_at > now:
            delay = row.held_until_at - now
            jobs.enqueue(ctx, session, JobKind.COMMITMENT, [row.id], delay=delay)
            return None
        row.held_until_at = None
        return _report(session, row)


def note_failure(ctx: Context, request_id: int, why: str) -> None:
    """Keep why a report did not arrive.

    Parameters
    ----------
    why
        A sentence of ours.

    Raises
    ------
    GivenUp
        It was tried for a day.
    """
    ctx.require(Permission.JOB_RUN)
    now = ctx.clock()
    with ctx.begin() as session:
        row = locked(session, request_id)
        row.attempts += 1
        row.last_error = why[:256]
        is_over = row.give_up_at is not None and now >= row.give_up_at
        if is_over:
            row.state, row.finished_at = CommitmentState.GIVEN_UP, now
            audit.record(
                ctx, session, Action.COMMIT, row, ae_title=row.ae_title, attempts=row.attempts
            )
        changes.announce(session, Topic.ADMIN)
    if is_over:
        raise GivenUp(f"The result was not taken for a day. {why}")


def note_reported(ctx: Context, request_id: int) -> None:
    """Keep that the device has its result; the list of instances is needed no more."""
    ctx.require(Permission.DICOM_WRITE)
    with ctx.begin() as session:
        row = locked(session, request_id)
        row.state, row.finished_at = CommitmentState.REPORTED, ctx.clock()
        row.held_until_at, row.last_error = None, ""
        session.execute(delete(CommitmentItem).where(CommitmentItem.request_pk == row.id))
        audit.record(
            ctx,
            session,
            Action.COMMIT,
            row,
            ae_title=row.ae_title,
            committed=row.instances - sum(row.failures.values()),
            failures=row.failures,
        )
        changes.announce(session, Topic.ADMIN)


# --- for the listener, while the association that asked is open ---


def ready(ctx: Context, request_ids: Collection[int]) -> dict[int, bool]:
    """Return which held requests can be reported now; those no longer held are absent."""
    ctx.require(Permission.DICOM_WRITE)
    query = select(CommitmentRequest.id, CommitmentRequest.state).where(
        CommitmentRequest.id.in_(request_ids),
        CommitmentRequest.held_until_at > ctx.clock(),
        CommitmentRequest.state.in_([CommitmentState.CHECKING, CommitmentState.TO_REPORT]),
    )
    with ctx.read() as session:
        return {
            id_: state is CommitmentState.TO_REPORT for id_, state in session.execute(query).all()
        }


def take(ctx: Context, request_id: int) -> Result | None:
    """Hold a checked request a little longer and return what to report; None: it is too late."""
    ctx.require(Permission.DICOM_WRITE)
    now = ctx.clock()
    with ctx.begin() as session:
        row = locked(session, request_id)
        held = row.held_until_at
        if row.state is not CommitmentState.TO_REPORT or held is None or held <= now:
            return None
        row.held_until_at = now + ANSWER
        jobs.enqueue(ctx, session, JobKind.COMMITMENT, [row.id], delay=ANSWER)
        return _report(session, row).result


def let_go(ctx: Context, request_id: int) -> None:
    """Leave the report to the worker, at once: the association that asked is over."""
    ctx.require(Permission.DICOM_WRITE)
    with ctx.begin() as session:
        row = locked(session, request_id)
        if row.held_until_at is not None:
            row.held_until_at = None
            jobs.enqueue(ctx, session, JobKind.COMMITMENT, [row.id])


def wake(ctx: Context, session: Session, ae_title: str) -> None:
    """Report at once to a device whose address has changed, in the caller's transaction."""
    waiting = session.scalars(
        select(CommitmentRequest.id).where(
            CommitmentRequest.ae_title == ae_title,
            CommitmentRequest.state == CommitmentState.TO_REPORT,
        )
    ).all()
    jobs.enqueue(ctx, session, JobKind.COMMITMENT, waiting)


def _digest(references: Sequence[Reference]) -> str:
    lines = sorted(f"{each.sop_class_uid} {each.sop_instance_uid}" for each in references)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def locked(session: Session, request_id: int) -> CommitmentRequest:
    """Return a request whose row the caller's transaction holds.

    Raises
    ------
    NotFound
        There is no such request.
    """
    row = session.get(CommitmentRequest, request_id, with_for_update=True)
    if row is None:
        raise NotFound
    return row


def _peer(session: Session, ae_title: str) -> Peer | None:
    return session.scalar(select(Peer).where(Peer.ae_title == ae_title, Peer.is_active))


def _close_check(session: Session, row: CommitmentRequest) -> None:
    query = select(CommitmentItem.reason).where(CommitmentItem.request_pk == row.id)
    reasons = list(session.scalars(query))
    if None in reasons:
        raise Unavailable("Not all instances are checked yet.")
    row.failures = dict(Counter(f"{reason:04X}" for reason in reasons if reason))


def _report(session: Session, row: CommitmentRequest) -> Report:
    query = (
        select(CommitmentItem.sop_class_uid, CommitmentItem.sop_instance_uid, CommitmentItem.reason)
        .where(CommitmentItem.request_pk == row.id)
        .order_by(CommitmentItem.id)
    )
    looked = [(Reference(*uids), reason) for *uids, reason in session.execute(query)]
    result = Result(
        row.transaction_uid,
        tuple(reference for reference, reason in looked if not reason),
        tuple((reference, reason) for reference, reason in looked if reason),
    )
    peer = _peer(session, row.ae_title)
    remote = None
    if peer is not None and peer.host:
        remote = Remote(peer.ae_title, peer.host, peer.port, peer.uses_tls)
    return Report(result, row.ae_title, remote)


def remote_of(report: Report) -> Remote:
    """Return where to report.

    Raises
    ------
    PeerUnavailable
        The device is not among those with an address.
    """
    if report.remote is None:
        raise PeerUnavailable(
            f"No address is known for {report.ae_title}: enter it under Rooms or Devices."
        )
    return report.remote
