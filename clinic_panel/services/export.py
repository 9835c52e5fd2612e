"""Studies to carry away: a de-identified case for teaching, media for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.documents.identity import identity_of
from clinic_panel.documents.terms import Terms
from clinic_panel.errors import Invalid, NotFound
from clinic_panel.imaging.cleaning import Area
from clinic_panel.imaging.discreet import code
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.audit_log import Action
from clinic_panel.models.handout import HandoutKind
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.markup import Markup
from clinic_panel.models.patient import Patient, subject_of
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, handout, pseudonym
from clinic_panel.services.cohort_find import find_study, in_order
from clinic_panel.services.evidence_content import home_of
from clinic_panel.services.markup import Drawn

MOST_OBJECTS: Final = 20_000
_CASE_CHARS: Final = 64
_NO_CASE: Final = frozenset('\\^=*?"')


@dataclass(frozen=True, slots=True)
class Teaching:
    """A case for teaching as it is asked for."""

    instance_ids: tuple[int, ...]
    case: str = ""  # empty: one is made up
    looked: bool = False  # the person saw that no identity is drawn into the images
    black_out: bool = False  # what the person's rectangles enclose, in all images of a series


@dataclass(frozen=True, slots=True)
class Wanted:
    """How whole studies are to leave."""

    deidentified: bool
    case: str = ""
    looked: bool = False
    with_directory: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """One object, the series it is of in words for the person who asks, and what turns black.

    Without ``terms`` it goes as it is.
    """

    path: Path
    series: str
    terms: Terms | None = None
    areas: tuple[Area, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class ExportOrder:
    """What a worker makes; ``case`` is what stands for the person in all of it."""

    sources: tuple[Source, ...]
    case: str = ""
    looked: bool = False
    with_directory: bool = True


@dataclass(frozen=True, slots=True)
class Left:
    """Objects that were left out, and why."""

    series: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Made:
    """What came of an order."""

    objects: int
    left: tuple[Left, ...] = ()

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Read it back from JSON."""
        return cls(kept["objects"], tuple(Left(**one) for one in kept["left"]))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"objects": self.objects, "left": [asdict(one) for one in self.left]}


def ask(ctx: Context, study_id: int, wanted: Teaching) -> int:
    """Ask for a de-identified ZIP of images of a study; return the order's id.

    Raises
    ------
    Forbidden, NotFound, Invalid
        Nothing was asked for.
    """
    chosen = tuple(dict.fromkeys(wanted.instance_ids))
    if not chosen:
        raise Invalid("There is no image to export.")
    if len(chosen) > MOST_OBJECTS:
        raise Invalid(f"At most {MOST_OBJECTS} objects are exported at once.")

    def compose(session: Session, study: Study) -> dict[str, Any]:
        home = home_of(session, study.id)
        if set(chosen) - home.keys():
            raise Invalid("An image is of another study: open that one to export it.")
        return {
            "case": _case(ctx, session, study, wanted.case),
            "instances": list(chosen),
            "looked": wanted.looked,
            "areas": _areas(ctx, session, study.id, home) if wanted.black_out else {},
        }

    return handout.ask(
        ctx,
        study_id,
        HandoutKind.TEACHING,
        compose,
        objects=len(chosen),
        looked=wanted.looked,
        black_out=wanted.black_out,
    )


def made_of(ctx: Context, handout_id: int) -> tuple[str, Made]:
    """Return the name of the actor's finished case, and what came of it.

    Raises
    ------
    Forbidden, NotFound
        There is no such case of theirs, or it is not made.
    """
    said = handout.said_of(ctx, handout_id)
    if said.get("made") is None:
        raise NotFound("The export is not ready.")
    return said["case"], Made.of(said["made"])


def order(ctx: Context, study_pk: int, content: dict[str, Any]) -> ExportOrder:
    """Turn what was asked for into what a worker makes.

    Raises
    ------
    Forbidden, NotFound
        An image is gone.
    """
    ctx.require(Permission.JOB_RUN)
    wanted = set(content["instances"])
    areas = {
        int(series): tuple(Area(*one) for one in listed)
        for series, listed in content["areas"].items()
    }
    with ctx.read() as session:
        study = session.get_one(Study, study_pk)
        terms = _terms(ctx, session, study, content["case"])
        found = _sources(ctx, study, terms, wanted=wanted, areas=areas)
    if len(found) < len(wanted):
        raise NotFound("An image to export is no longer in the archive.")
    return ExportOrder(found, content["case"], looked=content["looked"])


