"""Subtraction angiography: which frames, in which space, and what NumPy says of the same."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import XAXRFGrayscaleSoftcopyPresentationStateStorage, generate_uid

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.difference import difference, fixed, log_table, shifted
from clinic_panel.imaging.figures import Quantity, read_shape
from clinic_panel.imaging.masking import Subtraction, masking_of_state
from clinic_panel.imaging.measure import Shape
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.presentation import read_presentation
from clinic_panel.imaging.subtraction import (
    AS_SAID,
    AS_STORED,
    OWN_MASK,
    Wish,
    can_be_subtracted,
    mask_wished,
    numbers,
    read_as_seen,
    read_seen,
    subtraction_of,
    window_of,
)
from clinic_panel.imaging.window import Window
from tests import papers
from tests.pictures import made

RUN = np.random.default_rng(7).integers(0, 4096, (8, 13, 17), np.uint16)
ALL = range(len(RUN))


def item(operation: str, **values: object) -> Dataset:
    """One item of a Mask Subtraction Sequence."""
    ds = Dataset()
    ds.MaskOperation = operation
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def angiogram(
    *items: Dataset, mode: str = "SUB", run: np.ndarray = RUN, stored: int = 12, **more: object
) -> Picture:
    """A recording by X-rays with these mask operations."""
    if items:
        more["MaskSubtractionSequence"] = Sequence(items)
        more["RecommendedViewingMode"] = mode
    return describe(made(run, stored=stored, **{"Modality": "XA", **more}))


def seen(picture: Picture, frame: int, mask: str = AS_SAID, **more: object):
    return read_seen(picture, frame, Wish(mask, **more), lambda index: read_frame(picture, index))


def values(picture: Picture, frame: int, mask: str = AS_SAID, **more: object) -> np.ndarray:
    found = seen(picture, frame, mask, **more)
    return found.stored * found.info.slope + found.info.intercept


def moved(array: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """The same pixel by pixel: four neighbours of where each came from, the edge beyond it."""
    rows, columns = array.shape
    out = np.empty(array.shape)
    for row, column in np.ndindex(rows, columns):
        y, x = row - shift[0], column - shift[1]
        out[row, column] = sum(
            max(0, 1 - abs(y - i))
            * max(0, 1 - abs(x - j))
            * array[min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]
            for i in (math.floor(y), math.floor(y) + 1)
            for j in (math.floor(x), math.floor(x) + 1)
        )
    return out


def pairs(picture: Picture) -> dict[int, tuple[int, ...]]:
    """Which frames each frame's mask is of, all from one."""
    found = {frame + 1: subtraction_of(picture, frame, Wish()) for frame in range(picture.frames)}
    return {frame: tuple(one + 1 for one in of.masks) for frame, of in found.items() if of}


def test_the_mean_of_masks_is_taken_from_each_frame_exactly():
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[1, 2, 4]))
    truth = RUN.astype(float) - RUN[[0, 1, 3]].mean(axis=0)
    for frame in ALL:
        np.testing.assert_allclose(values(picture, frame), truth[frame], atol=1e-9)
    info = seen(picture, 5).info
    assert (info.masks, info.mask_mode, info.padding) == ((1, 2, 4), "on", None)
    assert info.note == "Subtracted: mask 1–2, 4"
    assert info.format == "uint16"  # three times a difference of 12 bits: as quick as others


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16])
def test_differences_of_whole_numbers_are_whole_and_right_to_the_ends_of_their_range(dtype):
    ends = np.iinfo(dtype)
    run = np.array([[[ends.min, ends.max, 5]], [[ends.max, ends.min, 5]]], dtype)
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=1), run=run, stored=ends.bits)
    wide = run.astype(np.int64)
    np.testing.assert_array_equal(values(picture, 1), wide[1] - wide[0])


def test_contrast_frames_are_averaged_as_far_as_there_are_enough():
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[1, 2], ContrastFrameAveraging=3))
    truth = RUN[4:7].mean(axis=0) - RUN[:2].mean(axis=0)
    np.testing.assert_allclose(values(picture, 4), truth, atol=1e-9)
    assert seen(picture, 4).info.note == "Subtracted: mask 1–2, average of 3 frames"
    assert list(pairs(picture)) == [1, 2, 3, 4, 5, 6]  # of eight: the last would be of two


