import contextlib
import json
import random
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from clinic_panel.errors import ClinicError, NotDisplayable
from clinic_panel.imaging import codestream, thumbnail
from clinic_panel.imaging.decoding import check_dimensions
from clinic_panel.imaging.isolation import IsolatedDecoder
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from tests.integration.peer import PATIENCE_S
from tests.pictures import made

EXACT = [
    *("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"),
    *("MR_small_expb.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm"),
    *("MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm", "693_J2KI.dcm", "JPEG2000.dcm"),
    *("J2K_pixelrep_mismatch.dcm", "JPGExtended.dcm", "JPEGLSNearLossless_08.dcm"),
    *("JPEGLSNearLossless_16.dcm", "GDCMJ2K_TextGBR.dcm", "image_dfl.dcm", "liver_1frame.dcm"),
    *("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_gdcm_KY.dcm"),
    *("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
    *("SC_jpeg_no_color_transform.dcm", "SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm"),
    *("SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm", "examples_rgb_color.dcm"),
    *("examples_ybr_color.dcm", "examples_overlay.dcm", "SC_rgb_jls_lossy_sample.dcm"),
]


def path_of(name: str) -> Path:
    return Path(get_testdata_file(name))


@pytest.mark.parametrize("name", EXACT)
def test_pixels_are_those_of_pydicom_to_the_last_bit(name):
    picture = describe(path_of(name))

    shown = read_frame(picture, picture.frames - 1).stored

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pixel_array(dcmread(path_of(name)), index=picture.frames - 1)
    np.testing.assert_array_equal(shown, expected)


def test_a_palette_becomes_the_colours_of_its_tables():
    ds = dcmread(path_of("examples_palette.dcm"))
    expected = apply_color_lut(ds.pixel_array, ds)
    expected = (expected >> 8 if expected.dtype == np.uint16 else expected).astype(np.uint8)

    np.testing.assert_array_equal(read_frame(path_of("examples_palette.dcm")).stored, expected)


@pytest.mark.parametrize("name", ["rtdose.dcm", "rtdose_expb.dcm", "rtdose_rle.dcm"])
def test_values_of_32_bits_arrive_as_they_are(name):
    frame = read_frame(path_of(name), 3)
    assert frame.info.format == "uint32"
    np.testing.assert_array_equal(frame.stored, pixel_array(dcmread(path_of(name)), index=3))


@given(st.sampled_from(["<i4", "<u4"]), st.integers(0, 2**31 - 70_000), st.data())
def test_wide_values_that_fit_are_sent_in_16_bits_with_their_base(kind, low, data):
    low = -low if kind == "<i4" and data.draw(st.booleans()) else low
    offsets = data.draw(arrays(np.uint16, (3, 4)))
    array = (offsets.astype(np.int64) + low).astype(kind)
    frame = read_frame(made(array, stored=32, PixelPaddingValue=0))
    assert frame.info.format == "uint16"
    values = frame.stored * np.float64(frame.info.slope) + frame.info.intercept
    np.testing.assert_array_equal(values, array)
    assert frame.info.padding == (0 - int(array.min()),) * 2


def test_numbers_that_are_none_stay_none():
    array = np.array([[np.nan, np.inf], [-1e300, 0.25]])
    part10 = made(array.astype("<f8"), stored=64)
    part10 = part10.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x09\x00OD")
    frame = read_frame(part10)
    assert frame.info.format == "float32"
    np.testing.assert_array_equal(frame.stored, np.array([[np.nan, np.nan], [np.nan, 0.25]]))
    assert np.isfinite([frame.info.window_center, frame.info.window_width]).all()


@pytest.mark.parametrize("name", ["SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit_2frame.dcm"])
def test_wide_colours_keep_their_upper_eight_bits(name):
    expected = pixel_array(dcmread(path_of(name)), index=0)
    shift = expected.itemsize * 8 - 8
    np.testing.assert_array_equal(read_frame(path_of(name)).stored, expected >> shift)


@settings(max_examples=60)
@given(
    st.sampled_from(["<i2", "<u2"]).flatmap(
        lambda kind: arrays(np.dtype(kind), st.tuples(st.integers(1, 3), st.just(4), st.just(5)))
    ),
    st.integers(9, 16),
    st.sampled_from([ExplicitVRLittleEndian, ExplicitVRBigEndian]),
    st.data(),
)
def test_stored_bits_alone_count_whatever_lies_above_them(array, stored, syntax, data):
    truth = array >> (16 - stored)  # within the stored range, sign kept
    junk = data.draw(st.integers(0, 2 ** (16 - stored) - 1)) << stored
    mask = np.array(2**stored - 1).astype(array.dtype)
    dirty = (truth & mask) | np.array(junk).astype(array.dtype)
    swapped = dirty.byteswap() if syntax == ExplicitVRBigEndian else dirty

    part10 = made(swapped, stored=stored, syntax=syntax)

    for number in range(len(array)):
        np.testing.assert_array_equal(read_frame(part10, number).stored, truth[number])


def test_single_bits_of_a_frame_that_starts_inside_a_byte():
    bits = np.random.default_rng(1).integers(0, 2, (3, 3, 5)).astype(np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little")
    part10 = made(packed.reshape(1, -1), stored=8, Rows=3, Columns=5, NumberOfFrames=3)
    part10 = part10.replace(b"\x28\x00\x00\x01US\x02\x00\x08", b"\x28\x00\x00\x01US\x02\x00\x01")
    part10 = part10.replace(b"\x28\x00\x01\x01US\x02\x00\x08", b"\x28\x00\x01\x01US\x02\x00\x01")
    part10 = part10.replace(b"\x28\x00\x02\x01US\x02\x00\x07", b"\x28\x00\x02\x01US\x02\x00\x00")

    for number in range(3):
        np.testing.assert_array_equal(read_frame(part10, number).stored, bits[number])


def test_modality_values_carry_their_unit_and_window():
    array = np.full((4, 4), 100, "<i2")
    part10 = made(
        array,
        stored=16,
        RescaleSlope=2,
        RescaleIntercept=-1000,
        WindowCenter=[40, 500],
        WindowWidth=[400, 2000],
        WindowCenterWidthExplanation=["Soft", "Bone"],
    )

    frame = read_frame(part10)

    assert frame.values.dtype == np.float32
    assert (frame.values == -800).all()
    assert frame.info.unit == "HU"
    assert (frame.info.window_center, frame.info.window_width) == (40, 400)
    assert [window.label for window in frame.info.windows] == ["Soft", "Bone"]


def test_a_pet_says_its_unit():
    pet = made(np.zeros((4, 4), "<i2"), stored=16, Modality="PT", Units="GML")
    assert read_frame(pet).info.unit == "g/ml"


def test_an_image_without_window_opens_on_its_own_range():
    array = np.linspace(0, 1000, 10_000).astype("<u2").reshape(100, 100)
    info = read_frame(made(array, stored=16)).info
    assert info.window_center == pytest.approx(502, abs=5)
    assert info.window_width == pytest.approx(985, abs=10)


@pytest.mark.parametrize(
    ("attributes", "padding"),
    [
        ({"PixelPaddingValue": -2000}, (-2000, -2000)),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990}, (-2000, -1990)),
        ({"PixelPaddingValue": -1990, "PixelPaddingRangeLimit": -2000}, (-2000, -1990)),
    ],
)
def test_what_lies_outside_the_picture_is_told_and_sets_no_window(attributes, padding):
    array = np.full((64, 64), -2000, "<i2")
    array[::2, ::2] = -1990
    array[20:40, 20:40] = np.linspace(100, 300, 400).reshape(20, 20)
    ds = dcmread(BytesIO(made(array, stored=16)), force=True)
    for keyword, value in attributes.items():
        ds.add_new(keyword, "SS", value)
    out = BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True)

    info = read_frame(out.getvalue()).info

    assert info.padding == padding
    low = -1990 if padding == (-2000, -2000) else 100
    assert info.window_center - info.window_width / 2 >= low


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_truncated.dcm", "cut short"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "another size"),
    ],
)
def test_a_damaged_image_says_why(name, message):
    with pytest.raises(NotDisplayable, match=message):
        read_frame(path_of(name))


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "waveform_ecg.dcm"])
def test_objects_without_pixels_have_no_picture(name):
    with pytest.raises(NotDisplayable):
        describe(path_of(name))


