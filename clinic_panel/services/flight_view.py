"""The flight recorder's pages: associations of a day, one of them, the bookings it was about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer, selectinload

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.flight import AssociationRecord, Ending, RequestRecord, Service
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, worklist
from clinic_panel.services.day import HIDDEN_NAME
from clinic_panel.services.flight import OPEN_VALUES, SOURCES
from clinic_panel.services.worklist_keys import ScheduledStep

SHOWN_AT_MOST = 500  # associations of one day
REQUESTS_SHOWN = 50  # of one association
LOST_AFTER = timedelta(seconds=60)  # an open one nobody wrote of: its listener died


@dataclass(frozen=True, slots=True)
class FlightRow:
    """One association, for a table."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    calling_ae_title: str
    called_ae_title: str
    address: str
    implementation: str
    ending: Ending
    reason: str
    requests: dict[str, int]
    failures: int
    instances: int
    received_bytes: int
    contexts_accepted: int
    contexts_offered: int
    worklist_answers: int | None  # of all its worklist queries; None: it asked none

    @property
    def is_in_trouble(self) -> bool:
        """Whether somebody should look at it."""
        ended_badly = self.ending not in (Ending.OPEN, Ending.RELEASED)
        nothing_fits = self.contexts_offered > 0 and not self.contexts_accepted
        return ended_badly or nothing_fits or self.failures > 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One booking that a query was compared with; ``excluded_by`` is empty for an answer.

    ``has`` is the booking's own value where it may be shown.
    """

    appointment_id: int
    start_at: datetime
    display_name: str
    room_name: str
    status: str
    excluded_by: str
    has: str


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request; ``candidates`` only for a worklist query."""

    id: int
    at: datetime
    service: Service
    sop_class_uid: str
    duration_ms: int
    received_bytes: int
    answers: int
    statuses: dict[str, int]
    comment: str
    keys: tuple[dict[str, Any], ...]
    character_set: str
    considered: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class FlightDetail:
    """One association with its contexts and requests."""

    row: FlightRow
    contexts: tuple[dict[str, Any], ...]
    requests: tuple[RequestRow, ...]
    more_requests: int


def flights_on(ctx: Context, day: date) -> list[FlightRow]:
    """Return the associations of a clinic day, the newest first.

    Raises
    ------
    Forbidden
        The actor may not see what devices do.
    """
    ctx.require(Permission.DEVICE_READ)
    begin, end = ctx.day_bounds(day)
    query = (
        select(AssociationRecord)
        .where(AssociationRecord.started_at >= begin, AssociationRecord.started_at < end)
        .options(defer(AssociationRecord.contexts))  # a device may offer a hundred
        .order_by(AssociationRecord.id.desc())
        .limit(SHOWN_AT_MOST)
    )
    with ctx.read() as session:
        rows = list(session.scalars(query))
        answers = _worklist_answers(session, [row.id for row in rows])
        return [row_of(ctx, row, answers.get(row.id)) for row in rows]


def _worklist_answers(session: Session, ids: list[int]) -> dict[int, int]:
    query = (
        select(RequestRecord.association_pk, func.sum(RequestRecord.answers))
        .where(RequestRecord.association_pk.in_(ids), RequestRecord.service == Service.WORKLIST)
        .group_by(RequestRecord.association_pk)
    )
    return {row[0]: int(row[1]) for row in session.execute(query)} if ids else {}


def row_of(ctx: Context, row: AssociationRecord, answers: int | None) -> FlightRow:
    """Return an association as the tables show it; an open one of a dead listener as lost."""
    lost = row.ending is Ending.OPEN and ctx.clock() - row.seen_at > LOST_AFTER
    return FlightRow(
        id=row.id,
        started_at=row.started_at,
        ended_at=row.seen_at if lost else row.ended_at,
        calling_ae_title=row.calling_ae_title,
        called_ae_title=row.called_ae_title,
        address=row.address,
        implementation=row.implementation,
        ending=Ending.LOST if lost else row.ending,
        reason="the listener ended" if lost else row.reason,
        requests=dict(row.requests),
        failures=row.failures,
        instances=row.instances,
        received_bytes=row.received_bytes,
        contexts_accepted=row.contexts_accepted,
        contexts_offered=row.contexts_offered,
        worklist_answers=answers,
    )


