"""Studies that somebody had sent here from another archive."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.models.base import Base, BigKey, dicom, enum
from clinic_panel.models.peer import Peer


class FetchState(StrEnum):
    """How far one transfer has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PARTLY = "partly"
    FAILED = "failed"


class Fetch(Base):
    """One study of one other archive, asked for by a person. Asking again starts it anew."""

    __tablename__ = "fetch"
    __table_args__ = (UniqueConstraint("peer_pk", "study_instance_uid"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    peer_pk: Mapped[int] = mapped_column(ForeignKey("peer.id"))
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    # What the archive said of it, for those who wait.
    patient_id: Mapped[str] = dicom("PatientID")
    patient_name: Mapped[str] = dicom("PatientName")
    study_description: Mapped[str] = dicom("StudyDescription")
    study_date: Mapped[str] = mapped_column(String(8), default="")
    modalities: Mapped[str] = mapped_column(String(128), default="")
    state: Mapped[FetchState] = enum(FetchState, default=FetchState.WAITING)
    remaining: Mapped[int | None]  # None: the archive did not say
    completed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(String(256), default="")
    asked_by: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]

    peer: Mapped[Peer] = relationship()