@pytest.mark.parametrize(
    "name",
    ["SC_rgb_jpeg_dcmtk.dcm", "693_J2KI.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm"],
)
def test_a_stream_that_lies_about_its_size_is_never_decoded(name, monkeypatch):
    part10 = path_of(name).read_bytes()
    rows = describe(part10).rows
    lying = part10.replace(
        b"\x28\x00\x10\x00US\x02\x00" + rows.to_bytes(2, "little"),
        b"\x28\x00\x10\x00US\x02\x00\xff\xff",
    )
    monkeypatch.setattr(
        "clinic_panel.imaging.decoding.get_decoder", lambda uid: pytest.fail("decoded a lie")
    )
    with pytest.raises(NotDisplayable):
        read_frame(lying)


def test_sizes_are_read_from_the_stream_itself():
    picture = describe(path_of("SC_rgb_jpeg_dcmtk.dcm"))
    with pytest.raises(NotDisplayable, match="damaged"):
        check_dimensions(picture, b"\xff\xd8\xff\xd9")
    huge = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(9)
    assert codestream.jpeg_dimensions(huge).rows == 65535
    with pytest.raises(NotDisplayable, match="another size"):
        check_dimensions(picture, huge)


def test_a_frame_that_is_not_there_is_refused():
    for number in (-1, 2):
        with pytest.raises(NotDisplayable, match="no such frame"):
            read_frame(path_of("SC_rgb_rle_2frame.dcm"), number)


