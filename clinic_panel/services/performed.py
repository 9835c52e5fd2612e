"""Performed procedure steps: what a modality does now, to whom, and what came of it (PS3.4 F.7).

A step is joined to its bookings by Study Instance UID and Scheduled Procedure Step ID. It is kept,
and the booking moved on, before the modality gets its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydicom.uid import generate_uid
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import QUIET, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.performed import (
    PerformedProcedureStep,
    PerformedSeries,
    PerformedStatus,
    PerformedStepMessage,
    PerformedStepRequest,
)
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import announced, audit, changes, exam, jobs
from clinic_panel.services.matching import is_same_patient
from clinic_panel.services.performed_attributes import ATTRIBUTES, SERIES, Reason, StepRefused
from clinic_panel.services.performed_reading import (
    Request,
    Said,
    is_uid,
    read_create,
    read_update,
)

MOST_MESSAGES = 500  # kept of one step
ACTIONS = {
    PerformedStatus.IN_PROGRESS: Action.CHANGE,
    PerformedStatus.COMPLETED: Action.COMPLETE,
    PerformedStatus.DISCONTINUED: Action.DISCONTINUE,
}


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One N-CREATE or N-SET request: which instance, and its attributes as they came."""

    sop_instance_uid: str
    attributes: bytes
    transfer_syntax_uid: str
    source_ae_title: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step after a request; ``appointment_ids`` are the bookings that it answers."""

    id: int
    sop_instance_uid: str
    status: PerformedStatus
    appointment_ids: tuple[int, ...]
    announced: int
    missing: int


def begin(ctx: Context, message: Message) -> StepRow:
    """Keep a step that a modality begins; its bookings turn to *In progress*.

    Without a SOP Instance UID one is made. A step that answers no booking is kept all the same.

    Raises
    ------
    StepRefused
        The attributes break a rule, or the instance exists; nothing changed.
    Forbidden, Unavailable
        Nothing changed.
    """
    ctx.require(Permission.DICOM_WRITE)
    uid = message.sop_instance_uid or str(generate_uid())
    if not is_uid(uid):
        raise StepRefused(Reason.INVALID_INSTANCE)
    said = read_create(message.attributes, message.transfer_syntax_uid)
    try:
        with ctx.begin() as session:
            step = PerformedProcedureStep(
                sop_instance_uid=uid,
                performed_procedure_step_status=PerformedStatus.IN_PROGRESS,
                source_ae_title=message.source_ae_title[:16],
                begun_at=ctx.clock(),
                changed_at=ctx.clock(),
                **said.values,
            )
            session.add(step)
            session.flush()  # the unique constraint decides, not a look beforehand
            announced.keep(session, step, said.series or ())
            _answer(session, step, said.requests)
            return _finish(ctx, session, step, message, Action.BEGIN)
    except IntegrityError:
        raise _duplicate(ctx, message) from None


def update(ctx: Context, message: Message) -> StepRow:
    """Change a step that is in progress; with a final status it ends.

    Raises
    ------
    StepRefused
        There is no such step, it has ended, or the attributes break a rule; nothing changed.
    Forbidden, Unavailable
        Nothing changed.
    """
    ctx.require(Permission.DICOM_WRITE)
    said: Said | None = None
    fault: StepRefused | None = None
    try:  # before the transaction: thousands of objects take their time
        said = read_update(message.attributes, message.transfer_syntax_uid)
    except StepRefused as error:
        fault = error
    with ctx.begin() as session:
        step = _in_progress(session, message.sop_instance_uid)
        if said is None:
            raise fault or StepRefused(Reason.NOT_UNDERSTOOD)
        for column, value in said.values.items():
            setattr(step, column, value)
        if said.series is not None:
            announced.keep(session, step, said.series)
        status = said.status or PerformedStatus.IN_PROGRESS
        if status.is_final:
            _check_final(session, step, said)
        step.performed_procedure_step_status = status
        step.changed_at = ctx.clock()
        return _finish(ctx, session, step, message, ACTIONS[status])


def _in_progress(session: Session, sop_instance_uid: str) -> PerformedProcedureStep:
    query = select(PerformedProcedureStep).where(
        PerformedProcedureStep.sop_instance_uid == sop_instance_uid
    )
    step = session.scalar(query.with_for_update(key_share=True))
    if step is None:
        raise StepRefused(Reason.UNKNOWN)
    if step.performed_procedure_step_status.is_final:
        raise StepRefused(Reason.FINAL)
    kept = select(func.count()).where(PerformedStepMessage.step_pk == step.id)
    if (session.scalar(kept) or 0) >= MOST_MESSAGES:
        raise StepRefused(Reason.TOO_MUCH)
    return step


def _check_final(session: Session, step: PerformedProcedureStep, said: Said) -> None:
    """Hold the step, with all that was ever said of it, against what a final one needs."""
    has_series = session.scalar(
        select(PerformedSeries.id).where(PerformedSeries.step_pk == step.id).limit(1)
    )
    known = {
        "PerformedProcedureStepEndDate": step.performed_procedure_step_end_date,
        "PerformedProcedureStepEndTime": step.performed_procedure_step_end_time,
        SERIES: has_series,
    }
    for attribute in ATTRIBUTES:
        if attribute.final == "1" and known[attribute.keyword] is None:
            came = attribute.keyword in said.present
            reason = Reason.MISSING_VALUE if came else Reason.MISSING_ATTRIBUTE
            raise StepRefused(reason, attribute.keyword)


def _finish(
    ctx: Context,
    session: Session,
    step: PerformedProcedureStep,
    message: Message,
    action: Action,
) -> StepRow:
    """Keep the message, move the bookings on, and tell: in the audit, and who looks."""
    session.add(
        PerformedStepMessage(
            step_pk=step.id,
            received_at=ctx.clock(),
            source_ae_title=message.source_ae_title[:16],
            transfer_syntax_uid=message.transfer_syntax_uid[:64],
            attributes=message.attributes,
        )
    )
    visits = _visits(session, step)
    for visit in visits:
        exam.follow(session, visit)
    if step.performed_procedure_step_status.is_final:
        made = select(Study.id).where(Study.appointment_pk.in_([visit.id for visit in visits]))
        jobs.enqueue(ctx, session, JobKind.SETTLE_STUDY, session.scalars(made).all(), delay=QUIET)
    row = StepRow(
        id=step.id,
        sop_instance_uid=step.sop_instance_uid,
        status=step.performed_procedure_step_status,
        appointment_ids=tuple(visit.id for visit in visits),
        announced=step.number_announced,
        missing=step.number_missing,
    )
    audit.record(
        ctx.acting_as(replace(ctx.actor, address=message.address[:64])),
        session,
        action,
        step,
        patient_pk=step.patient_pk,
        ae_title=message.source_ae_title[:16],
        appointments=list(row.appointment_ids),
        announced=row.announced,
        missing=row.missing,
    )
    changes.announce(session, Topic.SCHEDULE, Topic.STUDIES)
    return row


def _answer(session: Session, step: PerformedProcedureStep, requests: Sequence[Request]) -> None:
    """Join the step to the bookings that its requests name.

    Of another patient than the booking's it is joined to none: the technologist may have taken
    the wrong entry from the worklist.
    """
    bookings = _named(session, requests)
    for request in requests:
        visit = next((one for one in bookings if _is_asked_by(one, request)), None)
        if visit is not None and not is_same_patient(step, visit.patient):
            visit = None
        session.add(
            PerformedStepRequest(
                step_pk=step.id,
                appointment_pk=visit.id if visit else None,
                study_instance_uid=request.study_instance_uid,
                accession_number=request.accession_number,
                requested_procedure_id=request.requested_procedure_id,
                scheduled_procedure_step_id=request.scheduled_procedure_step_id,
            )
        )
        if visit is not None:
            step.patient_pk = visit.patient_pk
    session.flush()


def _named(session: Session, requests: Iterable[Request]) -> Sequence[Appointment]:
    studies = {one.study_instance_uid for one in requests} - {""}
    steps = {one.scheduled_procedure_step_id for one in requests} - {""}
    return session.scalars(
        select(Appointment)
        .where(
            or_(
                Appointment.study_instance_uid.in_(studies),
                Appointment.scheduled_procedure_step_id.in_(steps),
            )
        )
        .order_by(Appointment.id)
    ).all()


def _is_asked_by(visit: Appointment, request: Request) -> bool:
    """Whether a request means a booking: by study and step, or by step and accession number.

    The second is for modalities that put a study identifier of their own on what they make.
    """
    same_step = request.scheduled_procedure_step_id == visit.scheduled_procedure_step_id
    if request.study_instance_uid == visit.study_instance_uid:
        return same_step or not request.scheduled_procedure_step_id
    return same_step and request.accession_number == visit.accession_number


def _visits(session: Session, step: PerformedProcedureStep) -> Sequence[Appointment]:
    """The bookings of a step; held, so that nobody's edit is lost to a message or undoes it."""
    ids = select(PerformedStepRequest.appointment_pk).where(PerformedStepRequest.step_pk == step.id)
    query = select(Appointment).where(Appointment.id.in_(ids)).order_by(Appointment.id)
    query = query.with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def _duplicate(ctx: Context, message: Message) -> StepRefused:
    """Say whether the modality only asks again because it missed our answer."""
    query = (
        select(PerformedStepMessage.attributes)
        .join(PerformedStepMessage.step)
        .where(PerformedProcedureStep.sop_instance_uid == message.sop_instance_uid)
        .order_by(PerformedStepMessage.id)
        .limit(1)
    )
    with ctx.read() as session:
        first = session.scalar(query)
    how = "The step is known already, as it is here." if first == message.attributes else ""
    return StepRefused(Reason.DUPLICATE, message=how)
