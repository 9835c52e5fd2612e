"""The rooms that can be booked, and the station in each: its AE title, and where it is called.

A station is a device like any other: what is known of its address stands with the peers, under its
AE title. So images are moved to it, the results of its storage commitment requests reach it and the
service check calls it, by the same look-up as for every peer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound
from clinic_panel.models.appointment import Appointment, Room
from clinic_panel.models.audit_log import Action
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, peers
from clinic_panel.services.peers import PeerForm, PeerRow
from clinic_panel.services.worklist import SCHEDULED

# What examines people, of the terms of PS3.3 C.7.3.1.1.1.
MODALITIES: Mapping[str, str] = {
    "BMD": "Bone densitometry",
    "CR": "Computed radiography",
    "CT": "Computed tomography",
    "DX": "Digital radiography",
    "ECG": "Electrocardiography",
    "ES": "Endoscopy",
    "GM": "General microscopy",
    "IO": "Intra-oral radiography",
    "IVUS": "Intravascular ultrasound",
    "MG": "Mammography",
    "MR": "Magnetic resonance",
    "NM": "Nuclear medicine",
    "OP": "Ophthalmic photography",
    "OPT": "Ophthalmic tomography",
    "OT": "Other",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-ray",
    "RF": "Radiofluoroscopy",
    "RTIMAGE": "Radiotherapy image",
    "US": "Ultrasound",
    "XA": "X-ray angiography",
    "XC": "External-camera photography",
}
_ADDRESS = ("host", "port", "uses_tls", "reports_on_same")


@dataclass(frozen=True, slots=True)
class RoomForm:
    """What is entered of a room and of the station in it."""

    room_name: str
    modality: str
    ae_title: str
    is_active: bool = True
    host: str = ""
    port: int = 104
    uses_tls: bool = False
    reports_on_same: bool = False

    def checked(self, ctx: Context) -> RoomForm:
        """Return the form as it is kept.

        Raises
        ------
        Invalid
            A rule is broken; the error names the field.
        """
        name = validation.short_text(self.room_name, "room_name", required=True)
        title = validation.ae_title(self.ae_title)
        if title == ctx.settings.ae_title:
            raise Invalid("This is the clinic's own AE title.", field="ae_title")
        if self.modality not in MODALITIES:
            raise Invalid("Choose what the room examines with.", field="modality")
        address = PeerForm(name, title, self.host, self.port).checked()
        return replace(self, room_name=name, ae_title=title, host=address.host)


@dataclass(frozen=True, slots=True)
class Station:
    """One room, for a table; ``device`` is where its station is called, None: nobody said."""

    id: int
    room_name: str
    modality: str
    ae_title: str
    is_active: bool
    version: int
    device: PeerRow | None


def stations(ctx: Context) -> list[Station]:
    """Return all rooms by name, those out of use too.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = (
        select(Room, Peer)
        .outerjoin(Peer, Peer.ae_title == Room.station_ae_title)
        .order_by(Room.room_name)
    )
    with ctx.read() as session:
        return [_station(room, peer) for room, peer in session.execute(query)]


def add(ctx: Context, form: RoomForm) -> Station:
    """Open a room: it can be booked, and its station may call.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    Invalid
        A rule is broken, or the name or AE title is taken.
    """
    ctx.require(Permission.ADMIN)
    form = form.checked(ctx)
    try:
        with ctx.begin() as session:
            room = Room(**_of_room(form))
            session.add(room)
            session.flush()
            audit.record(ctx, session, Action.CREATE, room, ae_title=room.station_ae_title)
            device = _keep_device(ctx, session, form, _device(session, form.ae_title))
            changes.announce(session, Topic.ADMIN, Topic.SCHEDULE)
            return _station(room, device)
    except IntegrityError:
        raise _taken() from None


def change(ctx: Context, known: Station, form: RoomForm) -> Station:
    """Change a room and its station; a station that gets another title keeps its address.

    Parameters
    ----------
    known
        The room as it was read.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such room.
    Conflict
        Someone else changed it meanwhile, or visits are still booked that the change would strand.
    Invalid
        A rule is broken, or the name or AE title is taken.
    """
    ctx.require(Permission.ADMIN)
    form = form.checked(ctx)
    try:
        with ctx.begin() as session:
            room = session.get(Room, known.id)
            if room is None:
                raise NotFound
            device = _device(session, room.station_ae_title)
            was = _station(room, device)
            if was != known:
                raise Conflict
            if room.modality != form.modality or (room.is_active and not form.is_active):
                check_is_free(ctx, session, Appointment.room_pk == room.id)
            values = _of_room(form)
            changed = [name for name, value in values.items() if getattr(room, name) != value]
            for name in changed:
                setattr(room, name, values[name])
            session.flush()
            audit.record(ctx, session, Action.CHANGE, room, fields=changed)
            device = _keep_device(ctx, session, form, device, was)
            changes.announce(session, Topic.ADMIN, Topic.SCHEDULE)
            return _station(room, device)
    except IntegrityError:
        raise _taken() from None


def _of_room(form: RoomForm) -> dict[str, Any]:
    return {
        "room_name": form.room_name,
        "modality": form.modality,
        "station_ae_title": form.ae_title,
        "is_active": form.is_active,
    }


def check_is_free(ctx: Context, session: Session, where: ColumnElement[bool]) -> None:
    """Refuse while people are booked: they would be on no worklist, or on one they do not fit.

    Raises
    ------
    Conflict
        A visit that fits is still open, of today or later.
    """
    today, _ = ctx.day_bounds(ctx.today())
    query = select(func.count()).where(
        where, Appointment.status.in_(SCHEDULED), Appointment.end_at > today
    )
    if count := session.scalar(query):
        visits = "A visit is" if count == 1 else f"{count} visits are"
        raise Conflict(f"{visits} still booked for it: move or cancel first.")


def _device(session: Session, ae_title: str) -> Peer | None:
    return session.scalar(select(Peer).where(Peer.ae_title == ae_title))


def _keep_device(
    ctx: Context,
    session: Session,
    form: RoomForm,
    device: Peer | None,
    was: Station | None = None,
) -> Peer | None:
    """Keep where the station is; a device that is known under the title already becomes it."""
    is_adopted = was is None or (device is None and was.ae_title != form.ae_title)
    if is_adopted and device is None:
        device = _device(session, form.ae_title)
    if device is None:
        if not form.host:
            return None
        address = {name: getattr(form, name) for name in _ADDRESS}
        device = Peer(peer_name=form.room_name, ae_title=form.ae_title, **address)
        device.is_active = form.is_active
        peers.keep_new(ctx, session, device)
        return device
    values = {name: getattr(device, name) for name in PeerForm.__dataclass_fields__}
    values["ae_title"] = form.ae_title
    if form.host or not is_adopted:
        values |= {name: getattr(form, name) for name in _ADDRESS}
    if was is not None and was.is_active != form.is_active:
        values["is_active"] = form.is_active
    if was is not None and device.peer_name == was.room_name:
        values["peer_name"] = form.room_name
    peers.keep_changed(ctx, session, device, asdict(PeerForm(**values).checked()))
    return device


def _station(room: Room, device: Peer | None) -> Station:
    return Station(
        id=room.id,
        room_name=room.room_name,
        modality=room.modality,
        ae_title=room.station_ae_title,
        is_active=room.is_active,
        version=room.version,
        device=peers.row_of(device, room.room_name) if device is not None else None,
    )


def _taken() -> Invalid:
    return Invalid("Another room or device has this name or AE title.", field="ae_title")
