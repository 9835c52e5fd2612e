"""What stands in an object beside its pixels, for those who may see its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from clinic_panel.context import Context
from clinic_panel.errors import NotFound
from clinic_panel.imaging.encapsulated import Wrapped, read_pdf
from clinic_panel.imaging.listing import Listing, listing_of
from clinic_panel.imaging.structured import Reference
from clinic_panel.imaging.waveform import Group
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, paper_content
from clinic_panel.services.frames import audit_first_look
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.paper_content import Paper


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
    return paper_content.read(path, lambda source: listing_of(source, frame))


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

    def places(references: Iterable[Reference]) -> dict[str, int]:
        return _places(ctx, found.study_pk, references)

    return paper_content.paper_of(found.path, found.sop_class_uid, places)


def part(ctx: Context, lightbox: Lightbox, instance_id: int, group: int, start_s: float) -> Group:
    """Read a part of one zero-based group of a recording, from so many seconds on.

    Raises
    ------
    Forbidden, NotFound, NotDisplayable
        As `paper`.
    """
    found = _looked_at(ctx, lightbox, instance_id)
    return paper_content.part_of(found.path, found.sop_class_uid, group, start_s)


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
        select(Instance.sop_class_uid, Instance.sop_instance_uid, Instance.path)
        .join(Series)
        .where(Instance.id == image_id, Series.study_pk == found.study_pk)
    )
    with ctx.read() as session:
        image = session.execute(query).one_or_none()
    if image is None:
        raise NotFound("This image is not in the study of the presentation state.")
    reference = Reference(image.sop_class_uid, image.sop_instance_uid, (frame,))
    path = ctx.store.path(image.path)
    return paper_content.presented_of(found.path, found.sop_class_uid, path, reference)


def pdf(ctx: Context, lightbox: Lightbox, instance_id: int) -> Wrapped:
    """Hand out the PDF in an object.

    Raises
    ------
    Forbidden, NotFound, NotDisplayable
        As `paper`.
    """
    return paper_content.read(_looked_at(ctx, lightbox, instance_id).path, read_pdf)


@dataclass(frozen=True, slots=True)
class AtHand:
    """All of this for a viewer that has no route to it (a ``paper_content.PaperSource``)."""

    ctx: Context
    lightbox: Lightbox

    def header(self, instance_id: int, frame: int) -> dict[str, Any]:
        """As `documents.header`."""
        return header(self.ctx, instance_id, frame=frame).as_dict()

    def paper(self, instance_id: int) -> dict[str, Any]:
        """As `documents.paper`."""
        return paper(self.ctx, self.lightbox, instance_id).as_dict()

    def part(self, instance_id: int, group: int, start_s: float) -> Group:
        """As `documents.part`."""
        return part(self.ctx, self.lightbox, instance_id, group, start_s)

    def presented(self, instance_id: int, image_id: int, frame: int) -> dict[str, Any]:
        """As `documents.presented`."""
        return presented(self.ctx, self.lightbox, instance_id, image_id, frame)

    def pdf(self, instance_id: int) -> bytes:
        """As `documents.pdf`."""
        return pdf(self.ctx, self.lightbox, instance_id).data


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


def _places(ctx: Context, study_pk: int, references: Iterable[Reference]) -> dict[str, int]:
    """Our own number of each instance of the study that a document refers to."""
    wanted = {one.sop_instance_uid for one in references}
    query = (
        select(Instance.sop_instance_uid, Instance.id)
        .join(Series)
        .where(Series.study_pk == study_pk)
    )
    with ctx.read() as session:
        return {uid: instance_id for uid, instance_id in session.execute(query) if uid in wanted}
