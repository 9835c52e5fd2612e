"""What is told to those who must not learn whose an object is: never what a sender wrote freely."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from clinic_panel.imaging import presentation, structured, waveform
from clinic_panel.imaging.discreet import (
    WITHHELD,
    Discreet,
    class_uid,
    discreet_listing,
    is_told,
    listed_meaning,
    told,
    unit,
)
from clinic_panel.imaging.kinds import name_of
from clinic_panel.imaging.listing import listing_of
from clinic_panel.imaging.presentation import Shown, read_presentation
from clinic_panel.imaging.structured import read_document
from clinic_panel.imaging.waveform import read_recording
from tests import papers

SECRET = "Plantedname"
ECG = Path(get_testdata_file("waveform_ecg.dcm"))
CT = papers.made("1.2.840.10008.5.1.4.1.1.2", "CT")


def own(name: str) -> Sequence:
    """A code of the sender's own, which says a name."""
    return papers.code(SECRET[:16], "99OWN", f"{name} {SECRET}")


def row_of(listing, keyword):
    return next(row for row in listing.rows if row.keyword == keyword)


def new_uid(uid: str) -> str:
    return f"2.25.{len(uid)}"


def test_a_header_is_listed_with_numbers_codes_and_other_uids_and_without_texts():
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientName, ds.PatientID, ds.StudyDescription = SECRET, SECRET, SECRET
    ds.PatientComments = ds.OperatorsName = ds.InstitutionName = SECRET
    ds.PatientSize, ds.PregnancyStatus, ds.BodyPartExamined = "1.7", 4, "CHEST"
    block = ds.private_block(0x0045, SECRET, create=True)
    block.add_new(1, "LO", SECRET)
    block.add_new(2, "DS", "3.5")
    block.add_new(3, "SQ", Sequence([ds.OtherPatientIDsSequence[0]]))
    found = discreet_listing(listing_of(papers.written(ds)), new_uid)

    assert SECRET not in json.dumps(found.as_dict())
    assert (row_of(found, "PatientName").value, row_of(found, "PatientName").note) == (
        "",
        "withheld",
    )
    assert row_of(found, "KVP").value == "120"
    assert row_of(found, "BodyPartExamined").value == "CHEST"
    assert row_of(found, "PregnancyStatus").value == ""
    assert row_of(found, "StudyDate").value == "20040119"
    assert row_of(found, "PatientBirthDate").value == ""
    assert row_of(found, "StudyInstanceUID").value.startswith("2.25.")
    assert row_of(found, "SOPClassUID").value == "1.2.840.10008.5.1.4.1.1.2"
    assert len(found.rows) == len(listing_of(papers.written(ds)).rows)  # nothing is left out


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("KVP", SECRET),
        ("Modality", SECRET),
        ("StudyDate", SECRET),
        ("Rows", SECRET),
        ("NoSuchKeyword", "1"),
        ("PatientName", "1"),
        ("PatientID", "12"),
        ("ContentLabel", "LIVER"),
    ],
)
def test_what_does_not_look_like_its_kind_is_kept_back(keyword, value):
    assert told(keyword, value) == ""


def test_a_unit_and_a_kind_are_told_if_everybody_knows_them():
    assert [unit(text) for text in ("", "HU", "mm²/s", "kPa", "Planted^Maria")] == [
        *("", "HU", "mm²/s", "kPa", ""),
    ]
    assert class_uid("1.3.12.2.1107.5.9.1") == "1.3.12.2.1107.5.9.1"
    assert class_uid("1.2.840.10008.Planted") == ""


@given(st.text())
def test_no_text_passes_as_a_number_or_a_code(text):
    for keyword in ("KVP", "Modality", "StudyTime"):
        assert is_told(keyword)
        value = told(keyword, text)
        assert value in ("", text)
        assert value.isascii()
        assert value == value.upper() or keyword == "KVP"


def test_a_liar_about_its_vr_gains_nothing():
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientName = "PLANTEDNAME"
    written = papers.written(ds).replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00CS")
    found = discreet_listing(listing_of(written), new_uid)
    assert (row_of(found, "PatientName").vr, row_of(found, "PatientName").value) == ("CS", "")