def test_the_mask_of_time_interval_differences_goes_along():
    assert pairs(angiogram(item("TID"))) == {n: (n - 1,) for n in range(2, 9)}
    assert pairs(angiogram(item("TID", TIDOffset=-3))) == {n: (n + 3,) for n in range(1, 6)}
    ranged = item("TID", TIDOffset=2, ApplicableFrameRange=[1, 3, 7, 8])
    assert pairs(angiogram(ranged)) == {3: (1,), 7: (5,), 8: (6,)}


def test_a_reversed_interval_takes_masks_backwards_from_the_first_contrast_frame():
    reversed_ = item("REV_TID", TIDOffset=1, ApplicableFrameRange=[5, 8])
    assert pairs(angiogram(reversed_)) == {5: (4,), 6: (3,), 7: (2,), 8: (1,)}
    assert pairs(angiogram(item("REV_TID", TIDOffset=1))) == {}  # which says no range, as it has to


def test_the_first_operation_that_holds_for_a_frame_is_done_and_others_stay_as_stored():
    picture = angiogram(
        item("AVG_SUB", MaskFrameNumbers=[1], ApplicableFrameRange=[3, 5]),
        item("AVG_SUB", MaskFrameNumbers=[6], ApplicableFrameRange=[4, 7]),
        item("NONE"),
    )
    assert pairs(picture) == {3: (1,), 4: (1,), 5: (1,), 6: (6,), 7: (6,)}
    first = seen(picture, 0)
    np.testing.assert_array_equal(first.stored, RUN[0])
    assert first.info.note == "As stored: no mask is said for this frame"
    assert first.info.mask_mode == "on"
    assert not first.info.masks


def test_native_viewing_is_kept_until_somebody_asks_for_the_mask():
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[2]), mode="NAT")
    np.testing.assert_array_equal(values(picture, 4), RUN[4])
    wanted = RUN[4].astype(int) - RUN[1]
    np.testing.assert_array_equal(values(picture, 4, OWN_MASK), wanted)
    np.testing.assert_array_equal(values(picture, 4, "7"), RUN[4].astype(int) - RUN[6])
    np.testing.assert_array_equal(values(picture, 4, "99"), RUN[4])  # there is no such frame
    said = angiogram(item("AVG_SUB", MaskFrameNumbers=[2]))
    stored = seen(said, 4, AS_STORED)
    np.testing.assert_array_equal(stored.stored, RUN[4])
    assert stored.info.mask_mode == "off"
    assert stored.info.note == "Without the subtraction of its mask"


def test_without_a_mask_of_its_own_a_recording_has_its_first_frame_for_one():
    picture = angiogram()
    assert seen(picture, 3).info.mask_mode == "off"
    np.testing.assert_array_equal(values(picture, 3), RUN[3])
    np.testing.assert_array_equal(values(picture, 3, OWN_MASK), RUN[3].astype(int) - RUN[0])


@pytest.mark.parametrize(
    "picture",
    [
        angiogram(Modality="US"),
        angiogram(run=RUN[0]),
        angiogram(item("AVG_SUB", MaskFrameNumbers=[1]), run=RUN[0]),
    ],
    ids=["ultrasound", "one image", "one image with a mask"],
)
def test_what_is_no_recording_by_x_rays_is_not_subtracted(picture):
    found = seen(picture, 0, OWN_MASK)
    np.testing.assert_array_equal(found.stored, RUN[0])
    assert not found.info.mask_mode


def test_a_mask_moves_down_and_to_the_right_by_parts_of_a_pixel():
    dot = np.zeros((9, 9))
    dot[4, 4] = 100
    parts = shifted(dot, (0.25, -0.5))
    np.testing.assert_allclose(parts[4:6, 3:5], [[37.5, 37.5], [12.5, 12.5]])
    whole = shifted(dot, (2, 1))
    assert whole[6, 5] == 100
    assert whole.sum() == 100
    field = np.random.default_rng(1).random((11, 14))
    for shift in ((0.3, 0.8), (-1.7, 2.2), (3, -40)):
        truth = moved(field, shift)
        np.testing.assert_allclose(shifted(field, shift), truth, atol=1e-12)


