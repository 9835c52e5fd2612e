"""The header as a list: what pydicom reads of the same bytes, and hostile bytes within bounds."""

import struct
import unicodedata
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from clinic_panel.errors import ClinicError, NotUnderstood
from clinic_panel.imaging import listing
from clinic_panel.imaging.listing import listing_of

CT = Path(get_testdata_file("CT_small.dcm"))


def written(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "1.2.3")
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def by_tag(found, tag):
    return next(row for row in found.rows if row.tag == tag)


@pytest.mark.parametrize(
    "name",
    [
        *("CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
        *("image_dfl.dcm", "rtplan.dcm", "test-SR.dcm", "693_J2KI.dcm", "waveform_ecg.dcm"),
    ],
)
def test_the_list_holds_the_elements_that_pydicom_reads(name):
    path = Path(get_testdata_file(name))
    ds = dcmread(path)
    expected = [str(element.tag).upper() for element in (*ds.file_meta, *ds.iterall())]
    found = listing_of(path)
    got = [row.tag for row in found.rows if row.tag]
    pixels = "(7FE0,0010)"
    assert got == expected[: expected.index(pixels) + 1 if pixels in expected else None]
    assert found.problem == ""


def test_a_value_is_shown_with_its_meaning_and_its_length():
    found = listing_of(CT)
    assert found.sop_class == "CT Image Storage"
    name = by_tag(found, "(0010,0010)")
    assert (name.vr, name.keyword, name.value) == ("PN", "PatientName", "CompressedSamples^CT1")
    assert by_tag(found, "(0008,0016)").note == "CT Image Storage"
    assert by_tag(found, "(0028,0010)").value == "128"
    private = by_tag(found, "(0009,1002)")
    assert (private.private, private.value) == (True, "CT01")
    assert "Suite id" in private.name
    assert by_tag(found, "(7FE0,0010)").note == "32.8 kB"


def test_a_nested_value_stands_below_its_item():
    found = listing_of(CT)
    place = next(i for i, row in enumerate(found.rows) if row.keyword == "OtherPatientIDsSequence")
    shown = [(row.depth, row.name, row.value) for row in found.rows[place : place + 3]]
    assert shown == [
        (0, "Other Patient IDs Sequence", "2 items"),
        (1, "Item 1", ""),
        (2, "Patient ID", "ABCD1234"),
    ]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_text_is_read_in_its_own_character_set_and_cannot_turn_the_page_round(syntax):
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "Tanaka^\u202e田中\x07"
    ds.PatientComments = "one\r\ntwo"
    found = listing_of(written(ds, syntax))
    assert by_tag(found, "(0010,0010)").value == "Tanaka^田中"
    assert by_tag(found, "(0010,4000)").value == "one\ntwo"


def test_long_values_are_shortened_and_say_so():
    ds = Dataset()
    ds.PatientComments = "x" * 5_000
    ds.RedPaletteColorLookupTableData = bytes(70_000)
    found = listing_of(written(ds))
    long = by_tag(found, "(0010,4000)")
    assert len(long.value) == listing.MOST_CHARACTERS
    assert long.note == "the first 4096 of 5000 characters"
    binary = by_tag(found, "(0028,1201)")
    assert (binary.length, binary.note, len(binary.value) < 200) == (70_000, "70.0 kB", True)


def test_a_long_sequence_is_listed_round_the_frame_that_is_shown():
    ds = Dataset()
    ds.PerFrameFunctionalGroupsSequence = Sequence()
    for number in range(1_000):
        item = Dataset()
        item.StackID = str(number)
        ds.PerFrameFunctionalGroupsSequence.append(item)
    found = listing_of(written(ds), frame=700)
    shown = [row.value for row in found.rows if row.keyword == "StackID"]
    assert shown == [str(number) for number in range(600, 800)]
    sequence = by_tag(found, "(5200,9230)")
    assert sequence.value == "1000 items"
    assert sequence.note == "items 601 to 800 are listed"


def test_a_damaged_object_gives_what_stands_before_the_damage():
    whole = CT.read_bytes()
    found = listing_of(whole[:3_000])
    assert by_tag(found, "(0010,0010)").value == "CompressedSamples^CT1"
    assert found.problem == "The object is cut short."


def test_rows_are_bounded(monkeypatch):
    monkeypatch.setattr(listing, "MOST_ROWS", 40)
    found = listing_of(CT)
    assert len(found.rows) == 40
    assert found.problem == "The object has more elements than can be listed."


def test_depth_is_bounded():
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    sequence = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    ds = Dataset()
    ds.PatientID = "P"
    found = listing_of(written(ds) + (sequence + item) * 5_000)
    assert by_tag(found, "(0010,0020)").value == "P"
    assert found.problem == "The object nests its sequences too deeply."


def test_what_is_no_dicom_is_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    for source in (b"hello, this is text", empty):
        with pytest.raises(NotUnderstood):
            listing_of(source)


@given(st.data())
def test_no_damage_breaks_the_list(data):
    whole = bytearray(CT.read_bytes()[:6_000])
    for _ in range(data.draw(st.integers(1, 20))):
        whole[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = listing_of(bytes(whole))
    except ClinicError:
        return
    assert len(found.rows) <= listing.MOST_ROWS
    shown = "".join(row.value for row in found.rows)
    assert not [char for char in shown if unicodedata.category(char) == "Cc" and char not in "\n\t"]
