"""Which booking a study belongs to: by itself where the identifiers agree, else by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from clinic_panel.context import Context
from clinic_panel.errors import Conflict, NotFound, Unconfirmed
from clinic_panel.exercise.specimens import STUDY_UID as CHECKED_STUDY_UID
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import QUIET, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.patient import Patient
from clinic_panel.models.performed import PerformedProcedureStep
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import announced, audit, changes, exam, jobs


@dataclass(frozen=True, slots=True)
class UnmatchedStudy:
    """A study no booking was found for, with its identity as the modality sent it."""

    id: int
    patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str
    accession_number: str
    study_date: date | None
    study_description: str
    modalities: tuple[str, ...]
    number_of_instances: int
    source_ae_title: str
    first_received_at: datetime
    last_received_at: datetime
    version: int


def match_study(session: Session, study: Study) -> Appointment | None:
    """Find the booking of a study and join the two; changes nothing when none fits.

    The Study Instance UID of the worklist decides; else accession number and patient ID together.
    A study that names another patient than the booking is never joined by itself: the technologist
    may have taken the wrong entry from the worklist, and a person has to look.
    """
    query = select(Appointment).options(joinedload(Appointment.patient))
    found = session.scalar(query.where(Appointment.study_instance_uid == study.study_instance_uid))
    if found is None and study.accession_number and study.patient_id:
        found = session.scalar(query.where(Appointment.accession_number == study.accession_number))
        if found is not None and found.patient.patient_id != study.patient_id:
            return None
    if found is None or not is_same_patient(study, found.patient):
        return None
    study.appointment_pk, study.patient_pk = found.id, found.patient_pk
    exam.join(session, study, found)
    return found


def is_same_patient(sent: Study | PerformedProcedureStep, patient: Patient) -> bool:
    """Whether nothing the modality sent contradicts the booking's patient."""
    issuers = {sent.issuer_of_patient_id, patient.issuer_of_patient_id} - {""}
    return sent.patient_id in ("", patient.patient_id) and len(issuers) <= 1


def unmatched_studies(
    ctx: Context, *, limit: int = 200, again: bool = False
) -> list[UnmatchedStudy]:
    """Return the studies that belong to no booking, the newest first; the list is audited.

    The study that every service check sends is left out: it waits for nobody.

    Parameters
    ----------
    again
        A page that is open follows a change: it is still the look that was audited.

    Raises
    ------
    Forbidden
        The actor may not link studies.
    """
    ctx.require(Permission.STUDY_LINK)
    query = (
        select(Study)
        .where(Study.appointment_pk.is_(None), Study.study_instance_uid != CHECKED_STUDY_UID)
        .order_by(Study.last_received_at.desc())
        .limit(limit)
    )
    with ctx.read() if again else ctx.begin() as session:
        rows = [_unmatched(study) for study in session.scalars(query)]
        if not again:
            audit.record(ctx, session, Action.SEARCH, list="unmatched studies", found=len(rows))
    return rows


def _unmatched(study: Study) -> UnmatchedStudy:
    names = UnmatchedStudy.__dataclass_fields__
    return UnmatchedStudy(**{name: getattr(study, name) for name in names})


def link_study(
    ctx: Context,
    study_id: int,
    appointment_id: int,
    *,
    version: int | None = None,
    confirmed: bool = False,
) -> bool:
    """Join a study to a booking by hand, whatever its identifiers say.

    A booking all of whose studies were signed before is *Reported*.

    Parameters
    ----------
    version
        The study's version the decision was made on; None skips the check.
    confirmed
        The person has seen that the signed report names another patient ID than the booking.

    Returns
    -------
    bool
        Whether `unlink_study` can take it back: not once it is being reported.

    Raises
    ------
    Forbidden, NotFound, Unconfirmed
        Nothing changed.
    Conflict
        The study is linked already, or changed meanwhile.
    """
    ctx.require(Permission.STUDY_LINK)
    with ctx.begin() as session:
        study = _study(session, study_id, version)
        appointment = session.get(Appointment, appointment_id)
        if appointment is None:
            raise NotFound("This booking does not exist.")
        if study.appointment_pk is not None:
            raise Conflict("The study belongs to a booking already.")
        if not confirmed and _signed_patient_id(study) not in (
            None,
            appointment.patient.patient_id,
        ):
            raise Unconfirmed(
                "The signed report names another patient ID than this booking. "
                "Link only when both are the same person: the report stays as it was signed."
            )
        study.appointment_pk, study.patient_pk = appointment.id, appointment.patient_pk
        appointment.receive_images(study.last_received_at)
        exam.join(session, study, appointment)
        if announced.is_awaited(session, appointment):
            jobs.enqueue(ctx, session, JobKind.SETTLE_STUDY, [study.id], delay=QUIET)
        elif appointment.is_quiet_beside(study, ctx.clock()):
            appointment.complete_images()
        session.flush()
        appointment.be_read()
        audit.record(
            ctx,
            session,
            Action.LINK,
            study,
            patient_pk=appointment.patient_pk,
            appointment=appointment.id,
        )
        changes.announce(session, Topic.STUDIES, Topic.SCHEDULE)
        return study.report is None


def _signed_patient_id(study: Study) -> str | None:
    """Return the patient ID the signed report names; None when nothing is signed."""
    report = study.report
    if report is None or report.status is not ReportStatus.SIGNED:
        return None
    return str(report.versions[-1].content["patient"]["patient_id"])


def unlink_study(ctx: Context, study_id: int, *, version: int | None = None) -> None:
    """Take a study from its booking; it goes back to the unmatched ones.

    A booking without any other study stands as it did before the images came.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    Conflict
        The study has no booking, is reported already, or changed meanwhile.
    """
    ctx.require(Permission.STUDY_LINK)
    with ctx.begin() as session:
        study = _study(session, study_id, version)
        if study.appointment_pk is None:
            raise Conflict("The study belongs to no booking.")
        if study.report is not None:
            raise Conflict("The study is being reported and stays with its booking.")
        patient_pk, appointment_pk = study.patient_pk, study.appointment_pk
        appointment = session.get_one(Appointment, appointment_pk)
        study.appointment_pk = study.patient_pk = None
        exam.leave(session, study, appointment)
        session.flush()
        others = session.scalars(select(Study.id).where(Study.appointment_pk == appointment_pk))
        if remaining := others.all():  # the booking may have waited for this study alone
            jobs.enqueue(ctx, session, JobKind.SETTLE_STUDY, remaining, delay=QUIET)
            session.expire(appointment, ["studies"])
            appointment.be_read()
        else:
            appointment.lose_images()
        session.flush()
        audit.record(
            ctx,
            session,
            Action.LINK,
            study,
            patient_pk=patient_pk,
            appointment=appointment_pk,
            undone=True,
        )
        changes.announce(session, Topic.STUDIES, Topic.SCHEDULE)


def _study(session: Session, study_id: int, version: int | None) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("This study does not exist.")
    if version is not None and study.version != version:
        raise Conflict
    return study
