"""Test objects with known truth: a CT phantom with inserts of documented HU, a moving ultrasound.

Everything in them is generated; they hold no patient. Demo, training and tests send them as a
modality would, and measurements can be checked against ``INSERTS``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

AIR_HU: Final = -1000
FAT_HU: Final = -100
WATER_HU: Final = 0
SOFT_TISSUE_HU: Final = 40
BONE_HU: Final = 700

CT_SLICES: Final = 128
CT_ROWS: Final = 512
CT_SPACING_MM: Final = 0.75
CT_SLICE_MM: Final = 1.5
ULTRASOUND_FRAMES: Final = 40
ULTRASOUND_FRAME_TIME_MS: Final = 50


@dataclass(frozen=True, slots=True)
class Insert:
    """A sphere of one material: centre in the patient's LPS millimetres, radius, true HU."""

    name: str
    center_mm: tuple[float, float, float]
    radius_mm: float
    hu: float


# The body is an elliptic cylinder about the z axis (half axes 160 x 110 mm): 10 mm of fat around
# soft tissue of 40 HU. Spheres lie wholly inside the soft tissue and do not touch each other.
BODY_HALF_AXES_MM: Final = (160.0, 110.0)
FAT_THICKNESS_MM: Final = 10.0
SPINE: Final = ((0.0, 72.0), 16.0)  # a cylinder of bone along z: centre (x, y), radius
INSERTS: Final[tuple[Insert, ...]] = (
    Insert("water", (-70.0, -30.0, 0.0), 22.0, WATER_HU),
    Insert("air", (70.0, -30.0, 0.0), 22.0, AIR_HU),
    Insert("fat", (0.0, -50.0, 0.0), 18.0, FAT_HU),
    Insert("bone 200", (-75.0, 35.0, -40.0), 15.0, 200.0),
    Insert("bone 500", (75.0, 35.0, 0.0), 15.0, 500.0),
    Insert("bone 1000", (0.0, 10.0, 40.0), 15.0, 1000.0),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose images these are to be: what the worklist told the modality."""

    patient_name: str = "Phantom^CT"
    patient_id: str = "PHANTOM"
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = "O"
    accession_number: str = ""
    study_instance_uid: str = ""
    study_description: str = ""
    study_id: str = "1"
    referring_physician_name: str = ""
    station_ae_title: str = ""
    taken_at: datetime | None = None


def truth(points_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """True HU of the CT phantom at patient coordinates.

    Parameters
    ----------
    points_mm
        Shape (..., 3), LPS in millimetres.
    """
    x, y, z = points_mm[..., 0], points_mm[..., 1], points_mm[..., 2]
    hu = np.full(x.shape, AIR_HU, np.float32)
    outer = np.hypot(x / BODY_HALF_AXES_MM[0], y / BODY_HALF_AXES_MM[1])
    hu[outer <= 1] = FAT_HU
    inner_axes = [half - FAT_THICKNESS_MM for half in BODY_HALF_AXES_MM]
    hu[np.hypot(x / inner_axes[0], y / inner_axes[1]) <= 1] = SOFT_TISSUE_HU
    (spine_x, spine_y), spine_radius = SPINE
    hu[np.hypot(x - spine_x, y - spine_y) <= spine_radius] = BONE_HU
    for insert in INSERTS:
        cx, cy, cz = insert.center_mm
        within = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= insert.radius_mm**2
        hu[within] = insert.hu
    return hu


def ct_phantom(
    identity: Identity | None = None,
    *,
    slices: int = CT_SLICES,
    rows: int = CT_ROWS,
    noise_hu: float = 8.0,
    seed: int = 1,
) -> Iterator[Dataset]:
    """Generate the CT phantom slice by slice, from feet to head.

    Parameters
    ----------
    identity
        Whose study it joins; None makes an anonymous one of its own.
    slices
        Number of slices, 1.5 mm apart, centred on z = 0.
    rows
        Rows and columns; the field of view stays 384 mm.
    noise_hu
        Standard deviation of Gaussian noise; 0 gives the exact values.
    seed
        Of the noise: the same seed gives the same pixels.

    Yields
    ------
    pydicom.Dataset
        CT Image Storage, 16-bit signed, Explicit VR Little Endian, ready to send or save.
    """
    identity = identity or Identity()
    random = np.random.default_rng(seed)
    study_uid = identity.study_instance_uid or generate_uid()
    series_uid, frame_uid = generate_uid(), generate_uid()
    spacing = CT_SPACING_MM * CT_ROWS / rows
    edge = -spacing * (rows - 1) / 2
    across = edge + spacing * np.arange(rows)
    points = np.empty((rows, rows, 3))
    points[..., 0], points[..., 1] = across[None, :], across[:, None]
    grain = random.normal(0.0, 1.0, (rows + 64, rows + 64)).astype(np.float32) * noise_hu
    for number in range(slices):
        z = CT_SLICE_MM * (number - (slices - 1) / 2)
        points[..., 2] = z
        down, right = random.integers(0, 64, 2)  # one field of noise, shifted: 100 times faster
        noise = grain[down : down + rows, right : right + rows]
        stored = np.clip(np.rint(truth(points) + noise), -1024, 3071).astype("<i2")
        ds = _common(identity, CTImageStorage, study_uid, series_uid, "CT")
        ds.SeriesNumber, ds.InstanceNumber = 2, number + 1
        ds.SeriesDescription = "Phantom 1.5 mm"
        ds.BodyPartExamined = "ABDOMEN"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = frame_uid, ""
        ds.PatientPosition = "HFS"
        ds.ImagePositionPatient = [f"{edge:.4f}", f"{edge:.4f}", f"{z:.4f}"]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.SliceThickness, ds.SliceLocation = CT_SLICE_MM, f"{z:.4f}"
        ds.PixelSpacing = [f"{spacing:.6f}"] * 2
        ds.KVP, ds.Exposure, ds.ConvolutionKernel = 120, 150, "STANDARD"
        ds.AcquisitionNumber = 1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
        ds.WindowCenter, ds.WindowWidth = [50, 500], [400, 2000]
        ds.WindowCenterWidthExplanation = ["Abdomen", "Bone"]
        _pixels(ds, rows, rows, 16, signed=True)
        ds.PixelData = stored.tobytes()
        yield ds


def ultrasound(
    identity: Identity | None = None,
    *,
    frames: int = ULTRASOUND_FRAMES,
    rows: int = 480,
    columns: int = 640,
    colour: bool = True,
    compressed: bool = False,
    seed: int = 1,
) -> Dataset:
    """Generate a multi-frame ultrasound: a speckled fan in which a chamber beats.

    Parameters
    ----------
    identity
        Whose study it joins; None makes an anonymous one.
    frames
        At least 2; one heart beat spans them all.
    rows, columns
        Size of the picture; the fan fills it.
    colour
        RGB with a colour flow box, else MONOCHROME2.
    compressed
        As JPEG Baseline, as scanners send; else native.
    seed
        Of the speckle.
    """
    identity = identity or Identity(patient_name="Phantom^US")
    study_uid = identity.study_instance_uid or generate_uid()
    storage = UltrasoundMultiFrameImageStorage
    ds = _common(identity, storage, study_uid, generate_uid(), "US")
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.SeriesDescription, ds.BodyPartExamined = "Four chamber cine", "HEART"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "CARDIAC", "0001"]
    ds.NumberOfFrames, ds.FrameTime = frames, ULTRASOUND_FRAME_TIME_MS
    ds.FrameIncrementPointer = 0x00181063
    ds.LossyImageCompression = "01" if compressed else "00"
    ds.SequenceOfUltrasoundRegions = Sequence([_region(rows, columns)])
    _pixels(ds, rows, columns, 8, signed=False)
    pictures = list(_fan(frames, rows, columns, colour=colour, seed=seed))
    if colour:
        ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
        ds.PhotometricInterpretation = "YBR_FULL_422" if compressed else "RGB"
    if compressed:
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.LossyImageCompressionMethod, ds.LossyImageCompressionRatio = "ISO_10918_1", 12
        ds.PixelData = encapsulate([_jpeg(picture) for picture in pictures])
        ds["PixelData"].VR = "OB"
    else:
        ds.PixelData = b"".join(picture.tobytes() for picture in pictures)
    return ds


def _common(
    identity: Identity, sop_class_uid: str, study_uid: str, series_uid: str, modality: str
) -> Dataset:
    taken_at = identity.taken_at or datetime(2026, 1, 5, 9, 30)  # noqa: DTZ001 - as sent, no zone
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = taken_at.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = taken_at.strftime("%H%M%S")
    ds.AccessionNumber, ds.StudyID = identity.accession_number, identity.study_id
    ds.StudyDescription = identity.study_description
    ds.ReferringPhysicianName = identity.referring_physician_name
    ds.PatientName, ds.PatientID = identity.patient_name, identity.patient_id
    if identity.issuer_of_patient_id:
        ds.IssuerOfPatientID = identity.issuer_of_patient_id
    ds.PatientBirthDate, ds.PatientSex = identity.patient_birth_date, identity.patient_sex
    ds.Modality, ds.Manufacturer = modality, "Clinic Panel"
    ds.ManufacturerModelName = "Phantom"
    if identity.station_ae_title:
        ds.StationName = identity.station_ae_title[:16]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = sop_class_uid
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _pixels(ds: Dataset, rows: int, columns: int, bits: int, *, signed: bool) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, int(signed)


def _region(rows: int, columns: int) -> Dataset:
    """One calibrated tissue region over the whole picture (PS3.3 C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = 16.0 / rows  # 16 cm deep
    return region


def _fan(
    frames: int, rows: int, columns: int, *, colour: bool, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Draw the sector: depth and angle of each pixel, speckle, and a chamber that beats."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = (x - columns / 2) / rows, (y + rows * 0.02) / rows
    depth, angle = np.hypot(x, y), np.arctan2(x, y)
    fan = (depth > 0.06) & (depth < 0.97) & (np.abs(angle) < 0.66)
    rough = np.random.default_rng(seed).normal(size=(2, rows, columns)).astype(np.float32)
    speckle = np.hypot(_blur(rough[0]), _blur(rough[1]))
    speckle /= speckle.mean()
    near = np.exp(-((depth - 0.5) ** 2) / 0.18)
    for number in range(frames):
        beat = 0.5 - 0.5 * np.cos(2 * np.pi * number / frames)
        radius = np.hypot((x + 0.02) / (0.15 + 0.05 * beat), (y - 0.5) / (0.24 + 0.06 * beat))
        wall = np.exp(-((radius - 1.12) ** 2) / 0.02) * 1.6
        tissue = np.where(radius < 1, 0.07, 0.5) + wall
        tissue += np.exp(-((depth - 0.86 - 0.01 * beat) ** 2) / 0.0004) * 1.2
        moved = np.roll(speckle, (int(6 * beat), number % 3), (0, 1))
        grey = np.clip(105 * tissue * near * moved, 0, 255) * fan
        if not colour:
            yield grey.astype(np.uint8)
            continue
        picture = np.repeat(grey[..., None], 3, axis=2)
        phase = np.sin(2 * np.pi * number / frames)
        jet = np.exp(-(((x + 0.02) / 0.045) ** 2)) * (radius < 0.92) * fan
        speed = np.clip(jet * abs(phase) * 330 * np.clip(moved, 0.55, 1), 0, 255)
        near_speed = np.clip(speed * 1.4 - 130, 0, 255)  # fast flow turns yellow or cyan
        main, second = (0, 1) if phase >= 0 else (2, 1)
        picture[..., main] = np.maximum(grey, speed)
        picture[..., second] = np.maximum(grey, near_speed)
        yield picture.astype(np.uint8)


def _blur(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smear across the beam more than along it, as sound does."""
    wide = sum(np.roll(field, shift, 1) for shift in range(-3, 4))
    return np.asarray(wide + np.roll(wide, 1, 0), np.float32)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    out = BytesIO()
    # 4:2:2, as YBR_FULL_422 says (PS3.5 8.2.1).
    Image.fromarray(picture).save(out, "JPEG", quality=85, subsampling="4:2:2")
    return out.getvalue()