def test_a_moved_mask_is_right_to_half_a_step():
    said = [0.5, 1.25]  # down and left, as the standard counts
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[1, 2], MaskSubPixelShift=said))
    mask = moved(RUN[:2].mean(axis=0), (0.5, -1.25))
    found = seen(picture, 5)
    off = np.abs(found.stored * found.info.slope - (RUN[5] - mask)).max()
    assert off <= found.info.slope / 2
    assert found.info.slope <= 1 / 8  # of differences within 4096, in 16 bits
    assert found.info.note == "Subtracted: mask 1–2, moved 0.5 px down, 1.25 px left"


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50),
    st.sampled_from([1.0, 1e-3, 1e-9]),
)
def test_whole_numbers_stand_for_any_values_to_half_a_step(given_values, scale):
    wanted = np.array([given_values]) * scale
    stored, step = fixed(wanted)
    assert np.abs(stored * step - wanted).max() <= step / 2
    assert stored.dtype == (np.int16 if np.abs(wanted).max() <= 0x7FFF else np.int32)


def test_many_masks_stay_within_16_bits():
    run = np.random.default_rng(3).integers(0, 65536, (40, 5, 6), np.uint16)
    found, step = difference([run[39]], list(run[:20]))
    assert found.dtype == np.int32 or found.dtype == np.int16
    truth = run[39] - run[:20].astype(float).mean(axis=0)
    assert np.abs(found * step - truth).max() <= step / 2


def test_linear_values_are_subtracted_as_their_logarithms():
    # What absorbs half of the rays is worth the same wherever it lies.
    run = np.array([[[4000, 400, 40, 0]], [[2000, 200, 20, 0]]], np.uint16)
    linear = angiogram(
        item("AVG_SUB", MaskFrameNumbers=[1]), run=run, PixelIntensityRelationship="LIN"
    )
    found = values(linear, 1)[0]
    per_e = 65535 / np.log(4095)
    np.testing.assert_allclose(found, [-per_e * np.log(2)] * 3 + [0], atol=1)
    for name in ("LOG", "DISP"):
        other = angiogram(
            item("AVG_SUB", MaskFrameNumbers=[1]), run=run, PixelIntensityRelationship=name
        )
        np.testing.assert_array_equal(values(other, 1), run[1].astype(int) - run[0])


def test_the_logarithm_rises_over_all_of_its_range():
    for bits in (8, 12, 16):
        entries = log_table(bits).entries.astype(int)
        assert entries[0] == 0
        assert entries[-1] == 65535
        assert (np.diff(entries) >= 0).all()


def table(function: str = "", **more: object) -> Dataset:
    """A table that halves values of 12 bits."""
    ds = Dataset()
    ds.LUTDescriptor, ds.ModalityLUTType = [4096, 0, 16], "US"
    ds["LUTDescriptor"].VR = "US"
    ds.LUTData = (np.arange(4096) // 2).astype("<u2").tobytes()
    ds["LUTData"].VR = "OW"
    if function:
        ds.LUTFunction = function
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("relation", "is_passed"), [("LIN", True), ("LOG", False), ("DISP", False)]
)
def test_a_table_back_to_the_intensity_is_not_for_the_eye(relation, is_passed):
    picture = angiogram(
        item("AVG_SUB", MaskFrameNumbers=[1]),
        PixelIntensityRelationship=relation,
        ModalityLUTSequence=Sequence([table()]),
    )
    shown = RUN // 2 if is_passed else RUN
    np.testing.assert_array_equal(read_frame(picture, 3).stored, shown[3])
    np.testing.assert_array_equal(values(picture, 3), shown[3].astype(int) - shown[0])


