"""Pixels of images made of known arrays, in every class that files of real makers leave out.

Lossless encodings hold the array itself; what is lossy, or drawn, is compared with DCMTK's. The
encoders are DCMTK's and OpenJPEG's, so that no code of ours stands on both sides.
"""

import json
import subprocess
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from openjpeg.utils import encode_array
from PIL import Image, ImageCms
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.lut import curve_of
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.window import apply
from tests.pictures import made, made_colour

ROWS, COLUMNS = 20, 24
CHANCE = np.random.default_rng(7)
HTJ2K = json.loads(Path(__file__).with_name("htj2k_streams.json").read_text(encoding="ascii"))
LOSSLESS = {
    "JPEG process 14": ["dcmcjpeg", "+el"],
    "JPEG process 14 SV1": ["dcmcjpeg", "+e1"],
    "JPEG-LS": ["dcmcjpls", "+el"],
    "JPEG-LS by sample": ["dcmcjpls", "+el", "+is"],
    "RLE": ["dcmcrle"],
}
LOSSY = {
    "JPEG baseline": (["dcmcjpeg", "+eb"], "dcmdjpeg"),
    "JPEG baseline, quarter colours": (["dcmcjpeg", "+eb", "+s2"], "dcmdjpeg"),
    "JPEG-LS near-lossless": (["dcmcjpls", "+en", "+md", "3"], "dcmdjpls"),
}


def values(kind: str, stored: int) -> np.ndarray:
    """Every bit of so many at work, the ends included."""
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if kind[1] == "i" else (0, 2**stored)
    array = CHANCE.integers(low, high, (ROWS, COLUMNS), np.int64)
    array[0, :2] = low, high - 1
    return array.astype(kind)


def smooth_colour() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 250, COLUMNS), np.linspace(0, 250, ROWS))
    return np.stack([x, y, 250 - (x + y) / 2], axis=-1).astype(np.uint8)


