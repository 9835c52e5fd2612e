"""Nothing of a person stays, wherever it stood; what holds images together does."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from clinic_panel.documents.confidentiality import _table
from clinic_panel.documents.deidentify import deidentify
from clinic_panel.documents.reservations import Reason, to_look_at, unfit
from clinic_panel.documents.terms import Terms
from clinic_panel.errors import NotUnderstood
from tests import planted

TERMS = Terms(key=b"k" * 32, subject="issuer\\PID", case="Teaching 12")
CT = get_testdata_file("CT_small.dcm")


def written(ds: Dataset) -> bytes:
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_nothing_planted_anywhere_is_in_the_bytes():
    given_ = planted.part10(planted.ct())
    assert planted.found_in(given_) >= set(planted.PLANTED)  # it was there
    result = written(deidentify(dcmread(BytesIO(given_)), TERMS))
    assert planted.found_in(result) == set()
    assert result[:128] == b"\0" * 128


def test_what_makes_it_an_image_stays():
    before, ds = dcmread(CT), deidentify(dcmread(CT), TERMS)
    assert (ds.pixel_array == before.pixel_array).all()
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "KVP", "ConvolutionKernel"):
        assert ds[keyword].value == before[keyword].value
    assert ds.PatientName == ds.PatientID == "Teaching 12"
    assert ds.Manufacturer == before.Manufacturer
    assert [code.CodeValue for code in ds.DeidentificationMethodCodeSequence] == [
        "113100",
        "113107",
    ]
    assert ds.PatientIdentityRemoved == "YES"
    assert ds.LongitudinalTemporalInformationModified == "MODIFIED"
    assert "BurnedInAnnotation" not in ds  # nobody looked


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("KVP", "CS", "STRANGER"),
        ("Exposure", "UI", "1.2.840.10008.STRANGER"),
        ("SeriesNumber", "UT", "Stranger"),
        ("BodyPartExamined", "LO", "Stranger"),
        ("Modality", "LO", "Stranger"),
        ("Modality", "CS", "Stranger"),
        ("ProtocolName", "IS", "5550199"),
        ("PatientComments", "DA", "19310517"),
        ("FilterType", "CS", "STRANGER"),
        ("FrameOfReferenceUID", "UI", "1.2.840.10008.Stranger"),
        ("CodingSchemeUID", "UI", "Stranger"),
        ("WaveformData", "LO", "Stranger"),
    ],
)
def test_no_words_stay_where_the_standard_has_none(keyword, vr, value):
    ds, tag = dcmread(CT), Tag(keyword)
    ds.pop(tag, None)
    ds.add(DataElement(tag, vr, value, validation_mode=IGNORE))
    kept = str(deidentify(ds, TERMS).get(keyword, ""))
    assert kept in ("", "0", "ANONYMIZED") or kept.startswith("2.25.")


@pytest.mark.parametrize("keyword", ["SOPClassUID", "TransferSyntaxUID"])
def test_what_does_not_say_what_it_is_stays(keyword):
    ds = dcmread(CT)
    where = ds if keyword in ds else ds.file_meta
    uid = UID("1.2.840.10008.5.1.4.1.1.Stranger", validation_mode=IGNORE)
    where[keyword] = DataElement(keyword, "UI", uid, validation_mode=IGNORE)
    with pytest.raises(NotUnderstood):
        deidentify(ds, TERMS)


@given(st.data())
@settings(max_examples=25)
def test_nothing_stays_however_deep_and_wherever_it_lies(data):
    ds = dcmread(CT)
    ds.PatientName, ds.PatientID, ds.AccessionNumber = planted.NAME, planted.ID, planted.ACCESSION
    keywords = st.sampled_from(
        [
            *("SourceImageSequence", "SharedFunctionalGroupsSequence", "ReferencedImageSequence"),
            *("AnatomicRegionSequence", "RequestAttributesSequence", "AcquisitionContextSequence"),
        ]
    )
    for keyword in data.draw(st.lists(keywords, unique=True, max_size=4)):
        depths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
        setattr(ds, keyword, Sequence([planted.nested(depth) for depth in depths]))
    syntax = data.draw(st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]))
    ds.file_meta.TransferSyntaxUID = syntax
    result = written(deidentify(dcmread(BytesIO(planted.part10(ds))), TERMS))
    assert planted.found_in(result) - {planted.TIME} == set()


def test_references_hold_between_the_objects_of_a_key_alone():
    first, second = dcmread(CT), dcmread(CT)
    uid = first.SOPInstanceUID
    second.SOPInstanceUID = "1.2.3"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = first.SOPClassUID, uid
    second.ReferencedImageSequence = Sequence([reference])
    one, two = deidentify(first, TERMS), deidentify(second, TERMS)
    [referenced] = two.ReferencedImageSequence
    assert referenced.ReferencedSOPInstanceUID == one.SOPInstanceUID != uid
    assert referenced.ReferencedSOPClassUID == one.SOPClassUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    other = deidentify(dcmread(CT), Terms(b"x" * 32, TERMS.subject, TERMS.case))
    assert other.SOPInstanceUID != one.SOPInstanceUID
    assert deidentify(dcmread(CT), TERMS).SOPInstanceUID == one.SOPInstanceUID


def test_private_and_local_parts_go_and_shared_codes_stay():
    ds = planted.ct()
    local, shared = Dataset(), Dataset()
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "7", "99X", "Dr Smith's"
    shared.CodeValue, shared.CodingSchemeDesignator, shared.CodeMeaning = "T-28000", "SRT", "Lung"
    ds.AnatomicRegionSequence = Sequence([local, shared])
    after = deidentify(ds, TERMS)
    assert not [e for e in after if e.tag.is_private or e.tag.group >> 8 in (0x50, 0x60)]
    one, two = after.AnatomicRegionSequence
    assert (one.CodeValue, one.CodingSchemeDesignator) == ("ANONYMIZED", "99ANON")
    assert (two.CodeValue, two.CodeMeaning) == ("T-28000", "Lung")


def moments(ds: Dataset) -> list[datetime]:
    pairs = ((ds.StudyDate, ds.StudyTime), (ds.SeriesDate, ds.SeriesTime))
    return [moment(day + time) for day, time in pairs]


def moment(text: str) -> datetime:
    return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def test_dates_and_times_move_together_and_their_distance_stays():
    ds = dcmread(CT)
    ds.StudyDate, ds.StudyTime = "20260315", "235900"
    ds.SeriesDate, ds.SeriesTime = "20260316", "000130.5"
    ds.AcquisitionDateTime = "20260316000200+0100"
    before = moments(ds)
    after_ds = deidentify(ds, TERMS)
    after = moments(after_ds)
    assert after[1] - after[0] == before[1] - before[0]
    assert after[0] - before[0] == TERMS.offset
    assert (moment(after_ds.AcquisitionDateTime) - after[1]).seconds == 30
    assert after_ds.SeriesTime.endswith(".5")
    assert not after_ds.PatientBirthDate


@pytest.mark.parametrize("broken", ["2026", "20261345", "yesterday", "00010101"])
def test_a_date_that_cannot_be_moved_does_not_stay(broken):
    ds = dcmread(CT)
    ds.add_new("StudyDate", "DA", "")
    ds["StudyDate"]._value = broken
    ds["SeriesDate"]._value = broken
    after = deidentify(ds, TERMS)
    assert after.get("StudyDate") in ("", None)
    assert after.get("SeriesDate") in ("19000101", None)


def test_sequences_too_deep_to_be_read_are_refused():
    with pytest.raises(NotUnderstood):
        deidentify(_deep(2_000), TERMS)


def _deep(levels: int) -> Dataset:
    inner = Dataset()
    for _ in range(levels):
        outer = Dataset()
        outer.SourceImageSequence = Sequence([inner])
        inner = outer
    ds = dcmread(CT)
    ds.SourceImageSequence = Sequence([inner])
    return ds


def test_a_key_object_keeps_its_tree_and_loses_its_text():
    ds = dcmread(CT)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.59"
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = (
        "113000",
        "DCM",
        "Of Interest",
    )
    ds.ConceptNameCodeSequence = Sequence([title])
    text, image, pointer = Dataset(), Dataset(), Dataset()
    text.RelationshipType, text.ValueType, text.TextValue = "CONTAINS", "TEXT", "of Ruth"
    pointer.ReferencedSOPClassUID, pointer.ReferencedSOPInstanceUID = "1.2.840.10008.5", "1.2.3"
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    image.ReferencedSOPSequence = Sequence([pointer])
    ds.ContentSequence = Sequence([text, image])
    after = deidentify(ds, TERMS)
    [left] = after.ContentSequence
    assert left.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == TERMS.new_uid("1.2.3")
    assert after.ConceptNameCodeSequence[0].CodeMeaning == "Of Interest"
    assert "113104" in [code.CodeValue for code in after.DeidentificationMethodCodeSequence]


def test_the_drawings_of_a_presentation_stay_and_their_texts_go():
    ds = dcmread(CT)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.11.1"
    drawn, written_ = Dataset(), Dataset()
    graphic, words = Dataset(), Dataset()
    graphic.GraphicType, graphic.GraphicData = "POLYLINE", [1.0, 2.0, 3.0, 4.0]
    words.UnformattedTextValue = "Ruth"
    drawn.GraphicLayer, written_.GraphicLayer = "ONE", "ONE"
    drawn.GraphicObjectSequence, drawn.TextObjectSequence = Sequence([graphic]), Sequence([words])
    written_.TextObjectSequence = Sequence([words])
    ds.GraphicAnnotationSequence = Sequence([drawn, written_])
    after = deidentify(ds, TERMS)
    [left] = after.GraphicAnnotationSequence
    assert list(left.GraphicObjectSequence[0].GraphicData) == [1.0, 2.0, 3.0, 4.0]
    assert "TextObjectSequence" not in left


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.104.1", Reason.DOCUMENT),
        ("1.2.840.10008.5.1.4.1.1.88.33", Reason.REPORT),
        ("1.2.840.10008.5.1.4.1.1.66", Reason.OPAQUE),
        ("1.3.12.2.1107.5.9.1", Reason.OPAQUE),
        ("1.2.840.10008.5.1.4.1.1.9.4.1", Reason.VOICE),
        ("1.2.840.10008.5.1.4.1.1.77.1.1.1", Reason.VIDEO),
        ("1.2.840.10008.5.1.4.1.1.88.59", None),
        ("1.2.840.10008.5.1.4.1.1.2", None),
        ("1.2.840.10008.5.1.4.1.1.66.4", None),
    ],
)
def test_some_kinds_of_objects_never_leave(sop_class, reason):
    ds = Dataset()
    ds.SOPClassUID = sop_class
    assert unfit(ds) is reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"BurnedInAnnotation": "YES"}, Reason.DECLARED),
        ({"BurnedInAnnotation": "NO"}, None),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, Reason.ULTRASOUND),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Reason.CAPTURE),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Reason.CAPTURE),
        ({"ConversionType": "WSD"}, Reason.CAPTURE),
        ({"ImageType": ["DERIVED", "PRIMARY", "LABEL", "NONE"]}, Reason.LABEL),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"}, Reason.PHOTOGRAPH),
    ],
)
def test_images_that_usually_show_a_name_are_to_be_looked_at(changes, reason):
    ds = dcmread(CT)
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    assert to_look_at(ds) is reason
    assert unfit(ds) is None


def test_the_table_is_the_one_of_the_standard():
    table = _table()
    assert len(table) > 640
    assert {0x00100010, 0x00100020, 0x0020000D, 0x00081030} <= table.keys()
