"""A reader's measurements and view of a study, kept as they go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound
from clinic_panel.imaging.calibration import LEAST_MM, MOST_MM, Known, Scope
from clinic_panel.imaging.cut import Cut
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.markup import Markup
from clinic_panel.models.user import Permission
from clinic_panel.services import audit

MOST_SHAPES = 500
MOST_COORDINATE = 1e6
_TEXT_CHARS = 120
_ID_CHARS = 40
_OF_CALIBRATIONS = ("known_mm", "scope", "by")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One shape on one image; points are (x, y) in image coordinates (``imaging.measure``).

    A calibration says also how long its object is, how far it speaks, and who drew it. One drawn
    on a ``section`` of a volume has its points there, in that plane's coordinates; the image it is
    kept with is one of the volume's, near by.
    """

    id: str
    kind: Shape
    instance_id: int
    frame: int
    points: tuple[tuple[float, float], ...]
    text: str = ""
    known_mm: float = 0.0
    scope: Scope = Scope.IMAGE
    by: str = ""
    section: Cut | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Read what a browser sent.

        Raises
        ------
        Invalid
            It is no shape.
        """
        try:
            kind = Shape(given["kind"])
            points = tuple((float(x), float(y)) for x, y in given["points"])
            drawn = cls(
                id=validation.clean(str(given["id"]))[:_ID_CHARS],
                kind=kind,
                instance_id=int(given["instance_id"]),
                frame=int(given["frame"]),
                points=points,
                text=validation.clean(str(given.get("text") or ""))[:_TEXT_CHARS],
                section=Cut.of(given["section"]) if given.get("section") else None,
            )
            if kind is Shape.CALIBRATION:
                drawn = replace(
                    drawn,
                    known_mm=float(given["known_mm"]),
                    scope=Scope(given.get("scope", Scope.IMAGE)),
                    by=validation.clean(str(given.get("by") or ""))[:_TEXT_CHARS],
                )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise Invalid("A measurement cannot be kept: it is not complete.") from None
        finite = all(math.isfinite(v) and abs(v) < MOST_COORDINATE for p in points for v in p)
        if not (finite and drawn.id and drawn.frame >= 0 and kind.takes(len(points))):
            raise Invalid("A measurement cannot be kept: it is not complete.")
        if kind is Shape.CALIBRATION and drawn.section:
            raise Invalid("A calibration belongs to an original image, not to a section.")
        if kind is Shape.CALIBRATION and not drawn.calibrates:
            raise Invalid(f"A known object is {LEAST_MM:g} to {MOST_MM:g} mm long.")
        return drawn

    @property
    def calibrates(self) -> bool:
        """Whether millimetres can be taken from it."""
        return (
            self.kind is Shape.CALIBRATION
            and LEAST_MM <= self.known_mm <= MOST_MM
            and self.points[0] != self.points[1]
        )

    @property
    def known(self) -> Known:
        """What it calibrates by, for ``imaging.calibration.pixel_size``."""
        first, second = self.points
        return Known((first, second), self.known_mm, self.by)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and the viewer."""
        plain = asdict(self) | {"kind": self.kind.value, "points": [list(p) for p in self.points]}
        del plain["section"]
        if self.section is not None:
            plain["section"] = self.section.as_dict()
        if self.kind is Shape.CALIBRATION:
            return plain | {"scope": self.scope.value}
        return {name: value for name, value in plain.items() if name not in _OF_CALIBRATIONS}


@dataclass(frozen=True, slots=True)
class Look:
    """The image a reader looked at last, and how (as the viewer's params of these names)."""

    instance_id: int
    frame: int
    window_center: float
    window_width: float
    invert: bool = False
    rotation: int = 0
    mirrored: bool = False
    colour_map: str | None = None
    area: tuple[float, ...] = ()
    mask: str | None = None

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Self:
        """Read what was kept."""
        area = kept.get("area", ())
        return cls(**(kept | {"area": tuple(area) if len(area) == 4 else ()}))


@dataclass(frozen=True, slots=True)
class MarkupView:
    """What a reader left on a study; ``version`` is 0 before anything was kept."""

    shapes: tuple[Drawn, ...]
    look: Look | None
    version: int


def of_study(ctx: Context, study_id: int) -> MarkupView:
    """Return what the actor left on a study; opening the study is what the audit holds.

    Raises
    ------
    Forbidden
        The actor may not see images.
    """
    ctx.require(Permission.IMAGE_READ)
    with ctx.read() as session:
        row = _row(session, ctx.actor.user_pk, study_id)
        if row is None:
            return MarkupView((), None, 0)
        look = Look.of(row.look) if row.look else None
        return MarkupView(tuple(Drawn.of(one) for one in row.shapes), look, row.version)