def run(command: list[str], *paths: Path) -> bytes:
    found = subprocess.run([*command, *map(str, paths)], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
    return found.stdout


def encoded(part10: bytes, command: list[str], folder: Path) -> Path:
    plain, packed = folder / "plain.dcm", folder / "packed.dcm"
    plain.write_bytes(part10)
    run(command, plain, packed)
    return packed


def drawn_by_dcmtk(part10: bytes, folder: Path, *options: str) -> np.ndarray:
    path = folder / "drawn.dcm"
    path.write_bytes(part10)
    return np.array(Image.open(BytesIO(run(["dcmj2pnm", "-q", "+op", *options], path)))).astype(int)


@pytest.mark.parametrize(
    "syntax",
    [
        *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
        DeflatedExplicitVRLittleEndian,
    ],
)
@pytest.mark.parametrize("kind", ["u", "i"])
def test_native_values_of_one_to_thirty_two_bits_are_those_written(syntax, kind):
    for stored in range(1, 33):
        if stored == 1 and kind == "i":
            continue
        size = 1 if stored <= 8 else 2 if stored <= 16 else 4
        array = values(f"<{kind}{size}", stored)
        swapped = array.byteswap() if syntax == ExplicitVRBigEndian else array
        # Overlays of old live in the bits that are not used.
        unused = np.array(2 ** (8 * size) - 2**stored, np.uint64).astype(f"<u{size}")
        mask = unused.byteswap() if syntax == ExplicitVRBigEndian else unused
        dirty = (swapped.view(mask.dtype) ^ mask).view(swapped.dtype)
        if size == 1 and syntax == ExplicitVRBigEndian:
            dirty = dirty.reshape(-1, 2)[:, ::-1].reshape(array.shape)  # bytes of words

        frame = read_frame(made(dirty, stored=stored, syntax=syntax))

        base = round(frame.info.intercept)  # what was taken off wide values that fit in 16 bits
        np.testing.assert_array_equal(frame.stored.astype(np.int64) + base, array, str(stored))


@pytest.mark.parametrize(("bits", "kind"), [(12, "u"), (12, "i"), (10, "u"), (24, "u")])
def test_pixels_that_are_not_of_whole_words_are_unpacked(bits, kind, tmp_path):
    array = np.stack([values(f"<{kind}4", bits) for _ in range(3)])
    cells = np.unpackbits(array.view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    packed = np.packbits(cells[:, :bits].ravel(), bitorder="little")
    part10 = made(
        packed.reshape(1, -1),
        stored=bits,
        **{"Rows": ROWS, "Columns": COLUMNS, "NumberOfFrames": 3, "BitsAllocated": bits},
        PixelRepresentation=int(kind == "i"),
    )
    for number in range(3):
        frame = read_frame(part10, number)
        base = round(frame.info.intercept)
        np.testing.assert_array_equal(frame.stored.astype(np.int64) + base, array[number])
    if bits == 12:  # the only one that DCMTK unpacks
        info = read_frame(part10).info
        window = "+Ww", str(info.window_center), str(info.window_width)
        theirs = drawn_by_dcmtk(part10, tmp_path, "+F", "1", *window)
        assert np.abs(thumbnail.draw(read_frame(part10)) - theirs).max() <= 1


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize(
    ("kind", "stored"), [("<u1", 8), ("<u2", 10), ("<u2", 12), ("<u2", 16), ("<i2", 16)]
)
def test_grey_values_survive_every_lossless_codec(name, kind, stored, tmp_path):
    array = values(kind, stored)
    packed = encoded(made(array, stored=stored), LOSSLESS[name], tmp_path)
    np.testing.assert_array_equal(read_frame(packed).stored, array)


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colours_survive_every_lossless_codec(name, planar, photometric, tmp_path):
    array = CHANCE.integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)
    part10 = made_colour(array, photometric, planar=planar)
    expected = array if photometric == "RGB" else convert_color_space(array, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(read_frame(part10).stored, expected)
    packed = encoded(part10, LOSSLESS[name], tmp_path)
    found = read_frame(packed).stored.astype(int)
    # A codec that the encoder asks for RGB has rounded once more.
    slack = 0 if photometric == "RGB" or "YBR" in describe(packed).photometric else 1
    assert np.abs(found - expected).max() <= slack


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("planar", [0, 1])
def test_lossy_colours_are_those_of_another_decoder(name, planar, tmp_path):
    command, decoder = LOSSY[name]
    packed = encoded(made_colour(smooth_colour(), planar=planar), command, tmp_path)
    run([decoder], packed, tmp_path / "unpacked.dcm")
    theirs = dcmread(tmp_path / "unpacked.dcm").pixel_array.astype(int)
    found = read_frame(packed)
    assert found.info.lossy
    assert np.abs(found.stored - theirs).max() <= (0 if "LS" in name else 3)


def steps(kind: str) -> np.ndarray:
    """What OpenJPH encoded into ``htj2k_streams.json``."""
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    match kind:
        case "rgb":
            planes = (row * 37 + column * 11, row * 5 + column * 29, row * column)
            return (np.stack(planes, axis=-1) % 256).astype(np.uint8)
        case "i2":
            return ((row * 3701 + column * 1103) % 65536 - 32768).astype("<i2")
        case "u2":
            return ((row * 370 + column * 110) % 4096).astype("<u2")
    return ((row * 37 + column * 11) % 256).astype(np.uint8)


@pytest.mark.parametrize("kind", HTJ2K)
@pytest.mark.parametrize("syntax", ["201", "202", "203"])
def test_high_throughput_streams_of_another_encoder_are_decoded_exactly(kind, syntax):
    array = steps(kind)
    stored = {"u1": 8, "u2": 12, "i2": 16, "rgb": 8}[kind]
    part10 = made_colour(array) if kind == "rgb" else made(array, stored=stored)
    ds = dcmread(BytesIO(part10), force=True)
    ds.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{syntax}"
    shown = read_frame(_encapsulated(ds, b64decode(HTJ2K[kind])))
    np.testing.assert_array_equal(shown.stored, array)


def j2k(array: np.ndarray, *, transformed: bool, photometric: str) -> bytes:
    """A JPEG 2000 image whose codestream transforms its colours or not, whatever is said."""
    stream = encode_array(
        array,
        bits_stored=8,
        photometric_interpretation=1 if transformed else 0,
        use_mct=transformed,
    )
    ds = dcmread(BytesIO(made_colour(array, photometric)), force=True)
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return _encapsulated(ds, stream)


def _encapsulated(ds: Dataset, stream: bytes) -> bytes:
    return _written(ds, encapsulate([stream]))


def _written(ds: Dataset, data: bytes) -> bytes:
    ds.PixelData = data
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    out = BytesIO()
    ds.save_as(out, implicit_vr=False, little_endian=True)
    return out.getvalue()


@pytest.mark.parametrize("said", ["RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL", "YBR_FULL_422"])
def test_a_codestream_that_transforms_its_colours_holds_rgb_whatever_the_header_says(said):
    array = CHANCE.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    shown = read_frame(j2k(array, transformed=True, photometric=said))
    np.testing.assert_array_equal(shown.stored, array)


@pytest.mark.parametrize("said", ["RGB", "YBR_RCT", "YBR_FULL"])
def test_one_that_does_not_holds_what_the_header_says(said):
    array = CHANCE.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    shown = read_frame(j2k(array, transformed=False, photometric=said))
    expected = array
    if said == "YBR_FULL":
        expected = convert_color_space(array, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(shown.stored, expected)


@pytest.mark.parametrize("said", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("transform", [0, 1])
def test_a_jpeg_that_says_what_it_holds_is_believed_before_the_header(said, transform):
    array = smooth_colour()
    out = BytesIO()
    Image.fromarray(array).save(out, "JPEG", quality=98, subsampling=0, keep_rgb=transform == 0)
    stream = out.getvalue()
    # Only Adobe's marker, with its transform, in place of JFIF's.
    start = 2
    while stream[start + 1] in (0xE0, 0xEE):
        start += 2 + int.from_bytes(stream[start + 2 : start + 4], "big")
    marker = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    ids = stream[start:].replace(
        b"R\x11\x00G\x11\x00B\x11\x00", b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    )
    ids = ids.replace(b"\x03R\x00G\x00B\x00", b"\x03\x01\x00\x02\x00\x03\x00")
    ds = dcmread(BytesIO(made_colour(array, said)), force=True)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    shown = read_frame(_encapsulated(ds, stream[:2] + marker + ids)).stored.astype(int)
    assert np.abs(shown - array).mean() < 3


def test_partial_colours_are_those_of_dcmtk(tmp_path):
    array = CHANCE.integers(16, 236, (ROWS, COLUMNS, 4)).astype(np.uint8)
    flat = array[:, : COLUMNS // 2].reshape(ROWS, -1)
    ds = dcmread(BytesIO(made_colour(np.zeros((ROWS, COLUMNS, 3), np.uint8))), force=True)
    ds.PhotometricInterpretation, ds.PixelData = "YBR_PARTIAL_422", flat.tobytes()
    out = BytesIO()
    ds.save_as(out, implicit_vr=False, little_endian=True)
    theirs = drawn_by_dcmtk(out.getvalue(), tmp_path)
    ours = read_frame(out.getvalue()).stored.astype(int)
    assert np.abs(ours - theirs).max() <= 2  # DCMTK converts in whole numbers


@pytest.mark.parametrize(
    ("photometric", "columns", "why"),
    [
        ("YBR_PARTIAL_420", 4, "as only videos lay them out"),
        ("YBR_FULL_422", 5, "odd number of columns"),
        ("HSV", 4, "in HSV"),
        ("MONOCHROME2", 4, "contradicts itself about its colours"),
        ("PALETTE COLOR", 4, "contradicts itself about its colours"),
    ],
)
def test_colours_that_cannot_be_shown_say_why(photometric, columns, why):
    with pytest.raises(NotDisplayable, match=why):
        describe(made_colour(np.zeros((4, columns, 3), np.uint8), photometric))


def test_one_sample_a_pixel_is_grey_whatever_colours_are_said():
    array = values("<u2", 12)
    for said in ("YBR_FULL_422", "RGB", "YBR_PARTIAL_422"):
        shown = read_frame(made(array, stored=12, PhotometricInterpretation=said))
        np.testing.assert_array_equal(shown.stored, array)


def test_numbers_that_would_drown_every_pixel_are_not_believed():
    array = values("<u2", 12)
    lies = {"RescaleSlope": "1e300", "RescaleIntercept": "-1e300", "WindowWidth": "1e300"}
    info = read_frame(made(array, stored=12, WindowCenter=5, **lies)).info
    assert (info.slope, info.intercept, info.windows) == (1, 0, ())
    assert info.window_width <= 4096


def test_an_icc_profile_that_is_not_applied_is_told():
    array = smooth_colour()
    adobe, srgb = (ImageCms.ImageCmsProfile(one).tobytes() for one in profiles())
    assert read_frame(made_colour(array, ICCProfile=adobe)).info.note == "ICC profile not applied"
    assert read_frame(made_colour(array, ICCProfile=srgb)).info.note == ""
    assert read_frame(made_colour(array)).info.note == ""
    grey = made(values("<u2", 12), stored=12, ICCProfile=adobe)
    assert read_frame(grey).info.note == ""


def profiles() -> tuple[ImageCms.core.CmsProfile, ImageCms.core.CmsProfile]:
    return ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")


# -- multi-frame -------------------------------------------------------------------------------


def item(**attributes: object) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("kind", ["no table", "basic table", "extended table", "fragments"])
def test_frames_are_found_however_their_fragments_are_listed(kind):
    arrays = [CHANCE.integers(0, 4096, (64, 96)).astype("<u2") for _ in range(5)]
    streams = [encode_array(one, bits_stored=12) for one in arrays]
    ds = dcmread(BytesIO(made(np.stack(arrays), stored=12)), force=True)
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    if kind == "extended table":
        data, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    else:
        per_frame = 3 if kind == "fragments" else 1
        data = encapsulate(streams, fragments_per_frame=per_frame, has_bot=kind == "basic table")
    part10 = _written(ds, data)
    for number, array in enumerate(arrays):
        np.testing.assert_array_equal(read_frame(part10, number).stored, array)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
def test_native_colour_frames_lie_one_behind_the_other(planar, photometric):
    halved = photometric.endswith("422")
    frames = [CHANCE.integers(0, 256, (ROWS, COLUMNS, 2 if halved else 3), np.uint8) for _ in "abc"]
    ds = dcmread(BytesIO(made_colour(np.zeros((ROWS, COLUMNS, 3), np.uint8))), force=True)
    ds.PhotometricInterpretation, ds.NumberOfFrames = photometric, 3
    ds.PlanarConfiguration = 0 if halved else planar
    ordered = [one.transpose(2, 0, 1) if planar and not halved else one for one in frames]
    ds.PixelData = b"".join(np.ascontiguousarray(one).tobytes() for one in ordered)
    out = BytesIO()
    ds.save_as(out, implicit_vr=False, little_endian=True)
    for number, frame in enumerate(frames):
        truth = frame
        if halved:  # Y Y B R
            cells = frame.reshape(ROWS, COLUMNS // 2, 4)
            truth = np.stack(
                [
                    cells[..., :2].reshape(ROWS, COLUMNS),
                    *(np.repeat(cells[..., place], 2, axis=1) for place in (2, 3)),
                ],
                axis=-1,
            )
        if photometric != "RGB":
            truth = convert_color_space(truth, "YBR_FULL", "RGB")
        np.testing.assert_array_equal(read_frame(out.getvalue(), number).stored, truth)


def test_what_an_enhanced_object_says_of_a_frame_stands_above_what_it_says_of_all():
    def of_frame(slope: float, center: float, z: float) -> Dataset:
        return item(
            PixelValueTransformationSequence=[
                item(RescaleSlope=slope, RescaleIntercept=-5, RescaleType="US")
            ],
            FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=100)],
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, z])],
        )

    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.25])],
        FrameVOILUTSequence=[item(WindowCenter=9, WindowWidth=9)],
    )
    arrays = np.stack([values("<u2", 12) for _ in range(2)])
    part10 = made(
        arrays,
        stored=12,
        Modality="MR",
        RescaleSlope=77,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[of_frame(2, 40, 1.5), of_frame(3, 60, 3.0)],
    )
    for number, (slope, center, z) in enumerate([(2, 40, 1.5), (3, 60, 3.0)]):
        frame = read_frame(part10, number)
        np.testing.assert_array_equal(frame.values, arrays[number] * np.float32(slope) - 5)
        assert frame.info.window_center == center
        assert frame.info.position == (0, 0, z)
        assert frame.info.edges == ("R", "L", "A", "P")
        assert (frame.info.spacing, frame.info.aspect) == ((0.5, 0.25), 2)


