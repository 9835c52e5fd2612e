"""The PDF of a signed report: ordered from a worker, kept once, handed out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from clinic_panel.context import Context
from clinic_panel.documents.pdf import ReportContent
from clinic_panel.errors import Conflict, NotFound, Unavailable
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance
from clinic_panel.models.job import JobKind
from clinic_panel.models.report import Report, ReportDocument, ReportVersion
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs
from clinic_panel.services.report_after import after
from clinic_panel.services.report_content import digest, printable


@dataclass(frozen=True, slots=True, repr=False)
class KeyImageSource:
    """Where a worker finds a frame to picture, and how it was seen."""

    path: Path
    frame: int  # zero-based
    window_center: float | None
    window_width: float | None
    caption: str
    mask: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class PrintOrder:
    """What a worker needs to print: the words, and the frames to picture first."""

    content: ReportContent
    key_images: tuple[KeyImageSource, ...]


@dataclass(frozen=True, slots=True, repr=False)
class PdfDocument:
    """A PDF to hand out. The file's name says nothing of the patient."""

    pdf: bytes
    sha256: str
    filename: str


def print_order(ctx: Context, report_version_id: int) -> PrintOrder:
    """Return what one signed version prints.

    Raises
    ------
    Conflict
        What is stored is no longer what was signed; it is not printed.
    Forbidden, NotFound
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.read() as session:
        version = session.get(ReportVersion, report_version_id)
        if version is None:
            raise NotFound
        content, sha256 = version.content, version.sha256
        chosen = {image["instance_id"] for image in content["key_images"]}
        query = select(Instance.id, Instance.path).where(Instance.id.in_(chosen))
        paths = {row.id: row.path for row in session.execute(query)}
    if digest(content) != sha256:
        raise Conflict("The stored report differs from what was signed.")
    return PrintOrder(
        content=printable(content, sha256),
        key_images=tuple(
            KeyImageSource(
                path=ctx.store.path(paths[image["instance_id"]]),
                frame=image["frame"],
                window_center=image["window_center"],
                window_width=image["window_width"],
                caption=image["caption"],
                mask=image.get("mask"),
            )
            for image in content["key_images"]
        ),
    )


def keep_pdf(ctx: Context, report_version_id: int, pdf: bytes) -> None:
    """Keep the PDF of a signed version; a second one changes nothing.

    Raises
    ------
    Forbidden, NotFound
    """
    ctx.require(Permission.JOB_RUN)
    try:
        with ctx.begin() as session:
            version = session.get(ReportVersion, report_version_id)
            if version is None:
                raise NotFound
            if version.document is not None:
                return
            version.document = ReportDocument(
                pdf=pdf, sha256=hashlib.sha256(pdf).hexdigest(), rendered_at=ctx.clock()
            )
            audit.record(
                ctx,
                session,
                Action.CREATE,
                version,
                patient_pk=version.report.study.patient_pk,
                document_bytes=len(pdf),
                sha256=version.document.sha256,
            )
            changes.announce(session, Topic.REPORTS, Topic.SCHEDULE)
    except IntegrityError:
        return  # another worker was first; its PDF is the one


def pdf(ctx: Context, report_id: int) -> PdfDocument:
    """Return the PDF of a signed report, to be read or handed out.

    Raises
    ------
    NotFound
        There is no such report, or it is not signed.
    Unavailable
        It is still being made, or could not be.
    Conflict
        The stored bytes are damaged.
    Forbidden
    """
    ctx.require(Permission.REPORT_READ)
    with ctx.begin() as session:
        report = session.get(Report, report_id)
        if report is None or not report.versions:
            raise NotFound
        version = report.versions[-1]
        document = version.document
        if document is None:
            if after(session, [report.study])[report.study_pk].pdf_failed:
                raise Unavailable(
                    "The PDF could not be made. It can be asked for again beside the report."
                )
            raise Unavailable("The PDF is being made; it will be here in a moment.")
        audit.record(
            ctx,
            session,
            Action.HAND_OUT,
            report,
            patient_pk=report.study.patient_pk,
            report_version=version.id,
        )
        kept, sha256 = document.pdf, document.sha256
    if hashlib.sha256(kept).hexdigest() != sha256:
        raise Conflict("The stored PDF is damaged; ask for help.")
    return PdfDocument(kept, sha256, f"report-{report_id}-v{version.number}.pdf")


def ask_again(ctx: Context, report_id: int) -> None:
    """Let the PDF that could not be made be tried again; harmless when it is there or under way.

    Raises
    ------
    Forbidden, NotFound
        There is no such report, or it is not signed.
    """
    ctx.require(Permission.REPORT_READ)
    with ctx.begin() as session:
        report = session.get(Report, report_id)
        if report is None or not report.versions:
            raise NotFound
        version = report.versions[-1]
        if not after(session, [report.study])[report.study_pk].pdf_failed:
            return
        jobs.enqueue(ctx, session, JobKind.REPORT_PDF, [version.id])
        audit.record(
            ctx, session, Action.RETRY, version, patient_pk=report.study.patient_pk, what="pdf"
        )
        changes.announce(session, Topic.REPORTS)
