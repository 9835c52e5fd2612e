"""Work for later: ask for it, claim it, finish it. The row is the queue of record.

A claim is a lease under a token of its own. Whoever finishes must still hold it, so that work
which was given to someone else meanwhile writes nothing; and the row remembers in ``revision``
whether it was asked for again while it was being done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Conflict, NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes

MOST_ATTEMPTS = 3
LEASE = timedelta(seconds=60)
# Images of one series keep arriving: what was asked for again meanwhile waits this long.
AGAIN_AFTER = timedelta(seconds=1)
# These wait for someone else's machine, which comes back some day: tries are not counted.
ENDLESS = frozenset({JobKind.FORWARD, JobKind.COMMITMENT, JobKind.CONFIRM, JobKind.NOTIFY})


def _asking(insert: Any) -> Any:
    """The statement that asks for work; composed once, since every image asks."""
    wanted = insert(Job.__table__)
    is_running = Job.state == JobState.RUNNING
    return wanted.on_conflict_do_update(
        index_elements=["kind", "subject_id"],
        set_={
            "revision": Job.revision + 1,
            # Who does it now goes on; `finish` sees that it was asked for again.
            "state": case((is_running, JobState.RUNNING), else_=JobState.QUEUED),
            "attempts": case((is_running, Job.attempts), else_=0),
            "not_before_at": wanted.excluded.not_before_at,
            "error": "",
            "finished_at": None,
        },
    )


_ASK = {"sqlite": _asking(sqlite.insert), "postgresql": _asking(postgresql.insert)}

# Joins the transaction that marks the job as done.
type Write = Callable[[Session], object]


@dataclass(frozen=True, slots=True)
class Claim:
    """One job that is ours until its lease ends."""

    job_id: int
    kind: JobKind
    subject_id: int
    revision: int
    attempts: int  # this one included
    token: str

    @property
    def is_last_try(self) -> bool:
        """Whether it is set aside when it fails once more."""
        return self.attempts >= MOST_ATTEMPTS


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job, for a table."""

    id: int
    kind: JobKind
    subject_id: int
    state: JobState
    attempts: int
    not_before_at: datetime
    error: str
    created_at: datetime
    finished_at: datetime | None


def enqueue(
    ctx: Context,
    session: Session,
    kind: JobKind,
    subject_ids: Collection[int],
    *,
    delay: timedelta = timedelta(),
) -> None:
    """Ask for work in the caller's transaction; asking again while it waits asks once.

    Parameters
    ----------
    subject_ids
        Ids of the series, report versions, studies or peers meant.
    delay
        Not before so much time has passed; asking again starts the time anew.
    """
    if not subject_ids:
        return
    now = ctx.clock()
    rows = [
        {"kind": kind, "subject_id": subject_id, "not_before_at": now + delay, "created_at": now}
        for subject_id in sorted(set(subject_ids))  # in one order everywhere: no deadlock
    ]
    session.flush()
    session.connection().execute(_ASK[session.get_bind().dialect.name], rows)
    changes.announce(session, Topic.JOBS)


def next_due(ctx: Context, kinds: Collection[JobKind]) -> datetime | None:
    """Return when the next job of these kinds may be claimed; None when there is none."""
    ctx.require(Permission.JOB_RUN)
    due = case((Job.state == JobState.QUEUED, Job.not_before_at), else_=Job.lease_until_at)
    query = select(func.min(due)).where(
        Job.kind.in_(kinds), Job.state.in_([JobState.QUEUED, JobState.RUNNING])
    )
    with ctx.read() as session:
        return session.scalar(query)


