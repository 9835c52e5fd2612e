"""Why a booking is, or is not, on its scanner: recorded worklist queries, run again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from clinic_panel import validation
from clinic_panel.context import Context, system
from clinic_panel.errors import NotFound
from clinic_panel.models.appointment import Appointment, Room
from clinic_panel.models.audit_log import Action
from clinic_panel.models.flight import AssociationRecord, Ending, RequestRecord, Service
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, worklist
from clinic_panel.services.day import HIDDEN_NAME
from clinic_panel.services.flight import SOURCES
from clinic_panel.services.flight_view import (
    Candidate,
    FlightRow,
    audit_names,
    candidates_of,
    own_value,
    row_of,
)
from clinic_panel.services.worklist_keys import ScheduledStep, WorklistQuery

_QUERIES_SEARCHED = 300
_WHY_DAYS = 7


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded query, run again now; ``left_out`` are keys whose value was not kept."""

    at: datetime
    considered: int
    candidates: tuple[Candidate, ...]
    left_out: tuple[str, ...]

    @property
    def answers(self) -> int:
        """How many bookings would be answered."""
        return sum(not one.excluded_by for one in self.candidates)


def replay(ctx: Context, request_id: int) -> Replay:
    """Compare a recorded worklist query with the bookings as they are now.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see it; there is no such worklist query any more.
    """
    ctx.require(Permission.DEVICE_READ)
    with ctx.read() as session:
        row = session.get(RequestRecord, request_id)
        if row is None or row.service is not Service.WORKLIST:
            raise NotFound
        keys = list(row.keys)
    again = _Again(ctx, keys)
    steps = worklist.Candidates(_as_listener(ctx)).considered(again.query).steps
    audit_names(ctx, len(steps))
    fates = {step: again.fate(step) for step in steps}
    return Replay(ctx.clock(), len(steps), candidates_of(ctx, fates), again.left_out)


def _as_listener(ctx: Context) -> Context:
    """The recorded device's view: what may be named is decided when it is shown."""
    return ctx.acting_as(system("flight recorder"))


