"""The people the clinic knows."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Index, Text, UniqueConstraint, event
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
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()

    appointments: Mapped[list[Appointment]] = relationship(back_populates="patient")
    studies: Mapped[list[Study]] = relationship(back_populates="patient")

    __mapper_args__ = {"version_id_col": version}  # two desks editing: the second is told

    def archive(self, now: datetime) -> None:
        """Leave the daily lists; refused while a visit is still open."""
        if any(visit.is_open for visit in self.appointments):
            raise Conflict("The patient still has an open appointment.")
        self.archived_at = now


@event.listens_for(Patient, "before_insert")
@event.listens_for(Patient, "before_update")
def _fold_name(_mapper: object, _connection: object, patient: Patient) -> None:
    patient.search_name = validation.folded(patient.patient_name)
