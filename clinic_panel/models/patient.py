"""The people the clinic knows."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection, Index, Text, UniqueConstraint, event, inspect, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel import validation
from clinic_panel.errors import Conflict
from clinic_panel.models.base import HAS_GROUPS, Base, dicom

if TYPE_CHECKING:
    from clinic_panel.models.appointment import Appointment
    from clinic_panel.models.imaging import Study


class Patient(Base):
    """One person. Identified by ID *and* issuer: another site may reuse the number."""

    __tablename__ = "patient"
    __table_args__ = (
        UniqueConstraint("issuer_of_patient_id", "patient_id"),
        # As for studies: what a name begins with, and later groups of names in several scripts.
        Index(
            "ix_patient_search_name",
            "search_name",
            postgresql_ops={"search_name": "text_pattern_ops"},
            postgresql_include=["id"],  # to find their visits, nothing else of them is read
        ),
        Index(
            "ix_patient_name_groups",
            "search_name",
            sqlite_where=HAS_GROUPS,
            postgresql_where=HAS_GROUPS,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = dicom("PatientID", index=True)
    issuer_of_patient_id: Mapped[str] = dicom("IssuerOfPatientID")
    patient_name: Mapped[str] = dicom("PatientName")
    patient_birth_date: Mapped[date | None] = dicom("PatientBirthDate", index=True)
    patient_sex: Mapped[str] = dicom("PatientSex")
    patient_telephone_numbers: Mapped[str] = dicom("PatientTelephoneNumbers")
    patient_address: Mapped[str] = dicom("PatientAddress")
    patient_comments: Mapped[str] = dicom("PatientComments")
    allergies: Mapped[str] = dicom("Allergies")
    # All component groups of the name, folded, so that one LIKE finds any script.
    search_name: Mapped[str] = mapped_column(Text, default="")
    # Whom de-identified copies are of, once that is not what issuer and ID say now: `subject`.
    deidentified_as: Mapped[str | None] = mapped_column(Text, index=True, unique=True)
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()

    appointments: Mapped[list[Appointment]] = relationship(back_populates="patient")
    studies: Mapped[list[Study]] = relationship(back_populates="patient")

    __mapper_args__ = {"version_id_col": version}  # two desks editing: the second is told

    @property
    def subject(self) -> str:
        """Whom de-identified copies are of: the same however the record is corrected."""
        return self.deidentified_as or subject_of(self.issuer_of_patient_id, self.patient_id)

    def archive(self, now: datetime) -> None:
        """Leave the daily lists; refused while a visit is still open."""
        if any(visit.is_open for visit in self.appointments):
            raise Conflict("The patient still has an open appointment.")
        self.archived_at = now


def subject_of(issuer_of_patient_id: str, patient_id: str) -> str:
    """Return whom de-identified copies are of where only identifiers say it."""
    return f"{issuer_of_patient_id}\\{patient_id}"


@event.listens_for(Patient, "before_insert")
def _stay_apart(_mapper: object, connection: Connection, patient: Patient) -> None:
    """Take no subject of somebody whose ID was corrected, and given out again since."""
    wanted = subject_of(patient.issuer_of_patient_id or "", patient.patient_id)  # no default yet
    if connection.scalar(select(Patient.id).where(Patient.deidentified_as == wanted)) is not None:
        patient.deidentified_as = f"{wanted}\\{uuid4()}"


@event.listens_for(Patient, "before_update")
def _stay_the_same(_mapper: object, _connection: object, patient: Patient) -> None:
    if patient.deidentified_as is None:
        issuer, known_as = (
            next(iter(getattr(inspect(patient).attrs, name).history.deleted or ()), now)
            for name, now in (
                ("issuer_of_patient_id", patient.issuer_of_patient_id),
                ("patient_id", patient.patient_id),
            )
        )
        before = subject_of(issuer, known_as)
        if before != patient.subject:
            patient.deidentified_as = before


@event.listens_for(Patient, "before_insert")
@event.listens_for(Patient, "before_update")
def _fold_name(_mapper: object, _connection: object, patient: Patient) -> None:
    patient.search_name = validation.folded(patient.patient_name)
