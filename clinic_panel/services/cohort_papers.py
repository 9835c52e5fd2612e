"""Headers and documents of one study for an analyst: what they say without whom they speak of.

Texts, names and dates of a person stay at home (`imaging.discreet`), and UIDs become pseudonyms.
Each header and each document that is looked at is an entry of the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinic_panel.context import Context
from clinic_panel.errors import NotDisplayable, NotFound
from clinic_panel.imaging.discreet import Discreet, discreet_listing
from clinic_panel.imaging.kinds import Kind, kind_of
from clinic_panel.imaging.listing import listing_of
from clinic_panel.imaging.structured import Reference
from clinic_panel.imaging.waveform import Group
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, paper_content, pseudonym

NO_PDF = "A PDF may name its patient on any page, so it is not shown without a name."
TEXTS_KEPT_BACK = ("Shown without", "texts, names and dates of a person")


@dataclass(frozen=True, slots=True)
class Filed:
    """One instance: where it lies and what it is."""

    path: Path = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CohortPapers:
    """What stands in one study beside pixels (a ``paper_content.PaperSource``)."""

    ctx: Context = field(repr=False)
    study_pk: int
    instances: Mapping[int, Filed] = field(repr=False)

    def header(self, instance_id: int, frame: int) -> dict[str, Any]:
        """List the elements of an object, with the values that are told.

        Raises
        ------
        Forbidden, NotFound, NotDisplayable
            The actor may not read cohorts, it is not of this study, or cannot be read.
        """
        filed = self._looked_at(instance_id, "header")
        listing = paper_content.read(filed.path, lambda source: listing_of(source, frame))
        return discreet_listing(listing, self._new_uid).as_dict()

    def paper(self, instance_id: int) -> dict[str, Any]:
        """Return a report, key images or a recording, without the texts in it.

        Raises
        ------
        Forbidden, NotFound, NotDisplayable
            As `header`; NotDisplayable also for a PDF.
        """
        filed = self._looked_at(instance_id, "document")
        if kind_of(filed.sop_class_uid) is Kind.PDF:
            raise NotDisplayable(NO_PDF)
        found = paper_content.paper_of(filed.path, filed.sop_class_uid, self._places, Discreet)
        facts = [*found.facts, TEXTS_KEPT_BACK]
        title = found.title or found.name
        return found.as_dict() | {"title": title, "facts": [list(fact) for fact in facts]}

    def part(self, instance_id: int, group: int, start_s: float) -> Group:
        """Return a part of one zero-based group of a recording.

        Raises
        ------
        Forbidden, NotFound, NotDisplayable
            As `header`.
        """
        filed = self._filed(instance_id)
        return paper_content.part_of(filed.path, filed.sop_class_uid, group, start_s, Discreet)

    def presented(self, instance_id: int, image_id: int, frame: int) -> dict[str, Any]:
        """Say how a presentation state wishes a frame to be seen, without the texts on it.

        Raises
        ------
        Forbidden, NotFound, NotDisplayable
            As `header`.
        """
        state, image = self._filed(instance_id), self._filed(image_id)
        reference = Reference(image.sop_class_uid, image.sop_instance_uid, (frame,))
        return paper_content.presented_of(
            state.path, state.sop_class_uid, image.path, reference, Discreet
        )

    def pdf(self, instance_id: int) -> bytes:
        """Refuse: what stands on a page cannot be told from a name.

        Raises
        ------
        Forbidden, NotFound, NotDisplayable
        """
        self._filed(instance_id)
        raise NotDisplayable(NO_PDF)

    def _filed(self, instance_id: int) -> Filed:
        self.ctx.require(Permission.COHORT_READ)
        filed = self.instances.get(instance_id)
        if filed is None:
            raise NotFound("This object is not of this study.")
        return filed

    def _looked_at(self, instance_id: int, what: str) -> Filed:
        filed = self._filed(instance_id)
        with self.ctx.begin() as session:
            patient_pk = session.get_one(Study, self.study_pk).patient_pk
            row = session.get_one(Instance, instance_id)
            audit.record(
                self.ctx, session, Action.VIEW, row, patient_pk=patient_pk, list=f"cohort {what}"
            )
        return filed

    def _new_uid(self, uid: str) -> str:
        return pseudonym.uid(self.ctx, uid)

    def _places(self, references: Iterable[Reference]) -> dict[str, int]:
        wanted = {one.sop_instance_uid for one in references}
        return {
            filed.sop_instance_uid: instance_id
            for instance_id, filed in self.instances.items()
            if filed.sop_instance_uid in wanted
        }


def papers_of(ctx: Context, study: Study) -> CohortPapers:
    """Return what stands in a study beside pixels, while its row is in a session."""
    instances = {
        row.id: Filed(ctx.store.path(row.path), row.sop_class_uid, row.sop_instance_uid)
        for series in study.series
        for row in series.instances
    }
    return CohortPapers(ctx, study.id, instances)
