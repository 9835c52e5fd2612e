"""The images a modality makes for one booking: generated, or real ones that pydicom brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from clinic_panel.imaging import phantom
from clinic_panel.imaging.phantom import CT_SLICES, Identity
from clinic_panel.simulator import radiograph

# Of the person or the site a packaged file was made at; the booking's own replace some of them.
_OTHERS_IDENTITY = (
    "AccessionNumber",
    "AdmissionID",
    "InstitutionAddress",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "IssuerOfPatientID",
    "OperatorsName",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientAge",
    "PatientComments",
    "PerformedProcedureStepID",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "ReferencedPerformedProcedureStepSequence",
    "ReferencedStudySequence",
    "RequestAttributesSequence",
    "RequestedProcedureDescription",
    "RequestingPhysician",
    "StationName",
)


@dataclass(frozen=True, slots=True)
class Booking:
    """What the worklist said of one scheduled procedure step (PS3.4 K.6.1.2)."""

    identity: Identity
    modality: str
    station_ae_title: str = ""
    start: str = ""  # date and time as sent, for sorting
    status: str = ""  # Scheduled Procedure Step Status (0040,0020)
    step_id: str = ""
    step_description: str = ""
    requested_procedure_id: str = ""

    @property
    def has_arrived(self) -> bool:
        """Whether the patient is there; a worklist that does not say counts as yes."""
        return self.status != "SCHEDULED"


def images_for(booking: Booking, *, slices: int = CT_SLICES) -> Iterator[Dataset]:
    """Make the images of one booking, ready to be sent one after the other.

    Parameters
    ----------
    booking
        Whose images, and of what modality. One that is not CT, US, MR, DX or CR gets a real
        secondary capture.
    slices
        Of a CT.

    Yields
    ------
    pydicom.Dataset
        With file meta information; new Series and SOP Instance UIDs, and the booking's request.
    """
    make = _MAKERS.get(booking.modality, _capture)
    for ds in make(booking, slices):
        _note_request(ds, booking)
        yield ds


def take_again(images: list[Dataset], booking: Booking) -> Iterator[Dataset]:
    """Turn images into those of another booking, in place: the pixels stay, all else is new.

    Yields
    ------
    pydicom.Dataset
        Each image in turn, with new Series and SOP Instance UIDs.
    """
    series = {ds.SeriesInstanceUID: generate_uid() for ds in images}
    frames = {
        ds.FrameOfReferenceUID: generate_uid() for ds in images if "FrameOfReferenceUID" in ds
    }
    study_uid = booking.identity.study_instance_uid or generate_uid()
    identity = replace(booking.identity, study_instance_uid=study_uid)
    for ds in images:
        series_uid = series[ds.SeriesInstanceUID]
        if "FrameOfReferenceUID" in ds:
            ds.FrameOfReferenceUID = frames[ds.FrameOfReferenceUID]
        _identify(ds, identity, series_uid)
        _note_request(ds, booking)
        yield ds


def _note_request(ds: Dataset, booking: Booking) -> None:
    """Say what was asked for (PS3.3 C.7.3.1), and in which zone the times are."""
    request = Dataset()
    request.ScheduledProcedureStepDescription = booking.step_description
    request.ScheduledProcedureStepID = booking.step_id
    request.RequestedProcedureID = booking.requested_procedure_id
    ds.RequestAttributesSequence = Sequence([request])
    if booking.identity.taken_at is not None and booking.identity.taken_at.tzinfo is not None:
        ds.TimezoneOffsetFromUTC = booking.identity.taken_at.strftime("%z")


def _ct(booking: Booking, slices: int) -> Iterator[Dataset]:
    return phantom.ct_phantom(booking.identity, slices=slices)


def _ultrasound(booking: Booking, _slices: int) -> Iterator[Dataset]:
    yield phantom.ultrasound(booking.identity, compressed=True)  # as scanners send it
    yield packaged(
        "examples_ybr_color.dcm", booking.identity, number=2, description="Parasternal long axis"
    )


def _mr(booking: Booking, _slices: int) -> Iterator[Dataset]:
    yield packaged(
        "examples_overlay.dcm", booking.identity, number=1, description="Liver T1 with contrast"
    )
    yield packaged("MR_small.dcm", booking.identity, number=2, description="Localizer")


def _capture(booking: Booking, _slices: int) -> Iterator[Dataset]:
    ds = packaged("SC_rgb_jpeg_dcmtk.dcm", booking.identity, number=1, description="Capture")
    ds.Modality = booking.modality or "OT"
    yield ds


def _radiograph(booking: Booking, _slices: int) -> Iterator[Dataset]:
    """A digital radiograph (PS3.3 A.26); for CR the same object, as many consoles send it."""
    picture = radiograph.chest()
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.Modality = "DX"
    ds.Manufacturer, ds.ManufacturerModelName = "Clinic Panel", "Chest phantom"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PresentationIntentType, ds.BodyPartExamined = "FOR PRESENTATION", "CHEST"
    ds.ViewPosition, ds.PatientOrientation, ds.ImageLaterality = "PA", ["L", "F"], "U"
    ds.KVP, ds.Exposure, ds.DetectorType = 120, 2, "DIRECT"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1
    ds.ImagerPixelSpacing = [radiograph.SPACING_MM] * 2
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape, ds.LossyImageCompression = "IDENTITY", "00"
    ds.BurnedInAnnotation, ds.AcquisitionNumber = "NO", 1
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = picture.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = picture.astype("<u2").tobytes()
    ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = 1, 1, "Chest PA"
    _identify(ds, booking.identity, generate_uid())
    yield ds


def packaged(name: str, identity: Identity, *, number: int, description: str) -> Dataset:
    """Return one of pydicom's own files as if it had just been taken of this patient.

    Parameters
    ----------
    name
        A file inside the installed pydicom; nothing is ever downloaded.
    number
        Series Number; the object becomes a series of its own.

    Raises
    ------
    FileNotFoundError
        pydicom does not bring that file.
    """
    path = get_testdata_file(name, download=False)
    if path is None:
        raise FileNotFoundError(f"pydicom has no file {name}")
    ds = dcmread(path)
    # The files are old: their empty or private parts say nothing, and some name their site.
    ds.remove_private_tags()
    for keyword in _OTHERS_IDENTITY:
        if keyword in ds:
            delattr(ds, keyword)
    ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = number, 1, description
    _identify(ds, identity, generate_uid())
    return ds


def _identify(ds: Dataset, identity: Identity, series_uid: str) -> None:
    """Write patient, study and new instance identity into an object (PS3.3 C.7.1, C.7.2)."""
    taken_at = identity.taken_at or datetime(2026, 1, 5, 9, 30)  # noqa: DTZ001 - as phantom
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = identity.patient_name, identity.patient_id
    ds.PatientBirthDate, ds.PatientSex = identity.patient_birth_date, identity.patient_sex
    if identity.issuer_of_patient_id:
        ds.IssuerOfPatientID = identity.issuer_of_patient_id
    ds.StudyInstanceUID = identity.study_instance_uid or generate_uid()
    ds.StudyID, ds.AccessionNumber = identity.study_id, identity.accession_number
    ds.StudyDescription = identity.study_description
    ds.ReferringPhysicianName = identity.referring_physician_name
    for kind in ("Study", "Series", "Content", "Acquisition"):
        setattr(ds, f"{kind}Date", taken_at.strftime("%Y%m%d"))
        setattr(ds, f"{kind}Time", taken_at.strftime("%H%M%S"))
    ds.SeriesInstanceUID, ds.SOPInstanceUID = series_uid, generate_uid()
    if identity.station_ae_title:
        ds.StationName = identity.station_ae_title[:16]
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID


_MAKERS: dict[str, Callable[[Booking, int], Iterator[Dataset]]] = {
    "CT": _ct,
    "US": _ultrasound,
    "MR": _mr,
    "DX": _radiograph,
    "CR": _radiograph,
}