def keep_shapes(ctx: Context, study_id: int, shapes: Sequence[Drawn], *, version: int) -> int:
    """Keep the actor's measurements of a study, all of them as they are now.

    Parameters
    ----------
    version
        The one they were read with; what another window kept since is not overwritten.

    Returns
    -------
    int
        The version they have now.

    Raises
    ------
    Forbidden, NotFound, Invalid, Conflict
        Nothing changed.
    """
    ctx.require(Permission.IMAGE_READ)
    if len(shapes) > MOST_SHAPES:
        raise Invalid(f"At most {MOST_SHAPES} measurements of one study are kept.")
    try:
        with ctx.begin() as session:
            study = _study(session, study_id)
            _check_home(session, study_id, shapes)
            row = _row(session, ctx.actor.user_pk, study_id)
            if (row.version if row else 0) != version:
                raise Conflict("The measurements were changed in another window.")
            row = row or _new(ctx, session, study_id)
            row.shapes = [_signed(ctx, one).as_dict() for one in shapes]
            row.changed_at = ctx.clock()
            session.flush()
            audit.record(
                ctx,
                session,
                Action.CHANGE,
                row,
                patient_pk=study.patient_pk,
                study=study_id,
                measurements=len(shapes),
                **_calibrations(shapes),
            )
            return row.version
    except IntegrityError:  # another window was first to keep something
        raise Conflict("The measurements were changed in another window.") from None


def keep_look(ctx: Context, study_id: int, look: Look, *, version: int) -> int:
    """Keep where the actor stands in a study; their own convenience, so not audited.

    Returns
    -------
    int
        The version what is kept has now: as given when another window was faster, whose view stays.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    """
    ctx.require(Permission.IMAGE_READ)
    try:
        with ctx.begin() as session:
            _study(session, study_id)
            row = _row(session, ctx.actor.user_pk, study_id)
            if (row.version if row else 0) != version:
                return version
            row = row or _new(ctx, session, study_id)
            row.look, row.changed_at = asdict(look), ctx.clock()
            session.flush()
            return row.version
    except (IntegrityError, Conflict):
        return version


def calibration_of(
    shapes: Sequence[Drawn], instance_id: int, series: Sequence[int]
) -> Known | None:
    """Return the reader's calibration that holds for an image, if they made one.

    Parameters
    ----------
    series
        Ids of all instances of the image's series.

    Returns
    -------
    Known or None
        The newest drawn on this very object; else the newest that speaks for the series.
    """
    made = [one for one in shapes if one.calibrates]
    here = [one for one in made if one.instance_id == instance_id]
    near = [one for one in made if one.scope is Scope.SERIES and one.instance_id in set(series)]
    found = here or near
    return found[-1].known if found else None


def _row(session: Session, user_pk: int | None, study_id: int) -> Markup | None:
    query = select(Markup).where(Markup.user_pk == user_pk, Markup.study_pk == study_id)
    return session.scalar(query)


def _new(ctx: Context, session: Session, study_id: int) -> Markup:
    row = Markup(user_pk=ctx.actor.user_pk, study_pk=study_id, shapes=[], look={})
    session.add(row)
    return row


def _calibrations(shapes: Sequence[Drawn]) -> dict[str, int]:
    """For the audit: values that rest on a hand, not on the scanner, can be asked about later."""
    count = sum(one.kind is Shape.CALIBRATION for one in shapes)
    return {"calibrations": count} if count else {}


def _signed(ctx: Context, drawn: Drawn) -> Drawn:
    """Who calibrated is who keeps it, whatever the browser says."""
    if drawn.kind is not Shape.CALIBRATION:
        return drawn
    return replace(drawn, by=ctx.actor.display_name or ctx.actor.username)


def _study(session: Session, study_id: int) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("This study does not exist.")
    return study


def _check_home(session: Session, study_id: int, shapes: Sequence[Drawn]) -> None:
    """Every shape lies on an image of this study."""
    wanted = {one.instance_id for one in shapes}
    query = select(Instance.id).join(Instance.series).where(Series.study_pk == study_id)
    if wanted - set(session.scalars(query.where(Instance.id.in_(wanted)))):
        raise Invalid("A measurement lies on an image that is not in this study.")
