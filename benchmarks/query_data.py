"""The same people, studies and bookings for every server: rows for ours, files for the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import batched
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from sqlalchemy import Engine, Table, func, insert, select

from clinic_panel.models.appointment import Appointment, AppointmentStatus, Procedure, Room
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.patient import Patient
from clinic_panel.validation import folded

ROOMS = 20
A_DAY = 24  # bookings of a room
STUDY_DAYS = 1127  # over which the studies are spread: 31 a week of 5,000
_FAMILIES = ("Abel", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Huber")
_GIVEN = ("Anna", "Ben", "Clara", "David", "Émile", "Frida", "Georg", "Hanna")
_UID = "2.25.3141592653589793"


def name_of(person: int) -> str:
    """A name; one in 32 has the family name Huber31, and so on."""
    return f"{_FAMILIES[person % 8]}{person % 32}^{_GIVEN[person // 8 % 8]}{person // 64}"


@dataclass(frozen=True)
class StudyFacts:
    """One study with one instance, the second study of its patient every other time."""

    number: int

    @property
    def uid(self) -> str:
        return f"{_UID}.{self.number}"

    @property
    def patient_id(self) -> str:
        return f"P{self.number // 2:06d}"

    @property
    def patient_name(self) -> str:
        return name_of(self.number // 2)

    @property
    def day(self) -> date:
        return date(2023, 1, 1) + timedelta(days=self.number * 7919 % STUDY_DAYS)


def fill_studies(engine: Engine, count: int) -> None:
    """Put studies into our index, each with one series and one instance."""
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for numbers in batched(range(count), 5000):
            facts = [StudyFacts(number) for number in numbers]
            connection.execute(insert(_table(Study)), [_study(one, now) for one in facts])
            connection.execute(insert(_table(Series)), [_series(one) for one in facts])
            connection.execute(insert(_table(Instance)), [_instance(one, now) for one in facts])


def _study(facts: StudyFacts, now: datetime) -> dict[str, Any]:
    return {
        "id": facts.number + 1,
        "study_instance_uid": facts.uid,
        "patient_id": facts.patient_id,
        "patient_name": facts.patient_name,
        "search_name": folded(facts.patient_name),
        "patient_birth_date": date(1950, 1, 1) + timedelta(days=facts.number // 2 % 20000),
        "patient_sex": "F",
        "accession_number": f"A{facts.number:06d}",
        "study_id": str(facts.number),
        "study_date": facts.day,
        "study_description": "CT chest",
        "modalities_in_study": "OT",
        "number_of_instances": 1,
        "first_received_at": now,
        "last_received_at": now,
    }


def _series(facts: StudyFacts) -> dict[str, Any]:
    return {
        "id": facts.number + 1,
        "study_pk": facts.number + 1,
        "series_instance_uid": facts.uid + ".1",
        "modality": "OT",
        "series_number": 1,
        "number_of_instances": 1,
    }


def _instance(facts: StudyFacts, now: datetime) -> dict[str, Any]:
    return {
        "series_pk": facts.number + 1,
        "sop_instance_uid": facts.uid + ".1.1",
        "sop_class_uid": SecondaryCaptureImageStorage,
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "instance_number": 1,
        "sha256": f"{facts.number:064x}",
        "path": f"{facts.number}",
        "size_bytes": 1000,
        "received_at": now,
    }


def study_files(folder: Path, count: int) -> Iterator[Path]:
    """Write the same studies as small DICOM files, for servers that index files only."""
    folder.mkdir()
    for number in range(count):
        facts = StudyFacts(number)
        ds = _file(SecondaryCaptureImageStorage, facts.uid + ".1.1")
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = facts.uid, facts.uid + ".1"
        ds.PatientID, ds.PatientName = facts.patient_id, facts.patient_name
        ds.PatientBirthDate, ds.PatientSex = "19500101", "F"
        ds.AccessionNumber, ds.StudyID = f"A{number:06d}", str(number)
        ds.StudyDate, ds.StudyTime, ds.StudyDescription = f"{facts.day:%Y%m%d}", "", "CT chest"
        ds.ReferringPhysicianName, ds.Modality = "", "OT"
        ds.SeriesNumber = ds.InstanceNumber = 1
        path = folder / f"{number:05}.dcm"
        ds.save_as(path, enforce_file_format=True)
        yield path


@dataclass(frozen=True)
class Booking:
    """One booking; the middle of them is today."""

    number: int
    day: date
    hour: int
    minute: int
    room: int

    @property
    def uid(self) -> str:
        return f"{_UID}.9.{self.number}"

    @property
    def station(self) -> str:
        return f"STATION{self.room}"

    @property
    def modality(self) -> str:
        return ("CT", "MR", "US", "DX")[self.room % 4]

    @property
    def person(self) -> int:
        return self.number // 2


def bookings(count: int) -> Iterator[Booking]:
    """Yield as many bookings, with half of the days in the past."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=count // (ROOMS * A_DAY) // 2)
    for number in range(count):
        room, slot = number % ROOMS, number // ROOMS
        day = first + timedelta(days=slot // A_DAY)
        yield Booking(number, day, 8 + slot % A_DAY // 3, slot % 3 * 20, room)


def fill_bookings(engine: Engine, count: int) -> None:
    """Put bookings into our database: those of the past are over, the others open."""
    now = datetime.now(UTC)
    with engine.begin() as connection:
        rooms = [
            {"id": n + 1, "room_name": f"Room {n}", "station_ae_title": f"STATION{n}"}
            | {"modality": ("CT", "MR", "US", "DX")[n % 4], "is_active": True, "version": 1}
            for n in range(ROOMS)
        ]
        connection.execute(insert(_table(Room)), rooms)
        procedure = {"id": 1, "code_value": "X", "requested_procedure_description": "Examination"}
        procedure |= {"modality": "CT", "body_part_examined": "", "duration_min": 20}
        connection.execute(insert(_table(Procedure)), [procedure | {"is_active": True}])
        people = (
            {"id": n + 1, "patient_id": f"P{n:06d}", "patient_name": name_of(n)}
            | {"search_name": folded(name_of(n)), "created_at": now, "version": 1}
            for n in range((count + 1) // 2)
        )
        for chunk in batched(people, 5000):
            connection.execute(insert(_table(Patient)), list(chunk))
        for made in batched(bookings(count), 5000):
            rows = [_booking(one, now) for one in made]
            connection.execute(insert(_table(Appointment)), rows)
        assert connection.scalar(select(func.count()).select_from(Appointment)) == count


def _booking(one: Booking, now: datetime) -> dict[str, Any]:
    start = datetime(one.day.year, one.day.month, one.day.day, one.hour, one.minute, tzinfo=UTC)
    is_over = one.day < now.date()
    return {
        "patient_pk": one.person + 1,
        "room_pk": one.room + 1,
        "procedure_pk": 1,
        "start_at": start,
        "end_at": start + timedelta(minutes=20),
        "status": AppointmentStatus.REPORTED if is_over else AppointmentStatus.BOOKED,
        "study_instance_uid": one.uid,
        "accession_number": f"A{one.number:06d}",
        "scheduled_procedure_step_id": f"S{one.number:06d}",
        "requested_procedure_id": f"R{one.number:06d}",
        "created_at": now,
        "version": 1,
    }


def worklist_files(folder: Path, count: int) -> None:
    """Write the open ones among the same bookings, for servers whose worklist is a folder."""
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    today = datetime.now(UTC).date()
    for one in bookings(count):
        if one.day < today:
            continue
        ds = _file("1.2.840.10008.5.1.4.31", one.uid)
        del ds.SOPClassUID, ds.SOPInstanceUID
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName, ds.PatientID = name_of(one.person), f"P{one.person:06d}"
        ds.PatientBirthDate, ds.PatientSex = "", ""
        ds.StudyInstanceUID, ds.AccessionNumber = one.uid, f"A{one.number:06d}"
        ds.RequestedProcedureID, ds.RequestedProcedureDescription = f"R{one.number:06d}", "Exam"
        step = Dataset()
        step.Modality, step.ScheduledStationAETitle = one.modality, one.station
        step.ScheduledProcedureStepStartDate = f"{one.day:%Y%m%d}"
        step.ScheduledProcedureStepStartTime = f"{one.hour:02}{one.minute:02}00"
        step.ScheduledProcedureStepID = f"S{one.number:06d}"
        step.ScheduledProcedureStepDescription = "Examination"
        step.ScheduledPerformingPhysicianName = ""
        ds.ScheduledProcedureStepSequence = [step]
        ds.save_as(folder / f"{one.number:06}.wl", enforce_file_format=True)


def _file(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class_uid
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid
    return ds


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table
