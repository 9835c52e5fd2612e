"""The reading list: what waits to be read, what is being written, what is signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, func, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import contains_eager, defer, joinedload, selectinload
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import SQLColumnExpression
from sqlalchemy.sql.functions import FunctionElement

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.models.appointment import Appointment, AppointmentStatus, Priority
from clinic_panel.models.imaging import Study
from clinic_panel.models.report import Report, ReportStatus, ReportVersion
from clinic_panel.models.user import Permission
from clinic_panel.services.report_after import After, after


class ReadingState(StrEnum):
    """The three piles."""

    TO_READ = "to read"
    DRAFT = "draft"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True, repr=False)
class ReadingRow:
    """One study in a pile."""

    study_id: int
    report_id: int | None
    state: ReadingState
    patient_pk: int | None
    patient_name: str
    patient_id: str
    patient_birth_date: date | None
    study_description: str
    modalities: tuple[str, ...]
    study_date: date | None
    accession_number: str
    number_of_instances: int
    priority: Priority
    since_at: datetime  # images complete, last saved, or signed
    waiting_min: int | None  # of a study still to be read
    person: str  # who writes or signed it
    pdf_ready: bool
    pdf_failed: bool
    images_after: int  # that came when it was signed already


_MOST_URGENT_FIRST = (Priority.STAT, Priority.HIGH, Priority.ROUTINE)
OLD_DAYS = 7  # so long before it came: an import or a prior rather than today's work


class _DaysBefore(FunctionElement[int]):
    """Days from a date (first) to the UTC day of a moment (second)."""

    inherit_cache = True
    type = Integer()


@compiles(_DaysBefore, "sqlite")
def _on_sqlite(element: _DaysBefore, compiler: SQLCompiler, **kw: Any) -> str:
    day, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(julianday(date({moment})) - julianday({day}))"


@compiles(_DaysBefore, "postgresql")
def _on_postgresql(element: _DaysBefore, compiler: SQLCompiler, **kw: Any) -> str:
    day, moment = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(CAST({moment} AT TIME ZONE 'UTC' AS DATE) - {day})"


def reports(
    ctx: Context, state: ReadingState, *, modality: str = "", limit: int = 300
) -> list[ReadingRow]:
    """Return one pile: to read by priority and longest wait, the others newest first.

    Of what is to be read and belongs to no booking the newest comes first, and what was old when
    it came, as an import is, comes last.

    Parameters
    ----------
    modality
        Only studies with a series of it; empty means all.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.REPORT_READ)
    query = (
        select(Study)
        .outerjoin(Study.report)
        .outerjoin(Study.appointment)
        .where(_in_pile(state))
        .order_by(*_order(state))
        .limit(limit)
        .options(
            contains_eager(Study.appointment).joinedload(Appointment.procedure),
            contains_eager(Study.report).options(
                joinedload(Report.author),
                selectinload(Report.versions).options(
                    defer(ReportVersion.content), joinedload(ReportVersion.document)
                ),
            ),
            joinedload(Study.patient),
        )
    )
    if modality:
        listed = literal("\\") + Study.modalities_in_study + "\\"  # OCT is no CT
        query = query.where(listed.contains(f"\\{modality}\\", autoescape=True))
    with ctx.read() as session:
        studies = session.scalars(query).all()
        came = after(session, studies)
        return [_row(ctx, study, state, came.get(study.id, After())) for study in studies]


def count(ctx: Context, state: ReadingState) -> int:
    """Return how many studies a pile holds.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.REPORT_READ)
    query = (
        select(func.count(Study.id))
        .outerjoin(Study.report)
        .outerjoin(Study.appointment)
        .where(_in_pile(state))
    )
    with ctx.read() as session:
        return session.scalar(query) or 0


def _in_pile(state: ReadingState) -> ColumnElement[bool]:
    match state:
        case ReadingState.DRAFT:
            return Report.status == ReportStatus.DRAFT
        case ReadingState.SIGNED:
            return Report.status == ReportStatus.SIGNED
    # A study that came to a booking after its report still waits to be read.
    complete = Appointment.status.in_((AppointmentStatus.TO_READ, AppointmentStatus.REPORTED))
    return and_(Report.id.is_(None), or_(Appointment.id.is_(None), complete))


def _order(state: ReadingState) -> list[SQLColumnExpression[Any]]:
    if state is not ReadingState.TO_READ:
        return [Report.changed_at.desc(), Study.id.desc()]
    ranks = {priority: rank for rank, priority in enumerate(_MOST_URGENT_FIRST)}
    is_old = _DaysBefore(Study.study_date, Study.first_received_at) > OLD_DAYS
    booked = Appointment.id.is_not(None)
    urgency = case(
        (booked, case(ranks, value=Appointment.priority)),
        (is_old, len(ranks) + 1),
        else_=len(ranks),
    )
    waits_since = case((booked, func.coalesce(Appointment.images_at, Study.last_received_at)))
    return [urgency, waits_since, Study.last_received_at.desc(), Study.id]


def _row(ctx: Context, study: Study, state: ReadingState, came: After) -> ReadingRow:
    visit, report = study.appointment, study.report
    since = visit.images_at if visit and visit.images_at else study.last_received_at
    waiting = None
    if state is ReadingState.TO_READ:
        waiting = max(0, int((ctx.clock() - since).total_seconds() // 60))
    last = report.versions[-1] if report and report.versions else None
    who = study.patient or study  # unmatched: as the modality sent it
    return ReadingRow(
        study_id=study.id,
        report_id=report.id if report else None,
        state=state,
        patient_pk=study.patient_pk,
        patient_name=validation.display_name(who.patient_name),
        patient_id=who.patient_id,
        patient_birth_date=who.patient_birth_date,
        study_description=study.study_description
        or (visit.procedure.requested_procedure_description if visit else ""),
        modalities=study.modalities,
        study_date=study.study_date,
        accession_number=study.accession_number or (visit.accession_number if visit else ""),
        number_of_instances=study.number_of_instances,
        priority=visit.priority if visit else Priority.ROUTINE,
        since_at=report.changed_at if report else since,
        waiting_min=waiting,
        person=last.signed_by_name if last else report.author.display_name if report else "",
        pdf_ready=last is not None and last.document is not None,
        pdf_failed=came.pdf_failed,
        images_after=came.images,
    )
