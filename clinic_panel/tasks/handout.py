"""Files to be handed out: made by Dask into the clinic's home, noted through the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import film, handout, jobs
from clinic_panel.services.film import FilmOrder
from clinic_panel.services.jobs import Claim
from clinic_panel.tasks.work import Work, describe

type Order = FilmOrder


@dataclass(frozen=True, slots=True, repr=False)
class HandoutTask:
    """One file to make."""

    handout_id: int
    order: Order
    path: Path

    @property
    def key(self) -> str:
        """The name of the work; the folder tells clinics on one cluster apart."""
        return f"handout-{self.handout_id}-{crc32(str(self.path).encode()):08x}"


def render(task: HandoutTask) -> int:
    """Make the file, whole or not at all; return its size. Many megabytes are no answer for Dask.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image is damaged.
    """
    draft = task.path.with_name(f"{task.path.name}.part")
    draft.touch(mode=0o600)
    try:
        _make(task.order, draft)
        size = draft.stat().st_size
        draft.rename(task.path)
    finally:
        draft.unlink(missing_ok=True)
    return size


def _make(order: Order, draft: Path) -> None:
    from clinic_panel.tasks import film as films

    draft.write_bytes(films.pdf(order))


def plan(ctx: Context, claims: Sequence[Claim]) -> list[Work]:
    """Make one Dask task of each file; one whose images are gone is set aside."""

    def keep(results: Sequence[tuple[Claim, Any]]) -> None:
        for claimed, _ in results:
            handout.finish(ctx, claimed.subject_id)
            jobs.finish(ctx, [(claimed, None)])

    works = []
    for claimed in claims:
        try:
            _, content, path = handout.content(ctx, claimed.subject_id)
            order = film.order(ctx, content)
        except ClinicError as error:
            jobs.fail(ctx, claimed, describe(error), final=True)
            continue
        works.append(
            Work((claimed,), render, (HandoutTask(claimed.subject_id, order, path),), keep)
        )
    return works
