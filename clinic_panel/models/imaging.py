"""What modalities sent: studies, series, instances and the small pictures of them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.imaging.kinds import WRITTEN, taken
from clinic_panel.models.base import HAS_GROUPS, Base, BigKey, dicom
from clinic_panel.models.report import ReportStatus

if TYPE_CHECKING:
    from clinic_panel.models.appointment import Appointment
    from clinic_panel.models.patient import Patient
    from clinic_panel.models.report import Report

# Without a new image for so long, a study is taken as complete; images that come later still count.
QUIET = timedelta(seconds=1)
# A modality that still examines, or owes images it announced, is waited for no longer than this.
OVERDUE = timedelta(minutes=15)


class Study(Base):
    """One study. Identity columns hold what the modality sent, whoever the patient is."""

    __tablename__ = "study"
    __table_args__ = (
        # What a name begins with: PostgreSQL's plain index is of no use to a prefix.
        Index(
            "ix_study_search_name",
            "search_name",
            postgresql_ops={"search_name": "text_pattern_ops"},
        ),
        # Names in several scripts, whose later groups begin in the middle.
        Index(
            "ix_study_name_groups",
            "search_name",
            sqlite_where=HAS_GROUPS,
            postgresql_where=HAS_GROUPS,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_pk: Mapped[int | None] = mapped_column(ForeignKey("patient.id"), index=True)
    appointment_pk: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"), index=True)
    patient_id: Mapped[str] = dicom("PatientID", index=True)
    issuer_of_patient_id: Mapped[str] = dicom("IssuerOfPatientID")
    patient_name: Mapped[str] = dicom("PatientName")
    patient_birth_date: Mapped[date | None] = dicom("PatientBirthDate", index=True)
    patient_sex: Mapped[str] = dicom("PatientSex")
    accession_number: Mapped[str] = dicom("AccessionNumber", index=True)
    study_id: Mapped[str] = dicom("StudyID")
    study_date: Mapped[date | None] = dicom("StudyDate", index=True)
    study_time: Mapped[time | None] = dicom("StudyTime")
    timezone_offset_from_utc: Mapped[str] = dicom("TimezoneOffsetFromUTC")
    study_description: Mapped[str] = dicom("StudyDescription")
    referring_physician_name: Mapped[str] = dicom("ReferringPhysicianName")
    # Sorted, joined by a backslash as on the wire; derived from the series, kept for lists.
    modalities_in_study: Mapped[str] = mapped_column(String(128), default="", index=True)
    number_of_instances: Mapped[int] = mapped_column(default=0)
    source_ae_title: Mapped[str] = mapped_column(String(16), default="")
    search_name: Mapped[str] = mapped_column(Text, default="")
    first_received_at: Mapped[datetime] = mapped_column(index=True)
    last_received_at: Mapped[datetime] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=1)

    patient: Mapped[Patient | None] = relationship(back_populates="studies")
    appointment: Mapped[Appointment | None] = relationship(back_populates="studies")
    series: Mapped[list[Series]] = relationship(back_populates="study")
    report: Mapped[Report | None] = relationship(back_populates="study")
    other_identities: Mapped[list[OtherIdentity]] = relationship(
        back_populates="study", order_by="OtherIdentity.id"
    )

    __mapper_args__ = {"version_id_col": version}

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it is of, as people say it: without the reports and presentations on it."""
        return taken(self.modalities_in_study)

    @property
    def is_written(self) -> bool:
        """Whether there is nothing to read in it but what somebody wrote, such as a dose report."""
        return bool(self.modalities) and WRITTEN.issuperset(self.modalities)

    @property
    def is_reported(self) -> bool:
        """Whether its report is signed."""
        return self.report is not None and self.report.status is ReportStatus.SIGNED

    def is_quiet(self, now: datetime) -> bool:
        """Whether no image came for a while."""
        return now - self.last_received_at >= QUIET


class Series(Base):
    """One series of a study. A UID reused in another study is kept apart there."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_pk", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_instance_uid: Mapped[str] = dicom("SeriesInstanceUID", index=True)
    modality: Mapped[str] = dicom("Modality")
    series_number: Mapped[int | None] = dicom("SeriesNumber")
    series_description: Mapped[str] = dicom("SeriesDescription")
    body_part_examined: Mapped[str] = dicom("BodyPartExamined")
    number_of_instances: Mapped[int] = mapped_column(default=0)

    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list[Instance]] = relationship(back_populates="series")
    thumbnail: Mapped[Thumbnail | None] = relationship()


class Instance(Base):
    """One object and where its bytes lie. A row exists only for a file that is durable."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    series_pk: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    sop_class_uid: Mapped[str] = dicom("SOPClassUID")
    transfer_syntax_uid: Mapped[str] = dicom("TransferSyntaxUID")
    instance_number: Mapped[int | None] = dicom("InstanceNumber")
    rows: Mapped[int | None] = dicom("Rows")
    columns: Mapped[int | None] = dicom("Columns")
    number_of_frames: Mapped[int] = mapped_column(default=1)
    # SHA-256 of the data set as received, in hexadecimal, and the path below the archive.
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(255), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    source_ae_title: Mapped[str] = mapped_column(String(16), default="")
    received_at: Mapped[datetime]

    series: Mapped[Series] = relationship(back_populates="instances")


class InstanceConflict(Base):
    """Other bytes under a SOP Instance UID we hold: kept on disk, not indexed.

    They came later than those of the instance, or were its own until they were superseded.
    """

    __tablename__ = "instance_conflict"
    __table_args__ = (UniqueConstraint("instance_pk", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_pk: Mapped[int] = mapped_column(ForeignKey("instance.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    source_ae_title: Mapped[str] = mapped_column(String(16), default="")
    received_at: Mapped[datetime]
    superseded_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]

    instance: Mapped[Instance] = relationship()


class OtherIdentity(Base):
    """A person that objects of a study name, though the study is of another; once for each."""

    __tablename__ = "other_identity"
    __table_args__ = (UniqueConstraint("study_pk", "digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"))
    digest: Mapped[str] = mapped_column(String(64))  # of the five columns that follow
    patient_id: Mapped[str] = dicom("PatientID")
    issuer_of_patient_id: Mapped[str] = dicom("IssuerOfPatientID")
    patient_name: Mapped[str] = dicom("PatientName")
    patient_birth_date: Mapped[date | None] = dicom("PatientBirthDate")
    patient_sex: Mapped[str] = dicom("PatientSex")
    # In what, joined by backslashes: patient ID, issuer of the patient ID, name, birth date, sex.
    differs: Mapped[str] = mapped_column(String(128))
    source_ae_title: Mapped[str] = mapped_column(String(16), default="")
    noted_at: Mapped[datetime]

    study: Mapped[Study] = relationship(back_populates="other_identities")


class Thumbnail(Base):
    """The small picture of one series."""

    __tablename__ = "thumbnail"

    series_pk: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    picture: Mapped[bytes] = mapped_column(LargeBinary)
    media_type: Mapped[str] = mapped_column(String(32))
    made_at: Mapped[datetime]
