"""Who may sign in, what a role may do, and the sessions that are open."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.models.base import Base, BigKey, enum


class Role(StrEnum):
    """What a person is at this clinic. ``SYSTEM`` is our own processes, never an account."""

    RECEPTIONIST = "receptionist"
    TECHNOLOGIST = "technologist"
    CLINICIAN = "clinician"
    ANALYST = "analyst"
    ADMIN = "admin"
    SYSTEM = "system"


class Permission(StrEnum):
    """What may be done; services ask for one of these, pages only hide by them."""

    SCHEDULE_READ = "schedule.read"
    SCHEDULE_WRITE = "schedule.write"
    PATIENT_READ = "patient.read"
    PATIENT_WRITE = "patient.write"
    IMAGE_READ = "image.read"
    STUDY_LINK = "study.link"
    REPORT_READ = "report.read"
    REPORT_WRITE = "report.write"
    REPORT_SIGN = "report.sign"
    ANALYTICS_READ = "analytics.read"
    COHORT_READ = "cohort.read"
    DEIDENTIFIED_EXPORT = "export.deidentified"
    AUDIT_READ = "audit.read"
    DEVICE_READ = "device.read"
    ADMIN = "admin"
    DICOM_WRITE = "dicom.write"
    JOB_RUN = "job.run"


_P = Permission
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.RECEPTIONIST: frozenset(
        {_P.SCHEDULE_READ, _P.SCHEDULE_WRITE, _P.PATIENT_READ, _P.PATIENT_WRITE, _P.REPORT_READ}
    ),
    Role.TECHNOLOGIST: frozenset(
        {
            _P.SCHEDULE_READ,
            _P.SCHEDULE_WRITE,
            _P.PATIENT_READ,
            _P.PATIENT_WRITE,
            _P.IMAGE_READ,
            _P.STUDY_LINK,
            _P.REPORT_READ,
            _P.DEVICE_READ,
        }
    ),
    Role.CLINICIAN: frozenset(
        {
            _P.SCHEDULE_READ,
            _P.PATIENT_READ,
            _P.IMAGE_READ,
            _P.STUDY_LINK,
            _P.REPORT_READ,
            _P.REPORT_WRITE,
            _P.REPORT_SIGN,
            _P.ANALYTICS_READ,
            _P.DEIDENTIFIED_EXPORT,
        }
    ),
    # An analyst sees numbers and de-identified rows, never a name.
    Role.ANALYST: frozenset({_P.ANALYTICS_READ, _P.COHORT_READ, _P.DEIDENTIFIED_EXPORT}),
    # Admin is not a clinical role: no images, no report texts.
    Role.ADMIN: frozenset(
        {
            _P.SCHEDULE_READ,
            _P.ANALYTICS_READ,
            _P.AUDIT_READ,
            _P.DEVICE_READ,
            _P.DEIDENTIFIED_EXPORT,
            _P.ADMIN,
        }
    ),
    Role.SYSTEM: frozenset(Permission),
}


class User(Base):
    """An account."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[str] = mapped_column(String(128))
    role: Mapped[Role] = enum(Role)
    password_hash: Mapped[str] = mapped_column(String(256))
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class WebSession(Base):
    """One sign-in in one browser. Only a hash of the token is kept."""

    __tablename__ = "web_session"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    address: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class LoginAttempt(Base):
    """One try to sign in, so that guessing slows down by account and by address."""

    __tablename__ = "login_attempt"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    # A keyed hash: people type passwords into the wrong field.
    username: Mapped[str] = mapped_column(String(64), index=True)
    address: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    succeeded: Mapped[bool]
