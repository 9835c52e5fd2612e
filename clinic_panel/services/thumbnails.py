"""The small picture of a series: which image it is made of, and keeping it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.models.imaging import Instance, Series, Thumbnail
from clinic_panel.models.job import JobKind
from clinic_panel.models.user import Permission
from clinic_panel.services import jobs


def sources(ctx: Context, series_ids: Collection[int]) -> dict[int, Path]:
    """Return the file of each series' middle image; a series without a picture is left out.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    series, order = Instance.series_pk, [Instance.instance_number, Instance.id]
    ranked = (
        select(
            Instance.series_pk,
            Instance.path,
            func.row_number().over(partition_by=series, order_by=order).label("place"),
            func.count().over(partition_by=series).label("places"),
        )
        .where(Instance.series_pk.in_(series_ids), Instance.rows.is_not(None))
        .subquery()
    )
    middle = select(ranked.c.series_pk, ranked.c.path).where(
        ranked.c.place == ranked.c.places // 2 + 1
    )
    with ctx.read() as session:
        return {series_pk: ctx.store.path(path) for series_pk, path in session.execute(middle)}


def keep(session: Session, series_id: int, picture: bytes, media_type: str, now: datetime) -> None:
    """Keep the picture of a series in the caller's transaction, in place of an earlier one."""
    session.merge(
        Thumbnail(series_pk=series_id, picture=picture, media_type=media_type, made_at=now)
    )


def refresh(ctx: Context, study_id: int) -> None:
    """Ask for the pictures of a study anew, now that the middle of its series is known.

    Raises
    ------
    Forbidden
        The actor is no process of ours.
    """
    ctx.require(Permission.JOB_RUN)
    grown = (
        select(Series.id)
        .outerjoin(Series.thumbnail)
        .where(
            Series.study_pk == study_id,
            Series.number_of_instances > 1,
            # Pictured when its last image was here: nothing to be gained.
            Thumbnail.made_at.is_(None)
            | (
                Thumbnail.made_at
                <= select(func.max(Instance.received_at))
                .where(Instance.series_pk == Series.id)
                .scalar_subquery()
            ),
        )
    )
    with ctx.begin() as session:
        jobs.enqueue(ctx, session, JobKind.THUMBNAIL, list(session.scalars(grown)))
