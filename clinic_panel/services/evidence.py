"""Measurements, presentation and key images of a reader, saved as DICOM objects of the study.

What is saved is fixed when it is asked for; a worker builds the objects, and they go into the
archive by the way that received ones take, so that peers get them like any other. Asking again
without a change saves nothing; after a change, a new object follows the last.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.evidence.order import DocumentKind, DocumentOrder, KeyTitle
from clinic_panel.imaging.header import read_header
from clinic_panel.models.audit_log import Action
from clinic_panel.models.evidence import Evidence
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, dicom, evidence_content, jobs
from clinic_panel.services.dicom import Received, Verdict
from clinic_panel.services.evidence_content import Place
from clinic_panel.services.report_content import digest

KEPT = (Verdict.KEPT, Verdict.AGAIN, Verdict.REPLACED)


class Standing(StrEnum):
    """Where one kind of document stands."""

    NOTHING = "nothing"  # there is nothing to say
    NEW = "new"
    CHANGED = "changed"
    MAKING = "making"
    SAVED = "saved"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Holding:
    """What would be saved of one kind, and what was."""

    kind: DocumentKind
    shapes: int
    images: int
    standing: Standing
    saved_at: datetime | None = None  # the last that was saved, of this content or an earlier one
    error: str = ""


def standing(
    ctx: Context, study_id: int, places: Sequence[Place] = (), *, title: KeyTitle | None = None
) -> tuple[Holding, ...]:
    """Return what the actor could save of a study, and what they saved.

    Parameters
    ----------
    places
        The images they marked as key images.
    title
        Why these were chosen; without one, as when they were saved last.

    Raises
    ------
    Forbidden, NotFound
        The actor may not write reports, or there is no such study.
    """
    ctx.require(Permission.IMAGE_READ, Permission.REPORT_WRITE)
    with ctx.read() as session:
        _study(session, study_id)
        return tuple(
            _holding(ctx, session, study_id, kind, content)
            for kind, content in _contents(ctx, session, study_id, places, title).items()
        )


def save(
    ctx: Context, study_id: int, places: Sequence[Place] = (), *, title: KeyTitle | None = None
) -> tuple[Holding, ...]:
    """Ask for the documents that are new or changed since they were last saved.

    Parameters
    ----------
    places, title
        As for `standing`.

    Raises
    ------
    Forbidden, NotFound, Conflict
        Nothing was asked for; by Conflict, another window is doing just that.
    Invalid
        There is nothing to save.
    """
    ctx.require(Permission.IMAGE_READ, Permission.REPORT_WRITE)
    if ctx.actor.user_pk is None:
        raise Forbidden
    try:
        with ctx.begin() as session:
            study = _study(session, study_id)
            contents = _contents(ctx, session, study_id, places, title)
            if not any(contents.values()):
                raise Invalid("Nothing is measured or marked in this study yet.")
            rows = [
                row
                for kind, content in contents.items()
                if content and (row := _asked(ctx, session, study_id, kind, content))
            ]
            if rows:
                session.flush()
                jobs.enqueue(ctx, session, JobKind.EVIDENCE, [row.id for row in rows])
                audit.record(
                    ctx,
                    session,
                    Action.CREATE,
                    rows[0],
                    patient_pk=study.patient_pk,
                    study=study_id,
                    documents={row.kind.value: row.id for row in rows},
                )
            return tuple(
                _holding(ctx, session, study_id, kind, content)
                for kind, content in contents.items()
            )
    except IntegrityError:  # the other window took the number
        raise Conflict("This is being saved from another window.") from None


def title_of(ctx: Context, study_id: int) -> KeyTitle:
    """Return why the actor's key images were chosen when they were saved last.

    Raises
    ------
    Forbidden
        The actor may not write reports.
    """
    ctx.require(Permission.IMAGE_READ, Permission.REPORT_WRITE)
    with ctx.read() as session:
        return _title(session, ctx.actor.user_pk, study_id)


def order(ctx: Context, evidence_id: int) -> DocumentOrder:
    """Return what a worker builds a document from.

    Raises
    ------
    Forbidden, NotFound
        There is no such document, or an image it speaks of is gone.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.read() as session:
        row = session.get(Evidence, evidence_id)
        if row is None:
            raise NotFound
        previous = _saved_before(session, row)
        return evidence_content.order(ctx, session, row, previous)


