"""What a reader saved of a study as DICOM: one row a document, with all that it says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.evidence.order import DocumentKind
from clinic_panel.models.base import Base, enum


class Evidence(Base):
    """One document as it was ordered; its objects are instances of the study once it is saved."""

    __tablename__ = "evidence"
    __table_args__ = (UniqueConstraint("user_pk", "study_pk", "kind", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("user.id"))
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    kind: Mapped[DocumentKind] = enum(DocumentKind, checked=False)
    number: Mapped[int]  # counted by reader, study and kind; the Instance Number
    # Shapes, images and how they were seen, title, observer, institution: nothing to look up later.
    content: Mapped[dict[str, Any]]
    # SHA-256 over what a reader can change of it: the same again is not saved twice.
    sha256: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    ordered_at: Mapped[datetime]
    saved_at: Mapped[datetime | None]
