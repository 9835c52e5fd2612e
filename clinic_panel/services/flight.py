"""The flight recorder: what devices asked, what became of it, and why something was left out.

A key that describes a person is kept without its value: how it was asked, and the ids of bookings
that fitted it then. So the record names nobody, and a query can still be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import delete, func, select

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.imaging.identifiers import CHARACTER_SET, NEVER_MATCHED
from clinic_panel.imaging.matching import is_universal, matcher, values
from clinic_panel.models.flight import AssociationRecord, Ending, RequestRecord, Service
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import changes, worklist
from clinic_panel.services.worklist_keys import (
    KEYS,
    STEP_KEYS,
    STEP_SEQUENCE,
    ScheduledStep,
    WorklistQuery,
)

KEPT_DAYS = 30
KEPT_ASSOCIATIONS = 20_000
KEPT_REQUESTS = 60_000
LIKE_AT_MOST = 50
_VALUE_CHARS = 64
# Keys whose values say nothing about a person (house rule on what identifies a patient).
OPEN_VALUES = frozenset(
    {
        "ScheduledStationAETitle",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "ScheduledProcedureStepStatus",
        "ScheduledStationName",
        "ScheduledProcedureStepLocation",
        "Modality",
        "ModalitiesInStudy",
        "RequestedProcedurePriority",
        "QueryRetrieveLevel",
        "StudyDate",
        "StudyTime",
        "SeriesDate",
        "SeriesTime",
        "SeriesNumber",
        "InstanceNumber",
        "BodyPartExamined",
        "RetrieveAETitle",
        "MoveDestination",
        "CodeValue",
        "CodingSchemeDesignator",
    }
)
SOURCES = {key.keyword: key.source for key in (*STEP_KEYS, *KEYS) if key.source is not None}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was answered, or all of one kind; ``identifier`` is never kept."""

    at: datetime
    service: Service
    sop_class_uid: str = ""
    duration_ms: int = 0
    received_bytes: int = 0
    answers: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    comment: str = ""
    identifier: Dataset | None = None


@dataclass(frozen=True, slots=True)
class Flight:
    """One association as it stands; ``id`` is None the first time it is kept."""

    id: int | None
    started_at: datetime
    ended_at: datetime | None = None
    calling_ae_title: str = ""
    called_ae_title: str = ""
    address: str = ""
    implementation: str = ""
    ending: Ending = Ending.OPEN
    reason: str = ""
    contexts: tuple[dict[str, Any], ...] = ()
    requests: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    received_bytes: int = 0
    instances: int = 0
    asked: tuple[Asked, ...] = ()


def keep(
    ctx: Context, flights: Sequence[Flight], give_way: Callable[[], None] = lambda: None
) -> list[int]:
    """Write associations, new or as they stand now, with what was asked since; return their ids.

    Worklist queries are explained here, by the bookings as they are now: milliseconds later, and
    not while the device waits.

    Parameters
    ----------
    give_way
        Called between pieces of work, before anything is written: may take its time.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was kept.
    """
    ctx.require(Permission.DICOM_WRITE)
    among = worklist.Candidates(ctx, give_way)
    explained = [[_explained(among, asked) for asked in flight.asked] for flight in flights]
    give_way()
    now, ids = ctx.clock(), []
    with ctx.begin() as session:
        for flight, requests in zip(flights, explained, strict=True):
            row = session.get(AssociationRecord, flight.id) if flight.id is not None else None
            if row is None:  # new, or swept meanwhile
                row = AssociationRecord()
                session.add(row)
            _write(row, flight, now)
            session.flush()
            for request in requests:
                request.association_pk = row.id
            session.add_all(requests)
            ids.append(row.id)
        changes.announce(session, Topic.DEVICES)
    return ids