def test_an_enhanced_angiogram_says_it_in_its_functional_groups():
    shared = Dataset()
    properties = Dataset()
    properties.PixelIntensityRelationship = "LIN"
    shared.FramePixelDataPropertiesSequence = Sequence([properties])
    shared.PixelIntensityRelationshipLUTSequence = Sequence([table("TO_LOG")])
    groups = [Dataset() for _ in ALL]
    one_down = Dataset()
    one_down.SubtractionItemID, one_down.MaskSubPixelShift = 2, [1.0, 0.0]
    groups[4].FramePixelShiftSequence = Sequence([one_down])
    native = Dataset()
    native.StartTrim, native.StopTrim, native.RecommendedViewingMode = 1, 2, "NAT"
    picture = angiogram(
        item("AVG_SUB", MaskFrameNumbers=[1], SubtractionItemID=2),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(groups),
        FrameDisplaySequence=Sequence([native]),
    )
    np.testing.assert_array_equal(values(picture, 1), RUN[1])
    halves = (RUN // 2).astype(int)
    np.testing.assert_array_equal(values(picture, 3), halves[3] - halves[0])
    mask = moved(halves[0], (1, 0))
    np.testing.assert_array_equal(values(picture, 4), halves[4] - mask)


def test_one_window_serves_all_frames_and_shows_what_did_not_change_in_grey():
    run = np.full((9, 32, 32), 2000, np.uint16)
    run[3:7, 10:20, 4:30] -= 500  # a vessel, which absorbs
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[1]), run=run, WindowCenter=900)
    window = window_of(picture, Wish(), lambda index: read_frame(picture, index))
    black, white = window.center - window.width / 2, window.center + window.width / 2
    assert black < -500 < 0 < white < 100
    infos = [seen(picture, frame).info for frame in range(9)]
    assert {(one.window_center, one.window_width) for one in infos} == {
        (window.center, window.width)
    }
    assert infos[0].windows[0] == window
    still = angiogram(item("AVG_SUB", MaskFrameNumbers=[1]), run=run[:3])
    assert seen(still, 1).info.window_width > 0


