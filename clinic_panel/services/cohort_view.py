"""A study for an analyst: its pictures and papers under a pseudonym, one study at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from clinic_panel.context import Context, system
from clinic_panel.errors import NotFound
from clinic_panel.imaging.discreet import code, unit
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.subtraction import AS_SAID
from clinic_panel.imaging.traits import FrameTraits
from clinic_panel.imaging.window import Window
from clinic_panel.models.audit_log import Action
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, cohort_papers, frames, pseudonym, viewing
from clinic_panel.services.cohort_find import find_study
from clinic_panel.services.cohort_frames import sex
from clinic_panel.services.cohort_papers import CohortPapers
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.viewing import SeriesView, StudyView


@dataclass(frozen=True, slots=True)
class CohortStudy:
    """A study without its patient; ``frame`` decodes (instance id, zero-based frame, mask)."""

    patient_key: str
    patient_sex: str
    view: StudyView
    frame: Callable[..., Frame]
    papers: CohortPapers = field(repr=False)


def open_study(ctx: Context, study_uid: str) -> CohortStudy:
    """Describe what a study holds.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such study.
    """
    ctx.require(Permission.COHORT_READ)
    with ctx.read() as session:
        row = find_study(ctx, session, study_uid)
        study_id = row.id
        papers = cohort_papers.papers_of(ctx, row)
    with ctx.begin() as session:
        audit.record(
            ctx, session, Action.VIEW, row, patient_pk=row.patient_pk, list="cohort pictures"
        )
    # Whose pictures they are stays here, so that an analyst needs no right to see patients.
    reader, lightbox = ctx.acting_as(system("cohort")), Lightbox()
    study = viewing.study(reader, lightbox, study_id)

    def frame(instance_id: int, index: int, mask: str = AS_SAID) -> Frame:
        if instance_id not in papers.instances:
            raise NotFound("This image is not of this study.")
        return _unnamed(frames.frame(reader, lightbox, instance_id, index, mask))

    patient = study.patient_pk or study_id
    key = pseudonym.key(ctx, "patient" if study.patient_pk else "study", patient)
    return CohortStudy(
        patient_key=key,
        patient_sex=sex(study.patient_sex),
        view=_nameless(ctx, study, key),
        frame=frame,
        papers=papers,
    )


def _unnamed(frame: Frame) -> Frame:
    """A frame without the words that a device writes freely."""
    info = frame.info
    return replace(frame, info=replace(info, windows=_numbered(info.windows), unit=unit(info.unit)))


def _numbered(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    return tuple(
        replace(window, label=f"Window {number}") for number, window in enumerate(windows, 1)
    )


def _wordless(traits: FrameTraits) -> FrameTraits:
    return replace(traits, windows=_numbered(traits.windows), unit=unit(traits.unit))


def _nameless(ctx: Context, study: StudyView, patient_key: str) -> StudyView:
    """Keep what is of the images; whose they are, and what was written of them, goes."""
    return replace(
        study,
        patient_pk=None,
        appointment_pk=None,
        patient_name=patient_key,
        patient_id="",
        patient_birth_date=None,
        patient_sex=sex(study.patient_sex),
        study_description="",
        accession_number="",
        modalities=tuple(filter(None, map(code, study.modalities))),
        series=tuple(_plain(ctx, one) for one in study.series),
        discontinuation="",
        strangers="Objects of several people are in this study" if study.strangers else "",
        earlier=(),
    )


def _plain(ctx: Context, series: SeriesView) -> SeriesView:
    uid = series.frame_of_reference_uid
    return replace(
        series,
        modality=code(series.modality),
        description="",
        body_part=code(series.body_part),
        frames=tuple(replace(one, traits=_wordless(one.traits)) for one in series.frames),
        has_thumbnail=False,  # a picture of it has an address only where there is a web server
        frame_of_reference_uid=pseudonym.uid(ctx, uid) if uid else "",
    )