def flight(ctx: Context, flight_id: int) -> FlightDetail:
    """Return one association with its requests and the bookings they were compared with.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see it; it was swept meanwhile.
    """
    ctx.require(Permission.DEVICE_READ)
    options = selectinload(AssociationRecord.asked)
    with ctx.read() as session:
        row = session.get(AssociationRecord, flight_id, options=[options])
        if row is None:
            raise NotFound
        requests = row.asked[-REQUESTS_SHOWN:]
        answers = _worklist_answers(session, [row.id]).get(row.id)
        shown = row_of(ctx, row, answers)
        contexts, more = tuple(row.contexts), len(row.asked) - len(requests)
    ids = [one for request in requests for fate in request.fates.values() for one in fate]
    steps = worklist.steps_by_id(ctx, ids)
    audit_names(ctx, len(steps))
    rows = tuple(_request(ctx, request, steps) for request in requests)
    return FlightDetail(shown, contexts, rows, more)


def _request(ctx: Context, row: RequestRecord, steps: dict[int, ScheduledStep]) -> RequestRow:
    fates = {one: keyword for keyword, ids in row.fates.items() for one in ids}
    return RequestRow(
        id=row.id,
        at=row.at,
        service=row.service,
        sop_class_uid=row.sop_class_uid,
        duration_ms=row.duration_ms,
        received_bytes=row.received_bytes,
        answers=row.answers,
        statuses=dict(row.statuses),
        comment=row.comment,
        keys=tuple(row.keys),
        character_set=row.character_set,
        considered=row.considered,
        candidates=candidates_of(ctx, {steps[one]: fates[one] for one in fates if one in steps}),
    )


def candidates_of(ctx: Context, fates: dict[ScheduledStep, str]) -> tuple[Candidate, ...]:
    """Return bookings with what excluded them, answers first, named for who may read patients."""
    may_name = ctx.may(Permission.PATIENT_READ)
    found = [
        Candidate(
            appointment_id=step.appointment_id,
            start_at=step.start_at,
            display_name=validation.display_name(step.patient_name) if may_name else HIDDEN_NAME,
            room_name=step.station_name,
            status=step.status,
            excluded_by=keyword,
            has=own_value(step, keyword, may_name=may_name),
        )
        for step, keyword in fates.items()
    ]
    return tuple(sorted(found, key=lambda one: (bool(one.excluded_by), one.start_at)))


def own_value(step: ScheduledStep, keyword: str, *, may_name: bool) -> str:
    """Return a booking's own value of a key, or nothing where it may not be shown."""
    source = SOURCES.get(keyword)
    value = source(step) if source is not None else ""
    if not isinstance(value, str) or not (may_name or keyword in OPEN_VALUES):
        return ""
    return value


def audit_names(ctx: Context, found: int) -> None:
    """Keep that so many bookings were shown with their patients' names, if they were."""
    if found and ctx.may(Permission.PATIENT_READ):
        with ctx.begin() as session:
            audit.record(ctx, session, Action.SEARCH, list="worklist candidates", found=found)


@dataclass(frozen=True, slots=True)
class DayFigures:
    """The figures of one day's associations."""

    associations: int
    in_trouble: int
    refused: int
    instances: int
    received_bytes: int
    queries: int
    empty_queries: int


def summarise(rows: Iterable[FlightRow]) -> DayFigures:
    """Count what the table of one day shows."""
    listed = list(rows)
    asked: Counter[str] = Counter()
    for row in listed:
        asked.update(row.requests)
    return DayFigures(
        associations=len(listed),
        in_trouble=sum(row.is_in_trouble for row in listed),
        refused=sum(row.ending is Ending.REFUSED for row in listed),
        instances=sum(row.instances for row in listed),
        received_bytes=sum(row.received_bytes for row in listed),
        queries=asked[Service.WORKLIST],
        empty_queries=sum(row.worklist_answers == 0 for row in listed),
    )
