from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut

from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.thumbnail import render
from clinic_panel.imaging.window import VoiFunction, apply, automatic, presets

VALUES = arrays(np.int16, 40)


@pytest.mark.parametrize(
    ("center", "width", "value", "shown"),
    [  # the examples of PS3.3 C.11.2.1.2.1, as fractions of the range
        (2048, 4096, 0, 0.0),
        (2048, 4096, 4095, 1.0),
        (2048, 1, 2047, 0.0),
        (2048, 1, 2048, 1.0),
        (0, 100, -50, 0.0),
        (0, 100, 49, 1.0),
        (0, 100, 0, 0.5 + 0.5 / 99),
    ],
)
def test_linear_windows_follow_the_standards_examples(center, width, value, shown):
    assert apply(np.array([value]), center, width)[0] == pytest.approx(shown, abs=1e-6)


def test_linear_exact_and_sigmoid_pass_half_at_their_centre():
    for function in (VoiFunction.LINEAR_EXACT, VoiFunction.SIGMOID):
        assert apply(np.array([40]), 40, 400, function)[0] == pytest.approx(0.5)
    assert apply(np.array([-160, 240]), 40, 400, VoiFunction.LINEAR_EXACT).tolist() == [0, 1]
    sigmoid = apply(np.array([240.0]), 40, 400, VoiFunction.SIGMOID)[0]
    assert sigmoid == pytest.approx(1 / (1 + np.exp(-2)))


@given(VALUES, st.floats(-3000, 3000), st.floats(0, 5000), st.sampled_from(VoiFunction))
def test_brightness_never_falls_as_values_rise(values, center, width, function):
    shown = apply(np.sort(values), center, width, function)
    assert shown.dtype == np.float32
    assert (np.diff(shown) >= 0).all()
    assert shown.min() >= 0
    assert shown.max() <= 1


@given(VALUES)
def test_an_automatic_window_lies_within_the_values(values):
    window = automatic(values)
    assert window.width >= 1
    assert int(values.min()) <= window.center <= int(values.max())


def test_an_automatic_window_of_nothing_still_is_one():
    assert automatic(np.array([np.nan, np.inf])).width == 1
    assert automatic(np.array([])).width == 1


def test_presets_put_the_body_part_first():
    assert presets("CT", "CHEST")[0].label == "Mediastinum"
    assert presets("CT", "head")[0].label == "Brain"
    assert [one.label for one in presets("CT", "TEMPORAL BONE")][:2] == ["Temporal bone", "Bone"]
    assert len(presets("CT")) == len(presets("CT", "HEAD"))
    assert presets("DX") == ()


@pytest.mark.parametrize("count", [800, 2400])  # sent whole, and thinned out
def test_a_voi_table_is_followed(count):
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    table = Dataset()
    table.LUTDescriptor = [count, -1000, 12]
    entries = np.rint(4095 * (np.arange(count) / (count - 1)) ** 2.2).astype(int)
    table.LUTData = entries.tolist()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "SS", "US"
    dataset.VOILUTSequence = [table]
    for keyword in ("WindowCenter", "WindowWidth"):
        if keyword in dataset:
            del dataset[keyword]
    out = BytesIO()
    dcmwrite(out, dataset)
    values = apply_modality_lut(dataset.pixel_array, dataset).astype(int)
    truth = entries[np.clip(values + 1000, 0, count - 1)] * 255 / 4095  # PS3.3 C.11.2.1.1

    frame = read_frame(out.getvalue())

    shown = np.asarray(render(frame), float)
    assert frame.info.voi_function == "TABLE"
    assert np.abs(shown - truth).max() <= 1
    assert np.ptp(shown) > 50


def test_a_table_moves_and_stretches_with_its_window():
    curve = np.array([0, 10, 200, 255], np.uint8)
    shown = apply(np.array([-1, 0, 9, 10, 25, 39, 99]), 20, 40, VoiFunction.TABLE, curve) * 255
    assert shown.tolist() == [0, 0, 0, 10, 200, 255, 255]
