"""Image objects made of arrays, so that what they hold is known."""

from io import BytesIO
from typing import Any

import numpy as np
from pydicom import DataElement, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

TESTING_UID = "1.2.3"


def made(
    array: np.ndarray, *, stored: int, syntax: str = ExplicitVRLittleEndian, **more: Any
) -> bytes:
    """A grey image of values (rows, columns) or (frames, rows, columns), as they are in memory."""
    ds = Dataset()
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = array.shape[-2:]
    ds.NumberOfFrames = 1 if array.ndim == 2 else len(array)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = array.itemsize * 8, stored, stored - 1
    ds.PixelRepresentation = int(array.dtype.kind == "i")
    return _written(ds, array.tobytes(), syntax, more)


def angiogram(
    frames: int = 12, rows: int = 256, *, masks: tuple[int, ...] = (1, 2), **more: Any
) -> bytes:
    """A recording by X-rays: bones that stay, and a vessel that fills from the third frame on.

    What the vessel takes away is 400 of the stored values, times how far it is filled.
    """
    y, x = np.mgrid[:rows, :rows] / rows
    bones = (
        2600 - 900 * np.exp(-(((x - 0.3) / 0.07) ** 2)) - 700 * (np.hypot(x - 0.7, y - 0.4) < 0.2)
    )
    vessel = np.abs(x - 0.5 - 0.15 * np.sin(7 * y)) < 0.02
    run = np.empty((frames, rows, rows), np.uint16)
    for frame in range(frames):
        filled = np.clip((frame - 1) / 4 - 0.3 * y, 0, 1) if frame >= 2 else 0.0
        run[frame] = bones - 400 * vessel * filled
    item = Dataset()
    item.MaskOperation, item.MaskFrameNumbers = "AVG_SUB", list(masks)
    said = {"Modality": "XA", "FrameTime": "100", "RecommendedViewingMode": "SUB"}
    return made(run, stored=12, **(said | {"MaskSubtractionSequence": [item]} | more))


def made_colour(
    array: np.ndarray, photometric: str = "RGB", *, planar: int = 0, **more: Any
) -> bytes:
    """A colour image of samples (rows, columns, 3)."""
    ds = Dataset()
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 3, photometric
    ds.PlanarConfiguration = planar
    ds.Rows, ds.Columns = array.shape[:2]
    bits = array.itemsize * 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = 0
    ordered = array.transpose(2, 0, 1) if planar else array
    return _written(ds, np.ascontiguousarray(ordered).tobytes(), ExplicitVRLittleEndian, more)


def _written(ds: Dataset, pixels: bytes, syntax: str, more: dict[str, Any]) -> bytes:
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, TESTING_UID
    ds.StudyInstanceUID = ds.SeriesInstanceUID = TESTING_UID
    ds.Modality = "CT" if ds.SamplesPerPixel == 1 else "OT"
    for keyword, value in more.items():
        if isinstance(value, DataElement):
            ds.add(value)  # with the VR it was given
        else:
            setattr(ds, keyword, value)
    ds.PixelData = pixels + bytes(len(pixels) % 2)
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    dcmwrite(
        out,
        ds,
        enforce_file_format=False,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return out.getvalue()
