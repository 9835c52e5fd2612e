"""A worklist query as consoles ask it, and what its answers say (PS3.4 K.6)."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from clinic_panel.imaging.phantom import Identity
from clinic_panel.simulator.objects import Booking


def worklist_keys(station_ae_title: str, today: datetime) -> Dataset:
    """Return the identifier of a worklist query: what to match, and what to return (PS3.4 K.6)."""
    step = Dataset()
    step.ScheduledStationAETitle = station_ae_title
    step.ScheduledProcedureStepStartDate = today.strftime("%Y%m%d")
    for keyword in (
        "ScheduledProcedureStepStartTime",
        "Modality",
        "ScheduledProcedureStepDescription",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepStatus",
    ):
        setattr(step, keyword, "")
    keys = Dataset()
    keys.SpecificCharacterSet = "ISO_IR 192"
    keys.ScheduledProcedureStepSequence = Sequence([step])
    for keyword in (
        "AccessionNumber",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientID",
        "PatientName",
        "PatientSex",
        "ReferringPhysicianName",
        "RequestedProcedureDescription",
        "RequestedProcedureID",
        "StudyInstanceUID",
    ):
        setattr(keys, keyword, "")
    return keys


def read_item(item: Dataset) -> Booking:
    """Take what the images need out of a worklist item."""
    step = item.ScheduledProcedureStepSequence[0]
    description = _text(item, "RequestedProcedureDescription")
    station = _text(step, "ScheduledStationAETitle")
    return Booking(
        identity=Identity(
            patient_name=_text(item, "PatientName"),
            patient_id=_text(item, "PatientID"),
            issuer_of_patient_id=_text(item, "IssuerOfPatientID"),
            patient_birth_date=_text(item, "PatientBirthDate"),
            patient_sex=_text(item, "PatientSex"),
            accession_number=_text(item, "AccessionNumber"),
            study_instance_uid=_text(item, "StudyInstanceUID"),
            study_description=description,
            study_id=_text(item, "RequestedProcedureID"),
            referring_physician_name=_text(item, "ReferringPhysicianName"),
            station_ae_title=station,
        ),
        modality=_text(step, "Modality"),
        station_ae_title=station,
        start=_text(step, "ScheduledProcedureStepStartDate")
        + _text(step, "ScheduledProcedureStepStartTime"),
        status=_text(step, "ScheduledProcedureStepStatus"),
        step_id=_text(step, "ScheduledProcedureStepID"),
        step_description=_text(step, "ScheduledProcedureStepDescription") or description,
        requested_procedure_id=_text(item, "RequestedProcedureID"),
    )


def _text(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "")
