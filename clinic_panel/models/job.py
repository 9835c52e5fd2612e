"""Work for later. The row is the queue of record; Dask only computes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base, BigKey, enum


class JobKind(StrEnum):
    """What is to be made; ``subject_id`` is the series, report version, peer, request … meant."""

    THUMBNAIL = "thumbnail"
    REPORT_PDF = "report pdf"
    FORWARD = "forward"
    SETTLE_STUDY = "settle study"
    COMMITMENT = "commitment"
    CONFIRM = "confirm"
    NOTIFY = "notify"
    FETCH = "fetch"
    EVIDENCE = "evidence"
    HANDOUT = "handout"


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(Base):
    """One piece of work. Asking for it again raises ``revision``: an older answer is then stale."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("kind", "subject_id"),
        Index("ix_job_state_not_before_at", "state", "not_before_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    kind: Mapped[JobKind] = enum(JobKind, checked=False)
    subject_id: Mapped[int] = mapped_column(BigKey)
    state: Mapped[JobState] = enum(JobState, default=JobState.QUEUED)
    revision: Mapped[int] = mapped_column(default=1)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before_at: Mapped[datetime]
    claimed_by: Mapped[str] = mapped_column(String(64), default="")
    lease_until_at: Mapped[datetime | None]
    # The type of the last error and our own sentence; a library's text may quote a patient.
    error: Mapped[str] = mapped_column(String(256), default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
