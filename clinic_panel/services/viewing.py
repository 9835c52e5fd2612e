"""Studies on a screen: what to show of them, for those who may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotDisplayable, NotFound
from clinic_panel.imaging.geometry import Plane, slice_order
from clinic_panel.imaging.grid import Grid, Slice, grid_of
from clinic_panel.imaging.kinds import Kind, kind_of, name_of
from clinic_panel.imaging.picture import Picture
from clinic_panel.imaging.presentation import read_presentation
from clinic_panel.imaging.subtraction import OF_X_RAYS
from clinic_panel.imaging.traits import FrameTraits
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series, Study, Thumbnail
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.models.user import Permission
from clinic_panel.services import announced, audit, priors, strangers
from clinic_panel.services.frames import is_new_look, picture_of, remember_look
from clinic_panel.services.lightbox import Lightbox, Presented
from clinic_panel.services.priors import EarlierStudy

MOST_PRESENTED = 5_000  # images of one presentation state


@dataclass(frozen=True, slots=True)
class FrameView:
    """One image of a stack."""

    instance_id: int
    frame: int
    traits: FrameTraits


@dataclass(frozen=True, slots=True)
class PaperView:
    """One object that is not shown as an image: what it is, and why not where that is a fault."""

    instance_id: int
    kind: Kind
    name: str
    problem: str
    images: tuple[tuple[int, int], ...] = ()  # of a presentation state: instance id, frame
    subtracts: bool = False  # whether it decides what is subtracted from them


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One series: its images in reading order and its other objects, or why there is neither.

    ``grid`` is where the voxels are if the images form a volume; if not, ``no_volume`` says why.
    """

    id: int
    modality: str
    number: int | None
    description: str
    has_thumbnail: bool
    frames: tuple[FrameView, ...]
    problem: str
    grid: Grid | None = None
    no_volume: str = ""
    papers: tuple[PaperView, ...] = ()
    body_part: str = ""
    frame_of_reference_uid: str = ""  # empty where the images do not share one


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study, for the viewer and its banner."""

    id: int
    patient_pk: int | None
    appointment_pk: int | None
    patient_name: str
    patient_id: str
    patient_birth_date: date | None
    patient_sex: str
    study_date: date | None
    study_description: str
    accession_number: str
    modalities: tuple[str, ...]
    series: tuple[SeriesView, ...]
    exam_status: PerformedStatus | None = None
    announced: int = 0
    missing: int = 0
    discontinuation: str = ""
    earlier: tuple[EarlierStudy, ...] = ()
    strangers: str = ""  # whom else its objects name, in a sentence


def study(ctx: Context, lightbox: Lightbox, study_id: int, *, again: bool = False) -> StudyView:
    """Describe a study for the screen.

    Parameters
    ----------
    again
        The same screen asks once more, since images arrived: no new view, unless the last is old.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see images, or there is no such study.
    """
    ctx.require(Permission.IMAGE_READ)
    query = (
        select(Study)
        .where(Study.id == study_id)
        .options(
            joinedload(Study.patient),
            joinedload(Study.appointment),
            selectinload(Study.other_identities),
            selectinload(Study.series).selectinload(Series.instances),
            selectinload(Study.series).joinedload(Series.thumbnail).load_only(Thumbnail.made_at),
        )
    )
    with ctx.begin() as session:
        row = session.scalar(query)
        if row is None:
            raise NotFound("This study does not exist.")
        is_new = is_new_look(ctx, lightbox, row.id)
        tally = announced.tally_of(session, row)
        earlier = priors.before(session, row)
        exam_status = row.appointment.exam_status if row.appointment else None
        if is_new or not again:
            audit.record(ctx, session, Action.VIEW, row, patient_pk=row.patient_pk)
    if is_new:
        remember_look(ctx, lightbox, row.id)
    # A known patient's own record names them; what the modality sent stands in until then.
    person = row.patient or row
    series = sorted(row.series, key=lambda one: (one.series_number is None, one.series_number or 0))
    places = {one.sop_instance_uid: (one, each) for each in series for one in each.instances}
    return StudyView(
        id=row.id,
        patient_pk=row.patient_pk,
        appointment_pk=row.appointment_pk,
        patient_name=person.patient_name,
        patient_id=person.patient_id,
        patient_birth_date=person.patient_birth_date,
        patient_sex=person.patient_sex,
        study_date=row.study_date,
        study_description=row.study_description,
        accession_number=row.accession_number,
        modalities=row.modalities,
        series=tuple(_series(ctx, lightbox, one, places) for one in series),
        exam_status=exam_status,
        announced=tally.announced,
        missing=tally.missing,
        discontinuation=tally.discontinuation,
        earlier=earlier,
        strangers=strangers.warning(row.other_identities),
    )


def _series(
    ctx: Context, lightbox: Lightbox, row: Series, places: Mapping[str, tuple[Instance, Series]]
) -> SeriesView:
    frames: list[FrameView] = []
    pictures: dict[int, Picture] = {}
    papers: list[PaperView] = []
    problem = "" if row.instances else "No images have arrived yet."
    for instance in sorted(row.instances, key=_reading_order):
        if kind_of(instance.sop_class_uid) is not Kind.IMAGE:
            papers.append(_paper(ctx, lightbox, instance, places))
            continue
        try:
            picture = picture_of(ctx, lightbox, instance, row.study_pk)
        except ClinicError as error:
            problem = error.message
            name = name_of(instance.sop_class_uid)
            papers.append(PaperView(instance.id, Kind.OTHER, name, problem))
            continue
        pictures[instance.id] = picture
        frames += [
            FrameView(instance.id, frame, picture.frame_traits(frame))
            for frame in range(picture.frames)
        ]
    frames = _along_the_patient(frames)
    grid, no_volume = _grid([(pictures[one.instance_id], one.frame) for one in frames])
    return SeriesView(
        id=row.id,
        modality=row.modality,
        number=row.series_number,
        description=row.series_description,
        has_thumbnail=row.thumbnail is not None,
        frames=tuple(frames),
        problem="" if frames else problem,
        grid=grid,
        no_volume=no_volume,
        papers=tuple(papers),
        body_part=row.body_part_examined,
        frame_of_reference_uid=_shared({one.frame_of_reference_uid for one in pictures.values()}),
    )


def _grid(slices: list[Slice]) -> tuple[Grid | None, str]:
    try:
        return grid_of(slices), ""
    except NotDisplayable as error:
        return None, error.message


def _shared(uids: set[str]) -> str:
    return uids.pop() if len(uids) == 1 else ""


def _paper(
    ctx: Context,
    lightbox: Lightbox,
    instance: Instance,
    places: Mapping[str, tuple[Instance, Series]],
) -> PaperView:
    """Describe what is no image; of a presentation state, the images of the study it is for."""
    kind, name = kind_of(instance.sop_class_uid), name_of(instance.sop_class_uid)
    if kind is not Kind.PRESENTATION:
        return PaperView(instance.id, kind, name, "")
    presented = lightbox.presented.get(instance.id)
    if presented is None:
        try:
            state = read_presentation(ctx.store.path(instance.path))
        except FileNotFoundError:
            return PaperView(instance.id, kind, name, "Its file is missing from the archive.")
        except ClinicError as error:
            return PaperView(instance.id, kind, name, error.message)
        presented = Presented(state.images, bool(state.masking.items))
        lightbox.presented.put(instance.id, presented)
    named = [
        (*found, reference.frames or range(found[0].number_of_frames))
        for reference in presented.images
        if (found := places.get(reference.sop_instance_uid)) is not None
    ]
    images = tuple(
        (found.id, frame)
        for found, _, frames in named
        for frame in frames
        if frame < found.number_of_frames
    )
    problem = "" if images else "The images that it is for are not in this study."
    # One that says nothing of a mask shows recordings as they are stored (PS3.4 N.2).
    subtracts = presented.subtracts or any(
        found.number_of_frames > 1 and of.modality in OF_X_RAYS for found, of, _ in named
    )
    return PaperView(instance.id, kind, name, problem, images[:MOST_PRESENTED], subtracts)


def _reading_order(instance: Instance) -> tuple[bool, int, int]:
    return instance.instance_number is None, instance.instance_number or 0, instance.id


def _along_the_patient(frames: list[FrameView]) -> list[FrameView]:
    """Order slices of one stack by position; anything else stays in the order of its numbers."""
    planes: list[Plane] = [frame.traits.plane for frame in frames if frame.traits.plane is not None]
    if len(planes) < len(frames) or len({plane.position for plane in planes}) < len(frames):
        return frames
    try:
        return [frames[index] for index in slice_order(planes)]
    except NotDisplayable:
        return frames
