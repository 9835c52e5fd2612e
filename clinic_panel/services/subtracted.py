"""Frames as they are to be seen: subtracted where somebody, or the image itself, wishes it."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.errors import NotDisplayable, NotFound, NotUnderstood
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.masking import Masking, masking_of_state
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.imaging.picture import Picture
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.subtraction import (
    AS_SAID,
    WISH,
    Wish,
    can_be_subtracted,
    subtraction_of,
    window_of,
)
from clinic_panel.imaging.subtraction import read_seen as read_wished
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.services.lightbox import Lightbox, SentFrame

_OF_STATE: Final = re.compile(r"of-([1-9]\d{0,14})")
_RAW: Final = "raw"  # a frame before it is known what it takes part in


def read_seen(
    ctx: Context, lightbox: Lightbox, picture: Picture, place: tuple[int, int], mask: str
) -> Frame:
    """Read a frame as somebody wishes to see it.

    Parameters
    ----------
    place
        Our number of the instance, and the zero-based frame.
    mask
        As in ``imaging.subtraction.Wish``, or ``of-`` and our number of a presentation state of
        the same study, which says it.

    Raises
    ------
    NotFound, NotDisplayable
        There is no such mask or state, or a frame that takes part cannot be shown.
    """
    instance_id, index = place
    if not can_be_subtracted(picture):
        return read_frame(picture, index, decoder=lightbox.decoder)
    wish = _wish(ctx, lightbox, instance_id, mask)

    def read(number: int) -> Frame:
        key = instance_id, number, _RAW
        kept = lightbox.frames.get(key)
        if kept is None:
            kept = SentFrame("", read_frame(picture, number, decoder=lightbox.decoder))
            lightbox.frames.put(key, kept)
        return kept.frame

    if not 0 <= index < picture.frames or subtraction_of(picture, index, wish) is None:
        return read_wished(picture, index, wish, read)
    window = lightbox.mask_windows.get((instance_id, mask))
    if window is None:
        window = window_of(picture, wish, read)
        lightbox.mask_windows.put((instance_id, mask), window)
    return read_wished(picture, index, wish, read, window)


def _wish(ctx: Context, lightbox: Lightbox, instance_id: int, mask: str) -> Wish:
    if WISH.fullmatch(mask):
        return Wish(mask)
    said = _OF_STATE.fullmatch(mask)
    if said is None:
        raise NotFound("There is no such mask.")
    key = int(said[1]), instance_id
    masking = lightbox.maskings.get(key)
    if masking is None:
        masking = _masking_of(ctx, *key)
        lightbox.maskings.put(key, masking)
    return Wish(AS_SAID, masking)


def _masking_of(ctx: Context, state_id: int, image_id: int) -> Masking:
    """What a presentation state says of an image of its study."""
    with ctx.read() as session:
        image = session.execute(
            select(Instance.sop_instance_uid, Series.study_pk)
            .join(Series)
            .where(Instance.id == image_id)
        ).one_or_none()
        path = image and session.scalar(
            select(Instance.path)
            .join(Series)
            .where(Instance.id == state_id, Series.study_pk == image.study_pk)
        )
    if image is None or path is None:
        raise NotFound("This image is not in the study of the presentation state.")
    try:
        with opened_elements(ctx.store.path(path)) as found:
            return masking_of_state(found).about(image.sop_instance_uid)
    except FileNotFoundError:
        raise NotDisplayable("The presentation state is missing from the archive.") from None
    except NotUnderstood:
        raise NotDisplayable("The presentation state cannot be read.") from None
