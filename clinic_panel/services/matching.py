"""Which booking a study belongs to: by itself where the identifiers agree, else by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from clinic_panel import validation
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
from clinic_panel.services import announced, audit, changes, exam, jobs, strangers
from clinic_panel.services.identity import differences, listed


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
    reason: str = ""  # why it was not joined by itself, where its identifiers name a booking


def match_study(ctx: Context, session: Session, study: Study) -> Appointment | None:
    """Find the booking of a study and join the two; changes nothing when none fits.

    The Study Instance UID of the worklist decides; else accession number and patient ID together.
    A study that names another patient than the booking is never joined by itself, which the audit
    tells: the technologist may have taken the wrong entry from the worklist, or the number may be
    another site's, and a person has to look.
    """
    [found] = _named_bookings(session, [study])
    if found is None:
        return None
    if differs := differences(study, found.patient):
        audit.record(
            ctx,
            session,
            Action.LINK,
            study,
            patient_pk=found.patient_pk,
            appointment=found.id,
            refused=True,
            differs=list(differs),
        )
        return None
    if not _is_trusted(study, found) and not study.patient_id:
        return None
    study.appointment_pk, study.patient_pk = found.id, found.patient_pk
    exam.join(session, study, found)
    return found


def _is_trusted(study: Study, booking: Appointment) -> bool:
    """Whether the study bears the UID of our worklist: the accession number alone is weaker."""
    return study.study_instance_uid == booking.study_instance_uid


def _named_bookings(session: Session, studies: Sequence[Study]) -> list[Appointment | None]:
    """Return for each study the booking that its UID names, else its accession number."""
    uids = [study.study_instance_uid for study in studies]
    numbers = {study.accession_number for study in studies} - {""}
    query = (
        select(Appointment)
        .options(joinedload(Appointment.patient))
        .where(
            or_(Appointment.study_instance_uid.in_(uids), Appointment.accession_number.in_(numbers))
        )
    )
    bookings = session.scalars(query).all()
    by_uid = {booking.study_instance_uid: booking for booking in bookings}
    by_number = {booking.accession_number: booking for booking in bookings}
    by_number.pop("", None)
    return [
        by_uid.get(study.study_instance_uid) or by_number.get(study.accession_number)
        for study in studies
    ]


def is_same_patient(sent: Study | PerformedProcedureStep, patient: Patient) -> bool:
    """Whether nothing the modality sent contradicts the booking's patient."""
    return not differences(sent, patient)


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
        .options(selectinload(Study.other_identities))
    )
    with ctx.read() if again else ctx.begin() as session:
        studies = session.scalars(query).all()
        bookings = _named_bookings(session, studies)
        rows = [
            _unmatched(study, _reason(study, booking))
            for study, booking in zip(studies, bookings, strict=True)
        ]
        if not again:
            audit.record(ctx, session, Action.SEARCH, list="unmatched studies", found=len(rows))
    return rows


def _unmatched(study: Study, reason: str) -> UnmatchedStudy:
    names = set(UnmatchedStudy.__dataclass_fields__) - {"reason"}
    return UnmatchedStudy(**{name: getattr(study, name) for name in names}, reason=reason)


def _reason(study: Study, booking: Appointment | None) -> str:
    said = [f"{mixed}."] if (mixed := strangers.warning(study.other_identities)) else []
    differs = differences(study, booking.patient) if booking is not None else ()
    if booking is not None and differs:
        named = "Study UID" if _is_trusted(study, booking) else "Accession number"
        who = validation.display_name(booking.patient.patient_name)
        what = listed(differs)
        said.append(f"{named} of a booking for another person ({who}): other {what}.")
    return " ".join(said)


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
        Whether `unlink_study` can take it back: not once its report is signed.

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
        return _signed_patient_id(study) is None


def _signed_patient_id(study: Study) -> str | None:
    """Return the patient ID the signed report names; None when nothing is signed."""
    report = study.report
    if report is None or report.status is not ReportStatus.SIGNED:
        return None
    return str(report.versions[-1].content["patient"]["patient_id"])


def unlink_study(ctx: Context, study_id: int, *, version: int | None = None) -> int:
    """Take a study from its booking, however it came there; it goes back to the unmatched ones.

    A booking without any other study stands as it did before the images came. A draft of its
    report goes with the study, without the clinical information that the booking gave it.

    Returns
    -------
    int
        The booking it was taken from.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    Conflict
        The study has no booking, its report is signed, or it changed meanwhile.
    """
    ctx.require(Permission.STUDY_LINK)
    with ctx.begin() as session:
        study = _study(session, study_id, version)
        if study.appointment_pk is None:
            raise Conflict("The study belongs to no booking.")
        if _signed_patient_id(study) is not None:
            raise Conflict(
                "The report of this study is signed for the patient of this booking: "
                "the study stays with it."
            )
        patient_pk, appointment_pk = study.patient_pk, study.appointment_pk
        appointment = session.get_one(Appointment, appointment_pk)
        study.appointment_pk = study.patient_pk = None
        given = appointment.reason_for_the_requested_procedure
        if study.report is not None and study.report.clinical_information == given:
            study.report.clinical_information = ""
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
        changes.announce(session, Topic.STUDIES, Topic.SCHEDULE, Topic.REPORTS)
        return appointment_pk


def _study(session: Session, study_id: int, version: int | None) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("This study does not exist.")
    if version is not None and study.version != version:
        raise Conflict
    return study
