"""The objects an exercise leaves behind: always the same few, marked as what they are.

The same UIDs and bytes each time: checking a clinic a hundred times leaves one small study, and
sending it again is itself one of the checks. Its patient is nobody, its date long ago.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

_NAMESPACE = uuid.UUID("6b6f6d3c-0a43-5f0e-9f7a-2f0c6d1e7c11")
PATIENT_ID = "SERVICE-CHECK"
PATIENT_NAME = "Service^Check"
DESCRIPTION = "Service check: no patient"
DAY, TIME = "20000101", "120000"
SIDE_PX = 64


def fixed_uid(name: str) -> str:
    """Return a UID that is the same wherever and whenever it is made (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


STUDY_UID = fixed_uid("study")


def specimens() -> list[tuple[str, Dataset]]:
    """Return the objects with what they are called: some classes, some transfer syntaxes."""
    made: list[tuple[str, Callable[[], Dataset]]] = [
        ("CT, explicit little endian", lambda: _image("ct", "CT", CTImageStorage)),
        ("MR, implicit little endian", _mr),
        ("CT, deflated", _deflated),
        ("secondary capture, RLE", _capture),
        ("structured report", _report),
    ]
    return [(name, make()) for name, make in made]


def unknown_uid() -> str:
    """Return the UID of an instance that nobody has."""
    return fixed_uid("never sent")


def _base(
    name: str, modality: str, sop_class: str, syntax: str = ExplicitVRLittleEndian
) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = fixed_uid(name)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY_UID, fixed_uid(f"series {name}")
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = DAY
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = TIME
    ds.PatientName, ds.PatientID, ds.PatientSex = PATIENT_NAME, PATIENT_ID, "O"
    ds.PatientBirthDate = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID, ds.StudyDescription, ds.Modality = "CHECK", DESCRIPTION, modality
    ds.Manufacturer, ds.SeriesDescription = "Clinic Panel", DESCRIPTION
    ds.SeriesNumber = ds.InstanceNumber = 1
    return ds


def _image(
    name: str, modality: str, sop_class: str, syntax: str = ExplicitVRLittleEndian
) -> Dataset:
    ds = _base(name, modality, sop_class, syntax)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = fixed_uid(f"frame {name}"), ""
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.AcquisitionNumber = [1, 1], 1, 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = SIDE_PX
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope = -1024, 1
    wedge = np.add.outer(np.arange(SIDE_PX), np.arange(SIDE_PX)) * 16
    ds.PixelData = wedge.astype("<u2").tobytes()
    return ds


def _mr() -> Dataset:
    ds = _image("mr", "MR", MRImageStorage, ImplicitVRLittleEndian)
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "NONE", ""
    ds.MRAcquisitionType, ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = "2D", 10, 500, 1
    del ds.RescaleIntercept, ds.RescaleSlope
    return ds


def _deflated() -> Dataset:
    return _image("ct deflated", "CT", CTImageStorage, DeflatedExplicitVRLittleEndian)


def _capture() -> Dataset:
    ds = _image("capture", "OT", SecondaryCaptureImageStorage)
    ds.ConversionType = "SYN"
    ds.compress(RLELossless, generate_instance_uid=False)
    return ds


def _report() -> Dataset:
    ds = _base("report", "SR", BasicTextSRStorage)
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = Sequence([_code("121060", "DCM", "History")])
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = Sequence([_code("121071", "DCM", "Finding")])
    item.TextValue = DESCRIPTION
    ds.ContentSequence = Sequence([item])
    return ds


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
