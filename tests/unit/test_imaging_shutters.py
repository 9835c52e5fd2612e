"""Shutters of images, planes of bits that presentation states bring, and the pace of recordings."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.presentation import read_presentation
from tests import papers
from tests.unit.test_imaging_presentation import CT, said_of

SHAPES = {
    "RECTANGULAR": {
        "ShutterLeftVerticalEdge": "41",
        "ShutterRightVerticalEdge": "88",
        "ShutterUpperHorizontalEdge": "21",
        "ShutterLowerHorizontalEdge": "76",
    },
    "CIRCULAR": {"CenterOfCircularShutter": ["50", "60"], "RadiusOfCircularShutter": "20"},
    "POLYGONAL": {"VerticesOfThePolygonalShutter": ["1", "1", "1", "101", "101", "101"]},
}


def shuttered(*shapes: str, **values: object) -> Dataset:
    """A CT slice with these shutters, white where there is none."""
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    ds.WindowCenter, ds.WindowWidth = -5000, 10
    ds.ShutterShape = list(shapes)
    for name in shapes:
        for keyword, value in SHAPES[name].items():
            setattr(ds, keyword, value)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def frame_of(ds: Dataset, number: int = 0):
    out = BytesIO()
    ds.save_as(out)
    return read_frame(describe(out.getvalue()), number)


def open_in(ds: Dataset) -> np.ndarray:
    """Which pixels of the drawn image are seen."""
    return thumbnail.draw(frame_of(ds)) == 255


def test_what_shutters_leave_open_is_seen_and_measured_as_before():
    rows, columns = np.mgrid[1:129, 1:129]  # as DICOM counts them
    rectangle = (columns >= 41) & (columns <= 88) & (rows >= 21) & (rows <= 76)
    circle = (columns - 60) ** 2 + (rows - 50) ** 2 <= 20**2
    below = columns > rows  # of a triangle between corners in the middle of pixels
    np.testing.assert_array_equal(open_in(shuttered("RECTANGULAR")), rectangle)
    np.testing.assert_array_equal(open_in(shuttered("CIRCULAR")), circle)
    triangle = open_in(shuttered("POLYGONAL"))
    assert triangle[:100, :100][below[:100, :100]].all()
    assert not triangle[~below & (columns != rows)].any()
    both = shuttered("RECTANGULAR", "CIRCULAR", ShutterPresentationValue=0x80FF)
    drawn = thumbnail.draw(frame_of(both))
    assert set(np.unique(drawn)) == {0x80, 255}
    np.testing.assert_array_equal(drawn == 255, rectangle & circle)
    plain = frame_of(dcmread(get_testdata_file("CT_small.dcm")))
    assert frame_of(both).data == plain.data


def test_a_small_picture_is_covered_as_the_large_one():
    small = np.asarray(thumbnail.render(frame_of(shuttered("RECTANGULAR")), 32))
    assert (small[8, 15], small[8, 5], small[2, 15]) == (255, 0, 0)


def test_a_circle_is_round_on_the_screen_where_pixels_are_not_square():
    found = open_in(shuttered("CIRCULAR", PixelSpacing=[2.0, 1.0]))
    assert np.ptp(np.nonzero(found.any(axis=0))) == 2 * np.ptp(np.nonzero(found.any(axis=1)))


def test_frames_have_shutters_of_their_own():
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    item, groups = Dataset(), Dataset()
    item.ShutterShape = "CIRCULAR"
    for keyword, value in SHAPES["CIRCULAR"].items():
        setattr(item, keyword, value)
    groups.FrameDisplayShutterSequence = [item]
    ds.PerFrameFunctionalGroupsSequence = [groups]
    [shutter] = frame_of(ds).info.shutters
    assert (shutter.shape, shutter.points, shutter.radius) == ("circle", ((59.5, 49.5),), 20)


@pytest.mark.parametrize(
    "values",
    [
        {"ShutterShape": "ROUND"},
        {"ShutterLeftVerticalEdge": None},
        {"CenterOfCircularShutter": ["1"]},
        {"RadiusOfCircularShutter": "-1"},
        {"VerticesOfThePolygonalShutter": ["1"] * 1202},
    ],
)
def test_a_shutter_that_says_too_little_or_too_much_is_none(values):
    assert len(frame_of(shuttered(*SHAPES, **values)).info.shutters) == (
        0 if "ShutterShape" in values else 2
    )


def plane(ds: Dataset, group: int, bits: np.ndarray, **values: object) -> None:
    """Give a state a plane of bits."""
    rows, columns = bits.shape
    ds.add_new(group << 16 | 0x0010, "US", rows)
    ds.add_new(group << 16 | 0x0011, "US", columns)
    ds.add_new(group << 16 | 0x0040, "CS", "G")
    ds.add_new(group << 16 | 0x0050, "SS", [3, 5])
    ds.add_new(group << 16 | 0x0100, "US", 1)
    ds.add_new(group << 16 | 0x0102, "US", 0)
    packed = np.packbits(bits, bitorder="little").tobytes()
    ds.add_new(group << 16 | 0x3000, "OW", packed + b"\0" * (len(packed) % 2))
    if layer := values.get("layer"):
        ds.add_new(group << 16 | 0x1001, "CS", layer)


def test_bits_that_a_state_brings_are_a_shutter_or_lie_on_a_layer():
    chance = np.random.default_rng(3)
    cover, drawn = (chance.random((11, 13)) > 0.5 for _ in range(2))
    ds = papers.presentation(
        CT, "x", ShutterShape="BITMAP", ShutterOverlayGroup=0x6002, ShutterPresentationValue=0x40FF
    )
    plane(ds, 0x6000, drawn, layer="LAYER")
    plane(ds, 0x6002, cover)
    plane(ds, 0x6004, drawn)  # neither
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER", 1
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = 0x80FF
    ds.GraphicLayerSequence = [layer]
    said, state = said_of(ds)
    shutter, graphics = said["bitmaps"]
    assert (shutter["is_shutter"], shutter["colour"]) == (True, "#404040")
    assert (graphics["is_shutter"], graphics["colour"]) == (False, "#808080")
    for one, bits in ((shutter, cover), (graphics, drawn)):
        assert (one["top"], one["left"], one["rows"], one["columns"]) == (2, 4, 11, 13)
        unpacked = np.unpackbits(
            np.frombuffer(base64.b64decode(one["bits"]), "u1"), bitorder="little"
        )
        np.testing.assert_array_equal(unpacked[: 11 * 13].reshape(11, 13), bits)
    assert state.left_out == ()


def test_a_shutter_of_bits_that_are_not_there_is_not_applied_and_said():
    ds = papers.presentation(CT, "x", ShutterShape="BITMAP", ShutterOverlayGroup=0x6002)
    assert read_presentation(papers.written(ds)).left_out == ("a bitmap shutter",)
    plane(ds, 0x6002, np.ones((11, 13), bool))
    ds[0x60023000].value = b"\0\0"
    assert read_presentation(papers.written(ds)).left_out == ("a bitmap shutter",)
    ds = papers.presentation(CT, "x", ShutterShape="CIRCULAR")
    assert read_presentation(papers.written(ds)).left_out == ("a shutter",)


def test_an_angiogram_as_it_is_stored_says_that_it_wants_its_mask_subtracted():
    assert frame_of(shuttered()).info.note == ""
    mask = Dataset()
    mask.MaskOperation = "AVG_SUB"
    ds = shuttered(MaskSubtractionSequence=[mask], RecommendedViewingMode="SUB")
    assert frame_of(ds).info.note == "Without the subtraction of its mask"
    ds.RecommendedViewingMode = "NAT"
    assert frame_of(ds).info.note == ""


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ({"FrameTime": "40"}, [40, 40, 40]),
        ({"FrameTimeVector": ["0", "40", "80"]}, [40, 80, 80]),
        ({"FrameTimeVector": ["0", "40", "-8"], "CineRate": "20"}, [50, 50, 50]),
        ({"RecommendedDisplayFrameRate": "8"}, [125, 125, 125]),
        ({"FrameTime": "0", "CineRate": "0"}, [None, None, None]),
        ({}, [None, None, None]),
    ],
)
def test_each_frame_of_a_recording_stands_as_long_as_its_header_says(values, times):
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    ds.NumberOfFrames, ds.PixelData = 3, ds.PixelData * 3
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    assert [frame_of(ds, number).info.frame_time_ms for number in range(3)] == times