def test_the_info_is_plain_json():
    info = read_frame(path_of("CT_small.dcm")).info
    again = json.loads(json.dumps(info.as_dict()))
    assert again["rows"] == 128
    assert again["edges"] == ["R", "L", "A", "P"]
    assert json.loads(info.as_header()) == again
    assert info.as_header().isascii()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_images_raise_only_our_own_errors(data):
    name = data.draw(
        st.sampled_from(
            ["MR_small_RLE.dcm", "MR_small.dcm", "SC_rgb_small_odd_jpeg.dcm", "MR_small_expb.dcm"]
        )
    )
    source = bytearray(path_of(name).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        source[data.draw(st.integers(132, len(source) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ClinicError):
        read_frame(bytes(source[: data.draw(st.integers(len(source) // 2, len(source)))]))


def test_a_panic_of_a_decoder_is_a_damaged_image(monkeypatch):
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def decoder(uid):
        raise panic

    monkeypatch.setattr("clinic_panel.imaging.decoding.get_decoder", decoder)
    with pytest.raises(NotDisplayable, match="damaged"):
        read_frame(path_of("MR_small_RLE.dcm"))


def test_a_dose_is_in_gray_and_its_planes_stand_along_the_normal():
    ds = dcmread(path_of("rtdose.dcm"))
    part10 = path_of("rtdose.dcm").read_bytes()

    frame = read_frame(part10.replace(b"RELATIVE", b"GY      "), 3)

    assert frame.info.unit == "Gy"
    assert read_frame(part10, 3).info.unit == ""  # relative to another dose
    expected = pixel_array(ds, index=3) * float(ds.DoseGridScaling)
    np.testing.assert_allclose(frame.values, expected, rtol=1e-6)
    assert frame.info.voi_function == "LINEAR_EXACT"  # a window of less than 1 Gy
    assert frame.info.window_width < float(expected.max())
    x, y, z = ds.ImagePositionPatient
    assert frame.info.position == pytest.approx((x, y, z + ds.GridFrameOffsetVector[3]))


def _damaged(source: bytes, chance: random.Random) -> bytes:
    """The file with a few bytes of its header changed, and sometimes cut."""
    found = bytearray(source)
    header = max(found.find(b"\xe0\x7f\x10\x00") + 12, 140)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(132, min(header, len(found)) - 1)
        if chance.random() < 0.5:
            found[at] = chance.randrange(256)
        else:
            found[at : at + 2] = chance.choice([b"\0\0", b"\xff\xff", b"\x00\x80", b"\x01\x00"])
    if chance.random() < 0.3:
        del found[chance.randrange(len(found) // 3, len(found)) :]
    return bytes(found)


def test_a_damaged_header_gives_a_picture_or_our_own_error():
    names = [
        *("CT_small.dcm", "MR_small_RLE.dcm", "rtdose.dcm", "rtdose_rle_1frame.dcm"),
        *("SC_rgb_small_odd_jpeg.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_expb.dcm"),
        *("MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "JPGExtended.dcm"),
        *("SC_ybr_full_422_uncompressed.dcm", "liver_1frame.dcm", "image_dfl.dcm"),
    ]
    sources = [path_of(name).read_bytes() for name in names]
    decoder = IsolatedDecoder(1, memory_bytes=2**28, timeout_s=PATIENCE_S)
    chance = random.Random(20)
    shown = refused = 0
    try:
        for number in range(260):
            part10 = _damaged(sources[number % len(sources)], chance)
            try:
                picture = describe(part10)
                frame = read_frame(picture, picture.frames - 1, decoder=decoder)
            except ClinicError:
                refused += 1
                continue
            json.loads(frame.info.as_header())
            assert thumbnail.render(frame, 64).size[0] <= 64
            shown += 1
    finally:
        decoder.close()
    assert min(shown, refused) > 40
