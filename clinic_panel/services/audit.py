"""The audit: every change, and every read of one patient's record, in its own transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Table, func, insert, select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.user import Permission

# One writer at a time extends the chain: a key for pg_advisory_xact_lock.
_CHAIN_LOCK = 0x434C494E
GENESIS = "0" * 64
# Written for every image: composed once, and past the unit of work.
_TABLE: Table = AuditEntry.__table__  # type: ignore[assignment]
_COLUMNS = tuple(column.name for column in _TABLE.columns if column.name != "id")
_LAST = select(_TABLE.c.entry_hmac).order_by(_TABLE.c.id.desc()).limit(1)
_ADD = insert(_TABLE)


def record(
    ctx: Context,
    session: Session,
    action: Action,
    subject: Any = None,
    *,
    patient_pk: int | None = None,
    **detail: Any,
) -> None:
    """Add one entry to the caller's transaction; if it cannot be written, nothing is.

    Parameters
    ----------
    subject
        The row concerned (flushed, so that it has an id), or None.
    patient_pk
        The patient concerned, where there is one.
    detail
        Row ids, counts, names of changed fields; never a value that describes a person.
    """
    _take_turn(session)
    entry = _entry(ctx, action, detail)
    entry.subject_type = subject.__tablename__ if subject is not None else ""
    entry.subject_id = getattr(subject, "id", None)
    entry.patient_pk = patient_pk
    _append(session, ctx.settings.secret, [entry])


def record_together(
    session: Session, action: Action, entries: Sequence[tuple[Context, dict[str, Any]]]
) -> None:
    """Add entries about no row, each with who acted and when, in their order.

    Parameters
    ----------
    entries
        The context of each, all of one clinic, and its detail as for `record`.
    """
    if entries:
        _take_turn(session)
        made = [_entry(ctx, action, detail) for ctx, detail in entries]
        _append(session, entries[0][0].settings.secret, made)


def _entry(ctx: Context, action: Action, detail: dict[str, Any]) -> AuditEntry:
    return AuditEntry(
        at=ctx.clock(),
        username=ctx.actor.username,
        role=ctx.actor.role.value,
        address=ctx.actor.address,
        action=action,
        subject_type="",
        detail=detail,
    )


def _take_turn(session: Session) -> None:
    """Wait for the end of the chain, and write what the caller has: new rows get their ids."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    session.flush()


def _append(session: Session, key: bytes, entries: Sequence[AuditEntry]) -> None:
    """Tie entries to the chain, in one statement."""
    connection = session.connection()
    previous = connection.scalar(_LAST) or GENESIS
    for entry in entries:
        entry.seal(key, previous)
        previous = entry.entry_hmac
    rows = [{name: getattr(entry, name) for name in _COLUMNS} for entry in entries]
    connection.execute(_ADD, rows)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry, for a table."""

    id: int
    at: datetime
    username: str
    role: str
    address: str
    action: str
    subject_type: str
    subject_id: int | None
    patient_pk: int | None
    detail: dict[str, Any]


def entries(
    ctx: Context,
    *,
    day: date | None = None,
    username: str = "",
    action: Action | None = None,
    patient_pk: int | None = None,
    limit: int = 500,
) -> list[AuditRow]:
    """Return the newest entries first, narrowed by what is given.

    Raises
    ------
    Forbidden
        The actor may not read the audit.
    """
    ctx.require(Permission.AUDIT_READ)
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if day is not None:
        begin, end = ctx.day_bounds(day)
        query = query.where(AuditEntry.at >= begin, AuditEntry.at < end)
    if username:
        query = query.where(AuditEntry.username == username)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    if patient_pk is not None:
        query = query.where(AuditEntry.patient_pk == patient_pk)
    with ctx.read() as session:
        return [
            AuditRow(
                id=entry.id,
                at=entry.at,
                username=entry.username,
                role=entry.role,
                address=entry.address,
                action=entry.action.value,
                subject_type=entry.subject_type,
                subject_id=entry.subject_id,
                patient_pk=entry.patient_pk,
                detail=entry.detail,
            )
            for entry in session.scalars(query)
        ]


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """Outcome of a walk along the chain; ``broken_ids`` are entries that do not fit."""

    entries: int
    broken_ids: tuple[int, ...]


def verify(ctx: Context) -> ChainCheck:
    """Walk the whole chain and name the entries that were changed, or follow a gap.

    Raises
    ------
    Forbidden
        The actor may not read the audit.
    """
    ctx.require(Permission.AUDIT_READ)
    key, previous, count, broken = ctx.settings.secret, GENESIS, 0, []
    with ctx.read() as session:
        for entry in _in_order(session):
            count += 1
            if entry.previous_hmac != previous or entry.entry_hmac != entry.computed_hmac(key):
                broken.append(entry.id)
            previous = entry.entry_hmac
    return ChainCheck(entries=count, broken_ids=tuple(broken))


def _in_order(session: Session) -> Iterator[AuditEntry]:
    query = select(AuditEntry).order_by(AuditEntry.id)
    yield from session.scalars(query.execution_options(yield_per=1000))
