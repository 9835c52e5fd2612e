"""Signing in, and proving again who sits there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel.context import Actor, Context
from clinic_panel.errors import (
    Invalid,
    LockedOut,
    Unauthenticated,
)
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.user import LoginAttempt, User
from clinic_panel.services import accounts, audit, lockout, passwords, sessions

WRONG = "The user name or the password is not right."
WRONG_PRESENT = "The present password is not right."
SAME = "The new password is the present one."
LOCK_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. The token goes into the browser's cookie and nowhere else."""

    token: str
    actor: Actor


def sign_in(ctx: Context, username: str, password: str, address: str) -> SignedIn:
    """Open a session for somebody who knows the password.

    Raises
    ------
    LockedOut
        Too many tries failed; ``wait_s`` says for how long to wait.
    Unauthenticated
        Name or password is wrong, or the account is disabled: which one is not said.
    """
    username = username.strip().casefold()
    attempt, rehashed = _prove(ctx, username, password, address)
    with ctx.begin() as session:
        user = _still_proven(session, attempt)
        if rehashed:
            user.password_hash = rehashed
        actor = sessions.actor_of(user, address)
        token = sessions.open_session(ctx, session, user, address)
        audit.record(ctx.acting_as(actor), session, Action.SIGN_IN, user)
        return SignedIn(token=token, actor=actor)


def reauthenticate(ctx: Context, password: str) -> None:
    """Make sure that the actor sits there in person, before something that cannot be undone.

    Raises
    ------
    LockedOut
        Too many tries failed.
    Unauthenticated
        The password is wrong; the failure counts like one at the door.
    """
    attempt, _ = _prove(ctx, ctx.actor.username, password, ctx.actor.address)
    with ctx.begin() as session:
        _still_proven(session, attempt)


def change_own_password(ctx: Context, present: str, password: str) -> SignedIn:
    """Give the actor's account another password: every session ends, and a new one begins.

    Raises
    ------
    LockedOut
        Too many tries failed.
    Invalid
        The present password is wrong, which counts like a failure at the door; or the new one
        breaks a rule. ``field`` is ``present`` or ``password``.
    """
    username, address = ctx.actor.username, ctx.actor.address
    passwords.check_policy(password, username)
    if password == present:
        raise Invalid(SAME, field="password")
    try:
        attempt, _ = _prove(ctx, username, present, address)
        hashed = passwords.hash_password(ctx.settings.secret, password)
        with ctx.begin() as session:
            user = _still_proven(session, attempt)
            user.password_hash = hashed
            accounts.changed(ctx, session, user, "password")
            token = sessions.open_session(ctx, session, user, address)
            return SignedIn(token=token, actor=sessions.actor_of(user, address))
    except LockedOut:
        raise
    except Unauthenticated:
        raise Invalid(WRONG_PRESENT, field="present") from None


def _still_proven(session: Session, attempt: lockout.Attempt) -> User:
    """Return the account if its password is the one proven a moment ago; the try succeeded.

    Raises
    ------
    Unauthenticated
        An administrator changed the password or closed the account meanwhile.
    """
    proven = attempt.user
    user = session.get(User, proven.id, with_for_update=True) if proven is not None else None
    if (
        user is None
        or proven is None
        or not user.is_active
        or user.password_hash != proven.password_hash
    ):
        raise Unauthenticated(WRONG)
    tried = session.get(LoginAttempt, attempt.id)
    if tried is not None:  # else the lock was lifted meanwhile, and all tries forgotten
        tried.succeeded = True
    return user


def _prove(ctx: Context, username: str, password: str, address: str) -> tuple[lockout.Attempt, str]:
    """Return the attempt of somebody who knows the password, and its hash at today's cost if due.

    Three transactions, not one: the try is counted before the password is looked at, and 100 ms
    of hashing must not hold the database's only write lock.
    """
    try:
        attempt = lockout.open_attempt(ctx, username, address)
    except LockedOut:
        _note_locked(ctx, username, address)
        raise
    user, secret = attempt.user, ctx.settings.secret
    kept = user.password_hash if user is not None and user.is_active else None
    if kept and passwords.matches(secret, kept, password):
        outdated = passwords.is_outdated(kept)
        return attempt, passwords.hash_password(secret, password) if outdated else ""
    if not kept:
        passwords.matches(secret, None, password)  # an unknown name takes as long
    with ctx.begin() as session:
        audit.record(
            _who_tried(ctx, user, address),
            session,
            Action.SIGN_IN_FAILED,
            user,
            failures=attempt.failures,
            locked_s=lockout.delay_s(
                attempt.failures, lockout.ACCOUNT_FREE, lockout.ACCOUNT_LONGEST_S
            ),
        )
    raise Unauthenticated(WRONG)


def _who_tried(ctx: Context, user: User | None, address: str) -> Context:
    """Return the clinic as seen by whose name was typed; of a name unknown, the address stays."""
    actor = sessions.actor_of(user, address) if user else replace(ctx.actor, address=address)
    return ctx.acting_as(actor)


def _note_locked(ctx: Context, username: str, address: str) -> None:
    """Note a try during a lock, once a minute and address: who guesses on is seen, and floods not.

    In a transaction of its own: that of the try was rolled back.
    """
    with ctx.begin() as session:
        lately = session.scalars(
            select(AuditEntry.detail).where(
                AuditEntry.at > ctx.clock() - LOCK_NOTED_EVERY,
                AuditEntry.action == Action.SIGN_IN_FAILED,
                AuditEntry.address == address,
            )
        )
        if any("during_lock" in detail for detail in lately):
            return
        user = session.scalar(select(User).where(User.username == username))
        who = _who_tried(ctx, user, address)
        audit.record(who, session, Action.SIGN_IN_FAILED, user, during_lock=True)


def audit_denied(ctx: Context, what: str) -> None:
    """Note that the actor asked for something the role does not allow.

    Parameters
    ----------
    what
        Path of the page or name of the route; never an address with its query.
    """
    with ctx.begin() as session:
        audit.record(ctx, session, Action.DENIED, what=what)
