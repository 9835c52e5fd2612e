"""Who may call us over DICOM, and who was turned away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select, true, union_all

from clinic_panel.context import Context
from clinic_panel.models.appointment import Room
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes


def is_known(ctx: Context, ae_title: str) -> bool:
    """Whether an AE title is that of a room in use or of a peer; one that is switched off is not.

    Raises
    ------
    Forbidden, Unavailable
        It could not be looked up.
    """
    ctx.require(Permission.DICOM_WRITE)
    query = union_all(
        select(true()).where(Room.station_ae_title == ae_title, Room.is_active),
        select(Peer.is_active).where(Peer.ae_title == ae_title),
    )
    with ctx.read() as session:
        found = session.scalars(query).all()
    return bool(found) and all(found)


def record_refusal(ctx: Context, ae_title: str, address: str, reason: str) -> None:
    """Keep for the administrator that an association was refused, from where and why.

    Raises
    ------
    Forbidden, Unavailable
        It was not kept.
    """
    ctx.require(Permission.DICOM_WRITE)
    peer = ctx.acting_as(replace(ctx.actor, address=address[:64]))
    with ctx.begin() as session:
        audit.record(peer, session, Action.REFUSED, ae_title=ae_title[:16], reason=reason)
        changes.announce(session, Topic.ADMIN)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One association we turned away."""

    at: datetime
    ae_title: str
    address: str
    reason: str


def refusals(ctx: Context, *, limit: int = 100) -> list[Refusal]:
    """Return the latest refusals, the newest first.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = (
        select(AuditEntry)
        .where(AuditEntry.action == Action.REFUSED)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    with ctx.read() as session:
        return [
            Refusal(
                at=entry.at,
                ae_title=str(entry.detail.get("ae_title", "")),
                address=entry.address,
                reason=str(entry.detail.get("reason", "")),
            )
            for entry in session.scalars(query)
        ]