class _Again:
    """A recorded query as something to compare bookings with."""

    def __init__(self, ctx: Context, keys: list[dict[str, Any]]) -> None:
        identifier, step = Dataset(), Dataset()
        hidden, left_out = [], []
        for key in keys:
            if "value" in key and tag_for_keyword(key["keyword"]) is not None:
                data = step if key["is_step"] else identifier
                tag = tag_for_keyword(key["keyword"])
                data.add_new(tag, dictionary_VR(tag or 0), key["value"].split("\\"))
            elif "like" in key:
                hidden.append(key)
            elif "how" in key:
                left_out.append(key["keyword"])
        identifier.ScheduledProcedureStepSequence = [step]
        self.query, self.left_out = WorklistQuery(identifier), tuple(left_out)
        known = worklist.steps_by_id(ctx, [one for key in hidden for one in key["like"]])
        self._like = {
            key["keyword"]: {
                SOURCES[key["keyword"]](known[one]) for one in key["like"] if one in known
            }
            for key in hidden
        }

    def fate(self, step: ScheduledStep) -> str:
        """Return what excludes a booking now."""
        excluded_by = worklist.fate(self.query, step)
        if excluded_by:
            return excluded_by
        for keyword, like in self._like.items():
            if SOURCES[keyword](step) not in like:
                return keyword
        return ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A worklist query that could have shown a booking, and what became of it.

    ``then`` is the recorded fate; None when the booking was not compared. ``now`` is what the
    same query makes of the booking as it is now, and ``has`` the booking's own value of the key
    that leaves it out.
    """

    request_id: int
    flight_id: int
    at: datetime
    calling_ae_title: str
    then: str | None
    now: str
    has: str
    keys: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Why:
    """All that explains whether one booking is on its scanner."""

    appointment_id: int
    display_name: str
    start_at: datetime
    created_at: datetime
    status: str
    is_open: bool
    station_ae_title: str
    room_name: str
    modality: str
    heard: tuple[Heard, ...]
    last_contact_at: datetime | None
    last_contact: Ending | None
    refused: tuple[FlightRow, ...]


def why(ctx: Context, appointment_id: int) -> Why:
    """Return which queries of its station considered a booking, and why it was left out.

    Raises
    ------
    Forbidden, NotFound
        The actor may not see it; there is no such booking.
    """
    ctx.require(Permission.DEVICE_READ, Permission.SCHEDULE_READ)
    step = worklist.steps_by_id(ctx, [appointment_id]).get(appointment_id)
    if step is None:
        raise NotFound
    with ctx.read() as session:
        booking = session.get_one(
            Appointment, appointment_id, options=[joinedload(Appointment.patient)]
        )
        requests = _recent_queries(ctx, session, step)
        last = session.scalar(
            select(AssociationRecord)
            .where(AssociationRecord.calling_ae_title == step.station_ae_title)
            .order_by(AssociationRecord.id.desc())
            .limit(1)
        )
        refused = session.scalars(
            select(AssociationRecord)
            .where(
                AssociationRecord.ending == Ending.REFUSED,
                AssociationRecord.started_at >= ctx.clock() - timedelta(days=1),
            )
            .order_by(AssociationRecord.id.desc())
            .limit(20)
        ).all()
    heard = tuple(_heard(ctx, row, calling, step) for row, calling in requests)
    may_name = ctx.may(Permission.PATIENT_READ)
    if may_name:
        with ctx.begin() as session:
            audit.record(ctx, session, Action.VIEW, booking, patient_pk=booking.patient_pk)
    newest: dict[tuple[str, str], FlightRow] = {}
    for row in refused:
        newest.setdefault((row.calling_ae_title, row.reason), row_of(ctx, row, None))
    return Why(
        appointment_id=step.appointment_id,
        display_name=validation.display_name(step.patient_name) if may_name else HIDDEN_NAME,
        start_at=step.start_at,
        created_at=booking.created_at,
        status=worklist.standing(step),
        is_open=worklist.is_scheduled(step),
        station_ae_title=step.station_ae_title,
        room_name=step.station_name,
        modality=step.modality,
        heard=heard,
        last_contact_at=last.started_at if last else None,
        last_contact=row_of(ctx, last, None).ending if last else None,
        refused=tuple(newest.values())[:5],
    )


def _recent_queries(
    ctx: Context, session: Session, step: ScheduledStep
) -> list[tuple[RequestRecord, str]]:
    """The latest worklist queries from a booking's station, or about it; one of each kind.

    When there is none, those that saw the booking and came from no other room's station: it may
    be the same device under a title that nobody expects.
    """
    query = (
        select(RequestRecord, AssociationRecord.calling_ae_title)
        .join(AssociationRecord, RequestRecord.association_pk == AssociationRecord.id)
        .where(
            RequestRecord.service == Service.WORKLIST,
            RequestRecord.at >= ctx.clock() - timedelta(days=_WHY_DAYS),
        )
        .order_by(RequestRecord.at.desc())
        .limit(_QUERIES_SEARCHED)
    )
    rows = [(row, calling) for row, calling in session.execute(query)]
    station = step.station_ae_title
    own = [(r, c) for r, c in rows if station in (c, _station_of(r.keys))]
    if not own:
        others = set(session.scalars(select(Room.station_ae_title).where(Room.is_active)))
        own = [(r, c) for r, c in rows if c not in others and _has_seen(r, step)]
    found: dict[str, tuple[RequestRecord, str]] = {}
    for row, calling in own:
        alike = f"{calling} {[(k['keyword'], k.get('value'), k.get('how')) for k in row.keys]}"
        found.setdefault(alike, (row, calling))
    return list(found.values())[:5]


def _has_seen(row: RequestRecord, step: ScheduledStep) -> bool:
    return any(step.appointment_id in ids for ids in row.fates.values())


def _station_of(keys: Iterable[dict[str, Any]]) -> str:
    return next((k["value"] for k in keys if "value" in k and k["keyword"].endswith("AETitle")), "")


def _heard(ctx: Context, row: RequestRecord, calling: str, step: ScheduledStep) -> Heard:
    fates = {one: keyword for keyword, ids in row.fates.items() for one in ids}
    now = _Again(ctx, list(row.keys)).fate(step)
    may_name = ctx.may(Permission.PATIENT_READ)
    return Heard(
        request_id=row.id,
        flight_id=row.association_pk,
        at=row.at,
        calling_ae_title=calling,
        then=fates.get(step.appointment_id),
        now=now,
        has=own_value(step, now, may_name=may_name),
        keys=tuple(row.keys),
    )
