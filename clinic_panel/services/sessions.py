"""Who sits behind a browser's token: sessions on the server, ended by time or by hand."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from clinic_panel.context import Actor, Context
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import Topic
from clinic_panel.models.user import User, WebSession
from clinic_panel.services import audit, changes

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
TOUCH_EVERY = timedelta(minutes=1)  # so that a page of a hundred frames costs one write
CACHED = timedelta(seconds=5)
KEPT = timedelta(days=7)  # rows of ended sessions


@dataclass(frozen=True, slots=True)
class Visit:
    """One signed-in browser."""

    session_id: int
    actor: Actor


class SessionCache:
    """What one process lately found out about tokens; an ended session may linger for 5 s."""

    def __init__(self, *, most: int = 10_000) -> None:
        self._most = most
        self._known: dict[str, tuple[datetime, Visit]] = {}
        self._lock = threading.Lock()

    def get(self, digest: str, now: datetime) -> Visit | None:
        """Return the visit of a token, when it was looked up a moment ago."""
        with self._lock:
            at, visit = self._known.get(digest, (None, None))
        return visit if at is not None and timedelta() <= now - at < CACHED else None

    def put(self, digest: str, visit: Visit, now: datetime) -> None:
        """Remember a token that was found to be good."""
        with self._lock:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[digest] = (now, visit)

    def clear(self) -> None:
        """Forget everything: some session ended."""
        with self._lock:
            self._known.clear()


def open_session(ctx: Context, session: Session, user: User, address: str) -> str:
    """Add a session to the caller's transaction and return its token, which is kept nowhere."""
    token, now = secrets.token_urlsafe(32), ctx.clock()
    session.add(
        WebSession(
            token_sha256=_digest(token),
            user_pk=user.id,
            address=address,
            created_at=now,
            seen_at=now,
        )
    )
    session.execute(delete(WebSession).where(WebSession.seen_at < now - KEPT))
    return token


def known(ctx: Context, token: str, cache: SessionCache) -> Visit | None:
    """Return who a token stands for if it was looked up a moment ago, without the database."""
    return cache.get(_digest(token), ctx.clock())


def resolve(ctx: Context, token: str, cache: SessionCache) -> Visit | None:
    """Return who a token stands for, and note that somebody is at work; None when it has ended.

    Raises
    ------
    Unavailable
        The database does not answer.
    """
    now, digest = ctx.clock(), _digest(token)
    if (lately := cache.get(digest, now)) is not None:
        return lately
    query = (
        select(WebSession)
        .where(WebSession.token_sha256 == digest)
        .options(joinedload(WebSession.user))
    )
    with ctx.read() as session:
        row = session.scalar(query)
        if row is None or not _is_open(row, now):
            return None
        visit = Visit(session_id=row.id, actor=actor_of(row.user, row.address))
        seen_at = row.seen_at
    if now - seen_at >= TOUCH_EVERY:
        touch(ctx, visit.session_id)
    cache.put(digest, visit, now)
    return visit


def touch(ctx: Context, session_id: int) -> None:
    """Note that somebody is at work in this session."""
    with ctx.begin() as session:
        session.execute(
            update(WebSession)
            .where(WebSession.id == session_id, WebSession.revoked_at.is_(None))
            .values(seen_at=ctx.clock())
            .execution_options(synchronize_session=False)
        )


def still_open(ctx: Context, session_ids: Collection[int]) -> frozenset[int]:
    """Return those of the sessions that have not ended."""
    if not session_ids:
        return frozenset()
    now = ctx.clock()
    query = (
        select(WebSession)
        .where(WebSession.id.in_(session_ids))
        .options(joinedload(WebSession.user))
    )
    with ctx.read() as session:
        return frozenset(row.id for row in session.scalars(query) if _is_open(row, now))


def sign_out(ctx: Context, token: str, cache: SessionCache) -> None:
    """End the session of a token; one that has ended already stays so."""
    with ctx.begin() as session:
        row = session.scalar(
            select(WebSession)
            .where(WebSession.token_sha256 == _digest(token))
            .options(joinedload(WebSession.user))
        )
        if row is not None and row.revoked_at is None:
            row.revoked_at = ctx.clock()
            person = ctx.acting_as(actor_of(row.user, row.address))
            audit.record(person, session, Action.SIGN_OUT, row.user)
            changes.announce(session, Topic.ADMIN)
    cache.clear()


def revoke_all(ctx: Context, session: Session, user_pk: int) -> None:
    """End, in the caller's transaction, every session of an account."""
    session.execute(
        update(WebSession)
        .where(WebSession.user_pk == user_pk, WebSession.revoked_at.is_(None))
        .values(revoked_at=ctx.clock())
        .execution_options(synchronize_session=False)
    )
    changes.announce(session, Topic.ADMIN)


def actor_of(user: User, address: str) -> Actor:
    """Return an account as the actor of a context."""
    return Actor(
        username=user.username,
        role=user.role,
        user_pk=user.id,
        display_name=user.display_name,
        address=address,
    )


def _is_open(row: WebSession, now: datetime) -> bool:
    return (
        row.revoked_at is None
        and row.user.is_active
        and now - row.seen_at < IDLE
        and now - row.created_at < ABSOLUTE
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