def test_frames_seen_in_colours_stand_beside_grey_ones():
    tables = [CHANCE.integers(0, 256, 256) for _ in range(3)]
    more = {one.keyword: one for one in palette(100, 8, tables)}
    more |= {"PhotometricInterpretation": "MONOCHROME2", "PixelPresentation": "MIXED"}
    kinds = [
        item(MRImageFrameTypeSequence=[item(PixelPresentation=one)])
        for one in ("MONOCHROME", "COLOR")
    ]
    arrays = np.stack([values("<u1", 8), values("<u1", 8)])
    part10 = made(arrays, stored=8, PerFrameFunctionalGroupsSequence=kinds, **more)
    grey, coloured = (thumbnail.draw(read_frame(part10, number)) for number in range(2))
    assert (grey.ndim, coloured.ndim) == (2, 3)


# -- look-up tables ----------------------------------------------------------------------------


def palette(first: int, bits: int, tables: list[np.ndarray], *, signed: bool = False) -> Dataset:
    ds = Dataset()
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        start = f"{name}PaletteColorLookupTable"
        ds.add_new(
            f"{start}Descriptor", "SS" if signed else "US", [len(table) % 65536, first, bits]
        )
        data = table.astype(np.uint8 if bits == 8 else "<u2").tobytes()
        ds.add_new(f"{start}Data", "OW", data + bytes(len(data) % 2))
    return ds


