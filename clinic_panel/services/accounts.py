"""The accounts that may sign in: made, changed and closed by an administrator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission, Role, User, WebSession
from clinic_panel.services import audit, changes, lockout, passwords, sessions
from clinic_panel.validation import short_text

_USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,31}$")
LAST_ADMIN = "This is the last administrator: make another one first."


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
        changed(ctx, session, user, "password")


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
        changed(ctx, session, user, "role")


def disable(ctx: Context, username: str) -> None:
    """Close an account and end its sessions; raises as `change_role`."""
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        user = _user(session, username)
        _refuse_own(ctx, user)
        _refuse_last_admin(session, user)
        user.is_active = False
        changed(ctx, session, user, "is_active")


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
        changed(ctx, session, user, "is_active")


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


def changed(ctx: Context, session: Session, user: User, field: str) -> None:
    """Record in the caller's transaction that an account changed, and end its sessions."""
    audit.record(ctx, session, Action.CHANGE, user, changed=[field])
    sessions.revoke_all(ctx, session, user.id)
