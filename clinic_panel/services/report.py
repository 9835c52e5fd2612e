"""Reports: drafted, signed once, printed once, and never changed after that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.documents.report_templates import BLANK
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.report import Report, ReportStatus, ReportVersion
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission, User
from clinic_panel.services import audit, auth, changes
from clinic_panel.services.report_after import after
from clinic_panel.services.report_content import (
    MAX_KEY_IMAGES,
    SECTIONS,
    KeyImageRef,
    Texts,
    compose,
    digest,
)


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """A report while it is written. ``version`` goes back with the next save."""

    id: int
    study_id: int
    version: int
    status: ReportStatus
    template: str
    texts: Texts
    key_images: tuple[KeyImageRef, ...]
    author_name: str  # who saved last
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class SignedVersion:
    """One signed version, without its words."""

    id: int
    report_id: int
    number: int
    signed_by: str
    signed_at: datetime
    sha256: str
    pdf_ready: bool
    pdf_failed: bool = False
    images_after: int = 0  # that came when it was signed already


@dataclass(frozen=True, slots=True, repr=False)
class SignedReport:
    """A signed version with its words."""

    version: SignedVersion
    texts: Texts
    key_images: tuple[KeyImageRef, ...]


@dataclass(frozen=True, slots=True)
class ReportState:
    """Where the report of a study stands; nothing of what it says."""

    study_id: int
    report_id: int | None = None
    status: ReportStatus | None = None
    version: int = 0
    signed: SignedVersion | None = None


def state(ctx: Context, study_id: int) -> ReportState:
    """Return where the report of a study stands.

    Raises
    ------
    Forbidden, NotFound
    """
    ctx.require(Permission.REPORT_READ)
    with ctx.read() as session:
        report = _require(session, Study, study_id).report
        if report is None:
            return ReportState(study_id)
        signed = _latest(session, report) if report.versions else None
        return ReportState(study_id, report.id, report.status, report.version, signed)


def open_draft(ctx: Context, study_id: int, *, template: str = "") -> Draft:
    """Return the report of a study to write on; made if there is none yet.

    Parameters
    ----------
    template
        Name of the template a new report starts from; its texts are the caller's to save.

    Raises
    ------
    Forbidden, NotFound
    """
    ctx.require(Permission.REPORT_WRITE)
    author_pk = _account(ctx)
    try:
        with ctx.begin() as session:
            study = _require(session, Study, study_id)
            if study.report is not None:
                audit.record(ctx, session, Action.VIEW, study.report, patient_pk=study.patient_pk)
                return _draft(study.report)
            visit, now = study.appointment, ctx.clock()
            report = Report(
                study=study,
                template=template[:64],
                clinical_information=visit.reason_for_the_requested_procedure if visit else "",
                author=session.get_one(User, author_pk),
                created_at=now,
                changed_at=now,
            )
            session.add(report)
            session.flush()
            audit.record(ctx, session, Action.CREATE, report, patient_pk=study.patient_pk)
            changes.announce(session, Topic.REPORTS)
            return _draft(report)
    except IntegrityError:
        pass  # two readers opened it at once: the other one's is the report
    with ctx.begin() as session:
        study = _require(session, Study, study_id)
        if study.report is None:
            raise NotFound
        audit.record(ctx, session, Action.VIEW, study.report, patient_pk=study.patient_pk)
        return _draft(study.report)


def draft(ctx: Context, report_id: int) -> Draft:
    """Return the draft as it stands now, whoever saved it last.

    Raises
    ------
    Forbidden, NotFound
    """
    ctx.require(Permission.REPORT_WRITE)
    with ctx.begin() as session:
        report = _require(session, Report, report_id)
        audit.record(ctx, session, Action.VIEW, report, patient_pk=report.study.patient_pk)
        return _draft(report)


def save_draft(
    ctx: Context,
    report_id: int,
    version: int,
    texts: Texts,
    key_images: tuple[KeyImageRef, ...] | None = None,
) -> Draft:
    """Keep what was written; nothing is written when nothing changed.

    Parameters
    ----------
    version
        As returned with the text this one grew from.
    key_images
        The pictures to print, in order; None leaves them as they are.

    Raises
    ------
    Conflict
        Someone saved or signed meanwhile: the caller keeps its text, ``draft`` tells the other's.
    Invalid
        A text is too long, or a picture is not of this study.
    Forbidden, NotFound
    """
    ctx.require(Permission.REPORT_WRITE)
    author_pk = _account(ctx)
    wanted: dict[str, Any] = {name: getattr(texts.cleaned(), name) for name, _ in SECTIONS}
    if key_images is not None:
        if len(key_images) > MAX_KEY_IMAGES:
            raise Invalid(f"At most {MAX_KEY_IMAGES} key images, please.")
        wanted["key_images"] = [image.kept() for image in key_images]
    with ctx.begin() as session:
        report = _current(session, report_id, version)
        changed = sorted(name for name in wanted if wanted[name] != getattr(report, name))
        if not changed:
            return _draft(report)
        if "key_images" in changed:
            _check_frames(session, report, key_images or ())
        for name in changed:
            setattr(report, name, wanted[name])
        report.author, report.changed_at = session.get_one(User, author_pk), ctx.clock()
        audit.record(
            ctx,
            session,
            Action.DRAFT,
            report,
            patient_pk=report.study.patient_pk,
            changed=changed,
        )
        return _draft(report)


def sign(ctx: Context, report_id: int, version: int, password: str) -> SignedVersion:
    """Fix the text for good and have its PDF made.

    Parameters
    ----------
    version
        Of the text the signer saw; any other is refused.

    Raises
    ------
    Unauthenticated
        The password is wrong.
    Invalid
        The impression is empty, or a blank of the template is left.
    Conflict
        Someone saved or signed meanwhile.
    Forbidden, NotFound
    """
    ctx.require(Permission.REPORT_SIGN)
    signer_pk = _account(ctx)
    auth.reauthenticate(ctx, password)
    with ctx.begin() as session:
        report = _current(session, report_id, version)
        _check_complete(report)
        study, now = report.study, ctx.clock()
        content = compose(ctx, session, report, number=1, signed_at=now)
        signed = ReportVersion(
            report=report,
            number=content["number"],
            content=content,
            sha256=digest(content),
            signed_by_pk=signer_pk,
            signed_by_name=content["signed_by"],
            signed_at=now,
        )
        report.status, report.changed_at = ReportStatus.SIGNED, now
        session.add(signed)
        session.flush()
        session.add(
            Job(kind=JobKind.REPORT_PDF, subject_id=signed.id, not_before_at=now, created_at=now)
        )
        if study.appointment_pk is not None:
            visit = session.get_one(Appointment, study.appointment_pk, with_for_update=True)
            visit.be_read()
        audit.record(
            ctx,
            session,
            Action.SIGN,
            report,
            patient_pk=study.patient_pk,
            report_version=signed.id,
            sha256=signed.sha256,
        )
        changes.announce(session, Topic.REPORTS, Topic.SCHEDULE, Topic.STUDIES, Topic.JOBS)
        return _signed(signed)


def signed(ctx: Context, report_id: int) -> SignedReport:
    """Return the words of the signed report.

    Raises
    ------
    NotFound
        It does not exist, or is not signed yet.
    Forbidden
    """
    ctx.require(Permission.REPORT_READ)
    with ctx.begin() as session:
        report = _require(session, Report, report_id)
        if not report.versions:
            raise NotFound("This report is not signed yet.")
        version = report.versions[-1]
        audit.record(ctx, session, Action.VIEW, report, patient_pk=report.study.patient_pk)
        return SignedReport(
            version=_latest(session, report),
            texts=Texts(**version.content["sections"]),
            key_images=tuple(map(KeyImageRef.of, version.content["key_images"])),
        )


def versions(ctx: Context, report_id: int) -> list[SignedVersion]:
    """Return the signed versions, the first one first.

    Raises
    ------
    Forbidden, NotFound
    """
    ctx.require(Permission.REPORT_READ)
    with ctx.read() as session:
        return [_signed(version) for version in _require(session, Report, report_id).versions]


def _require[Row](session: Session, kind: type[Row], key: int) -> Row:
    row = session.get(kind, key)
    if row is None:
        raise NotFound
    return row


def _current(session: Session, report_id: int, version: int) -> Report:
    """Return the report, locked, if it still is the draft the caller knows."""
    report = session.get(Report, report_id, with_for_update=True)
    if report is None:
        raise NotFound
    if report.status is not ReportStatus.DRAFT:
        raise Conflict("This report is signed; it does not change any more.")
    if report.version != version:
        raise Conflict("Someone else changed this report meanwhile.")
    return report


def _account(ctx: Context) -> int:
    if ctx.actor.user_pk is None:
        raise Forbidden("A report needs a person who answers for it.")
    return ctx.actor.user_pk


def _check_complete(report: Report) -> None:
    if not report.impression.strip():
        raise Invalid("The impression is empty.", field="impression")
    for name, heading in SECTIONS:
        if BLANK in getattr(report, name):
            raise Invalid(f"{heading}: a blank of the template is left to fill in.", field=name)


def _check_frames(session: Session, report: Report, images: tuple[KeyImageRef, ...]) -> None:
    """Refuse a picture of another study, or a frame that does not exist."""
    wanted = {image.instance_id for image in images}
    query = (
        select(Instance.id, Instance.number_of_frames)
        .join(Series)
        .where(Series.study_pk == report.study_pk, Instance.id.in_(wanted))
    )
    frames = {row.id: row.number_of_frames for row in session.execute(query)}
    for image in images:
        if not 0 <= image.frame < frames.get(image.instance_id, 0):
            raise Invalid("A key image is not of this study.")


def _draft(report: Report) -> Draft:
    return Draft(
        id=report.id,
        study_id=report.study_pk,
        version=report.version,
        status=report.status,
        template=report.template,
        texts=Texts.of(report),
        key_images=tuple(map(KeyImageRef.of, report.key_images)),
        author_name=report.author.display_name,
        changed_at=report.changed_at,
    )


def _latest(session: Session, report: Report) -> SignedVersion:
    came = after(session, [report.study])[report.study_pk]
    version = _signed(report.versions[-1])
    return replace(version, pdf_failed=came.pdf_failed, images_after=came.images)


def _signed(version: ReportVersion) -> SignedVersion:
    return SignedVersion(
        id=version.id,
        report_id=version.report_pk,
        number=version.number,
        signed_by=version.signed_by_name,
        signed_at=version.signed_at,
        sha256=version.sha256,
        pdf_ready=version.document is not None,
    )