@pytest.mark.parametrize(
    ("kind", "stored", "first", "count", "bits"),
    [
        *(("<u1", 8, 0, 256, 8), ("<u1", 8, 0, 256, 16), ("<u1", 8, 40, 100, 16)),
        *(("<u2", 16, 0, 65536, 16), ("<u2", 16, 40_000, 1000, 16), ("<i2", 16, -500, 1000, 16)),
        *(("<u2", 12, 0, 4096, 8), ("<i1", 8, -100, 200, 8)),
    ],
)
def test_palettes_give_the_colours_of_dcmtk(kind, stored, first, count, bits, tmp_path):
    array = values(kind, stored)
    tables = [CHANCE.integers(0, 2**bits, count) for _ in range(3)]
    more = palette(first, bits, tables, signed=kind[1] == "i")
    part10 = made(array, stored=stored, **{one.keyword: one for one in more})
    ours = read_frame(part10).stored.astype(int)
    places = np.clip(array.astype(int) - first, 0, count - 1)
    truth = np.stack([table[places] for table in tables], axis=-1) >> (bits - 8)
    np.testing.assert_array_equal(ours, truth)
    if kind != "<i1":  # which DCMTK looks up as if they were not signed
        np.testing.assert_array_equal(drawn_by_dcmtk(part10, tmp_path), truth)


