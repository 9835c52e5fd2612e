"""Small pictures of series, many to a Dask task: one alone costs more to send than to draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any

from clinic_panel.context import Context
from clinic_panel.errors import NotDisplayable
from clinic_panel.models.site import Topic
from clinic_panel.services import jobs, thumbnails
from clinic_panel.services.jobs import Claim
from clinic_panel.tasks.work import Work

AT_ONCE = 25
EDGE_PX = 256


@dataclass(frozen=True, slots=True)
class ThumbnailTask:
    """What a worker needs and nothing about the patient: keys show on Dask's dashboard."""

    series_id: int
    path: Path  # its name is the digest of the content
    edge_px: int = EDGE_PX

    @property
    def key(self) -> str:
        """The name of the work: of another clinic on the same cluster it is another."""
        return f"thumbnail-{self.series_id}-{self.path.stem[:16]}-{self.edge_px}"


def render(task: ThumbnailTask) -> bytes | None:
    """Return the middle frame as JPEG bytes, or None for an object that has no picture to show.

    Raises
    ------
    NotUnderstood
        The object is damaged.
    """
    from clinic_panel.imaging import thumbnail

    try:
        return thumbnail.jpeg(task.path, edge_px=task.edge_px)
    except NotDisplayable:
        return None


def plan(ctx: Context, claims: Sequence[Claim], workers: int) -> list[Work]:
    """Divide thumbnail jobs among the workers; what failed before goes alone."""
    paths = thumbnails.sources(ctx, [claimed.subject_id for claimed in claims])
    jobs.finish(ctx, [(claimed, None) for claimed in claims if claimed.subject_id not in paths])

    def keep(results: Sequence[tuple[Claim, Any]]) -> None:
        _keep(ctx, results)

    works = []
    for group in _groups([c for c in claims if c.subject_id in paths], workers):
        tasks = [ThumbnailTask(c.subject_id, paths[c.subject_id]) for c in group]
        works.append(Work(group, render, tuple(tasks), keep))
    return works


def _groups(claims: Sequence[Claim], workers: int) -> Iterator[tuple[Claim, ...]]:
    fresh = [claimed for claimed in claims if claimed.attempts == 1]
    share = -(-len(fresh) // (2 * workers))
    yield from batched(fresh, max(1, min(share, AT_ONCE)))
    yield from ((claimed,) for claimed in claims if claimed.attempts > 1)


def _keep(ctx: Context, results: Sequence[tuple[Claim, Any]]) -> None:
    now = ctx.clock()

    def write(claimed: Claim, picture: bytes | None) -> jobs.Write | None:
        if picture is None:
            return None
        return lambda session: thumbnails.keep(
            session, claimed.subject_id, picture, "image/jpeg", now
        )

    jobs.finish(
        ctx,
        [(claimed, write(claimed, picture)) for claimed, picture in results],
        Topic.STUDIES,
        Topic.SCHEDULE,
    )