def _write(row: AssociationRecord, flight: Flight, now: datetime) -> None:
    row.started_at, row.ended_at, row.seen_at = flight.started_at, flight.ended_at, now
    row.calling_ae_title = _clean(flight.calling_ae_title, 16)
    row.called_ae_title = _clean(flight.called_ae_title, 16)
    row.address = flight.address[:64]
    row.implementation = _clean(flight.implementation, 96)
    row.ending, row.reason = flight.ending, _clean(flight.reason, 160)
    row.contexts, row.requests = list(flight.contexts), dict(flight.requests)
    row.contexts_offered = len(flight.contexts)
    row.contexts_accepted = sum(context["result"] == 0 for context in flight.contexts)
    row.failures, row.instances = flight.failures, flight.instances
    row.received_bytes = flight.received_bytes


def _explained(among: worklist.Candidates, asked: Asked) -> RequestRecord:
    row = RequestRecord(
        at=asked.at,
        service=asked.service,
        sop_class_uid=_clean(asked.sop_class_uid, 64),
        duration_ms=asked.duration_ms,
        received_bytes=asked.received_bytes,
        answers=asked.answers,
        statuses=dict(asked.statuses),
        comment=_clean(asked.comment, 160),
    )
    if asked.identifier is None:
        return row
    row.character_set = _clean("\\".join(values(asked.identifier.get(CHARACTER_SET))), 96)
    if asked.service is Service.WORKLIST:
        query = WorklistQuery(asked.identifier)
        found = among.considered(query)
        row.considered, row.fates = len(found.steps), found.fates
        row.keys = asked_keys(asked.identifier, found.steps)
    else:
        row.keys = asked_keys(asked.identifier)
    return row


def asked_keys(identifier: Dataset, steps: Iterable[ScheduledStep] = ()) -> list[dict[str, Any]]:
    """Return what a C-FIND identifier asked, without the values that describe a person.

    Parameters
    ----------
    steps
        Bookings the query was compared with: of those that fit such a key, the ids are kept.
    """
    considered = list(steps)
    return [
        _key(element, considered, is_step=is_step)
        for data, is_step in ((identifier, False), (_step_item(identifier), True))
        for element in data
        if element.VR != "SQ" and element.keyword not in NEVER_MATCHED and element.tag.element
    ]


def _step_item(identifier: Dataset) -> Dataset:
    items = identifier.get(STEP_SEQUENCE)
    return items[0] if items else Dataset()


def _key(element: Any, steps: list[ScheduledStep], *, is_step: bool) -> dict[str, Any]:
    key: dict[str, Any] = {"keyword": element.keyword or str(element.tag), "is_step": is_step}
    if is_universal(element.value):
        return key
    if element.keyword in OPEN_VALUES:
        return key | {"value": _clean("\\".join(values(element.value)), _VALUE_CHARS)}
    key["how"] = _how(values(element.value), element.VR)
    source = SOURCES.get(element.keyword)
    if source is not None:
        fits = matcher(element)
        fitting = (step.appointment_id for step in steps if fits(str(source(step))))
        key["like"] = list(fitting)[:LIKE_AT_MOST]
    return key


def _how(texts: list[str], vr: str) -> str:
    if len(texts) > 1:
        return "list"
    if vr in ("DA", "TM", "DT") and "-" in texts[0]:
        return "range"
    return "pattern" if set(texts[0]) & set("*?") else "value"


def _clean(text: str, limit: int) -> str:
    return validation.clean(text)[:limit]


def sweep(ctx: Context) -> None:
    """Forget what is too old or too much; of a busy clinic the newest stays.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was removed.
    """
    ctx.require(Permission.DICOM_WRITE)
    before = ctx.clock() - timedelta(days=KEPT_DAYS)
    with ctx.begin() as session:
        session.execute(delete(AssociationRecord).where(AssociationRecord.started_at < before))
        for table, kept in ((AssociationRecord, KEPT_ASSOCIATIONS), (RequestRecord, KEPT_REQUESTS)):
            newest = session.scalar(select(func.max(table.id))) or 0
            session.execute(delete(table).where(table.id <= newest - kept))
