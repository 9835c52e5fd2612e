"""The other archives and devices that may call us, and those that studies are forwarded to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.dimse.model import Caller, Remote
from clinic_panel.errors import Conflict, Invalid, NotFound
from clinic_panel.models.appointment import Room
from clinic_panel.models.audit_log import Action
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, commitments, jobs


@dataclass(frozen=True, slots=True)
class PeerForm:
    """What is entered of a peer."""

    peer_name: str
    ae_title: str
    host: str = ""
    port: int = 104
    forwards: bool = False
    is_active: bool = True
    uses_tls: bool = False
    reports_on_same: bool = False
    commits: bool = False
    notifies: bool = False

    def checked(self) -> PeerForm:
        """Return the form as it is kept.

        Raises
        ------
        Invalid
            A rule is broken; the error names the field.
        """
        host = self.host.strip()
        if (self.forwards or self.commits or self.notifies) and not host:
            raise Invalid(
                "A peer that studies go to, or are told to, needs an address.", field="host"
            )
        if len(host) > 255 or not host.isascii() or any(c.isspace() for c in host):
            raise Invalid("This is no host name or address.", field="host")
        if not 1 <= self.port <= 65535:
            raise Invalid("A port is between 1 and 65535.", field="port")
        return replace(
            self,
            peer_name=validation.short_text(self.peer_name, "peer_name", required=True),
            ae_title=validation.ae_title(self.ae_title),
            host=host,
        )


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One peer, for a table; ``version`` goes back with a change.

    ``room_name`` is where it stands: that of the room whose station has its AE title.
    """

    id: int
    peer_name: str
    ae_title: str
    host: str
    port: int
    forwards: bool
    is_active: bool
    uses_tls: bool
    reports_on_same: bool
    commits: bool
    notifies: bool
    version: int
    room_name: str = ""


def peers(ctx: Context) -> list[PeerRow]:
    """Return all peers by name.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = (
        select(Peer, Room.room_name)
        .outerjoin(Room, Room.station_ae_title == Peer.ae_title)
        .order_by(Peer.peer_name)
    )
    with ctx.read() as session:
        return [row_of(peer, room_name or "") for peer, room_name in session.execute(query)]


def add(ctx: Context, form: PeerForm) -> PeerRow:
    """Let another archive or device take part.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    Invalid
        A rule is broken, or the name or AE title is taken.
    """
    ctx.require(Permission.ADMIN)
    peer = Peer(**asdict(form.checked()))
    try:
        with ctx.begin() as session:
            keep_new(ctx, session, peer)
            return row_of(peer)
    except IntegrityError:
        raise _taken() from None


def change(ctx: Context, peer_id: int, version: int, form: PeerForm) -> PeerRow:
    """Change a peer; what is still owed to one that forwards again is sent at once.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such peer.
    Conflict
        Someone else changed it since ``version`` was read.
    Invalid
        A rule is broken, the name or AE title is taken, or the title is that of a room's station,
        which is changed with its room.
    """
    ctx.require(Permission.ADMIN)
    values = asdict(form.checked())
    try:
        with ctx.begin() as session:
            peer = session.get(Peer, peer_id)
            if peer is None:
                raise NotFound
            if peer.version != version:
                raise Conflict
            room = session.scalar(select(Room).where(Room.station_ae_title == peer.ae_title))
            if room is not None and values["ae_title"] != peer.ae_title:
                message = f"It is the station of {room.room_name}: change its title under Rooms."
                raise Invalid(message, field="ae_title")
            keep_changed(ctx, session, peer, values)
            return row_of(peer, room.room_name if room is not None else "")
    except IntegrityError:
        raise _taken() from None


def keep_new(ctx: Context, session: Session, peer: Peer) -> None:
    """Add a peer in the caller's transaction."""
    session.add(peer)
    session.flush()
    commitments.wake(ctx, session, peer.ae_title)
    audit.record(ctx, session, Action.CREATE, peer, ae_title=peer.ae_title)
    changes.announce(session, Topic.ADMIN)


def keep_changed(ctx: Context, session: Session, peer: Peer, values: Mapping[str, Any]) -> None:
    """Change a peer in the caller's transaction; what waits for it goes on at once."""
    changed = [name for name, value in values.items() if getattr(peer, name) != value]
    for name in changed:
        setattr(peer, name, values[name])
    session.flush()
    if peer.forwards and peer.is_active:
        jobs.enqueue(ctx, session, JobKind.FORWARD, [peer.id])
    if peer.commits and peer.is_active:
        jobs.enqueue(ctx, session, JobKind.CONFIRM, [peer.id])
    if peer.notifies and peer.is_active:
        jobs.enqueue(ctx, session, JobKind.NOTIFY, [peer.id])
    commitments.wake(ctx, session, peer.ae_title)
    audit.record(ctx, session, Action.CHANGE, peer, fields=changed)
    changes.announce(session, Topic.ADMIN)


def test(ctx: Context, peer_id: int) -> float:
    """Call a peer (C-ECHO) and return the seconds until it answered; it may take as many as 20.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such peer.
    Invalid
        It has no address.
    PeerUnavailable, PeerFailure
        It does not answer as it should; the message says at which step.
    """
    from clinic_panel.dimse.echo import echo

    ctx.require(Permission.ADMIN)
    with ctx.read() as session:
        peer = session.get(Peer, peer_id)
        if peer is None:
            raise NotFound
        if not peer.host:
            raise Invalid("This device has no address to call.", field="host")
        remote = Remote(peer.ae_title, peer.host, peer.port, peer.uses_tls)
    return echo(Caller.of(ctx.settings), remote)


def _taken() -> Invalid:
    return Invalid("Another peer has this name or AE title.", field="ae_title")


def row_of(peer: Peer, room_name: str = "") -> PeerRow:
    """Return a peer as it is shown."""
    shown = set(PeerRow.__dataclass_fields__) - {"room_name"}
    return PeerRow(**{name: getattr(peer, name) for name in shown}, room_name=room_name)
