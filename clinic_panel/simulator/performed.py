"""What a modality says of a step while it performs it (PS3.4 F.7.2, PS3.3 B.17)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset

from clinic_panel.simulator.objects import Booking


def begun(booking: Booking, station_ae_title: str, at: datetime) -> Dataset:
    """Return the attribute list of N-CREATE: the step is in progress."""
    identity = booking.identity
    request = _dataset(
        StudyInstanceUID=identity.study_instance_uid,
        ReferencedStudySequence=[],
        AccessionNumber=identity.accession_number,
        RequestedProcedureID=booking.requested_procedure_id,
        RequestedProcedureDescription=identity.study_description,
        ScheduledProcedureStepID=booking.step_id,
        ScheduledProcedureStepDescription=booking.step_description,
        ScheduledProtocolCodeSequence=[],
    )
    return _dataset(
        SpecificCharacterSet="ISO_IR 192",
        ScheduledStepAttributesSequence=[request],
        PatientName=identity.patient_name,
        PatientID=identity.patient_id,
        IssuerOfPatientID=identity.issuer_of_patient_id,
        PatientBirthDate=identity.patient_birth_date,
        PatientSex=identity.patient_sex,
        ReferencedPatientSequence=[],
        PerformedProcedureStepID=f"P{booking.step_id}"[:16],
        PerformedStationAETitle=station_ae_title,
        PerformedStationName="",
        PerformedLocation="",
        PerformedProcedureStepStartDate=f"{at:%Y%m%d}",
        PerformedProcedureStepStartTime=f"{at:%H%M%S}",
        PerformedProcedureStepStatus="IN PROGRESS",
        PerformedProcedureStepDescription=booking.step_description,
        PerformedProcedureTypeDescription="",
        ProcedureCodeSequence=[],
        PerformedProcedureStepEndDate="",
        PerformedProcedureStepEndTime="",
        PerformedProcedureStepDiscontinuationReasonCodeSequence=[],
        Modality=booking.modality,
        StudyID=identity.study_id,
        PerformedProtocolCodeSequence=[],
        PerformedSeriesSequence=[],
    )


def completed(images: Iterable[Dataset], booking: Booking, at: datetime) -> Dataset:
    """Return the modification list of the last N-SET: completed, with the series made.

    Parameters
    ----------
    images
        What was made; only its identifiers and descriptions are read.
    """
    series: dict[str, Dataset] = {}
    for image in images:
        uid = str(image.SeriesInstanceUID)
        if uid not in series:
            series[uid] = _dataset(
                PerformingPhysicianName="",
                ProtocolName=image.get("ProtocolName") or booking.step_description or "Routine",
                OperatorsName="",
                SeriesInstanceUID=uid,
                SeriesDescription=image.get("SeriesDescription") or "",
                RetrieveAETitle="",
                ReferencedImageSequence=[],
                ReferencedNonImageCompositeSOPInstanceSequence=[],
            )
        series[uid].ReferencedImageSequence.append(
            _dataset(
                ReferencedSOPClassUID=image.SOPClassUID,
                ReferencedSOPInstanceUID=image.SOPInstanceUID,
            )
        )
    return _dataset(
        SpecificCharacterSet="ISO_IR 192",
        PerformedProcedureStepStatus="COMPLETED",
        PerformedProcedureStepEndDate=f"{at:%Y%m%d}",
        PerformedProcedureStepEndTime=f"{at:%H%M%S}",
        PerformedSeriesSequence=list(series.values()),
    )


def _dataset(**values: object) -> Dataset:
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data
