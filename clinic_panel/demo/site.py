"""The sample clinic's house: accounts, rooms, examinations, letterhead, and who may call."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from sqlalchemy import select

from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context
from clinic_panel.demo.cast import ACCOUNTS, LETTERHEAD, PROCEDURES, ROOMS
from clinic_panel.models.appointment import Procedure, Room
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import SiteSetting
from clinic_panel.models.user import User
from clinic_panel.services import accounts, audit, peers
from clinic_panel.services.peers import PeerForm
from clinic_panel.services.report_content import LETTERHEAD as LETTERHEAD_KEY
from clinic_panel.services.slots import OPENING_HOURS_KEY

# What common tools call themselves unless told otherwise.
TOOLS = (
    ("DCMTK echoscu", "ECHOSCU"),
    ("DCMTK storescu", "STORESCU"),
    ("DCMTK findscu", "FINDSCU"),
    ("DCMTK dcmsend", "DCMSEND"),
    ("pynetdicom", "PYNETDICOM"),
    ("Orthanc", "ORTHANC"),
    ("Simulated modality", "SIMULATOR"),
)
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that look alike


@dataclass(frozen=True, slots=True)
class Staff:
    """The accounts that act, and the ids of rooms by name and procedures by code."""

    reception: Actor
    doctor: Actor
    rooms: dict[str, int]
    procedures: dict[str, int]


def choose_password(settings: Settings) -> tuple[str, bool]:
    """Return the password of all demo accounts, and whether it is another than last time.

    The settings decide; else one is made at random once. It is kept in the home, for its owner
    only, so that the next start can print it again.
    """
    path = settings.home / "demo-password"
    last = path.read_text() if path.exists() else ""
    made = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
    password = settings.demo_password or last or made
    if password != last:
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
    return password, password != last


def hire(ctx: Context, password: str, *, renew: bool) -> Staff:
    """Make the accounts, rooms and examinations that are missing.

    Parameters
    ----------
    renew
        Give the accounts that are there this password too.
    """
    with ctx.read() as session:
        known = set(session.scalars(select(User.username)))
    for account in ACCOUNTS:
        if account.username not in known:
            accounts.add_user(
                ctx,
                account.username,
                role=account.role,
                password=password,
                display_name=account.display_name,
                any_password=True,
            )
        elif renew:
            accounts.set_password(ctx, account.username, password, any_password=True)
    _furnish(ctx)
    with ctx.read() as session:
        return Staff(
            reception=_actor(session.scalars(select(User).filter_by(username="reception")).one()),
            doctor=_actor(session.scalars(select(User).filter_by(username="doctor")).one()),
            rooms={row.room_name: row.id for row in session.scalars(select(Room))},
            procedures={row.code_value: row.id for row in session.scalars(select(Procedure))},
        )


def open_site(ctx: Context) -> None:
    """Set letterhead and opening hours, and enter the tools a visitor is likely to try."""
    with ctx.begin() as session:
        if session.get(SiteSetting, OPENING_HOURS_KEY) is None:
            # Whoever tries the demo late in the evening finds free times too.
            hours = {"begin": "06:00", "end": "23:55"}
            session.add(SiteSetting(key=OPENING_HOURS_KEY, value=hours))
            audit.record(ctx, session, Action.CHANGE, setting=OPENING_HOURS_KEY)
        if session.get(SiteSetting, LETTERHEAD_KEY) is None:
            session.add(SiteSetting(key=LETTERHEAD_KEY, value=dict(LETTERHEAD)))
            audit.record(ctx, session, Action.CHANGE, setting=LETTERHEAD_KEY)
    known = {peer.ae_title for peer in peers.peers(ctx)}
    for name, ae_title in TOOLS:
        if ae_title not in known:
            peers.add(ctx, PeerForm(name, ae_title))


def _furnish(ctx: Context) -> None:
    with ctx.begin() as session:
        rooms = set(session.scalars(select(Room.room_name)))
        codes = set(session.scalars(select(Procedure.code_value)))
        added: list[Room | Procedure] = [
            Room(
                room_name=room.room_name,
                station_ae_title=room.station_ae_title,
                modality=room.modality,
            )
            for room in ROOMS
            if room.room_name not in rooms
        ]
        added += [
            Procedure(
                code_value=procedure.code_value,
                requested_procedure_description=procedure.description,
                modality=procedure.modality,
                body_part_examined=procedure.body_part_examined,
                duration_min=procedure.duration_min,
            )
            for procedure in PROCEDURES
            if procedure.code_value not in codes
        ]
        for row in added:
            session.add(row)
            session.flush()
            audit.record(ctx, session, Action.CREATE, row)


def _actor(user: User) -> Actor:
    return Actor(user.username, user.role, user.id, user.display_name, "127.0.0.1")
