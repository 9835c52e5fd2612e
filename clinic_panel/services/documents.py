"""What stands in an object beside its pixels, for those who may see its images."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from clinic_panel.context import Context
from clinic_panel.errors import NotDisplayable, NotFound, NotUnderstood
from clinic_panel.imaging.listing import Listing, listing_of
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.user import Permission
from clinic_panel.services import audit

MISSING = "The file of this object is missing from the archive."


def header(ctx: Context, instance_id: int, *, frame: int = 0) -> Listing:
    """List every element of an object.

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
    path = _opened(ctx, instance_id, what="header")
    try:
        return listing_of(path, frame)
    except FileNotFoundError:
        raise NotDisplayable(MISSING) from None
    except NotUnderstood as error:
        raise NotDisplayable(error.message) from None


def _opened(ctx: Context, instance_id: int, *, what: str) -> Path:
    """Say in the audit that the actor reads this of an object; where its file is."""
    ctx.require(Permission.IMAGE_READ)
    with ctx.begin() as session:
        row = session.scalar(
            select(Instance)
            .where(Instance.id == instance_id)
            .options(joinedload(Instance.series).joinedload(Series.study))
        )
        if row is None:
            raise NotFound("This object does not exist.")
        patient_pk = row.series.study.patient_pk
        audit.record(ctx, session, Action.VIEW, row, patient_pk=patient_pk, what=what)
        return ctx.store.path(row.path)
