"""Signing in, and the accounts that may."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Actor, Context
from clinic_panel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    LockedOut,
    NotFound,
    Unauthenticated,
)
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import Topic
from clinic_panel.models.user import LoginAttempt, Permission, Role, User, WebSession
from clinic_panel.services import audit, changes, lockout, passwords, sessions
from clinic_panel.validation import short_text

_USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,31}$")
WRONG = "The user name or the password is not right."
WRONG_PRESENT = "The present password is not right."
SAME = "The new password is the present one."
LAST_ADMIN = "This is the last administrator: make another one first."


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. The token goes into the browser's cookie and nowhere else."""

    token: str
    actor: Actor


@dataclass(frozen=True, slots=True)
class UserRow:
    """One account, for a table."""

    id: int
    username: str
    display_name: str
    role: Role
    is_active: bool
    created_at: datetime
    seen_at: datetime | None
    locked_until_at: datetime | None


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
            _changed(ctx, session, user, "password")
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
    attempt = lockout.open_attempt(ctx, username, address)
    user, secret = attempt.user, ctx.settings.secret
    kept = user.password_hash if user is not None and user.is_active else None
    if kept and passwords.matches(secret, kept, password):
        outdated = passwords.is_outdated(kept)
        return attempt, passwords.hash_password(secret, password) if outdated else ""
    if not kept:
        passwords.matches(secret, None, password)  # an unknown name takes as long
    known = ctx.acting_as(sessions.actor_of(user, address)) if user is not None else ctx
    with ctx.begin() as session:
        audit.record(
            known,
            session,
            Action.SIGN_IN_FAILED,
            user,
            failures=attempt.failures,
            locked_s=lockout.delay_s(
                attempt.failures, lockout.ACCOUNT_FREE, lockout.ACCOUNT_LONGEST_S
            ),
        )
    raise Unauthenticated(WRONG)


def audit_denied(ctx: Context, what: str) -> None:
    """Note that the actor asked for something the role does not allow.

    Parameters
    ----------
    what
        Path of the page or name of the route; never an address with its query.
    """
    with ctx.begin() as session:
        audit.record(ctx, session, Action.DENIED, what=what)