def test_a_state_says_what_is_subtracted_in_place_of_the_image():
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[1]))
    ds = papers.presentation(papers.made(generate_uid(), "XA"), "x")
    silent = read_presentation(papers.written(ds))
    np.testing.assert_array_equal(values(picture, 3, state=silent.masking), RUN[3])
    ds.MaskSubtractionSequence = Sequence([item("TID", TIDOffset=2)])
    ds.RecommendedViewingMode = "SUB"
    ds.ModalityLUTSequence = Sequence([table()])
    state = read_presentation(papers.written(ds))
    assert state.left_out == ()
    halves = (RUN // 2).astype(int)
    np.testing.assert_array_equal(values(picture, 3, state=state.masking), halves[3] - halves[1])
    np.testing.assert_array_equal(
        values(picture, 3, "1", state=state.masking), halves[3] - halves[0]
    )
    ds.RecommendedViewingMode = "NAT"
    native = read_presentation(papers.written(ds)).masking
    np.testing.assert_array_equal(values(picture, 3, state=native), RUN[3])
    assert native.items


def test_a_state_of_x_rays_moves_masks_frame_by_frame_for_each_image():
    ds = papers.made(XAXRFGrayscaleSoftcopyPresentationStateStorage, "PR")
    here, there = Dataset(), Dataset()
    here.ReferencedSOPInstanceUID, there.ReferencedSOPInstanceUID = "1.2.3", "1.2.4"
    whole, part, some, broken = Dataset(), Dataset(), Dataset(), Dataset()
    whole.MaskSubPixelShift, part.MaskSubPixelShift = [2.0, 1.0], [9.0, 9.0]
    part.VerticesOfTheRegion = [1, 1, 3, 3]
    some.PixelShiftFrameRange = [4, 5]
    some.RegionPixelShiftSequence = Sequence([whole])
    broken.PixelShiftFrameRange = [6, 6]
    broken.RegionPixelShiftSequence = Sequence([part])
    ds.MaskSubtractionSequence = Sequence(
        [
            item("AVG_SUB", MaskFrameNumbers=[8], ReferencedImageSequence=Sequence([there])),
            item(
                "AVG_SUB",
                MaskFrameNumbers=[1],
                ReferencedImageSequence=Sequence([here]),
                PixelShiftSequence=Sequence([some, broken]),
            ),
        ]
    )
    with opened_elements(papers.written(ds)) as found:
        masking = masking_of_state(found)
    assert masking.about("1.2.3").of(3, 8) == Subtraction((3,), (0,), (2.0, -1.0))
    assert masking.about("1.2.3").of(5, 8) == Subtraction((5,), (0,))
    assert masking.about("1.2.4").of(3, 8) == Subtraction((3,), (7,))
    assert masking.about("1.2.5").of(3, 8) is None
    assert masking.left_out == ("a shift of the mask in a part of the image",)


@pytest.mark.parametrize(
    "broken",
    [
        item("AVG_SUB"),
        item("AVG_SUB", MaskFrameNumbers=[0, 99]),
        item("AVG_SUB", MaskFrameNumbers=[1], ApplicableFrameRange=[8, 1]),
        item("SOMETHING", MaskFrameNumbers=[1]),
        item("TID", TIDOffset=-32768),
    ],
    ids=["no frames", "frames that are not there", "a range backwards", "unknown", "far"],
)
def test_an_operation_that_cannot_be_done_leaves_the_image_as_it_is(broken):
    found = seen(angiogram(broken), 3)
    np.testing.assert_array_equal(found.stored, RUN[3])
    assert found.info.note


def test_a_shift_beyond_reason_moves_nothing_and_a_huge_average_is_bounded():
    picture = angiogram(
        item("AVG_SUB", MaskFrameNumbers=[1], MaskSubPixelShift=[float("nan"), 1e30])
    )
    np.testing.assert_array_equal(values(picture, 3), RUN[3].astype(int) - RUN[0])
    many = item(
        "AVG_SUB",
        MaskFrameNumbers=[1] * 500,
        ContrastFrameAveraging=65535,
        ApplicableFrameRange=[1, 8],
    )
    found = subtraction_of(angiogram(many), 3, Wish())
    assert found is not None
    assert len(found.masks) == 64
    assert found.contrast == (3, 4, 5, 6, 7)
    large = replace(angiogram(many), rows=4096, columns=4096)
    found = subtraction_of(large, 3, Wish())
    assert found is not None
    assert (found.contrast, len(found.masks)) == ((3, 4, 5, 6), 4)
    assert not can_be_subtracted(replace(large, columns=4097))


@pytest.mark.parametrize("mask", ["", "own", "2", "none"])
def test_a_frame_that_is_not_there_is_refused_whatever_is_wished(mask):
    wide = item("AVG_SUB", MaskFrameNumbers=[1], ApplicableFrameRange=[1, 99])
    with pytest.raises(NotDisplayable, match="no such frame"):
        seen(angiogram(wide), 8, mask)


def test_numbers_are_written_as_people_write_them():
    assert numbers([3, 1, 2, 7, 9, 10]) == "1–3, 7, 9–10"


def test_what_is_printed_is_what_was_seen():
    picture = angiogram(item("AVG_SUB", MaskFrameNumbers=[1]))
    for mask, of in ((None, 0), ("none", None), ("4", 3)):
        wanted = RUN[5].astype(int) - (0 if of is None else RUN[of])
        np.testing.assert_array_equal(read_as_seen(picture, 5, mask).values, wanted)
    info = read_as_seen(picture, 5, "4", Window(1.0, 2.0, "Mine")).info
    assert (info.window_center, info.window_width) == (1.0, 2.0)
    reading = read_shape(Shape.RECTANGLE, [(1, 1), (9, 9)], read_as_seen(picture, 5))
    assert [one.quantity for one in reading.figures] == [Quantity.AREA]
    assert thumbnail.png(picture, 5) != thumbnail.png(angiogram(), 5)
    assert [mask_wished(one) for one in ("own", "12", "", "of-3", "0", 7, None)] == [
        *("own", "12", None, None, None, None, None)
    ]