# Discrete, linear up and down, and two copied segments, of which the second goes on from the first.
SEGMENTS = [0, 2, 10, 20, 1, 4, 60, 1, 3, 0]
EXPANDED = [10, 20, 30, 40, 50, 60, 40, 20, 0]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("big", [False, True])
def test_a_segmented_palette_is_expanded_with_each_kind_of_segment(bits, big):
    size = bits // 8
    indirect = [2, 2, 4 * size, 0] if bits == 16 else [2, 2, 4, 0, 0, 0]
    red = np.array([*SEGMENTS, *indirect, 0, 1, 77])  # from the linear segments on, then one more
    # Copied from the last value (0): up to 60 in four steps, then down.
    expected = [*EXPANDED, 15, 30, 45, 60, 40, 20, 0, 77]
    ds = Dataset()
    ds.PhotometricInterpretation = "PALETTE COLOR"
    data = red.astype(f"{'>' if big else '<'}u{size}").tobytes()
    data += bytes(len(data) % 2)
    if big and bits == 8:
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    for name in ("Red", "Green", "Blue"):
        ds.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [len(expected), 0, bits])
        ds.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", data)
    array = np.arange(len(expected), dtype="<u2").reshape(1, -1)
    syntax = ExplicitVRBigEndian if big else ExplicitVRLittleEndian
    part10 = made(
        array.byteswap() if big else array,
        stored=16,
        syntax=syntax,
        **{one.keyword: one for one in ds},
    )
    assert read_frame(part10).stored[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    "segments",
    [
        [1, 4, 60],  # a line from nowhere
        [0, 1, 5, 3, 1, 7],  # a kind that does not exist
        [0, 1, 5, 2, 1, 4, 0, 0, 1, 9],  # a copy of itself
        [0, 1, 5, 2, 1, 60_000, 0],  # a copy from beyond the end
        [0, 1, 5, 2, 1],
    ],
)
def test_a_damaged_segmented_palette_says_so(segments):
    ds = Dataset()
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for name in ("Red", "Green", "Blue"):
        ds.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        data = np.array(segments, "<u2").tobytes()
        ds.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", data)
    with pytest.raises(NotDisplayable, match="palette"):
        describe(made(np.zeros((2, 2), "<u2"), stored=16, **{one.keyword: one for one in ds}))


