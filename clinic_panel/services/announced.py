"""What modalities announced and what of it came: kept as counts, in the caller's transaction.

Most images arrive before their modality announces them; only for a study that is owed something
does an arriving image cost a look here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from clinic_panel.models.appointment import Appointment
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.performed import (
    AnnouncedObject,
    PerformedProcedureStep,
    PerformedSeries,
    PerformedStatus,
    PerformedStepRequest,
)
from clinic_panel.services.performed_reading import SeriesMade

HOLD = {"key_share": True}  # FOR NO KEY UPDATE: as an UPDATE locks a row
_AT_ONCE = 500


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


_object, _series = _table(AnnouncedObject), _table(PerformedSeries)
_step, _request = _table(PerformedProcedureStep), _table(PerformedStepRequest)
_OWING = (
    select(_series.c.step_pk)
    .join(_object, _object.c.series_pk == _series.c.id)
    .where(_object.c.is_missing, _object.c.sop_instance_uid.in_(bindparam("uids", expanding=True)))
    .distinct()
)
_FEWER = (
    update(_step)
    .where(_step.c.id == bindparam("pk"))
    .values(number_missing=_step.c.number_missing - bindparam("found"))
)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many objects were announced, how many are not here; why a step was broken off."""

    announced: int = 0
    missing: int = 0
    discontinuation: str = ""


def keep(session: Session, step: PerformedProcedureStep, series: Sequence[SeriesMade]) -> None:
    """Put the series and objects of a step in the place of those said before."""
    session.flush()
    session.execute(delete(PerformedSeries).where(PerformedSeries.step_pk == step.id))
    uids = [one.sop_instance_uid for each in series for one in each.objects]
    here = _here(session, uids)
    step.number_announced, step.number_missing = len(uids), len(uids) - len(here)
    if not series:
        return
    rows = [
        {"step_pk": step.id, "series_instance_uid": one.series_instance_uid, **one.values}
        for one in series
    ]
    session.execute(insert(_series), rows)
    kept = select(_series.c.series_instance_uid, _series.c.id).where(_series.c.step_pk == step.id)
    ids = {row[0]: row[1] for row in session.execute(kept)}
    objects = [
        {
            "series_pk": ids[each.series_instance_uid],
            "sop_class_uid": one.sop_class_uid,
            "sop_instance_uid": one.sop_instance_uid,
            "is_image": one.is_image,
            "is_missing": one.sop_instance_uid not in here,
        }
        for each in series
        for one in each.objects
    ]
    if objects:
        session.execute(insert(_object), objects)


