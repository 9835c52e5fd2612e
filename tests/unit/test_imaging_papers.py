"""Reports, key images, recordings and wrapped PDFs: what is read of them, and hostile ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid

from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.errors import ClinicError, NotDisplayable
from clinic_panel.evidence.build import build
from clinic_panel.evidence.order import DocumentKind
from clinic_panel.imaging import annotations, presentation, structured
from clinic_panel.imaging.encapsulated import read_pdf
from clinic_panel.imaging.kinds import Kind, kind_of, name_of, taken
from clinic_panel.imaging.presentation import Shown, read_presentation
from clinic_panel.imaging.structured import read_document
from clinic_panel.imaging.waveform import read_recording
from tests import papers
from tests.unit.test_evidence import BOX, ordered
from tests.unit.test_evidence import CT as SOURCE

SR = Path(get_testdata_file("test-SR.dcm"))
ECG = Path(get_testdata_file("waveform_ecg.dcm"))


def leaves(document):
    return [
        (item.kind, item.name, item.value)
        for item in document.content.walk()
        if item.kind != "CONTAINER"
    ]


def test_a_report_reads_as_its_codes_mean():
    image = papers.made("1.2.840.10008.5.1.4.1.1.2", "CT")
    found = read_document(papers.written(papers.report(image, "Größe\r\nnormal")))
    assert found.content.name == "Imaging Report"
    assert leaves(found) == [
        ("PNAME", "Observer", "Doe, Jane"),
        ("TEXT", "Description", "Größe\nnormal"),
        ("CODE", "Finding", "Lung"),
        ("IMAGE", "", ""),
        ("NUM", "Diameter", "12.5 mm"),
    ]
    assert (found.is_complete, found.is_verified) == (False, False)
    assert found.content_at == "2026-03-16 10:15"
    observer, section = found.content.items
    assert (observer.aside, section.aside) == (True, False)
    [reference] = found.references
    assert reference.sop_instance_uid == image.SOPInstanceUID


def test_a_real_report_of_another_maker_is_read_whole():
    found = read_document(SR)
    ds = dcmread(SR)
    below = (len(one.value) for one in ds.iterall() if one.keyword == "ContentSequence")
    assert len(list(found.content.walk())) == 1 + sum(below)
    assert all(item.name for item in found.content.walk() if item.kind == "NUM")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_report_reads_the_same_in_any_syntax(syntax):
    ds = papers.report(papers.made("1.2.840.10008.5.1.4.1.1.2", "CT"), "text")
    expected = read_document(papers.written(ds))
    ds.file_meta.TransferSyntaxUID = syntax
    assert read_document(papers.written(ds)) == expected


def test_a_unit_is_written_as_people_do_and_a_missing_number_says_why():
    ds = papers.report(papers.made("1.2.840.10008.5.1.4.1.1.2", "CT"), "x")
    ratio = papers.number("Ratio", "0.5", "{ratio}", "ratio")
    beats = papers.number("Rate", "60", "{H.B.}/min", "heart beats per minute")
    empty = papers.content("NUM", "Area", MeasuredValueSequence=Sequence())
    empty.NumericValueQualifierCodeSequence = papers.code("114006", "DCM", "Measurement failure")
    ds.ContentSequence = Sequence([ratio, beats, empty])
    assert [value for _, _, value in leaves(read_document(papers.written(ds)))] == [
        "0.5",
        "60 heart beats per minute",
        "Measurement failure",
    ]


def test_what_this_clinic_saves_of_a_reading_is_read_back():
    [saved] = build(ordered(DocumentKind.MEASUREMENTS, SOURCE))
    found = read_document(saved)
    said = [(name, value) for kind, name, value in leaves(found) if kind == "NUM"]
    assert said[:2] == [("Length", "23.28388501 mm"), ("Angle", "138.3256529 °")]
    assert ("Attenuation Coefficient", "-863.0 HU") in said
    assert len(found.references) == 1

    [saved] = build(ordered(DocumentKind.PRESENTATION, SOURCE))
    state = read_presentation(saved)
    said = said_of(state, state.images[0])
    assert said["tones"]["window"] == [40, 400]
    assert said["area"]["corners"] == [[0, 0], [128, 128]]
    assert said["graphics"][0]["points"] == list(BOX)
    assert said["labels"][0]["text"] == "23.3 mm\nPixel Spacing"
    assert state.left_out == ()


def test_a_frame_that_is_meant_is_counted_from_zero():
    ds = papers.key_images(papers.made("1.2.840.10008.5.1.4.1.1.2", "CT"), "For Teaching")
    uid = generate_uid()
    ds.ContentSequence = Sequence([papers.image(uid, frames=[3, 7])])
    [reference] = read_document(papers.written(ds)).references
    assert structured.place_of(reference, {uid: 17}) == {"id": 17, "frame": 2, "frames": 2}
    assert structured.place_of(reference, {})["id"] is None


def test_a_tree_is_bounded(monkeypatch):
    monkeypatch.setattr(structured, "MOST_ITEMS", 3)
    found = read_document(
        papers.written(papers.report(papers.made("1.2.840.10008.5.1.4.1.1.2", "CT"), "x"))
    )
    assert found.is_cut
    assert len(list(found.content.walk())) == 4  # the root and three


def test_a_recording_has_the_values_that_pydicom_reads():
    found = read_recording(ECG)
    ds = dcmread(ECG)
    assert [len(group.channels) for group in found.groups] == [12, 12]
    for number, group in enumerate(found.groups):
        expected = ds.waveform_array(number) / 1000  # microvolts
        got = np.stack([one.values for one in group.channels], axis=1)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
        assert {one.unit for one in group.channels} == {"mV"}
    assert [one.label for one in found.groups[0].channels[:4]] == ["I", "II", "III", "aVR"]
    assert found.groups[0].seconds == 10


def test_baseline_correction_and_padding_are_applied():
    ds = dcmread(ECG)
    group = ds.WaveformSequence[0]
    channel = group.ChannelDefinitionSequence[0]
    channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = "2", "1.5"
    channel.ChannelBaseline = "10"
    samples = np.frombuffer(group.WaveformData, "<i2").copy().reshape(-1, 12)
    samples[5, 0] = -32768
    group.add_new(0x5400100A, "OW", (-32768).to_bytes(2, "little", signed=True))
    group.WaveformData = samples.tobytes()
    found = read_recording(papers.written(ds)).groups[0].channels[0]
    assert np.isnan(found.values[5])
    expected = (samples[6:20, 0] * 3.0 + 10) / 1000
    np.testing.assert_allclose(found.values[6:20], expected, rtol=1e-5)


def test_what_is_sent_of_a_recording_is_exact_to_a_thirty_thousandth():
    import base64

    channel = read_recording(ECG).groups[0].channels[1]
    sent = channel.as_dict()
    got = np.frombuffer(base64.b64decode(sent["data"]), "<i2") * sent["scale"]
    assert np.abs(got - channel.values).max() <= np.abs(channel.values).max() / 30_000


def test_a_long_recording_is_cut_and_says_so():
    ds = dcmread(ECG)
    group = ds.WaveformSequence[0]
    group.SamplingFrequency = "100"  # the same samples, now 100 seconds
    found = read_recording(papers.written(ds)).groups[0]
    assert (found.is_cut, found.seconds, len(found.channels[0].values)) == (True, 100, 6_000)


@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("WaveformSampleInterpretation", "MB", "written in a way"),
        ("NumberOfWaveformChannels", 0, "contradicts itself"),
        ("SamplingFrequency", "0", "contradicts itself"),
        ("WaveformData", b"\0\0", "fewer samples"),
    ],
)
def test_a_recording_that_cannot_be_drawn_says_why(keyword, value, why):
    ds = dcmread(ECG)
    setattr(ds.WaveformSequence[0], keyword, value)
    with pytest.raises(NotDisplayable, match=why):
        read_recording(papers.written(ds))


def test_a_pdf_comes_out_as_it_went_in():
    for data in (papers.PDF, papers.PDF + b"\n"):
        found = read_pdf(papers.written(papers.pdf(data)))
        assert (found.title, found.data) == ("A letter", data)


def test_what_only_says_that_it_is_a_pdf_is_not_handed_out():
    with pytest.raises(NotDisplayable, match="not the PDF"):
        read_pdf(papers.written(papers.pdf(b"<html><script>alert(1)</script></html>")))
    with pytest.raises(NotDisplayable, match="holds no document"):
        read_pdf(papers.written(papers.made("1.2.840.10008.5.1.4.1.1.104.1", "DOC")))


CT = papers.made("1.2.840.10008.5.1.4.1.1.2", "CT")
PRESENTATION = papers.written(papers.presentation(CT, "Lesion"))
THIS = structured.Reference(CT.SOPClassUID, CT.SOPInstanceUID)


def said_of(state, reference=None, frame=0, **shown):
    """What a state says of an image of 128 by 128 pixels."""
    image = Shown(reference or THIS, frame, 128, 128, **shown)
    return presentation.as_dict(state, image)


def test_a_presentation_state_says_how_an_image_is_seen():
    state = read_presentation(papers.written(papers.presentation(CT, "Lesion\r\n2 cm")))
    assert (state.label, state.description, state.creator) == ("LIVER", "Look here", "Doe, Jane")
    assert state.images == (THIS,)
    said = said_of(state)
    assert said["tones"]["window"] == [40, 300]
    assert said["area"]["corners"] == [[32, 16], [96, 80]]  # pixels counted from one, as edges
    circle, line = said["graphics"]
    assert (circle["shape"], circle["points"]) == ("circle", [(64, 48), (72, 48)])
    assert (line["shape"], line["points"]) == ("polyline", [(32, 16), (96, 80)])  # of the view
    [label] = said["labels"]
    assert (label["text"], label["anchor"], label["pointing"]) == ("Lesion\n2 cm", (64, 48), True)
    assert label["box"] == [(70, 60), (90, 70)]
    [shutter] = said["shutters"]
    assert shutter["points"] == ((40, 20), (88, 76))
    assert (said["inverse"], said["rotation"], said["flipped"]) == (False, 0, False)
    assert state.left_out == ()


def test_what_a_presentation_state_says_of_other_images_is_not_said_of_this():
    ds = papers.presentation(CT, "Lesion")
    elsewhere = Dataset()
    elsewhere.ReferencedSOPClassUID, elsewhere.ReferencedSOPInstanceUID = "1.2", "1.2.3"
    elsewhere.ReferencedFrameNumber = 2
    ds.SoftcopyVOILUTSequence[0].ReferencedImageSequence = Sequence([elsewhere])
    ds.GraphicAnnotationSequence[0].ReferencedImageSequence = Sequence([elsewhere])
    state = read_presentation(papers.written(ds))
    said = said_of(state)
    assert (said["tones"]["window"], said["graphics"], said["labels"]) == (None, [], [])
    other = structured.Reference("1.2", "1.2.3")
    assert said_of(state, other, 1)["tones"]["window"] == [40, 300]
    assert said_of(state, other, 0)["tones"]["window"] is None


def test_shutters_turns_and_polarity_are_read_and_what_is_not_applied_is_said():
    ds = papers.presentation(
        CT,
        "x",
        ShutterShape=["CIRCULAR", "POLYGONAL", "BITMAP"],
        CenterOfCircularShutter=["50", "60"],
        RadiusOfCircularShutter="20",
        VerticesOfThePolygonalShutter=["1", "1", "1", "101", "101", "101"],
        PresentationLUTShape="INVERSE",
        ImageRotation=270,
        ImageHorizontalFlip="Y",
    )
    state = read_presentation(papers.written(ds))
    circle, polygon = state.shutters
    assert (circle.points, circle.radius) == (((59.5, 49.5),), 20)
    assert polygon.points == ((0.5, 0.5), (100.5, 0.5), (100.5, 100.5))
    said = said_of(state)
    assert (said["inverse"], said["rotation"], said["flipped"]) == (True, 270, True)
    assert state.left_out == ("a bitmap shutter",)  # it brings no bits


def test_the_annotations_of_a_state_are_bounded(monkeypatch):
    monkeypatch.setattr(annotations, "MOST_OBJECTS", 2)
    state = read_presentation(papers.written(papers.presentation(CT, "too much")))
    assert (len(state.annotations.graphics), len(state.annotations.labels)) == (2, 0)
    assert state.left_out == ("some of many annotations",)


def test_a_state_without_images_says_so():
    ds = papers.presentation(CT, "x", ReferencedSeriesSequence=Sequence())
    with pytest.raises(NotDisplayable, match="refers to no image"):
        read_presentation(papers.written(ds))


@pytest.mark.parametrize(
    ("uid", "kind", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", Kind.IMAGE, "CT Image"),
        ("1.2.840.10008.5.1.4.1.1.88.33", Kind.REPORT, "Comprehensive SR"),
        ("1.2.840.10008.5.1.4.1.1.88.59", Kind.KEY_IMAGES, "Key Object Selection Document"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", Kind.WAVEFORM, "12-lead ECG Waveform"),
        ("1.2.840.10008.5.1.4.1.1.104.1", Kind.PDF, "Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.11.4", Kind.OTHER, "Blending Softcopy Presentation State"),
        ("1.2.840.10008.5.1.4.1.1.481.5", Kind.IMAGE, "RT Plan"),  # its lack of pixels says no
        ("1.3.12.2.1107.5.9.1", Kind.IMAGE, "Object of an unknown kind"),
    ],
)
def test_a_class_says_how_its_objects_are_shown(uid, kind, name):
    assert (kind_of(uid), name_of(uid)) == (kind, name)


@pytest.mark.parametrize(
    ("in_study", "said"),
    [
        ("CT\\KO\\PR\\SR", ("CT",)),
        ("CT\\PT\\REG\\SEG", ("CT", "PT")),
        ("DOC\\SR", ("DOC", "SR")),  # of nothing else: that is what it is
        ("", ()),
    ],
)
def test_a_study_is_of_what_was_taken_not_of_what_was_written(in_study, said):
    assert taken(in_study) == said


@given(st.data())
def test_no_damage_breaks_the_readers(data):
    read, whole = data.draw(
        st.sampled_from(
            [
                (read_document, SR.read_bytes()),
                (read_recording, ECG.read_bytes()[:20_000]),
                (read_presentation, PRESENTATION),
            ]
        )
    )
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(132, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(damaged))
    except ClinicError:
        return


def test_a_document_behind_the_images_of_a_series_is_none_of_them():
    frames = [{"id": 1, "count": 2}, {"id": 2, "paper": "other", "name": "RT Plan", "problem": ""}]
    viewer = StudyViewer(series=[{"id": "1", "frames": frames}], selected_series="1")
    assert viewer.stack() == [(1, 0), (1, 1)]