def list_users(ctx: Context) -> list[UserRow]:
    """Return every account, by name.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.ADMIN)
    now = ctx.clock()
    seen = select(WebSession.user_pk, func.max(WebSession.seen_at).label("seen_at")).group_by(
        WebSession.user_pk
    )
    latest = seen.subquery()
    query = (
        select(User, latest.c.seen_at)
        .outerjoin(latest, latest.c.user_pk == User.id)
        .order_by(User.username)
    )
    with ctx.read() as session:
        return [
            UserRow(
                id=user.id,
                username=user.username,
                display_name=user.display_name,
                role=user.role,
                is_active=user.is_active,
                created_at=user.created_at,
                seen_at=seen_at,
                locked_until_at=lockout.failures_of(
                    session, lockout.username_key(ctx, user.username), now
                )[1],
            )
            for user, seen_at in session.execute(query).all()
        ]


def add_user(
    ctx: Context,
    username: str,
    *,
    role: Role,
    password: str,
    display_name: str = "",
    any_password: bool = False,
) -> int:
    """Make an account and return its id.

    Parameters
    ----------
    any_password
        Accept a weak one, for the demo's accounts; only our own processes may.

    Raises
    ------
    Invalid
        Name, role or password break a rule.
    Conflict
        The name is taken.
    Forbidden
    """
    ctx.require(Permission.ADMIN)
    username = username.strip().casefold()
    if not _USERNAME.match(username):
        raise Invalid(
            "A user name has 2 to 32 of the characters a-z, 0-9, dot, dash and underscore.",
            field="username",
        )
    if role is Role.SYSTEM:
        raise Invalid("This role is for processes, not for people.", field="role")
    if not (any_password and ctx.actor.role is Role.SYSTEM):
        passwords.check_policy(password, username)
    name = short_text(display_name, "display_name", limit=128) or username
    hashed = passwords.hash_password(ctx.settings.secret, password)
    try:
        with ctx.begin() as session:
            user = User(
                username=username,
                display_name=name,
                role=role,
                password_hash=hashed,
                created_at=ctx.clock(),
            )
            session.add(user)
            session.flush()
            audit.record(ctx, session, Action.CREATE, user, role=role.value)
            changes.announce(session, Topic.ADMIN)
            return user.id
    except IntegrityError:
        raise Conflict("This user name is taken.") from None


def set_password(ctx: Context, username: str, password: str, *, any_password: bool = False) -> None:
    """Give an account a new password and end its sessions; see `add_user` for what is raised."""
    ctx.require(Permission.ADMIN)
    if not (any_password and ctx.actor.role is Role.SYSTEM):
        passwords.check_policy(password, username.strip().casefold())
    hashed = passwords.hash_password(ctx.settings.secret, password)
    with ctx.begin() as session:
        user = _user(session, username)
        user.password_hash = hashed
        lockout.forget(session, lockout.username_key(ctx, user.username))
        _changed(ctx, session, user, "password")


def change_role(ctx: Context, username: str, role: Role) -> None:
    """Give an account another role and end its sessions.

    Raises
    ------
    Forbidden
        It is the actor's own account.
    Conflict
        It is the last administrator.
    Invalid, NotFound
    """
    ctx.require(Permission.ADMIN)
    if role is Role.SYSTEM:
        raise Invalid("This role is for processes, not for people.", field="role")
    with ctx.begin() as session:
        user = _user(session, username)
        _refuse_own(ctx, user)
        if user.role is role:
            return
        if role is not Role.ADMIN:
            _refuse_last_admin(session, user)
        user.role = role
        _changed(ctx, session, user, "role")


def disable(ctx: Context, username: str) -> None:
    """Close an account and end its sessions; raises as `change_role`."""
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        user = _user(session, username)
        _refuse_own(ctx, user)
        _refuse_last_admin(session, user)
        user.is_active = False
        _changed(ctx, session, user, "is_active")


def enable(ctx: Context, username: str) -> None:
    """Open a closed account again.

    Raises
    ------
    NotFound, Forbidden
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        user = _user(session, username)
        user.is_active = True
        _changed(ctx, session, user, "is_active")


def unlock(ctx: Context, username: str) -> None:
    """Let an account try again at once after too many failures.

    Raises
    ------
    NotFound, Forbidden
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        user = _user(session, username)
        lockout.forget(session, lockout.username_key(ctx, user.username))
        audit.record(ctx, session, Action.CHANGE, user, changed=["lock"])
        changes.announce(session, Topic.ADMIN)


def _user(session: Session, username: str) -> User:
    # Administrators are locked in one order, so that of two who close each other's account one is
    # the last and is refused.
    session.scalars(
        select(User.id).where(User.role == Role.ADMIN).order_by(User.id).with_for_update()
    ).all()
    user = session.scalar(select(User).where(User.username == username.strip().casefold()))
    if user is None:
        raise NotFound("There is no such account.")
    return user


def _refuse_own(ctx: Context, user: User) -> None:
    if ctx.actor.user_pk == user.id:
        raise Forbidden("Nobody changes the rights of their own account.")


def _refuse_last_admin(session: Session, user: User) -> None:
    others = select(func.count()).where(User.role == Role.ADMIN, User.is_active, User.id != user.id)
    if user.role is Role.ADMIN and user.is_active and not session.scalar(others):
        raise Conflict(LAST_ADMIN)


def _changed(ctx: Context, session: Session, user: User, field: str) -> None:
    audit.record(ctx, session, Action.CHANGE, user, changed=[field])
    sessions.revoke_all(ctx, session, user.id)