def _here(session: Session, uids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for some in batched(uids, _AT_ONCE):
        query = select(Instance.sop_instance_uid).where(Instance.sop_instance_uid.in_(some))
        found.update(session.scalars(query))
    return found


def strike(session: Session, uids: Sequence[str]) -> list[int]:
    """Take objects that came off the lists; return the visits whose lists they were on.

    Their rows are locked next: steps before visits, everywhere in this order.
    """
    steps = session.scalars(_OWING, {"uids": list(uids)}).all()
    return _strike(session, steps, _object.c.sop_instance_uid.in_(uids))


def recount(session: Session, study: Study) -> list[int]:
    """Take off the lists what came while it was being announced by another process.

    The two transactions did not see each other; here both are over.
    """
    concerned = [PerformedStepRequest.study_instance_uid == study.study_instance_uid]
    if study.appointment_pk is not None:
        concerned.append(PerformedStepRequest.appointment_pk == study.appointment_pk)
    owing = (
        select(_step.c.id)
        .join(_request, _request.c.step_pk == _step.c.id)
        .where(_step.c.number_missing > 0, or_(*concerned))
        .distinct()
    )
    here = exists().where(Instance.sop_instance_uid == _object.c.sop_instance_uid)
    return _strike(session, session.scalars(owing).all(), here)


def _strike(session: Session, steps: Sequence[int], came: ColumnElement[bool]) -> list[int]:
    """Strike off what came of steps; counted by what this changes, for a list may be new by now."""
    if not steps:
        return []
    locked = select(_step.c.id).where(_step.c.id.in_(steps)).order_by(_step.c.id)
    session.execute(locked.with_for_update(key_share=True))
    theirs = select(_series.c.id).where(_series.c.step_pk.in_(steps))
    found = (
        update(_object)
        .where(_object.c.is_missing, _object.c.series_pk.in_(theirs), came)
        .values(is_missing=False)
        .returning(_object.c.series_pk)
    )
    by_series = Counter(session.scalars(found))
    if not by_series:
        return []
    homes = select(_series.c.id, _series.c.step_pk).where(_series.c.id.in_(by_series))
    counts: Counter[int] = Counter()
    for series_pk, step_pk in session.execute(homes):
        counts[step_pk] += by_series[series_pk]
    rows = [{"pk": step_pk, "found": count} for step_pk, count in sorted(counts.items())]
    session.connection().execute(_FEWER, rows)
    query = (
        select(PerformedStepRequest.appointment_pk)
        .where(PerformedStepRequest.step_pk.in_(counts))
        .distinct()
        .order_by(PerformedStepRequest.appointment_pk)
    )
    return [pk for pk in session.scalars(query) if pk is not None]


def complete_all(session: Session, appointment_ids: Iterable[int]) -> None:
    """Let visits be read at once where nothing is owed to them any more."""
    for pk in appointment_ids:
        complete(session, held(session, pk))


def held(session: Session, appointment_id: int) -> Appointment:
    """Return a visit as it is now, and keep it so: image and step of one modality come together.

    Two that change a row read before would be a conflict, and the modality told to come again.
    Rows that refer to the visit may be added meanwhile, or two who added some would wait for ever.
    """
    session.flush()
    return session.get_one(
        Appointment, appointment_id, with_for_update=HOLD, populate_existing=True
    )


def tallies(session: Session, appointment_ids: Iterable[int]) -> Mapping[int, Tally]:
    """Return the counts of visits that performed steps answer."""
    return _tallies(
        session, _request.c.appointment_pk, _request.c.appointment_pk.in_(list(appointment_ids))
    )


def tally_of(session: Session, study: Study) -> Tally:
    """Return the counts of the steps that made a study, whether it has a booking or not."""
    uid = study.study_instance_uid
    found = _tallies(session, _request.c.study_instance_uid, _request.c.study_instance_uid == uid)
    return found.get(uid, Tally())


def _tallies[Key](
    session: Session, key: ColumnElement[Key], condition: ColumnElement[bool]
) -> dict[Key, Tally]:
    query = (
        select(
            key,
            _step.c.number_announced,
            _step.c.number_missing,
            _step.c.discontinuation_code_meaning,
            _step.c.discontinuation_code_value,
            _request.c.ended_reason,
            _step.c.id,
        )
        .join(_request, _request.c.step_pk == _step.c.id)
        .where(condition)
        .distinct()
        .order_by(_step.c.id)
    )
    found: dict[Key, Tally] = {}
    for one, said, owed, meaning, value, ended, _ in session.execute(query):
        before = found.get(one, Tally())
        found[one] = Tally(
            announced=before.announced + said,
            missing=before.missing + owed,
            discontinuation=meaning or value or ended or before.discontinuation,
        )
    return found


def complete(session: Session, visit: Appointment) -> None:
    """Let a visit be read at once when its examination is over and all that it made is here."""
    tally = _tally(session, visit)
    is_over = visit.exam_status is not None and visit.exam_status.is_final
    if is_over and tally.announced and not tally.missing and visit.images_at is not None:
        visit.complete_images()


def is_awaited(session: Session, visit: Appointment) -> bool:
    """Whether the modality has not finished, or owes objects that it announced."""
    if visit.exam_status is None:
        return False
    return visit.exam_status is PerformedStatus.IN_PROGRESS or _tally(session, visit).missing > 0


def _tally(session: Session, visit: Appointment) -> Tally:
    session.flush()
    return tallies(session, [visit.id]).get(visit.id, Tally())
