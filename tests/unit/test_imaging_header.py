import contextlib
import struct
import sys
import tracemalloc
import zlib
from collections import Counter
from dataclasses import replace
from datetime import date
from datetime import time as clock_time
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from clinic_panel.errors import ClinicError, NotUnderstood
from clinic_panel.imaging import elements
from clinic_panel.imaging.elements import CutShort
from clinic_panel.imaging.header import clean, parse_date, parse_time, read_header

CT = Path(get_testdata_file("CT_small.dcm")).read_bytes()
IMPLICIT = Path(get_testdata_file("MR_small_implicit.dcm")).read_bytes()


def made(syntax: str = ExplicitVRLittleEndian, **attributes: object) -> bytes:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "1.2.3"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.4", "1.2.5"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def raw_element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


@pytest.mark.parametrize(
    "name",
    [
        *("CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
        *("image_dfl.dcm", "693_J2KI.dcm", "rtplan.dcm", "test-SR.dcm", "examples_overlay.dcm"),
    ],
)
def test_a_header_says_what_pydicom_says(name):
    path = Path(get_testdata_file(name))

    header = read_header(path)

    ds = dcmread(path, stop_before_pixels=True)
    assert header == read_header(path.read_bytes())
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"):
        assert getattr(header, keyword) == ds[keyword].value
    for keyword in ("PatientName", "PatientID", "Modality", "StudyDescription", "PatientSex"):
        assert getattr(header, keyword) == str(ds.get(keyword) or "")
    for keyword in ("Rows", "Columns", "SeriesNumber", "InstanceNumber"):
        assert getattr(header, keyword) == ds.get(keyword)
    assert header.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID
    if ds.StudyDate:
        assert header.StudyDate is not None
        assert header.StudyDate.strftime("%Y%m%d") == ds.StudyDate


def test_the_first_kilobytes_are_enough_and_fewer_ask_for_more():
    assert read_header(CT[:16384], partial=True) == read_header(CT)
    with pytest.raises(CutShort):
        read_header(CT[:900], partial=True)


def test_a_bare_data_set_reads_with_its_negotiated_syntax():
    ds = dcmread(BytesIO(IMPLICIT))
    out = BytesIO()
    dcmwrite(out, Dataset(ds), implicit_vr=True, little_endian=True)

    header = read_header(out.getvalue(), transfer_syntax_uid=ImplicitVRLittleEndian)

    assert header.SOPInstanceUID == ds.SOPInstanceUID
    assert header.TransferSyntaxUID == ImplicitVRLittleEndian


@pytest.mark.parametrize(
    "uid", ["", "../../etc/passwd", "1.2.", "1..2", "1." + "2" * 63, "1.2 .3", "abc"]
)
def test_a_uid_that_is_none_is_refused(uid):
    part10 = made()
    at = part10.index(raw_element(0x0020000D, b"UI", b"1.2.4\0"))
    bad = part10[:at] + raw_element(0x0020000D, b"UI", uid.encode())
    with pytest.raises(NotUnderstood):
        read_header(bad + raw_element(0x0020000E, b"UI", b"1.2.5\0"))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["ISO_IR 100"], "Müller^Jörg"),
        (["ISO_IR 144"], "Люкceмбypг"),
        (["ISO_IR 192"], "王^小明=王^小東"),
        (["GB18030"], "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO_IR 126"], "Διονυσιος"),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_names_in_many_scripts_come_whole(charset, name, syntax):
    assert (
        read_header(made(syntax, SpecificCharacterSet=charset, PatientName=name)).PatientName
        == name
    )


def test_undeclared_and_unknown_character_sets_lose_as_little_as_can_be():
    plain = made(PatientName="Mueller")
    at = plain.index(b"ISO_IR 192")
    for declared in (b"ISO_IR 999", b"ISO_IR 6  "):
        text = plain[:at] + declared + plain[at + 10 :]
        assert read_header(text).PatientName == "Mueller"
        assert read_header(text.replace(b"Mueller", "Müller".encode())).PatientName == "Müller"
        latin = text.replace(b"Mueller ", "Müller  ".encode("latin-1"))
        assert read_header(latin).PatientName == "Müller"


def test_text_is_clean_and_fits_its_value_representation():
    part10 = made(StudyDescription="DESC", PatientID="PIDPID")
    at = part10.index(b"PIDPID") - 8
    description = ("x\0\r\n<b>\u202e" + "y" * 80).encode()
    name = b"a" * 80 + b"=" + b"b" * 80
    spoiled = (
        part10[:at].replace(
            raw_element(0x00081030, b"LO", b"DESC"), raw_element(0x00081030, b"LO", description)
        )
        + raw_element(0x00100010, b"PN", name)
        + part10[at:].replace(b"PIDPID", b" P1\x07 \0")
    )

    header = read_header(spoiled)

    assert header.PatientName == "a" * 64 + "=" + "b" * 64
    assert header.StudyDescription == "x<b>" + "y" * 60
    assert header.PatientID == "P1"


