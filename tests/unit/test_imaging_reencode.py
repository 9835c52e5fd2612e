"""Stored objects in another plain transfer syntax: nothing lost, pixels exact."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.pixels import pixel_array
from pydicom.uid import UID, generate_uid

from clinic_panel.errors import ClinicError, NotDisplayable, NotUnderstood
from clinic_panel.imaging.decoding import decode
from clinic_panel.imaging.reencode import Reencoded
from clinic_panel.imaging.rewrite import swapped

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NATIVE = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "liver_expb_1frame.dcm",
    "rtdose_expb.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "waveform_ecg.dcm",
    "reportsi.dcm",
    "test-SR.dcm",
    "chrH32.dcm",
    "chrX2.dcm",
]
COMPRESSED = [
    "JPEG2000.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_rle_2frame.dcm",
    "rtdose_rle.dcm",
]
CHANGED = {
    "PixelData",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "LossyImageCompression",
    "DataSetTrailingPadding",
    "IconImageSequence",
}


def reencoded(path: Path, syntax: str) -> bytes:
    source = Reencoded(path, syntax, decode)
    data, block = bytearray(), memoryview(bytearray(5000))
    while count := source.readinto(block):
        data += block[:count]
    source.close()
    assert len(data) == source.size_bytes
    assert len(data) % 2 == 0
    return bytes(data)


def read(data: bytes, syntax: str) -> Dataset:
    found = read_dataset(io.BytesIO(data), UID(syntax).is_implicit_VR, True)
    found.ensure_file_meta()
    found.file_meta.TransferSyntaxUID = UID(syntax)
    return found


def said(data_set: Dataset) -> list:
    """Everything but the pixels, as values."""
    return [
        (element.tag, [said(item) for item in element.value])
        if element.VR == "SQ"
        else (element.tag, element.value)
        for element in data_set
        if element.keyword not in CHANGED and element.tag.element
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("name", [*NATIVE, *COMPRESSED])
def test_an_object_says_the_same_in_another_syntax(name, syntax):
    path = Path(get_testdata_file(name) or get_charset_files(name)[0])
    original = dcmread(path)

    found = read(reencoded(path, syntax), syntax)

    if syntax == IMPLICIT:  # without its VR, nobody knows what a private element is
        original.remove_private_tags()
        found.remove_private_tags()
    assert said(found) == said(original)
    if "PixelData" in original:
        # pydicom's own pixels as RGB: what the object says they are after decoding
        expected = pixel_array(original, raw=name in NATIVE)
        got = pixel_array(found, raw=True)
        assert (got == expected).all()
        assert got.dtype.itemsize == expected.dtype.itemsize


@pytest.mark.filterwarnings("ignore")
def test_text_keeps_its_bytes_even_where_its_character_set_is_a_lie(tmp_path):
    ct = dcmread(get_testdata_file("CT_small.dcm"))
    name = "Ямада^太郎=山田^太郎".encode() + b"\xff\x5c"
    ct.SpecificCharacterSet = "ISO_IR 100"
    out = io.BytesIO()
    ct.save_as(out)
    raw = out.getvalue()
    place = raw.index(b"\x10\x00\x10\x00PN")
    length = int.from_bytes(raw[place + 6 : place + 8], "little")
    name += b" " * (len(name) % 2)
    raw = raw[: place + 6] + len(name).to_bytes(2, "little") + name + raw[place + 8 + length :]
    path = tmp_path / "lie.dcm"
    path.write_bytes(raw)

    assert b"\x10\x00\x10\x00" + len(name).to_bytes(4, "little") + name in reencoded(path, IMPLICIT)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("CT_small.dcm", 300),
        ("CT_small.dcm", -2000),
        ("image_dfl.dcm", 400),
    ],
)
def test_a_damaged_object_is_refused(name, cut, tmp_path):
    path = tmp_path / "damaged.dcm"
    path.write_bytes(Path(get_testdata_file(name)).read_bytes()[:cut])

    with pytest.raises(ClinicError):
        reencoded(path, EXPLICIT)


def test_no_other_syntax_is_written():
    with pytest.raises(NotDisplayable):
        Reencoded(Path(get_testdata_file("CT_small.dcm")), "1.2.840.10008.1.2.4.90", decode)


def test_sequences_without_end_are_refused(tmp_path):
    item, data = Dataset(), Dataset()
    for _ in range(200):
        outer = Dataset()
        outer.RequestAttributesSequence = [item]
        item = outer
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
    data.RequestAttributesSequence = [item]
    path = tmp_path / "deep.dcm"
    data.ensure_file_meta()
    data.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    data.save_as(path, enforce_file_format=True)

    with pytest.raises(NotUnderstood):
        reencoded(path, IMPLICIT)


def test_numbers_turn_round():
    values = np.arange(1, 9, dtype=">u4")
    assert swapped(values.tobytes(), 4) == values.astype("<u4").tobytes()
    with pytest.raises(NotUnderstood):
        swapped(b"123", 2)
