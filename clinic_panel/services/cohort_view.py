"""A study's pictures for an analyst: under a pseudonym, one study at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clinic_panel.context import Context, system
from clinic_panel.errors import NotFound
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.grid import Grid
from clinic_panel.models.audit_log import Action
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, frames, pseudonym, viewing
from clinic_panel.services.cohort import find_study
from clinic_panel.services.cohort_frames import code, sex
from clinic_panel.services.lightbox import Lightbox


@dataclass(frozen=True, slots=True)
class CohortSeries:
    """One series: (instance id, zero-based frame) of each image, in reading order."""

    id: int
    modality: str
    number: int | None
    frames: tuple[tuple[int, int], ...]
    grid: Grid | None
    no_volume: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "id": str(self.id),
            "label": f"Series {self.number}" if self.number is not None else "Series",
            "modality": self.modality,
            "thumbnail_url": "",
            "frames": [{"id": instance_id, "frame": frame} for instance_id, frame in self.frames],
            "grid": self.grid.as_dict() if self.grid else None,
            "no_volume": self.no_volume,
        }


@dataclass(frozen=True, slots=True)
class CohortStudy:
    """A study without its patient; ``frame`` decodes (instance id, zero-based frame)."""

    patient_key: str
    patient_sex: str
    series: tuple[CohortSeries, ...]
    frame: Callable[[int, int], Frame]


def open_study(ctx: Context, study_uid: str) -> CohortStudy:
    """Describe the pictures of a study.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such study.
    """
    ctx.require(Permission.COHORT_READ)
    with ctx.read() as session:
        row = find_study(ctx, session, study_uid)
        study_id = row.id
    with ctx.begin() as session:
        audit.record(
            ctx, session, Action.VIEW, row, patient_pk=row.patient_pk, list="cohort pictures"
        )
    # Whose pictures they are stays here, so that an analyst needs no right to see patients.
    reader, lightbox = ctx.acting_as(system("cohort")), Lightbox()
    study = viewing.study(reader, lightbox, study_id)
    series = tuple(
        CohortSeries(
            one.id,
            code(one.modality),
            one.number,
            tuple((frame.instance_id, frame.frame) for frame in one.frames),
            one.grid,
            one.no_volume,
        )
        for one in study.series
    )
    ours = {instance_id for one in series for instance_id, _ in one.frames}

    def frame(instance_id: int, index: int) -> Frame:
        if instance_id not in ours:
            raise NotFound("This image is not of this study.")
        return frames.frame(reader, lightbox, instance_id, index)

    patient = study.patient_pk or study_id
    return CohortStudy(
        patient_key=pseudonym.key(ctx, "patient" if study.patient_pk else "study", patient),
        patient_sex=sex(study.patient_sex),
        series=series,
        frame=frame,
    )
