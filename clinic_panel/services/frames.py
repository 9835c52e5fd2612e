"""Pixels on a screen, for those who may see them; who looks at whom, the audit says first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from clinic_panel.context import Context
from clinic_panel.errors import NotDisplayable, NotFound, NotUnderstood
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.subtraction import AS_SAID
from clinic_panel.imaging.thumbnail import render as thumbnail_of
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Study, Thumbnail
from clinic_panel.models.user import Permission
from clinic_panel.services import audit
from clinic_panel.services.lightbox import Lightbox, SentFrame
from clinic_panel.services.subtracted import read_seen

AUDIT_AGAIN_AFTER = timedelta(minutes=15)
PREVIEW_EDGE_PX = 768
PREVIEW_QUALITY = 60


def frame(
    ctx: Context, lightbox: Lightbox, instance_id: int, index: int, mask: str = AS_SAID
) -> Frame:
    """Decode one zero-based frame; ``mask`` as for ``subtracted.read_seen``.

    Raises
    ------
    Forbidden, NotFound, NotDisplayable
        Not allowed, no such instance or file, or no picture that can be shown.
    """
    picture = _looked_at(ctx, lightbox, instance_id)
    return read_seen(ctx, lightbox, picture, (instance_id, index), mask)


def _looked_at(ctx: Context, lightbox: Lightbox, instance_id: int) -> Picture:
    """Describe an instance to somebody who looks at it, which the audit says first."""
    ctx.require(Permission.IMAGE_READ)
    known = lightbox.find(instance_id)
    if known is None:
        with ctx.read() as session:
            row = session.scalar(
                select(Instance)
                .where(Instance.id == instance_id)
                .options(joinedload(Instance.series))
            )
        if row is None:
            raise NotFound("This image does not exist.")
        known = row.series.study_pk, picture_of(ctx, lightbox, row, row.series.study_pk)
    study_pk, picture = known
    audit_first_look(ctx, lightbox, study_pk)
    return picture


def sent_frame(
    ctx: Context, lightbox: Lightbox, instance_id: int, index: int, mask: str = AS_SAID
) -> SentFrame:
    """Return one zero-based frame as it goes to a browser, decoded unless somebody just saw it.

    Parameters
    ----------
    mask
        What is subtracted from it, as for ``subtracted.read_seen``.

    Raises
    ------
    Forbidden, NotFound, NotDisplayable
        Not allowed, no such instance or file, or no picture that can be shown.
    """
    picture = _looked_at(ctx, lightbox, instance_id)
    sent = lightbox.frames.get((instance_id, index, mask))
    if sent is None:
        found = read_seen(ctx, lightbox, picture, (instance_id, index), mask)
        sent = SentFrame(found.info.as_header(), found)
        lightbox.frames.put((instance_id, index, mask), sent)
    return sent


def lately_sent(
    ctx: Context, lightbox: Lightbox, instance_id: int, index: int, mask: str = AS_SAID
) -> SentFrame | None:
    """Return a frame that is remembered, asking no database: None when somebody must be asked.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.IMAGE_READ)
    known = lightbox.find(instance_id)
    if known is None or is_new_look(ctx, lightbox, known[0]):
        return None
    return lightbox.frames.get((instance_id, index, mask))


@dataclass(frozen=True, slots=True)
class Preview:
    """A smaller, lossy form of a frame: the value of ``X-Frame-Info`` of the frame, and a JPEG."""

    info: str
    jpeg: bytes


def preview(
    ctx: Context, lightbox: Lightbox, instance_id: int, index: int, mask: str = AS_SAID
) -> Preview:
    """Return a small form of one zero-based frame, in its own window, to show while it travels.

    Raises
    ------
    Forbidden, NotFound, NotDisplayable
        As ``sent_frame``.
    """
    sent = sent_frame(ctx, lightbox, instance_id, index, mask)
    small = thumbnail_of(sent.frame, PREVIEW_EDGE_PX)
    out = BytesIO()
    small.save(out, "JPEG", quality=PREVIEW_QUALITY)
    return Preview(sent.info, out.getvalue())


def picture_of(ctx: Context, lightbox: Lightbox, instance: Instance, study_pk: int) -> Picture:
    """Describe an instance, unless somebody did so lately.

    Raises
    ------
    NotDisplayable
        Its file is missing, or holds no image that can be shown.
    """
    known = lightbox.find(instance.id)
    if known is not None:
        return known[1]
    try:
        picture = describe(ctx.store.path(instance.path))
    except FileNotFoundError:
        raise NotDisplayable("The file of this image is missing from the archive.") from None
    except NotUnderstood:
        raise NotDisplayable("This object cannot be read.") from None
    return lightbox.keep(instance.id, study_pk, picture)


def is_new_look(ctx: Context, lightbox: Lightbox, study_pk: int) -> bool:
    """Whether the audit does not yet say, of a moment ago, that the actor looks at a study."""
    before = lightbox.viewed_at.get((ctx.actor.username, study_pk))
    return before is None or ctx.clock() - before >= AUDIT_AGAIN_AFTER


def remember_look(ctx: Context, lightbox: Lightbox, study_pk: int) -> None:
    """Note that the audit says so: only once that is committed, or later frames would go unsaid."""
    lightbox.viewed_at.put((ctx.actor.username, study_pk), ctx.clock())


def audit_first_look(ctx: Context, lightbox: Lightbox, study_pk: int) -> None:
    """A frame asked for without its study having been opened is a view like any other."""
    if not is_new_look(ctx, lightbox, study_pk):
        return
    with ctx.begin() as session:
        row = session.get_one(Study, study_pk)
        audit.record(ctx, session, Action.VIEW, row, patient_pk=row.patient_pk)
    remember_look(ctx, lightbox, study_pk)


@dataclass(frozen=True, slots=True)
class ThumbnailPicture:
    """A small picture and its media type."""

    picture: bytes
    media_type: str


def thumbnail(ctx: Context, series_id: int) -> ThumbnailPicture:
    """Return the small picture of a series, as the schedule shows it.

    Raises
    ------
    Forbidden, NotFound
        Not allowed, or not made yet.
    """
    ctx.require(Permission.SCHEDULE_READ, Permission.PATIENT_READ)
    with ctx.read() as session:
        row = session.get(Thumbnail, series_id)
        if row is None:
            raise NotFound("There is no picture of this series yet.")
        return ThumbnailPicture(row.picture, row.media_type)
