"""Evidence documents: built by Dask from files and plain values, kept through the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.evidence.order import DocumentOrder
from clinic_panel.services import evidence, jobs
from clinic_panel.services.jobs import Claim
from clinic_panel.tasks.work import Work, describe


@dataclass(frozen=True, slots=True, repr=False)
class EvidenceTask:
    """One document to build."""

    evidence_id: int
    order: DocumentOrder

    @property
    def key(self) -> str:
        """The name of the work; its own UID tells clinics on one cluster apart."""
        return f"evidence-{self.evidence_id}-{self.order.identity.sop_instance_uid[-12:]}"


def render(task: EvidenceTask) -> tuple[bytes, ...]:
    """Return the objects of a document.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image it speaks of is damaged, or of a kind that cannot be referred to.
    """
    from clinic_panel.evidence.build import build

    return build(task.order)


def plan(ctx: Context, claims: Sequence[Claim]) -> list[Work]:
    """Make one Dask task of each document; one whose images are gone is set aside."""

    def keep(results: Sequence[tuple[Claim, Any]]) -> None:
        for claimed, objects in results:
            evidence.keep(ctx, claimed.subject_id, objects)
            jobs.finish(ctx, [(claimed, None)])

    works = []
    for claimed in claims:
        try:
            order = evidence.order(ctx, claimed.subject_id)
        except ClinicError as error:
            jobs.fail(ctx, claimed, describe(error), final=True)
            continue
        works.append(Work((claimed,), render, (EvidenceTask(claimed.subject_id, order),), keep))
    return works
