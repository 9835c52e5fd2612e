"""Sheets of images to print: which, how they were seen, what was drawn on them, and whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.documents.film import MOST_COLUMNS, MOST_ROWS, Sheet
from clinic_panel.errors import Invalid, NotFound
from clinic_panel.evidence.order import Mark, Seen
from clinic_panel.models.handout import HandoutKind
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.markup import Markup
from clinic_panel.services import handout
from clinic_panel.services.evidence_content import home_of, mark_of, shapes_of
from clinic_panel.services.report_content import SEX, letterhead, patient_of, study_of

MOST_IMAGES = 240


@dataclass(frozen=True, slots=True)
class Pictured:
    """One image to print and how; without a window, with its own."""

    instance_id: int
    frame: int  # zero-based
    caption: str = ""
    window_center: float | None = None
    window_width: float | None = None
    invert: bool = False
    mask: str | None = None  # what is subtracted (``imaging.subtraction.Wish``)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the sheets look."""

    rows: int
    columns: int
    annotated: bool = True
    notice: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class FilmImage:
    """One image for a worker to draw."""

    seen: Seen
    caption: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, repr=False)
class FilmOrder:
    """Everything a worker prints."""

    sheet: Sheet
    images: tuple[FilmImage, ...]


def ask(ctx: Context, study_id: int, images: Sequence[Pictured], layout: Layout) -> int:
    """Ask for sheets of images of a study; return the order's id.

    Raises
    ------
    Forbidden, NotFound, Invalid
        Nothing was asked for.
    """
    if not (1 <= layout.rows <= MOST_ROWS and 1 <= layout.columns <= MOST_COLUMNS):
        raise Invalid("A sheet has 1 to 4 columns and 1 to 6 rows.")
    if not images:
        raise Invalid("There is no image to print.")
    if len(images) > MOST_IMAGES:
        raise Invalid(f"At most {MOST_IMAGES} images are printed at once.")

    def compose(session: Session, study: Study) -> dict[str, Any]:
        home = home_of(session, study.id)
        if {one.instance_id for one in images} - home.keys():
            raise Invalid("An image is of another study: open that one to print it.")
        row = session.scalar(
            select(Markup).where(Markup.user_pk == ctx.actor.user_pk, Markup.study_pk == study.id)
        )
        return {
            "layout": asdict(layout),
            "images": [asdict(one) for one in images],
            "shapes": shapes_of(row, home) if row is not None and layout.annotated else [],
            "patient": patient_of(study),
            "study": study_of(study),
            "clinic": letterhead(session)["name"],
            "by": ctx.actor.display_name or ctx.actor.username,
            "at": f"{ctx.clock().astimezone(ctx.zone):%Y-%m-%d %H:%M}",
            "language": ctx.settings.language,
        }

    return handout.ask(ctx, study_id, HandoutKind.FILM, compose, images=len(images))


def order(ctx: Context, content: dict[str, Any]) -> FilmOrder:
    """Turn what was asked for into what a worker prints.

    Raises
    ------
    NotFound
        An image is gone.
    """
    wanted = {one["instance_id"] for one in content["images"]}
    query = select(Instance.id, Instance.path).where(Instance.id.in_(wanted))
    with ctx.read() as session:
        paths = {id_: ctx.store.path(path) for id_, path in session.execute(query)}
    if wanted - paths.keys():
        raise NotFound("An image to print is no longer in the archive.")

    def image(one: dict[str, Any]) -> FilmImage:
        path, frame = paths[one["instance_id"]], one["frame"]
        window = one["window_center"], one["window_width"]
        marks = tuple(
            mark_of(shape, path, "")
            for shape in content["shapes"]
            if (shape["instance_id"], shape["frame"]) == (one["instance_id"], frame)
        )
        seen = Seen(path, frame, *window, one["invert"], mask=one.get("mask"))
        return FilmImage(seen, one["caption"], marks)

    return FilmOrder(_sheet(content), tuple(image(one) for one in content["images"]))


def _sheet(content: dict[str, Any]) -> Sheet:
    patient, study, layout = content["patient"], content["study"], content["layout"]
    born = f"born {patient['patient_birth_date']}" if patient["patient_birth_date"] else ""
    identity = f"ID {patient['patient_id']}", born, SEX.get(patient["patient_sex"], "").lower()
    day = _day(study["study_date"])
    accession = study["accession_number"]
    said = day, study["study_description"], accession and f"Accession {accession}"
    return Sheet(
        rows=layout["rows"],
        columns=layout["columns"],
        clinic=content["clinic"],
        name=validation.display_name(patient["patient_name"]) or "Patient not identified",
        identity=" · ".join(filter(None, identity)),
        study=" · ".join(filter(None, said)),
        printed=f"printed {content['at']} by {content['by']}",
        notice=layout["notice"],
        language=content["language"],
    )


def _day(text: str | None) -> str:
    return f"Study {date.fromisoformat(text)}" if text else ""
