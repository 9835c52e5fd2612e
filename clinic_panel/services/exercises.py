"""Service checks from the administrator's page: whom, as whom, and that it was done."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.dimse.model import Caller
from clinic_panel.errors import Invalid, NotFound, Unavailable
from clinic_panel.exercise.lines import TESTER, Target
from clinic_panel.models.audit_log import Action
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes

OWN_NAME = "Service check"
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to check: this clinic (``id`` 0) or a peer."""

    id: int
    name: str
    ae_title: str
    address: str  # empty: nobody knows where it is


def subjects(ctx: Context) -> list[Subject]:
    """Return this clinic and its active peers.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    own = ctx.settings
    query = select(Peer).where(Peer.is_active, Peer.ae_title != TESTER).order_by(Peer.peer_name)
    with ctx.read() as session:
        return [
            Subject(0, "This clinic", own.ae_title, f"{_host(ctx)}:{own.dicom_port}"),
            *(
                Subject(p.id, p.peer_name, p.ae_title, f"{p.host}:{p.port}" if p.host else "")
                for p in session.scalars(query)
            ),
        ]


def begin(ctx: Context, subject_id: int) -> Target:
    """Return whom to exercise and as whom; audited. The check itself is for a thread.

    To check this clinic, its own tester is let in like any device: as a peer that an administrator
    sees and may switch off.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such peer.
    Invalid
        The peer has no address, or the tester was switched off.
    Unavailable, SettingsError
        The clinic's listener speaks TLS, and nothing is set by which its certificate could be
        trusted; or a TLS file cannot be read.
    """
    ctx.require(Permission.ADMIN)
    own, caller = ctx.settings, Caller.of(ctx.settings)
    with ctx.begin() as session:
        if subject_id == 0:
            if own.dicom_tls_cert and not own.dicom_tls_ca:
                raise Unavailable("CLINIC_DICOM_TLS_CA is needed to trust our own certificate.")
            tester = session.scalar(select(Peer).where(Peer.ae_title == TESTER))
            if tester is None:
                tester = Peer(peer_name=OWN_NAME, ae_title=TESTER, host="", port=104)
                session.add(tester)
                session.flush()
                audit.record(ctx, session, Action.CREATE, tester, ae_title=TESTER)
                changes.announce(session, Topic.ADMIN)
            elif not tester.is_active:
                raise Invalid(f"{OWN_NAME} is switched off under Devices.")
            tls = caller.tls if own.dicom_tls_cert else None
            target = Target(_host(ctx), own.dicom_port, own.ae_title, TESTER, tls=tls)
        else:
            peer = session.get(Peer, subject_id)
            if peer is None or not peer.is_active:
                raise NotFound("This device is not there any more.")
            if not peer.host:
                raise Invalid("This device has no address: add it under Devices.")
            tls = caller.tls if peer.uses_tls else None
            target = Target(
                peer.host, peer.port, peer.ae_title, own.ae_title, is_peer=True, tls=tls
            )
        audit.record(ctx, session, Action.EXERCISE, ae_title=target.called_ae_title)
    return target


def _host(ctx: Context) -> str:
    host = str(ctx.settings.dicom_host)
    return "127.0.0.1" if host in _EVERYWHERE else host
