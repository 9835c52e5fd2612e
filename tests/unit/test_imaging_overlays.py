"""Graphics over images: planes of their own, and bits beside the pixels'."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.pixels import read_frame

ROWS, COLUMNS = 5, 7


def image(pixels: np.ndarray | None = None, *, frames: int = 1, stored: int = 12) -> Dataset:
    if pixels is None:
        pixels = np.zeros((frames, ROWS, COLUMNS), np.uint16)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "1.2.3"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.NumberOfFrames = ROWS, COLUMNS, frames
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, stored, stored - 1, 0
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def plane(ds: Dataset, bits: np.ndarray, group: int = 0x6000, **more: object) -> Dataset:
    """Add a plane with its own bits (rows, columns), or (frames, rows, columns)."""
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    values = {
        0x0010: ("US", bits.shape[-2]),
        0x0011: ("US", bits.shape[-1]),
        0x0040: ("CS", "G"),
        0x0050: ("SS", more.get("origin", [1, 1])),
        0x0100: ("US", 1),
        0x0102: ("US", 0),
        0x3000: ("OW", packed + bytes(len(packed) % 2)),
    }
    if bits.ndim == 3:
        values[0x0015] = ("IS", len(bits))
        values[0x0051] = ("US", more.get("first_frame", 1))
    for element, (vr, value) in values.items():
        ds.add_new(group << 16 | element, vr, value)
    return ds


def written(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    out = BytesIO()
    dcmwrite(
        out,
        ds,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=False,
    )
    return out.getvalue()


def read(ds: Dataset, frame: int = 0) -> Frame:
    return read_frame(written(ds), frame)


def bits(seed: int = 1, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, shape or (ROWS, COLUMNS)).astype(bool)


def test_graphics_of_a_real_image_are_those_of_pydicom():
    path = Path(get_testdata_file("examples_overlay.dcm"))
    ds = dcmread(path)

    frame = read_frame(path)

    assert frame.info.overlay
    np.testing.assert_array_equal(frame.graphics, ds.overlay_array(0x6000).astype(bool))


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_plane_is_read_in_every_byte_order(syntax):
    drawn = bits()
    ds = plane(image(), drawn)
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        element = ds[0x60003000]
        element.value = np.frombuffer(element.value, "<u2").byteswap().tobytes()
    np.testing.assert_array_equal(read_frame(written(ds, syntax)).graphics, drawn)


def test_several_planes_are_drawn_together():
    first, second = bits(1), bits(2)
    ds = plane(plane(image(), first), second, group=0x601E)
    np.testing.assert_array_equal(read(ds).graphics, first | second)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-12, 12), st.integers(-12, 12), st.integers(1, 11), st.integers(1, 11), st.data()
)
def test_a_plane_stands_where_its_origin_says_and_is_cut_at_the_edge(
    top, left, rows, columns, data
):
    drawn = bits(data.draw(st.integers(0, 99)), rows, columns)
    expected = np.zeros((ROWS, COLUMNS), bool)
    for row, column in np.argwhere(drawn):
        if 0 <= row + top < ROWS and 0 <= column + left < COLUMNS:
            expected[row + top, column + left] = True

    frame = read(plane(image(), drawn, origin=[top + 1, left + 1]))

    np.testing.assert_array_equal(frame.graphics, expected)
    assert frame.info.overlay == bool(frame.overlay) == expected.any()


def test_planes_of_some_frames_lie_over_those_alone():
    drawn = bits(3, 2, ROWS, COLUMNS)  # 35 bits a frame: the second starts inside a byte
    ds = plane(image(frames=4), drawn, first_frame=2)
    found = [read(ds, number).graphics for number in range(4)]
    np.testing.assert_array_equal(found[1], drawn[0])
    np.testing.assert_array_equal(found[2], drawn[1])
    assert not found[0].any()
    assert not found[3].any()


def test_a_plane_without_frames_lies_over_all():
    drawn = bits()
    ds = plane(image(frames=3), drawn)
    np.testing.assert_array_equal(read(ds, 2).graphics, drawn)


@pytest.mark.parametrize("compressed", [False, True])
def test_bits_beside_the_stored_ones_are_graphics_and_not_values(compressed):
    values = np.random.default_rng(5).integers(0, 4096, (ROWS, COLUMNS)).astype(np.uint16)
    low, high = bits(1), bits(2)
    ds = image(values | low.astype(np.uint16) << 12 | high.astype(np.uint16) << 15)
    for group, bit in ((0x6000, 12), (0x6002, 15)):
        for element, (vr, value) in {
            0x0010: ("US", ROWS),
            0x0011: ("US", COLUMNS),
            0x0050: ("SS", [1, 1]),
            0x0100: ("US", 16),
            0x0102: ("US", bit),
        }.items():
            ds.add_new(group << 16 | element, vr, value)
    if compressed:
        whole = {"bits_allocated": 16, "bits_stored": 16, "rows": ROWS, "columns": COLUMNS}
        stream = RLELosslessEncoder.encode(
            ds.PixelData,
            **whole,
            samples_per_pixel=1,
            number_of_frames=1,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
        )
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = RLELossless

    frame = read(ds)

    np.testing.assert_array_equal(frame.stored, values)
    np.testing.assert_array_equal(frame.graphics, low | high)


@pytest.mark.parametrize(
    "damage",
    [
        {0x60000010: ("US", 0)},
        {0x60000010: ("US", 65535), 0x60000011: ("US", 65535)},
        {0x60003000: ("OW", b"\xff\xff")},
        {0x60000050: ("SS", [32767, -32768])},
    ],
)
def test_a_damaged_plane_leaves_the_picture_as_it_is(damage):
    ds = plane(image(), np.ones((ROWS, COLUMNS), bool))
    for tag, (vr, value) in damage.items():
        ds.add_new(tag, vr, value)
    frame = read(ds)
    assert not frame.info.overlay
    assert frame.overlay == b""
    assert frame.stored.shape == (ROWS, COLUMNS)