@pytest.mark.parametrize("uid", ["Planted^Name", "1.2.840.10008.Planted Storage"])
def test_what_is_no_kind_of_object_is_not_called_by_its_words(uid):
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    assert discreet_listing(listing_of(papers.written(ds)), new_uid).sop_class == "CT Image Storage"
    written = papers.written(ds).replace(ds.SOPClassUID.encode(), f"{uid:\0<25}".encode()[:25])
    found = discreet_listing(listing_of(written), new_uid)
    assert "Planted" not in json.dumps(found.as_dict())
    assert "Planted" not in name_of(uid)


def test_a_report_keeps_its_codes_and_numbers_and_says_where_text_was():
    ds = papers.report(CT, f"{SECRET} fell")
    finding = papers.content("CODE", "Finding", ConceptCodeSequence=own("of"))
    named = papers.content("TEXT", "Finding", TextValue=SECRET)
    named.ConceptNameCodeSequence = own("about")
    wrong = papers.number("Diameter", "1", SECRET[:16], SECRET)
    born = papers.content("DATE", "Finding", Date="19310517")
    ds.ContentSequence = Sequence([*ds.ContentSequence, finding, named, wrong, born])
    ds.ContentSequence[1].ContentSequence[2].ConceptNameCodeSequence = papers.code(
        "410668003", "SCT", f"Length of {SECRET}"
    )
    found = read_document(papers.written(ds), Discreet)

    assert SECRET not in json.dumps(structured.as_dict(found.content, {}))
    values = [(item.kind, item.name, item.value) for item in found.content.walk()]
    assert ("NUM", "Length property", "12.5 mm") in values  # as the standard's list calls it
    assert ("CODE", "Finding", "Lung structure") in values
    assert [value for kind, _, value in values if kind == "TEXT"] == [WITHHELD, WITHHELD]
    assert ("CODE", "Finding", WITHHELD) in values
    assert ("PNAME", "Finding", WITHHELD) in values
    assert ("DATE", "Finding", WITHHELD) in values
    assert (found.is_complete, found.content_at) == (False, "2026-03-16 10:15")


def test_a_code_means_what_the_lists_say_in_its_older_scheme_too():
    assert listed_meaning("39607008", "SCT") == listed_meaning("T-28000", "SRT")
    assert listed_meaning("39607008", "SCT") == "Lung structure"
    assert listed_meaning("39607008", "99OWN") == ""


def test_a_recording_keeps_the_names_of_leads_and_no_others():
    ds = dcmread(ECG)
    channels = ds.WaveformSequence[0].ChannelDefinitionSequence
    channels[0].ChannelLabel = SECRET
    channels[1].ChannelSourceSequence = own("at")
    channels[2].ChannelSensitivityUnitsSequence = own("per")
    ds.WaveformSequence[1].MultiplexGroupLabel = SECRET
    found = read_recording(papers.written(ds), words=Discreet)

    assert SECRET not in json.dumps(found.as_dict())
    assert [one.label for one in found.groups[0].channels[:5]] == [
        *("Channel 1", "Channel 2", "III", "aVR", "aVL"),
    ]
    assert [one.unit for one in found.groups[0].channels[:3]] == ["mV", "mV", ""]
    assert [group.label for group in found.groups] == ["RHYTHM", ""]
    assert set(waveform.read_group(papers.written(ds), 0, words=Discreet).as_dict()) >= {"hz"}
    assert not any("RITMO" in note for note in found.notes)


def test_a_presentation_keeps_where_its_texts_stand_and_not_what_they_say():
    ds = papers.presentation(CT, SECRET, ContentLabel="PLANTEDNAME", ContentDescription=SECRET)
    ds.ContentCreatorName = SECRET
    state = read_presentation(papers.written(ds), Discreet)
    said = presentation.as_dict(state, Shown(state.images[0], 0, 128, 128))
    assert (state.label, state.description, state.creator) == ("", "", "")
    assert [label["text"] for label in said["labels"]] == [WITHHELD]
    assert len(said["graphics"]) == 2


def test_the_checks_above_would_see_a_leak():
    ds: Dataset = papers.report(CT, SECRET)
    assert SECRET in json.dumps(structured.as_dict(read_document(papers.written(ds)).content, {}))
