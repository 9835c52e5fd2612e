"""Guessing slows down: failed attempts are counted by account and by address."""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import LockedOut
from clinic_panel.models.user import LoginAttempt, User

WINDOW = timedelta(hours=1)
KEPT = timedelta(days=1)
FIRST_DELAY_S = 15
# After so many failures the first delay; it doubles with each further one, up to the longest:
# nobody is locked out for good, so that an attacker cannot shut out the last administrator.
ACCOUNT_FREE, ACCOUNT_LONGEST_S = 5, 15 * 60
ADDRESS_FREE, ADDRESS_LONGEST_S = 20, 60  # a whole clinic may share one address


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that counts as failed until it is known to have succeeded."""

    id: int
    user: User | None
    failures: int


def username_key(ctx: Context, username: str) -> str:
    """Return what stands for a name in the table: people type passwords into the wrong field."""
    return hmac.new(
        ctx.settings.secret, b"attempt " + username.encode(), hashlib.sha256
    ).hexdigest()


def open_attempt(ctx: Context, username: str, address: str) -> Attempt:
    """Count a try before its password is looked at: a hundred at once do not slip through.

    Raises
    ------
    LockedOut
        It has to wait for ``wait_s``; such a try is not counted.
    """
    key, now = username_key(ctx, username), ctx.clock()
    with ctx.begin() as session:
        user = session.scalar(select(User).where(User.username == username).with_for_update())
        failures, until = failures_of(session, key, now)
        by_address = _until(
            session,
            (LoginAttempt.address == address) & (LoginAttempt.address != ""),
            now - WINDOW,
            ADDRESS_FREE,
            ADDRESS_LONGEST_S,
        )[1]
        wait_s = max(_left_s(until, now), _left_s(by_address, now))
        if wait_s:
            raise LockedOut(
                f"Too many failed attempts. Please wait {spoken(wait_s)} and try again.",
                wait_s=wait_s,
            )
        attempt = LoginAttempt(username=key, address=address, at=now, succeeded=False)
        session.add(attempt)
        session.execute(delete(LoginAttempt).where(LoginAttempt.at < now - KEPT))
        session.flush()
        return Attempt(id=attempt.id, user=user, failures=failures + 1)


def failures_of(session: Session, key: str, now: datetime) -> tuple[int, datetime | None]:
    """Return the failures of an account since its last success, and until when it is locked."""
    last_success = select(func.max(LoginAttempt.id)).where(
        LoginAttempt.username == key, LoginAttempt.succeeded
    )
    recent = (LoginAttempt.username == key) & (
        LoginAttempt.id > func.coalesce(last_success.scalar_subquery(), 0)
    )
    failures, until = _until(session, recent, now - WINDOW, ACCOUNT_FREE, ACCOUNT_LONGEST_S)
    return failures, until if until and until > now else None


def delay_s(failures: int, free: int, longest_s: int) -> int:
    """Return for how long the next try has to wait after so many failures, in seconds."""
    if failures < free:
        return 0
    return int(min(longest_s, FIRST_DELAY_S * 2 ** min(failures - free, 20)))


def forget(session: Session, key: str) -> None:
    """Lift the lock of an account."""
    session.execute(
        delete(LoginAttempt).where(LoginAttempt.username == key, LoginAttempt.succeeded.is_(False))
    )


def spoken(wait_s: int) -> str:
    """Return a waiting time as words."""
    if wait_s < 60:
        return "1 second" if wait_s == 1 else f"{wait_s} seconds"
    minutes = math.ceil(wait_s / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _until(
    session: Session, which: ColumnElement[bool], since: datetime, free: int, longest_s: int
) -> tuple[int, datetime | None]:
    query = select(func.count(), func.max(LoginAttempt.at)).where(
        which, LoginAttempt.succeeded.is_(False), LoginAttempt.at > since
    )
    failures, last = session.execute(query).one()
    delay = delay_s(failures, free, longest_s)
    return failures, last + timedelta(seconds=delay) if delay else None


def _left_s(until: datetime | None, now: datetime) -> int:
    return max(0, math.ceil((until - now).total_seconds())) if until else 0
