"""Rooms, procedures and the bookings that join them to a patient."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.errors import Conflict, Invalid
from clinic_panel.models.base import Base, BigKey, dicom, enum
from clinic_panel.models.performed import PerformedStatus

if TYPE_CHECKING:
    from clinic_panel.models.imaging import Study
    from clinic_panel.models.patient import Patient

SLOT = timedelta(minutes=5)


class AppointmentStatus(StrEnum):
    """Where a visit stands. Images and reports move it on by themselves."""

    BOOKED = "booked"
    ARRIVED = "arrived"
    IMAGES_ARRIVING = "images arriving"
    TO_READ = "to read"
    REPORTED = "reported"
    CANCELLED = "cancelled"
    NO_SHOW = "no-show"


class Priority(StrEnum):
    """Requested Procedure Priority (0040,1003), PS3.3 C.4.11."""

    STAT = "STAT"
    HIGH = "HIGH"
    ROUTINE = "ROUTINE"


class Room(Base):
    """A place with one modality; its AE title is the scheduled station (PS3.3 C.4.10)."""

    __tablename__ = "room"

    id: Mapped[int] = mapped_column(primary_key=True)
    room_name: Mapped[str] = mapped_column(String(64), unique=True)
    station_ae_title: Mapped[str] = mapped_column(String(16), unique=True)
    modality: Mapped[str] = dicom("Modality")
    is_active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Procedure(Base):
    """An examination that can be booked."""

    __tablename__ = "procedure"
    __table_args__ = (CheckConstraint("duration_min between 5 and 600", name="duration"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code_value: Mapped[str] = mapped_column(String(16), unique=True)
    requested_procedure_description: Mapped[str] = dicom("RequestedProcedureDescription")
    modality: Mapped[str] = dicom("Modality")
    body_part_examined: Mapped[str] = dicom("BodyPartExamined")
    duration_min: Mapped[int]
    is_active: Mapped[bool] = mapped_column(default=True)


class Appointment(Base):
    """One procedure for one patient in one room: a Scheduled Procedure Step (PS3.3 C.4.10)."""

    __tablename__ = "appointment"
    __table_args__ = (
        CheckConstraint("end_at > start_at", name="positive_length"),
        # What a worklist query narrows by; without statistics SQLite prefers the status alone.
        Index("ix_appointment_status_start_at", "status", "start_at"),
        # A station's own days.
        Index("ix_appointment_room_pk_start_at", "room_pk", "start_at"),
        # A person's visits; to one station that asks for a name, without reading the others.
        Index("ix_appointment_patient_pk_room_pk", "patient_pk", "room_pk"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_pk: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    room_pk: Mapped[int] = mapped_column(ForeignKey("room.id"))
    procedure_pk: Mapped[int] = mapped_column(ForeignKey("procedure.id"))
    start_at: Mapped[datetime] = mapped_column(index=True)
    end_at: Mapped[datetime]
    status: Mapped[AppointmentStatus] = enum(
        AppointmentStatus, default=AppointmentStatus.BOOKED, index=True
    )
    priority: Mapped[Priority] = enum(Priority, default=Priority.ROUTINE)
    # What the modality says of the examination; None until it says anything (PS3.4 F.7).
    exam_status: Mapped[PerformedStatus | None] = enum(
        PerformedStatus, checked=False, nullable=True
    )
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    accession_number: Mapped[str] = mapped_column(String(16), unique=True)
    scheduled_procedure_step_id: Mapped[str] = mapped_column(String(16), unique=True)
    requested_procedure_id: Mapped[str] = dicom("RequestedProcedureID")
    referring_physician_name: Mapped[str] = dicom("ReferringPhysicianName")
    scheduled_performing_physician_name: Mapped[str] = dicom("ScheduledPerformingPhysicianName")
    reason_for_the_requested_procedure: Mapped[str] = dicom("ReasonForTheRequestedProcedure")
    cancellation_reason: Mapped[str] = mapped_column(String(256), default="")
    checked_in_at: Mapped[datetime | None]
    images_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    patient: Mapped[Patient] = relationship(back_populates="appointments")
    room: Mapped[Room] = relationship()
    procedure: Mapped[Procedure] = relationship()
    studies: Mapped[list[Study]] = relationship(back_populates="appointment")
    slots: Mapped[list[AppointmentSlot]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )

    __mapper_args__ = {"version_id_col": version}

    @property
    def is_open(self) -> bool:
        """Whether the visit still lies ahead or is going on."""
        return self.status in (
            AppointmentStatus.BOOKED,
            AppointmentStatus.ARRIVED,
            AppointmentStatus.IMAGES_ARRIVING,
        )

    def take(self, room: Room, start_at: datetime, end_at: datetime) -> None:
        """Stand in ``room`` from ``start_at`` to ``end_at``; a constraint decides at flush.

        Raises
        ------
        Invalid
            The start is off the five-minute grid, or the length is not positive.
        """
        if start_at.timestamp() % SLOT.total_seconds() or end_at <= start_at:
            raise Invalid("Bookings begin at full five minutes.", field="start_at")
        self.room, self.start_at, self.end_at = room, start_at, end_at
        kept = {slot.slot_at: slot for slot in self.slots if slot.room_pk == room.id}
        self.slots = [
            kept.get(moment) or AppointmentSlot(room_pk=room.id, slot_at=moment)
            for moment in slots_between(start_at, end_at)
        ]

    def move(self, room: Room, start_at: datetime, end_at: datetime) -> None:
        """Stand elsewhere; refused once images exist, or after a cancellation."""
        self._leave(AppointmentStatus.BOOKED, AppointmentStatus.ARRIVED, AppointmentStatus.NO_SHOW)
        if self.status is AppointmentStatus.NO_SHOW:
            self.status = AppointmentStatus.BOOKED
        self.exam_status = None  # what was begun elsewhere and broken off is to be done anew
        self.take(room, start_at, end_at)

    def arrive(self, now: datetime) -> None:
        """Check the patient in."""
        self._leave(AppointmentStatus.BOOKED, AppointmentStatus.NO_SHOW)
        self.status, self.checked_in_at = AppointmentStatus.ARRIVED, now
        self.exam_status = None  # begun for the wrong person, or on another day

    def unarrive(self) -> None:
        """Take a check-in back, as long as nothing came of it."""
        self._leave(AppointmentStatus.ARRIVED)
        self.status, self.checked_in_at = AppointmentStatus.BOOKED, None

    def cancel(self, reason: str) -> None:
        """Give the slot back; refused once images exist."""
        self._leave(AppointmentStatus.BOOKED, AppointmentStatus.ARRIVED, AppointmentStatus.NO_SHOW)
        self.status, self.cancellation_reason, self.slots = AppointmentStatus.CANCELLED, reason, []

    def miss(self) -> None:
        """The patient did not come."""
        self._leave(AppointmentStatus.BOOKED)
        self.status = AppointmentStatus.NO_SHOW

    def reappear(self) -> None:
        """Take a no-show back."""
        self._leave(AppointmentStatus.NO_SHOW)
        self.status = AppointmentStatus.BOOKED

    def reinstate(self, room: Room) -> None:
        """Take a cancellation back: stand where the visit stood; a constraint decides at flush."""
        self._leave(AppointmentStatus.CANCELLED)
        arrived = self.checked_in_at is not None
        self.status = AppointmentStatus.ARRIVED if arrived else AppointmentStatus.BOOKED
        self.cancellation_reason = ""
        self.take(room, self.start_at, self.end_at)

    def receive_images(self, now: datetime) -> None:
        """Images came: whatever the desk noted, the patient was there.

        A visit that is already read keeps its status; late images show in their count.
        """
        if self.status is not AppointmentStatus.REPORTED:
            self.status = AppointmentStatus.IMAGES_ARRIVING
        self.images_at = now

    def follow_exam(self, said: PerformedStatus) -> None:
        """The modality says how far the examination is.

        One that goes on shows that the patient is there, whatever the desk noted; one that was
        discontinued before any image leaves the visit as it was. A visit that waits to be read or
        is read keeps its status: the message may be late.
        """
        self.exam_status = said
        if said is PerformedStatus.DISCONTINUED:
            if self.status is AppointmentStatus.IMAGES_ARRIVING and self.images_at is None:
                self.lose_images()
        elif self.status not in (AppointmentStatus.TO_READ, AppointmentStatus.REPORTED):
            self.status = AppointmentStatus.IMAGES_ARRIVING

    @property
    def can_end_exam(self) -> bool:
        """Whether a person may say that it is over: it goes on, or ended without any image."""
        ended = self.exam_status is PerformedStatus.COMPLETED and self.images_at is None
        goes_on = self.exam_status is PerformedStatus.IN_PROGRESS
        return self.status is AppointmentStatus.IMAGES_ARRIVING and (goes_on or ended)

    def complete_images(self) -> None:
        """All images are here, or none came for a while: the study can be read."""
        if self.status is AppointmentStatus.IMAGES_ARRIVING:
            self.status = AppointmentStatus.TO_READ

    def be_read(self) -> None:
        """A report was signed, or a study came or went: *Reported* once all that came is read."""
        reported = [study.is_reported for study in self.studies if not study.is_written]
        if reported and all(reported):
            self.status = AppointmentStatus.REPORTED

    def is_quiet_beside(self, study: Study, now: datetime) -> bool:
        """Whether no image came for a while to any other study of the visit."""
        return all(other.is_quiet(now) for other in self.studies if other.id != study.id)

    def lose_images(self) -> None:
        """The last study turned out to be somebody else's: stand as before the images came."""
        self.images_at = None
        if self.exam_status in (PerformedStatus.IN_PROGRESS, PerformedStatus.COMPLETED):
            self.status = AppointmentStatus.IMAGES_ARRIVING
        elif self.cancellation_reason:  # its time may be taken: it has no slots
            self.status = AppointmentStatus.CANCELLED
        elif self.checked_in_at is not None:
            self.status = AppointmentStatus.ARRIVED
        else:
            self.status = AppointmentStatus.BOOKED

    def _leave(self, *allowed: AppointmentStatus) -> None:
        if self.status not in allowed:
            raise Conflict(f"The visit is {self.status}; this is not possible now.")


class AppointmentSlot(Base):
    """Five minutes of one room. The unique pair is what keeps a slot from being taken twice."""

    __tablename__ = "appointment_slot"
    __table_args__ = (UniqueConstraint("room_pk", "slot_at"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    appointment_pk: Mapped[int] = mapped_column(
        ForeignKey("appointment.id", ondelete="CASCADE"), index=True
    )
    room_pk: Mapped[int] = mapped_column(ForeignKey("room.id"))
    slot_at: Mapped[datetime]


def slots_between(start_at: datetime, end_at: datetime) -> Iterator[datetime]:
    """Yield the five-minute marks from ``start_at`` up to, not including, ``end_at``."""
    while start_at < end_at:
        yield start_at
        start_at += SLOT
