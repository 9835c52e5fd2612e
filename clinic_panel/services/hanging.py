"""A reader's hanging rules: the layout for studies of one modality and body part."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.hanging import HangingRule
from clinic_panel.models.user import Permission
from clinic_panel.services import audit
from clinic_panel.services.priors import Subject
from clinic_panel.services.viewing import StudyView

MOST_ACROSS = 3
MOST_RULES = 100


@dataclass(frozen=True, slots=True)
class Place:
    """What hangs in one pane: a series of the study or of its prior, by its description if the
    study has one so named, else by its zero-based order.
    """

    description: str
    series: int
    is_prior: bool = False


@dataclass(frozen=True, slots=True)
class Hanging:
    """Rows and columns of panes, what hangs in each, row by row, and what the panes do together."""

    rows: int
    columns: int
    places: tuple[Place | None, ...]
    scroll_together: bool = False
    reference_lines: bool = True
    same_window: bool = False

    @property
    def with_prior(self) -> bool:
        """Whether an earlier study hangs in it."""
        return any(place is not None and place.is_prior for place in self.places)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Self:
        """Read what was kept."""
        places = tuple(None if one is None else Place(**one) for one in kept["places"])
        return cls(**(kept | {"places": places}))


@dataclass(frozen=True, slots=True)
class Rule:
    """One hanging rule of a reader."""

    id: int
    subject: Subject
    hanging: Hanging


def subject_of(view: StudyView) -> Subject:
    """Return what a study is of: the modality of its first images and the part they name most."""
    pictured = [series for series in view.series if series.frames] or [
        series for series in view.series if series.modality in view.modalities
    ]
    if not pictured:
        return Subject(view.modalities[0] if view.modalities else "")
    modality = pictured[0].modality
    parts = Counter(
        series.body_part.strip().upper() for series in pictured if series.modality == modality
    )
    parts.pop("", None)
    return Subject(modality, parts.most_common(1)[0][0] if parts else "")


def rules(ctx: Context) -> list[Rule]:
    """Return the actor's rules, by modality and body part.

    Raises
    ------
    Forbidden
        The actor may not see images.
    """
    ctx.require(Permission.IMAGE_READ)
    query = (
        select(HangingRule)
        .where(HangingRule.user_pk == ctx.actor.user_pk)
        .order_by(HangingRule.modality, HangingRule.body_part_examined)
    )
    with ctx.read() as session:
        return [_rule(row) for row in session.scalars(query)]


def keep(ctx: Context, subject: Subject, hanging: Hanging) -> Rule:
    """Keep a layout as the actor's rule; one they had for the same subject is replaced.

    Raises
    ------
    Forbidden, Invalid, Conflict
        Nothing changed.
    """
    ctx.require(Permission.IMAGE_READ)
    if ctx.actor.user_pk is None:
        raise Invalid("A layout is kept in an account: please sign in.")
    if not subject.modality:
        raise Invalid("A study without a modality has no hanging rule.")
    _check(hanging)
    try:
        with ctx.begin() as session:
            row = _row(session, ctx.actor.user_pk, subject)
            action = Action.CREATE if row is None else Action.CHANGE
            if row is None:
                row = _new(session, ctx.actor.user_pk, subject)
            row.hanging, row.changed_at = asdict(hanging), ctx.clock()
            session.flush()
            audit.record(ctx, session, action, row)
            return _rule(row)
    except IntegrityError:
        raise Conflict("The rule was changed in another window.") from None


def drop(ctx: Context, rule_id: int) -> None:
    """Remove one of the actor's rules.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    """
    ctx.require(Permission.IMAGE_READ)
    with ctx.begin() as session:
        row = session.get(HangingRule, rule_id)
        if row is None or row.user_pk != ctx.actor.user_pk:
            raise NotFound("This hanging rule does not exist.")
        audit.record(ctx, session, Action.CANCEL, row)
        session.delete(row)


def _check(hanging: Hanging) -> None:
    rows, columns, places = hanging.rows, hanging.columns, hanging.places
    if not (1 <= rows <= MOST_ACROSS and 1 <= columns <= MOST_ACROSS):
        raise Invalid(f"A layout has at most {MOST_ACROSS} rows and columns.")
    if len(places) > rows * columns:
        raise Invalid("A layout names more series than it has panes.")


def _row(session: Session, user_pk: int, subject: Subject) -> HangingRule | None:
    return session.scalar(
        select(HangingRule).where(
            HangingRule.user_pk == user_pk,
            HangingRule.modality == subject.modality,
            HangingRule.body_part_examined == subject.body_part,
        )
    )


def _new(session: Session, user_pk: int, subject: Subject) -> HangingRule:
    count = select(func.count()).select_from(HangingRule).where(HangingRule.user_pk == user_pk)
    if (session.scalar(count) or 0) >= MOST_RULES:
        raise Invalid(f"At most {MOST_RULES} hanging rules are kept.")
    row = HangingRule(
        user_pk=user_pk, modality=subject.modality, body_part_examined=subject.body_part
    )
    session.add(row)
    return row


def _rule(row: HangingRule) -> Rule:
    return Rule(row.id, Subject(row.modality, row.body_part_examined), Hanging.of(row.hanging))