def order_of(ctx: Context, study_uids: Sequence[str], wanted: Wanted) -> ExportOrder:
    """Return what to make of whole studies; the audit has one entry for each.

    Parameters
    ----------
    study_uids
        As they are, or as cohorts show them.

    Raises
    ------
    Forbidden, NotFound, Invalid
        Nothing leaves.
    """
    deidentified = wanted.deidentified
    ctx.require(Permission.DEIDENTIFIED_EXPORT if deidentified else Permission.IMAGE_READ)
    found: list[Source] = []
    with ctx.begin() as session:
        studies = {one.id: one for one in (find_study(ctx, session, uid) for uid in study_uids)}
        if wanted.case and len({_subject(session, study) for study in studies.values()}) > 1:
            raise Invalid("One case name stands for one patient.", field="case")
        case = ""
        for study in studies.values():
            case = _case(ctx, session, study, wanted.case) if deidentified else ""
            terms = _terms(ctx, session, study, case) if deidentified else None
            sources = _sources(ctx, study, terms)
            found += sources
            audit.record(
                ctx,
                session,
                Action.HAND_OUT,
                study,
                patient_pk=study.patient_pk,
                objects=len(sources),
                deidentified=deidentified,
            )
    return ExportOrder(tuple(found), case, wanted.looked, wanted.with_directory)


def _sources(
    ctx: Context,
    study: Study,
    terms: Terms | None,
    *,
    wanted: set[int] | None = None,
    areas: Mapping[int, tuple[Area, ...]] | None = None,
) -> tuple[Source, ...]:
    series = sorted(study.series, key=lambda one: (one.series_number or 0, one.id))
    return tuple(
        Source(ctx.store.path(row.path), _words(one), terms, (areas or {}).get(one.id, ()))
        for one in series
        for row in in_order(one.instances)
        if wanted is None or row.id in wanted
    )


def _words(series: Series) -> str:
    number = "" if series.series_number is None else f" {series.series_number}"
    modality = code(series.modality)
    return f"Series{number} ({modality})" if modality else f"Series{number}"


def _terms(ctx: Context, session: Session, study: Study, case: str) -> Terms:
    return Terms(
        key=pseudonym.export_key(ctx),
        subject=_subject(session, study),
        case=case,
        known=_known(study),
    )


def _subject(session: Session, study: Study) -> str:
    """Return who it is of: the registered patient, also of an earlier ID, else who it names.

    Stays the same when the desk corrects a record: else one case would become two.
    """
    named = (Patient.patient_id == study.patient_id) & (
        Patient.issuer_of_patient_id == study.issuer_of_patient_id
    )
    person = study.patient or session.scalar(select(Patient).where(named))
    if person is not None:
        return person.subject
    return subject_of(study.issuer_of_patient_id, study.patient_id)


def _known(study: Study) -> tuple[str, ...]:
    """Return what names the person, or leads to them, as the index has it."""
    person = study.patient
    texts = [study.patient_name, study.patient_id, study.accession_number]
    texts += [study.referring_physician_name]
    texts += [person.patient_name, person.patient_id] if person else []
    return tuple(dict.fromkeys(filter(None, texts)))


def _case(ctx: Context, session: Session, study: Study, given: str) -> str:
    """Return the name of a case: as typed, unless it names the person; else one made up."""
    case = validation.clean(given)
    if not case:
        key = pseudonym.key(ctx, "case", _subject(session, study))
        return "Case " + key.partition("-")[2][:6].upper()
    if len(case) > _CASE_CHARS or not _NO_CASE.isdisjoint(case):
        raise Invalid(
            'A case name has at most 64 characters, and none of \\ ^ = * ? ".', field="case"
        )
    if identity_of([], _known(study)).is_in(case):
        message = "This name or number is the patient's own: please choose another."
        raise Invalid(message, field="case")
    return case


def _areas(
    ctx: Context, session: Session, study_id: int, home: Mapping[int, int]
) -> dict[str, list[list[int]]]:
    """Return what the actor's rectangles enclose, by series."""
    row = session.scalar(
        select(Markup).where(Markup.user_pk == ctx.actor.user_pk, Markup.study_pk == study_id)
    )
    found: dict[str, list[list[int]]] = {}
    for kept in row.shapes if row is not None else []:
        drawn = Drawn.of(kept)
        if drawn.kind is Shape.RECTANGLE and drawn.instance_id in home:
            area = Area.around(drawn.points)
            here = [area.left, area.top, area.right, area.bottom]
            found.setdefault(str(home[drawn.instance_id]), []).append(here)
    if not found:
        raise Invalid("There is no rectangle on the images of this study: please draw one first.")
    return found


def instances_of(ctx: Context, study_id: int) -> tuple[int, ...]:
    """Return all objects of a study, for a person who may export it.

    Raises
    ------
    Forbidden
        The actor may not.
    """
    ctx.require(Permission.DEIDENTIFIED_EXPORT)
    query = select(Instance.id).join(Instance.series).where(Series.study_pk == study_id)
    with ctx.read() as session:
        return tuple(session.scalars(query.order_by(Instance.id)))