def test_dates_and_numbers_that_do_not_parse_are_none():
    part10 = made(StudyDate="20260101", PatientBirthDate="19600229", InstanceNumber=7)
    assert read_header(part10).PatientBirthDate == date(1960, 2, 29)
    assert read_header(part10).InstanceNumber == 7

    broken = part10.replace(b"20260101", b"20261301").replace(b"19600229", b"19610229")
    header = read_header(broken.replace(b"\x02\x007 ", b"\x02\x00x "))

    assert (header.StudyDate, header.PatientBirthDate, header.InstanceNumber) == (None, None, None)


@given(st.dates(min_value=date(1000, 1, 1)))
def test_every_date_survives_as_da_value(day):
    assert parse_date(day.strftime("%Y%m%d")) == day
    assert parse_date(day.strftime("%Y.%m.%d")) == day


@given(st.times())
def test_every_time_survives_as_tm_value(moment):
    assert parse_time(moment.strftime("%H%M%S.%f")) == moment
    assert parse_time("10") == clock_time(10)


@given(st.text())
def test_parsers_of_free_text_never_raise_and_clean_is_idempotent(text):
    parse_date(text)
    parse_time(text)
    once = clean(text)
    assert clean(once) == once
    assert not any(char < " " or char == "\x7f" for char in once)


def test_a_deflated_object_reads_and_a_bomb_is_refused():
    part10 = made(DeflatedExplicitVRLittleEndian, PatientID="P1")
    assert read_header(part10).PatientID == "P1"

    start = made(DeflatedExplicitVRLittleEndian)
    meta_end = 132 + 12 + struct.unpack_from("<L", start, 140)[0]
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = engine.compress(bytes(300 * 2**20)) + engine.flush()
    part10 = start[:meta_end] + bomb
    tracemalloc.start()
    try:
        with pytest.raises(NotUnderstood, match="beyond reason"):
            read_header(part10)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 150 << 20  # half of what it would be


def test_deep_nesting_is_refused_and_long_sequences_are_walked():
    def nested(depth: int) -> bytes:
        opening = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        opening += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        closing = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        return opening * depth + closing * depth

    part10 = made()
    at = part10.index(raw_element(0x0020000D, b"UI", b"1.2.4\0"))
    assert read_header(part10[:at] + nested(50) + part10[at:]).SOPInstanceUID == "1.2.3"
    with pytest.raises(NotUnderstood, match="deeply"):
        read_header(part10[:at] + nested(5000) + part10[at:])


def test_too_many_elements_are_refused(monkeypatch):
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 20)
    with pytest.raises(NotUnderstood, match="too many"):
        read_header(CT)


@given(st.data())
def test_damaged_bytes_raise_only_our_own_errors(data):
    source = bytearray(data.draw(st.sampled_from([CT[:6000], IMPLICIT[:4000]])))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(source) - 1))
        source[at] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(source)))
    with contextlib.suppress(ClinicError):
        read_header(bytes(source[:length]), partial=data.draw(st.booleans()))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_not_understood(junk):
    with pytest.raises(NotUnderstood):
        read_header(junk)


def test_what_one_object_has_of_its_own_is_never_that_of_the_one_before():
    first = {"PatientID": "1", "PatientName": "A", "SeriesNumber": 1, "InstanceNumber": 1}
    first |= {"StudyDate": "20260101", "Modality": "CT", "Rows": 2, "NumberOfFrames": 1}
    other = {"PatientID": "2", "PatientName": "B", "SeriesNumber": 2, "InstanceNumber": 2}
    other |= {"StudyDate": "20260102", "Modality": "MR", "Rows": 3, "NumberOfFrames": 4}
    uids = {"SOPInstanceUID": "1.9", "StudyInstanceUID": "1.8", "SeriesInstanceUID": "1.7"}
    before = read_header(made(**first))
    for keyword, value in (other | uids).items():
        after = read_header(made(**first | {keyword: value}))
        shown = date(2026, 1, 2) if keyword == "StudyDate" else value
        assert after == replace(before, **{keyword: shown}), keyword


def test_a_header_costs_few_calls():
    """It is read with every object that arrives; how long that takes, the benchmarks tell."""
    prefix = CT[:16384]
    read_header(prefix, partial=True)  # what is made once is not counted
    calls = Counter()
    sys.setprofile(lambda _frame, event, _argument: calls.update([event]))
    try:
        read_header(prefix, partial=True)
    finally:
        sys.setprofile(None)
    assert 10 < calls["call"] < 450, calls


def test_numbers_no_index_can_hold_are_left_out():
    huge = b"\xff" * 4
    header = read_header(
        made(SeriesNumber=7)
        + raw_element(0x00200013, b"IS", b"2147483648")
        + raw_element(0x00280008, b"IS", b"99999999999")
        + raw_element(0x00280010, b"UL", huge)
        + raw_element(0x00280011, b"UL", struct.pack("<L", 2**31 - 1))
    )
    assert (header.InstanceNumber, header.NumberOfFrames) == (None, 1)
    assert (header.Rows, header.Columns) == (None, 2**31 - 1)