def keep(ctx: Context, evidence_id: int, objects: Sequence[bytes]) -> None:
    """Put the objects of a document into the archive and its index; doing it again is harmless.

    Raises
    ------
    Forbidden, NotFound, StorageFull, Unavailable
        Not all is saved; the same again completes it.
    Conflict
        Other content is kept under one of its UIDs.
    """
    ctx.require(Permission.JOB_RUN, Permission.DICOM_WRITE)
    received = []
    for part10 in objects:
        stored = ctx.store.put(part10)
        header = read_header(ctx.store.path(stored.path))
        received.append(Received(header, stored, ctx.settings.ae_title, made_here=True))
    outcomes = dicom.index_batch(ctx, received)
    if any(outcome.verdict not in KEPT for outcome in outcomes):
        raise Conflict("Another object has the identifier of this document.")
    with ctx.begin() as session:
        row = session.get(Evidence, evidence_id)
        if row is None:
            raise NotFound
        row.saved_at = row.saved_at or ctx.clock()
        changes.announce(session, Topic.STUDIES)


def _contents(
    ctx: Context,
    session: Session,
    study_id: int,
    places: Sequence[Place],
    title: KeyTitle | None,
) -> dict[DocumentKind, evidence_content.Content]:
    title = title or _title(session, ctx.actor.user_pk, study_id)
    return evidence_content.compose(ctx, session, study_id, places, title)


def _title(session: Session, user_pk: int | None, study_id: int) -> KeyTitle:
    last = _last(session, user_pk, study_id, DocumentKind.KEY_OBJECTS)
    return KeyTitle(last.content["title"]) if last else KeyTitle.OF_INTEREST


def _asked(
    ctx: Context,
    session: Session,
    study_id: int,
    kind: DocumentKind,
    content: evidence_content.Content,
) -> Evidence | None:
    """Return the row to make; None when it is saved already."""
    last = _last(session, ctx.actor.user_pk, study_id, kind)
    sha256 = digest(content)
    if last is not None and last.sha256 == sha256:
        return None if last.saved_at else last
    row = Evidence(
        user_pk=ctx.actor.user_pk,
        study_pk=study_id,
        kind=kind,
        number=last.number + 1 if last else 1,
        content=content | evidence_content.signature(ctx, session),
        sha256=sha256,
        series_instance_uid=last.series_instance_uid if last else _new_uid(),
        sop_instance_uid=_new_uid(),
        ordered_at=ctx.clock(),
    )
    session.add(row)
    return row


def _holding(
    ctx: Context,
    session: Session,
    study_id: int,
    kind: DocumentKind,
    content: evidence_content.Content,
) -> Holding:
    shapes, images = len(content.get("shapes", ())), len(content.get("seen", ()))
    last = _last(session, ctx.actor.user_pk, study_id, kind)
    done = last if last is None or last.saved_at else _saved_before(session, last)
    saved_at = done.saved_at if done else None
    if not content:
        return Holding(kind, 0, 0, Standing.NOTHING, saved_at)
    if last is None:
        return Holding(kind, shapes, images, Standing.NEW)
    if last.sha256 != digest(content):
        now = Standing.CHANGED if saved_at else Standing.NEW
        return Holding(kind, shapes, images, now, saved_at)
    if last.saved_at is not None:
        return Holding(kind, shapes, images, Standing.SAVED, saved_at)
    query = select(Job).where(Job.kind == JobKind.EVIDENCE, Job.subject_id == last.id)
    job = session.scalar(query)
    if job is not None and job.state is JobState.FAILED:
        error = job.error.partition(": ")[2]  # our own sentence, if it was one
        return Holding(kind, shapes, images, Standing.FAILED, saved_at, error)
    return Holding(kind, shapes, images, Standing.MAKING, saved_at)


def _last(
    session: Session, user_pk: int | None, study_id: int, kind: DocumentKind
) -> Evidence | None:
    query = select(Evidence).where(
        Evidence.user_pk == user_pk, Evidence.study_pk == study_id, Evidence.kind == kind
    )
    return session.scalar(query.order_by(Evidence.number.desc()).limit(1))


def _saved_before(session: Session, row: Evidence) -> Evidence | None:
    """Return the last document of its kind before this one that was saved."""
    query = select(Evidence).where(
        Evidence.user_pk == row.user_pk,
        Evidence.study_pk == row.study_pk,
        Evidence.kind == row.kind,
        Evidence.number < row.number,
        Evidence.saved_at.is_not(None),
    )
    return session.scalar(query.order_by(Evidence.number.desc()).limit(1))


def _study(session: Session, study_id: int) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("This study does not exist.")
    return study


def _new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"  # PS3.5 B.2
