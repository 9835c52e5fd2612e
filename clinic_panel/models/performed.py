"""What modalities say they do: performed procedure steps, their series, the objects announced."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.models.base import Base, BigKey, dicom, enum


class PerformedStatus(StrEnum):
    """Performed Procedure Step Status (0040,0252), PS3.3 C.4.14."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"

    @property
    def is_final(self) -> bool:
        """Whether the step may no longer be updated (PS3.4 F.7.2.2.3)."""
        return self is not PerformedStatus.IN_PROGRESS


class PerformedProcedureStep(Base):
    """One step as its modality tells it (PS3.3 B.17). Identity columns hold what it sent."""

    __tablename__ = "performed_procedure_step"

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    performed_procedure_step_status: Mapped[PerformedStatus] = enum(PerformedStatus)
    performed_procedure_step_id: Mapped[str] = dicom("PerformedProcedureStepID")
    performed_station_ae_title: Mapped[str] = dicom("PerformedStationAETitle")
    performed_station_name: Mapped[str] = dicom("PerformedStationName")
    performed_location: Mapped[str] = dicom("PerformedLocation")
    performed_procedure_step_start_date: Mapped[date | None] = dicom(
        "PerformedProcedureStepStartDate"
    )
    performed_procedure_step_start_time: Mapped[time | None] = dicom(
        "PerformedProcedureStepStartTime"
    )
    performed_procedure_step_end_date: Mapped[date | None] = dicom("PerformedProcedureStepEndDate")
    performed_procedure_step_end_time: Mapped[time | None] = dicom("PerformedProcedureStepEndTime")
    timezone_offset_from_utc: Mapped[str] = dicom("TimezoneOffsetFromUTC")
    performed_procedure_step_description: Mapped[str] = dicom("PerformedProcedureStepDescription")
    # The code of the discontinuation reason (PS3.16 CID 9300), where one was given.
    discontinuation_code_value: Mapped[str] = mapped_column(String(64), default="")
    discontinuation_coding_scheme: Mapped[str] = mapped_column(String(16), default="")
    discontinuation_code_meaning: Mapped[str] = mapped_column(String(64), default="")
    modality: Mapped[str] = dicom("Modality")
    study_id: Mapped[str] = dicom("StudyID")
    patient_id: Mapped[str] = dicom("PatientID")
    issuer_of_patient_id: Mapped[str] = dicom("IssuerOfPatientID")
    patient_name: Mapped[str] = dicom("PatientName")
    patient_birth_date: Mapped[date | None] = dicom("PatientBirthDate")
    patient_sex: Mapped[str] = dicom("PatientSex")
    patient_pk: Mapped[int | None] = mapped_column(ForeignKey("patient.id"), index=True)
    source_ae_title: Mapped[str] = mapped_column(String(16), default="")
    # Sums over the series, kept so that lists need not count.
    number_announced: Mapped[int] = mapped_column(default=0)
    number_missing: Mapped[int] = mapped_column(default=0)
    begun_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    requests: Mapped[list[PerformedStepRequest]] = relationship(back_populates="step")
    series: Mapped[list[PerformedSeries]] = relationship(back_populates="step")
    messages: Mapped[list[PerformedStepMessage]] = relationship(
        back_populates="step", order_by="PerformedStepMessage.id"
    )


class PerformedStepRequest(Base):
    """A scheduled step that a performed one answers: an item of (0040,0270), and its booking.

    One performed step may answer several, and several may answer one. Nothing is scheduled for an
    unscheduled step: it has only the study it makes.
    """

    __tablename__ = "performed_step_request"

    id: Mapped[int] = mapped_column(primary_key=True)
    step_pk: Mapped[int] = mapped_column(
        ForeignKey("performed_procedure_step.id", ondelete="CASCADE"), index=True
    )
    study_instance_uid: Mapped[str] = dicom("StudyInstanceUID", index=True)
    accession_number: Mapped[str] = dicom("AccessionNumber")
    requested_procedure_id: Mapped[str] = dicom("RequestedProcedureID")
    scheduled_procedure_step_id: Mapped[str] = dicom("ScheduledProcedureStepID")
    appointment_pk: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"), index=True)
    # A person ended the examination here, for the device did not report the end.
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str] = mapped_column(String(256), default="")

    step: Mapped[PerformedProcedureStep] = relationship(back_populates="requests")


class PerformedSeries(Base):
    """A series of a performed step: an item of (0040,0340)."""

    __tablename__ = "performed_series"
    __table_args__ = (UniqueConstraint("step_pk", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    step_pk: Mapped[int] = mapped_column(
        ForeignKey("performed_procedure_step.id", ondelete="CASCADE")
    )
    series_instance_uid: Mapped[str] = dicom("SeriesInstanceUID", index=True)
    protocol_name: Mapped[str] = dicom("ProtocolName")
    series_description: Mapped[str] = dicom("SeriesDescription")
    operators_name: Mapped[str] = dicom("OperatorsName")
    performing_physician_name: Mapped[str] = dicom("PerformingPhysicianName")
    retrieve_ae_title: Mapped[str] = dicom("RetrieveAETitle")

    step: Mapped[PerformedProcedureStep] = relationship(back_populates="series")


class AnnouncedObject(Base):
    """An image or other composite object the modality says it made, and whether it came."""

    __tablename__ = "announced_object"
    __table_args__ = (
        # Every image that arrives looks here: only what is still owed is in the way.
        Index(
            "ix_announced_object_missing",
            "sop_instance_uid",
            sqlite_where=text("is_missing = 1"),
            postgresql_where=text("is_missing"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    series_pk: Mapped[int] = mapped_column(
        ForeignKey("performed_series.id", ondelete="CASCADE"), index=True
    )
    sop_class_uid: Mapped[str] = dicom("SOPClassUID")
    sop_instance_uid: Mapped[str] = dicom("SOPInstanceUID")
    is_image: Mapped[bool]
    is_missing: Mapped[bool]


class PerformedStepMessage(Base):
    """One N-CREATE or N-SET request, as it was received."""

    __tablename__ = "performed_step_message"

    id: Mapped[int] = mapped_column(primary_key=True)
    step_pk: Mapped[int] = mapped_column(
        ForeignKey("performed_procedure_step.id", ondelete="CASCADE"), index=True
    )
    received_at: Mapped[datetime]
    source_ae_title: Mapped[str] = mapped_column(String(16), default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    attributes: Mapped[bytes] = mapped_column(LargeBinary)

    step: Mapped[PerformedProcedureStep] = relationship(back_populates="messages")