def claim(
    ctx: Context,
    owner: str,
    kinds: Collection[JobKind],
    *,
    limit: int,
    lease: timedelta = LEASE,
) -> list[Claim]:
    """Take jobs that are due, or whose taker fell silent, and hold them for the lease.

    A job that was taken too often without an answer, because it ends whoever does it, is set aside
    as failed instead.

    Parameters
    ----------
    owner
        Who takes them: the beginning of the token, at most 30 characters.
    """
    ctx.require(Permission.JOB_RUN)
    now, token = ctx.clock(), f"{owner}/{secrets.token_hex(16)}"
    silent = and_(Job.state == JobState.RUNNING, Job.lease_until_at <= now)
    waiting = and_(Job.state == JobState.QUEUED, Job.not_before_at <= now)
    query = (
        select(Job)
        .where(Job.kind.in_(kinds), or_(waiting, silent))
        .order_by(Job.not_before_at, Job.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has one writer at a time anyway
    )
    taken = []
    with ctx.begin() as session:
        for job in session.scalars(query):
            if job.attempts >= MOST_ATTEMPTS and job.kind not in ENDLESS:
                _set_aside(session, job, now, "WorkerLost: the worker ended while doing it.")
                continue
            job.state = JobState.RUNNING
            job.attempts += 1
            job.claimed_by, job.lease_until_at = token, now + lease
            taken.append(Claim(job.id, job.kind, job.subject_id, job.revision, job.attempts, token))
    return taken


def renew(ctx: Context, claims: Collection[Claim], *, lease: timedelta = LEASE) -> None:
    """Hold these for another lease from now; those no longer ours are left alone."""
    ctx.require(Permission.JOB_RUN)
    if not claims:
        return
    with ctx.begin() as session:
        session.execute(
            update(Job)
            .where(Job.id.in_([held.job_id for held in claims]), _is_ours(claims))
            .values(lease_until_at=ctx.clock() + lease)
            .execution_options(synchronize_session=False)
        )


def finish(
    ctx: Context, results: Sequence[tuple[Claim, Write | None]], *topics: Topic
) -> list[Claim]:
    """Write results and mark their jobs as done, in one transaction.

    Parameters
    ----------
    results
        Each claim and what writes its result; that is called only for a claim still held.
    topics
        What changed for those who look.

    Returns
    -------
    list of Claim
        Those that were still held.
    """
    ctx.require(Permission.JOB_RUN)
    now = ctx.clock()
    with ctx.begin() as session:
        held = _held(session, [claimed for claimed, _ in results])
        for claimed, write in results:
            job = held.get(claimed.job_id)
            if job is None:
                continue
            if write is not None:
                write(session)
            if job.revision == claimed.revision:
                job.state, job.finished_at, job.error = JobState.DONE, now, ""
                _let_go(job)
            else:
                asked_for_later = job.not_before_at > now
                due = job.not_before_at if asked_for_later else now + AGAIN_AFTER
                _queue(job, due, attempts=0)
        if held:
            changes.announce(session, Topic.JOBS, *topics)
    return [claimed for claimed, _ in results if claimed.job_id in held]


def fail(ctx: Context, claimed: Claim, error: str, *, final: bool = False) -> None:
    """Note a failed try: the job is tried later again, or set aside after the last try.

    One that was asked for again meanwhile is done again, as if for the first time, where it would
    be set aside: the tries were made with what there was before.

    Parameters
    ----------
    error
        The type of the error and a sentence of ours; never a library's own text.
    final
        Trying again cannot help.
    """
    ctx.require(Permission.JOB_RUN)
    now = ctx.clock()
    with ctx.begin() as session:
        for job in _held(session, [claimed]).values():
            is_last = job.attempts >= MOST_ATTEMPTS and job.kind not in ENDLESS
            if (final or is_last) and job.revision != claimed.revision:
                _queue(job, max(job.not_before_at, now + AGAIN_AFTER), attempts=0)
                job.error = error[:256]
            elif final or is_last:
                _set_aside(session, job, now, error)
            else:
                _queue(job, now + back_off(job.attempts), attempts=job.attempts)
                job.error = error[:256]


def release(ctx: Context, claims: Collection[Claim], *, delay: timedelta = timedelta()) -> None:
    """Give jobs back undone: it was not their fault, and counts as no try."""
    ctx.require(Permission.JOB_RUN)
    if not claims:
        return
    with ctx.begin() as session:
        for job in _held(session, claims).values():
            _queue(job, ctx.clock() + delay, attempts=job.attempts - 1)
        changes.announce(session, Topic.JOBS)


def release_owned_by(ctx: Context, owner: str) -> int:
    """Give back what a worker held that is known to be dead; return how many jobs.

    They count as tried: one of them may be what ended it.
    """
    ctx.require(Permission.JOB_RUN)
    query = select(Job).where(
        Job.state == JobState.RUNNING, Job.claimed_by.startswith(f"{owner}/", autoescape=True)
    )
    with ctx.begin() as session:
        jobs = session.scalars(query.with_for_update()).all()
        for job in jobs:
            job.lease_until_at = ctx.clock()
    return len(jobs)


def failed_jobs(ctx: Context, *, limit: int = 200) -> list[JobRow]:
    """Return the jobs that were set aside, the latest first.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = select(Job).where(Job.state == JobState.FAILED)
    with ctx.read() as session:
        return [
            _row(job)
            for job in session.scalars(query.order_by(Job.finished_at.desc()).limit(limit))
        ]


def counts(ctx: Context) -> dict[tuple[JobKind, JobState], int]:
    """Return how many jobs of each kind stand where.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
    with ctx.read() as session:
        return {(kind, state): count for kind, state, count in session.execute(query)}


def retry(ctx: Context, job_id: int) -> None:
    """Let a job that was set aside be tried again.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such job.
    Conflict
        It is not one that failed; somebody was faster.
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None:
            raise NotFound
        if job.state is not JobState.FAILED:
            raise Conflict("This job is not waiting for anyone.")
        job.revision += 1
        _queue(job, ctx.clock(), attempts=0)
        job.error, job.finished_at = "", None
        audit.record(ctx, session, Action.RETRY, job, kind=job.kind.value)
        changes.announce(session, Topic.JOBS)


def back_off(attempts: int, *, most_s: float = 300.0) -> timedelta:
    """Return the pause after so many tries: 2 s, 8 s, 32 s … up to ``most_s``."""
    return timedelta(seconds=min(2.0 * 4.0 ** min(attempts - 1, 10), most_s))


def _is_ours(claims: Iterable[Claim]) -> ColumnElement[bool]:
    return and_(Job.state == JobState.RUNNING, Job.claimed_by.in_({held.token for held in claims}))


def _held(session: Session, claims: Collection[Claim]) -> dict[int, Job]:
    """Lock the jobs of claims that still hold, by id."""
    query = (
        select(Job)
        .where(Job.id.in_([claimed.job_id for claimed in claims]), _is_ours(claims))
        .order_by(Job.id)
        .with_for_update()
    )
    return {job.id: job for job in session.scalars(query)}


def _queue(job: Job, not_before_at: datetime, *, attempts: int) -> None:
    job.state, job.not_before_at, job.attempts = JobState.QUEUED, not_before_at, attempts
    _let_go(job)


def _set_aside(session: Session, job: Job, now: datetime, error: str) -> None:
    job.state, job.finished_at, job.error = JobState.FAILED, now, error[:256]
    _let_go(job)
    topics = [Topic.REPORTS] if job.kind is JobKind.REPORT_PDF else []  # its page waits for it
    changes.announce(session, Topic.JOBS, Topic.ADMIN, *topics)


def _let_go(job: Job) -> None:
    job.claimed_by, job.lease_until_at = "", None


def _row(job: Job) -> JobRow:
    values: dict[str, Any] = {name: getattr(job, name) for name in JobRow.__dataclass_fields__}
    return JobRow(**values)
