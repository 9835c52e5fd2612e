"""Reports: one draft a study, and the signed versions that never change again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.models.base import Base, enum

if TYPE_CHECKING:
    from clinic_panel.models.imaging import Study
    from clinic_panel.models.user import User


class ReportStatus(StrEnum):
    """Whether the text may still change."""

    DRAFT = "draft"
    SIGNED = "signed"


class Report(Base):
    """The report of one study while it is written; fixed by the database once signed."""

    __tablename__ = "report"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"), unique=True)
    status: Mapped[ReportStatus] = enum(ReportStatus, default=ReportStatus.DRAFT, index=True)
    template: Mapped[str] = mapped_column(String(64), default="")
    clinical_information: Mapped[str] = mapped_column(Text, default="")
    technique: Mapped[str] = mapped_column(Text, default="")
    findings: Mapped[str] = mapped_column(Text, default="")
    impression: Mapped[str] = mapped_column(Text, default="")
    # Each: instance_id, frame (zero-based), window_center, window_width, caption.
    key_images: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    author_pk: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    study: Mapped[Study] = relationship(back_populates="report")
    author: Mapped[User] = relationship()
    versions: Mapped[list[ReportVersion]] = relationship(
        back_populates="report", order_by="ReportVersion.number"
    )

    __mapper_args__ = {"version_id_col": version}


class ReportVersion(Base):
    """A signed text, word for word. Triggers refuse UPDATE and DELETE, whoever asks."""

    __tablename__ = "report_version"
    __table_args__ = (UniqueConstraint("report_pk", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    report_pk: Mapped[int] = mapped_column(ForeignKey("report.id"))
    number: Mapped[int]
    # The whole printed content as signed: patient banner, study, sections, key images.
    content: Mapped[dict[str, Any]]
    # SHA-256 over the canonical JSON of ``content``, in hexadecimal.
    sha256: Mapped[str] = mapped_column(String(64))
    signed_by_pk: Mapped[int] = mapped_column(ForeignKey("user.id"))
    signed_by_name: Mapped[str] = mapped_column(String(128))
    signed_at: Mapped[datetime]

    report: Mapped[Report] = relationship(back_populates="versions")
    document: Mapped[ReportDocument | None] = relationship(back_populates="report_version")


class ReportDocument(Base):
    """The PDF of one signed version; made once, append-only as the version is."""

    __tablename__ = "report_document"

    report_version_pk: Mapped[int] = mapped_column(
        ForeignKey("report_version.id"), primary_key=True
    )
    # Deferred: whether a PDF exists is asked far more often than for its bytes.
    pdf: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    sha256: Mapped[str] = mapped_column(String(64))
    rendered_at: Mapped[datetime]

    report_version: Mapped[ReportVersion] = relationship(back_populates="document")
