"""Files to be handed out: made by Dask into the clinic's home, noted through the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.models.handout import HandoutKind
from clinic_panel.services import export, film, handout, jobs
from clinic_panel.services.export import ExportOrder
from clinic_panel.services.film import FilmOrder
from clinic_panel.services.handout import Asked
from clinic_panel.services.jobs import Claim
from clinic_panel.tasks.work import TASK_LIMIT_S, Work, describe

OBJECT_LIMIT_S = 1.0  # to clean one and put it in its place; takes a twentieth

type Order = FilmOrder | ExportOrder


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


def render(task: HandoutTask) -> dict[str, Any] | None:
    """Make the file, whole or not at all; return what is to be said of it.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image is damaged, or nothing may be handed out.
    """
    draft = task.path.with_name(f"{task.path.name}.part")
    draft.touch(mode=0o600)
    try:
        made = _make(task.order, draft)
        draft.rename(task.path)
    finally:
        draft.unlink(missing_ok=True)
    return made


def _make(order: Order, draft: Path) -> dict[str, Any] | None:
    if isinstance(order, ExportOrder):
        from clinic_panel.tasks import export as exports

        return exports.pack(order, draft).as_dict()
    from clinic_panel.tasks import film as films

    draft.write_bytes(films.pdf(order))
    return None


def _order(ctx: Context, asked: Asked) -> Order:
    if asked.kind is HandoutKind.TEACHING:
        return export.order(ctx, asked.study_pk, asked.content)
    return film.order(ctx, asked.content)


def plan(ctx: Context, claims: Sequence[Claim]) -> list[Work]:
    """Make one Dask task of each file; one whose images are gone is set aside."""

    def keep(results: Sequence[tuple[Claim, Any]]) -> None:
        for claimed, made in results:
            handout.finish(ctx, claimed.subject_id, made)
            jobs.finish(ctx, [(claimed, None)])

    works = []
    for claimed in claims:
        try:
            asked = handout.content(ctx, claimed.subject_id)
            order = _order(ctx, asked)
        except ClinicError as error:
            jobs.fail(ctx, claimed, describe(error), final=True)
            continue
        task = HandoutTask(claimed.subject_id, order, asked.path)
        works.append(Work((claimed,), render, (task,), keep, limit_s=_limit_s(order)))
    return works


def _limit_s(order: Order) -> float:
    objects = len(order.sources) if isinstance(order, ExportOrder) else 0
    return TASK_LIMIT_S + OBJECT_LIMIT_S * objects
