"""What stands in an object beside its pixels, for those who may see its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from clinic_panel.context import Context
from clinic_panel.errors import NotDisplayable, NotFound, NotUnderstood
from clinic_panel.imaging import presentation, structured, waveform
from clinic_panel.imaging.encapsulated import Wrapped, read_pdf
from clinic_panel.imaging.kinds import Kind, kind_of, name_of
from clinic_panel.imaging.legible import size_text
from clinic_panel.imaging.listing import Listing, listing_of
from clinic_panel.imaging.presentation import read_presentation
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.user import Permission
from clinic_panel.services import audit
from clinic_panel.services.frames import audit_first_look
from clinic_panel.services.lightbox import Lightbox

MISSING = "The file of this object is missing from the archive."


@dataclass(frozen=True, slots=True)
class Paper:
    """One object that is no image, ready to show; ``content`` is what its kind needs."""

    kind: Kind
    name: str
    title: str = field(repr=False)
    facts: tuple[tuple[str, str], ...] = field(repr=False)
    content: dict[str, Any] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "title": self.title,
            "facts": [list(fact) for fact in self.facts],
            "content": self.content,
        }


@dataclass(frozen=True, slots=True)
class _Found:
    id: int
    path: Path
    sop_class_uid: str
    study_pk: int


def header(ctx: Context, instance_id: int, *, frame: int = 0) -> Listing:
    """List every element of an object; each look is an entry of the audit.

    Parameters
    ----------
    frame
        Zero-based; what describes single frames is listed round this one.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see images, or there is no such instance.
    NotDisplayable
        The file is gone, or is no DICOM.
    """
    ctx.require(Permission.IMAGE_READ)
    with ctx.begin() as session:
        row = session.scalar(_one(instance_id))
        if row is None:
            raise NotFound("This object does not exist.")
        patient_pk = row.series.study.patient_pk
        audit.record(ctx, session, Action.VIEW, row, patient_pk=patient_pk, what="header")
        path = ctx.store.path(row.path)
    return _read(path, lambda source: listing_of(source, frame))


def paper(ctx: Context, lightbox: Lightbox, instance_id: int) -> Paper:
    """Read an object that is no image: a report, key images, a recording, a PDF.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see images, or there is no such instance.
    NotDisplayable
        The object cannot be shown; the message says why.
    """
    found = _looked_at(ctx, lightbox, instance_id)
    kind, name = kind_of(found.sop_class_uid), name_of(found.sop_class_uid)
    if kind in (Kind.REPORT, Kind.KEY_IMAGES):
        document = _read(found.path, structured.read_document)
        places = _places(ctx, found.study_pk, document)
        return Paper(
            kind, name, document.content.name, _standing(document), _tree(document, places)
        )
    if kind is Kind.WAVEFORM:
        recording = _read(found.path, waveform.read_recording)
        return Paper(kind, name, name, (), recording.as_dict())
    if kind is Kind.PDF:
        wrapped = _read(found.path, read_pdf)
        facts = (("Size", size_text(len(wrapped.data))),)
        return Paper(kind, name, wrapped.title or "Document", facts, {})
    raise NotDisplayable(f"This is no image but an object of the kind “{name}”.")


def presented(
    ctx: Context, lightbox: Lightbox, instance_id: int, image_id: int, frame: int
) -> dict[str, Any]:
    """Say how a presentation state wishes one zero-based frame of an image to be seen.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see images, or the study holds no such state or image.
    NotDisplayable
        The state cannot be read.
    """
    found = _looked_at(ctx, lightbox, instance_id)
    query = (
        select(Instance.sop_class_uid, Instance.sop_instance_uid)
        .join(Series)
        .where(Instance.id == image_id, Series.study_pk == found.study_pk)
    )
    with ctx.read() as session:
        image = session.execute(query).one_or_none()
    if image is None:
        raise NotFound("This image is not in the study of the presentation state.")
    if kind_of(found.sop_class_uid) is not Kind.PRESENTATION:
        raise NotDisplayable("This is no presentation state.")
    state = _read(found.path, read_presentation)
    said = (state.description, state.creator, state.created_on)
    left_out = f"Not applied: {', '.join(state.left_out)}" if state.left_out else ""
    return presentation.as_dict(state, structured.Reference(*image, (frame,)), frame) | {
        "title": f"Presentation {state.label}".strip(),
        "note": "\n".join(filter(None, (" · ".join(filter(None, said)), left_out))),
    }


def pdf(ctx: Context, lightbox: Lightbox, instance_id: int) -> Wrapped:
    """Hand out the PDF in an object.

    Raises
    ------
    Forbidden, NotFound, NotDisplayable
        As `paper`.
    """
    return _read(_looked_at(ctx, lightbox, instance_id).path, read_pdf)


def _one(instance_id: int) -> Any:
    return (
        select(Instance)
        .where(Instance.id == instance_id)
        .options(joinedload(Instance.series).joinedload(Series.study))
    )


def _looked_at(ctx: Context, lightbox: Lightbox, instance_id: int) -> _Found:
    """Find an object for somebody who looks at it, which the audit says of its study first."""
    ctx.require(Permission.IMAGE_READ)
    with ctx.read() as session:
        row = session.scalar(_one(instance_id))
        if row is None:
            raise NotFound("This object does not exist.")
        path = ctx.store.path(row.path)
        found = _Found(row.id, path, row.sop_class_uid, row.series.study_pk)
    audit_first_look(ctx, lightbox, found.study_pk)
    return found


def _read[Value](path: Path, read: Callable[[Path], Value]) -> Value:
    try:
        return read(path)
    except FileNotFoundError:
        raise NotDisplayable(MISSING) from None
    except NotUnderstood as error:
        raise NotDisplayable(error.message) from None


def _places(ctx: Context, study_pk: int, document: structured.Document) -> dict[str, int]:
    """Our own number of each instance of the study that a document refers to."""
    wanted = {one.sop_instance_uid for one in document.references}
    query = (
        select(Instance.sop_instance_uid, Instance.id)
        .join(Series)
        .where(Series.study_pk == study_pk)
    )
    with ctx.read() as session:
        return {uid: instance_id for uid, instance_id in session.execute(query) if uid in wanted}


def _tree(document: structured.Document, places: dict[str, int]) -> dict[str, Any]:
    return {
        "items": [structured.as_dict(item, places) for item in document.content.items],
        "images": [structured.place_of(one, places) for one in document.references],
        "cut": document.is_cut,
    }


def _standing(document: structured.Document) -> tuple[tuple[str, str], ...]:
    """What the head of a document says: whether it is finished, who vouches for it, from when."""
    facts = []
    if document.content_at:
        facts.append(("Written", document.content_at))
    if document.is_complete is not None:
        facts.append(("State", "Complete" if document.is_complete else "Partial"))
    if document.is_verified is not None:
        by = "; ".join(document.verified_by)
        facts.append(("Verified", (by or "Yes") if document.is_verified else "No"))
    return tuple(facts)
