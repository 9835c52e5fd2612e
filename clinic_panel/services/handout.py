"""Files to hand out: asked for by a person, made by a worker, fetched, gone after a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Forbidden, NotFound, Unavailable
from clinic_panel.models.audit_log import Action
from clinic_panel.models.handout import Handout, HandoutKind
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs

KEPT_FOR = timedelta(days=1)
FOLDER = "handouts"
_ENDINGS = {
    HandoutKind.FILM: ("pdf", "application/pdf"),
    HandoutKind.TEACHING: ("zip", "application/zip"),
}
_NEEDED = {
    HandoutKind.FILM: Permission.IMAGE_READ,
    HandoutKind.TEACHING: Permission.DEIDENTIFIED_EXPORT,
}

# Composes what is to be made from rows, in the transaction that asks for it.
type Compose = Callable[[Session, Study], dict[str, Any]]


class Progress(StrEnum):
    """How far a file has come."""

    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HandoutState:
    """How far a file has come, and why it went no further."""

    id: int
    kind: HandoutKind
    progress: Progress
    error: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """An order as a worker gets it."""

    kind: HandoutKind
    study_pk: int
    content: dict[str, Any]
    path: Path


@dataclass(frozen=True, slots=True)
class HandoutFile:
    """A file to hand out. Its name says nothing of the patient."""

    path: Path
    filename: str
    media_type: str


def ask(ctx: Context, study_id: int, kind: HandoutKind, compose: Compose, **detail: Any) -> int:
    """Ask for a file; return the order's id.

    Parameters
    ----------
    compose
        Called in the transaction; what it raises undoes all.
    detail
        What the audit says of it: counts and choices.

    Raises
    ------
    Forbidden, NotFound
        Nothing was asked for.
    """
    ctx.require(_NEEDED[kind])
    if ctx.actor.user_pk is None:
        raise Forbidden
    with ctx.begin() as session:
        study = session.get(Study, study_id)
        if study is None:
            raise NotFound("This study does not exist.")
        _forget_old(ctx, session)
        row = Handout(
            user_pk=ctx.actor.user_pk,
            study_pk=study_id,
            kind=kind,
            content=compose(session, study),
            asked_at=ctx.clock(),
        )
        session.add(row)
        session.flush()
        jobs.enqueue(ctx, session, JobKind.HANDOUT, [row.id])
        audit.record(
            ctx,
            session,
            Action.CREATE,
            row,
            patient_pk=study.patient_pk,
            study=study_id,
            kind=kind.value,
            **detail,
        )
        return row.id


def note_picture(ctx: Context, study_id: int, *, identity: str, marks: bool) -> None:
    """Note that a picture of the view leaves; the browser makes it once this is written.

    Raises
    ------
    Forbidden, NotFound
        It must not.
    """
    ctx.require(Permission.IMAGE_READ)
    with ctx.begin() as session:
        study = session.get(Study, study_id)
        if study is None:
            raise NotFound("This study does not exist.")
        audit.record(
            ctx,
            session,
            Action.HAND_OUT,
            study,
            patient_pk=study.patient_pk,
            picture=True,
            identity=identity,
            marks=marks,
        )


def state(ctx: Context, handout_id: int) -> HandoutState:
    """Return how far the actor's file has come.

    Raises
    ------
    Forbidden, NotFound
        There is no such order of theirs.
    """
    with ctx.read() as session:
        row = _own(ctx, session, handout_id)
        if row.ready_at is not None:
            return HandoutState(row.id, row.kind, Progress.READY)
        query = select(Job).where(Job.kind == JobKind.HANDOUT, Job.subject_id == row.id)
        job = session.scalar(query)
        if job is not None and job.state is JobState.FAILED:
            error = job.error.partition(": ")[2]  # our own sentence, if it was one
            return HandoutState(row.id, row.kind, Progress.FAILED, error)
        return HandoutState(row.id, row.kind, Progress.MAKING)


def said_of(ctx: Context, handout_id: int) -> dict[str, Any]:
    """Return what the actor asked for, and under ``made`` what came of it.

    Raises
    ------
    Forbidden, NotFound
        There is no such order of theirs.
    """
    with ctx.read() as session:
        return dict(_own(ctx, session, handout_id).content)


def content(ctx: Context, handout_id: int) -> Asked:
    """Return what a worker makes, and where the file goes.

    Raises
    ------
    Forbidden, NotFound
        There is no such order.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.read() as session:
        row = session.get(Handout, handout_id)
        if row is None:
            raise NotFound
        kind, study_pk, said = row.kind, row.study_pk, row.content
    path = _path(ctx, handout_id)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return Asked(kind, study_pk, said, path)


def finish(ctx: Context, handout_id: int, made: dict[str, Any] | None = None) -> None:
    """Note that the file is there, and what is to be said of it.

    Raises
    ------
    Forbidden, NotFound
        There is no such order, or no file.
    """
    ctx.require(Permission.JOB_RUN)
    if not _path(ctx, handout_id).is_file():
        raise NotFound("The file is missing.")
    with ctx.begin() as session:
        row = session.get(Handout, handout_id)
        if row is None:
            raise NotFound
        row.ready_at = ctx.clock()
        if made is not None:
            row.content = row.content | {"made": made}
        changes.announce(session, Topic.JOBS)


def fetch(ctx: Context, handout_id: int) -> HandoutFile:
    """Hand out the actor's file.

    Raises
    ------
    Forbidden, NotFound, Unavailable
        There is no such order of theirs, or its file is gone; or it is still being made.
    """
    ending = ""
    with ctx.begin() as session:
        row = _own(ctx, session, handout_id)
        path = _path(ctx, handout_id)
        if row.ready_at is None and ctx.clock() - row.asked_at < KEPT_FOR:
            raise Unavailable("The file is being made; it will be here in a moment.")
        if row.ready_at is None or not path.is_file():
            raise NotFound("This file is no longer kept. Please ask for it again.")
        ending, media_type = _ENDINGS[row.kind]
        name = f"{row.kind.value}-{row.id}.{ending}"
        study = session.get_one(Study, row.study_pk)
        audit.record(
            ctx, session, Action.HAND_OUT, row, patient_pk=study.patient_pk, study=study.id
        )
    return HandoutFile(path, name, media_type)


def _own(ctx: Context, session: Session, handout_id: int) -> Handout:
    row = session.get(Handout, handout_id)
    if row is None or row.user_pk != ctx.actor.user_pk:
        raise NotFound("There is no such file.")
    ctx.require(_NEEDED[row.kind])
    return row


def _forget_old(ctx: Context, session: Session) -> None:
    query = select(Handout).where(
        Handout.asked_at < ctx.clock() - KEPT_FOR, Handout.ready_at.is_not(None)
    )
    for row in session.scalars(query):
        _path(ctx, row.id).unlink(missing_ok=True)
        row.ready_at = None


def _path(ctx: Context, handout_id: int) -> Path:
    return ctx.settings.home / FOLDER / str(handout_id)