@pytest.mark.parametrize("rescale", [0, -1000])
def test_a_supplemental_palette_colours_the_upper_values_and_leaves_the_others_grey(rescale):
    array = values("<u2", 12)
    tables = [CHANCE.integers(0, 256, 256) for _ in range(3)]
    more = {one.keyword: one for one in palette(3000, 8, tables)}
    more |= {"PhotometricInterpretation": "MONOCHROME2", "PixelPresentation": "COLOR"}
    more |= {"RescaleSlope": 1, "RescaleIntercept": rescale, "WindowCenter": 1500 + rescale}
    frame = read_frame(made(array, stored=12, WindowWidth=3000, **more))
    drawn = thumbnail.draw(frame)
    coloured = array >= 3000
    np.testing.assert_array_equal(frame.coloured, coloured)
    truth = np.stack([table[np.clip(array - 3000, 0, 255)] for table in tables], axis=-1)
    np.testing.assert_array_equal(drawn[coloured], truth[coloured])
    grey = np.rint(255 * apply(array.astype(np.float32) + rescale, 1500 + rescale, 3000))
    np.testing.assert_array_equal(drawn[~coloured], np.repeat(grey[~coloured][:, None], 3, axis=1))
    assert frame.info.colours.first == 3000
    # The same file without the wish to be seen in colours is grey.
    plain = read_frame(
        made(array, stored=12, WindowWidth=3000, **more | {"PixelPresentation": "MONOCHROME"})
    )
    assert (plain.info.colours, thumbnail.draw(plain).ndim) == (None, 2)


def table(first: int, entries: np.ndarray, bits: int, *, signed: bool, **more: str) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "US", entries.tolist())
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize(
    ("kind", "stored", "first", "count", "bits"),
    [
        *(("<u2", 12, 0, 4096, 12), ("<u2", 16, 40_000, 2000, 16), ("<i2", 12, -2048, 4096, 10)),
        *(("<u1", 8, 0, 256, 16), ("<u2", 12, 100, 300, 8)),
    ],
)
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_value_tables_are_those_of_dcmtk(kind, stored, first, count, bits, sequence, tmp_path):
    array = values(kind, stored)
    entries = (np.linspace(0, 1, count) ** 2 * (2**bits - 1)).astype(int)
    more = {"ModalityLUTType": "OD"} if sequence.startswith("M") else {}
    item = table(first, entries, bits, signed=kind[1] == "i", **more)
    part10 = made(array, stored=stored, **{sequence: [item]})
    frame = read_frame(part10)
    places = np.clip(array.astype(int) - first, 0, count - 1)
    if more:
        np.testing.assert_array_equal(frame.stored, entries[places])
        assert frame.info.unit == "mOD"  # a density of 2.14 is written as 2140
        window = "+Ww", str(frame.info.window_center), str(frame.info.window_width)
    else:
        np.testing.assert_array_equal(frame.stored, array)
        assert len(curve_of(b64decode(frame.info.voi_curve))) == count  # no entry is left out
        window = "+Wl", "1"
    theirs = drawn_by_dcmtk(part10, tmp_path, *window)
    assert np.abs(thumbnail.draw(frame) - theirs).max() <= 1


def test_a_presentation_lut_shape_turns_the_picture_round(tmp_path):
    array = values("<u2", 12)
    part10 = made(
        array,
        stored=12,
        **{"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        **{"WindowCenter": 2048, "WindowWidth": 4096},
    )
    theirs = drawn_by_dcmtk(part10, tmp_path, "+Wi", "1")
    assert np.abs(thumbnail.draw(read_frame(part10)) - theirs).max() <= 1


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
def test_real_world_values_are_told_in_their_unit_and_look_as_before(function):
    array = values("<u2", 12)
    unit, mapping = Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "ms", "UCUM", "ms"
    mapping.MeasurementUnitsCodeSequence = [unit]
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.25, 10.0
    window = {"WindowCenter": 3000, "WindowWidth": 1001, "VOILUTFunction": function}
    rescale = {"Modality": "MR", "RescaleSlope": 2, "RescaleIntercept": -100}
    before = read_frame(made(array, stored=12, **window, **rescale))
    frame = read_frame(
        made(array, stored=12, **window, **rescale, RealWorldValueMappingSequence=[mapping])
    )
    np.testing.assert_allclose(frame.values, array * 0.25 + 10, rtol=1e-6)
    assert (before.info.unit, frame.info.unit) == ("", "ms")
    seen = thumbnail.draw(frame).astype(int) - thumbnail.draw(before)
    assert np.abs(seen).max() <= 1  # rounding of single precision
    # What a rescale names already, no mapping takes the place of.
    kept = read_frame(made(array, stored=12, RealWorldValueMappingSequence=[mapping]))
    assert (kept.info.unit, kept.info.slope) == ("HU", 1.0)
