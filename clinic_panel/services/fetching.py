"""Studies of other archives: looked for there, and sent here by them (C-FIND, C-MOVE)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.dimse.model import Caller, FoundStudy, MoveProgress, Remote, StudyQuery
from clinic_panel.errors import Invalid, NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.fetch import Fetch, FetchState
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs

MOST_FOUND = 200


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """Another archive that can be asked."""

    id: int
    peer_name: str


@dataclass(frozen=True, slots=True)
class Found:
    """A study of another archive, and what of it is here."""

    study: FoundStudy
    study_id: int | None  # ours
    instances_here: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What an archive answered; ``is_cut``: there is more."""

    peer_id: int
    peer_name: str
    found: tuple[Found, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class FetchRow:
    """One transfer, for a table."""

    id: int
    peer_name: str
    patient_id: str
    patient_name: str
    study_description: str
    study_date: str
    modalities: str
    state: FetchState
    remaining: int | None
    completed: int
    failed: int
    message: str
    asked_by: str
    asked_at: datetime
    study_id: int | None  # ours, once something is here


@dataclass(frozen=True, slots=True)
class Order:
    """What the worker is to have sent here, and from where."""

    remote: Remote
    study_instance_uid: str


def archives(ctx: Context) -> list[ArchiveRow]:
    """Return the archives that can be asked, by name.

    Raises
    ------
    Forbidden
        The actor may not see images.
    """
    ctx.require(Permission.IMAGE_READ, Permission.PATIENT_READ)
    query = select(Peer.id, Peer.peer_name).where(Peer.is_active, Peer.host != "")
    with ctx.read() as session:
        rows = session.execute(query.order_by(Peer.peer_name))
        return [ArchiveRow(id_, name) for id_, name in rows]


def checked(query: StudyQuery) -> StudyQuery:
    """Return a question as it is asked.

    Raises
    ------
    Invalid
        It asks for everything, or a text is too long.
    """
    kept = replace(
        query,
        patient_id=validation.short_text(query.patient_id, "patient_id").replace("\\", ""),
        patient_name=validation.short_text(query.patient_name, "patient_name").replace("\\", ""),
        modality=query.modality.strip().upper()[:16],
    )
    if not (kept.patient_id or kept.patient_name.strip("*?") or kept.first_day or kept.last_day):
        raise Invalid("Enter a patient ID, a name or a date.", field="patient_id")
    if kept.first_day and kept.last_day and kept.first_day > kept.last_day:
        raise Invalid("The first day is after the last.", field="last_day")
    return kept


def find(ctx: Context, peer_id: int, query: StudyQuery) -> Findings:
    """Ask another archive for studies; it may take seconds.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see images; there is no such archive.
    Invalid
        The question asks for everything.
    PeerUnavailable, PeerFailure
        It could not be asked.
    """
    from clinic_panel.dimse import find as asking

    ctx.require(Permission.IMAGE_READ, Permission.PATIENT_READ)
    query = checked(query)
    with ctx.read() as session:
        peer = _peer(session, peer_id)
        remote, name = _remote(peer), peer.peer_name
    studies, is_cut = asking.studies(Caller.of(ctx.settings), remote, query, limit=MOST_FOUND)
    with ctx.begin() as session:
        known = select(Study.study_instance_uid, Study.id, Study.number_of_instances).where(
            Study.study_instance_uid.in_([each.study_instance_uid for each in studies])
        )
        here = {uid: (id_, count) for uid, id_, count in session.execute(known)}
        audit.record(ctx, session, Action.SEARCH, peer, found=len(studies))
    found = [Found(each, *here.get(each.study_instance_uid, (None, 0))) for each in studies]
    return Findings(peer_id, name, tuple(found), is_cut)


def fetch(ctx: Context, peer_id: int, study: FoundStudy) -> int:
    """Have a study sent here; return the id of the transfer.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see images; there is no such archive.
    """
    ctx.require(Permission.IMAGE_READ, Permission.PATIENT_READ)
    values = {
        "peer_pk": peer_id,
        "study_instance_uid": validation.uid(study.study_instance_uid),
        "patient_id": study.patient_id[:64],
        "patient_name": study.patient_name[:194],
        "study_description": study.study_description[:64],
        "study_date": study.study_date[:8],
        "modalities": study.modalities[:128],
        "state": FetchState.WAITING,
        "remaining": study.instances,
        "completed": 0,
        "failed": 0,
        "message": "",
        "asked_by": ctx.actor.username,
        "asked_at": ctx.clock(),
        "finished_at": None,
    }
    with ctx.begin() as session:
        _peer(session, peer_id)
        insert = _insert(session)(Fetch)
        keys = ["peer_pk", "study_instance_uid"]
        anew = {name: insert.excluded[name] for name in values if name not in keys}
        asked = insert.on_conflict_do_update(index_elements=keys, set_=anew).returning(Fetch)
        row = session.scalars(asked, [values]).one()
        jobs.enqueue(ctx, session, JobKind.FETCH, [row.id])
        audit.record(ctx, session, Action.FETCH, row, peer=peer_id)
        changes.announce(session, Topic.STUDIES)
        return row.id


def transfers(ctx: Context, *, limit: int = 50) -> list[FetchRow]:
    """Return the latest transfers.

    Raises
    ------
    Forbidden
        The actor may not see images.
    """
    ctx.require(Permission.IMAGE_READ, Permission.PATIENT_READ)
    query = (
        select(Fetch, Peer.peer_name, Study.id)
        .join(Fetch.peer)
        .join(Study, Study.study_instance_uid == Fetch.study_instance_uid, isouter=True)
        .order_by(Fetch.asked_at.desc(), Fetch.id.desc())
        .limit(limit)
    )
    own = [name for name in FetchRow.__dataclass_fields__ if name not in ("peer_name", "study_id")]
    with ctx.read() as session:
        return [
            FetchRow(
                peer_name=name, study_id=study_id, **{each: getattr(row, each) for each in own}
            )
            for row, name, study_id in session.execute(query)
        ]


# --- for the worker ---


def begin(ctx: Context, fetch_id: int) -> Order:
    """Say that a transfer is under way, and return what is to be asked for.

    Raises
    ------
    NotFound
        There is no such transfer, or its archive is switched off.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        row = session.get(Fetch, fetch_id)
        if row is None:
            raise NotFound
        peer = _peer(session, row.peer_pk)
        row.state = FetchState.RUNNING
        changes.announce(session, Topic.STUDIES)
        return Order(_remote(peer), row.study_instance_uid)


def note(
    ctx: Context, fetch_id: int, progress: MoveProgress, state: FetchState, message: str = ""
) -> None:
    """Keep how far a transfer has come, and how it ended.

    Parameters
    ----------
    message
        A sentence of ours for those who wait.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        row = session.get(Fetch, fetch_id, with_for_update=True)
        if row is None:
            raise NotFound
        row.state, row.message = state, message[:256]
        if state is not FetchState.WAITING:
            row.remaining = progress.remaining
            row.completed, row.failed = progress.completed, progress.failed
        if state in (FetchState.DONE, FetchState.PARTLY, FetchState.FAILED):
            row.finished_at = ctx.clock()
        changes.announce(session, Topic.STUDIES)


def _peer(session: Session, peer_id: int) -> Peer:
    peer = session.get(Peer, peer_id)
    if peer is None or not peer.is_active or not peer.host:
        raise NotFound("This archive cannot be asked: it is switched off or has no address.")
    return peer


def _remote(peer: Peer) -> Remote:
    return Remote(peer.ae_title, peer.host, peer.port, peer.uses_tls)


def _insert(session: Session) -> Any:
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert if is_postgresql else sqlite.insert
