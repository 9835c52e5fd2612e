"""Headers, documents and recordings for analysts: what they say, and nothing of whom."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from sqlalchemy import select

from clinic_panel.components.viewer import errands
from clinic_panel.components.viewer.study import series_of
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.errors import Forbidden, Invalid, NotDisplayable, NotFound
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Role
from clinic_panel.services import cohort, cohort_view, cohort_waveform, pseudonym
from clinic_panel.services.documents import AtHand
from clinic_panel.services.lightbox import Lightbox
from tests import papers
from tests.integration.archive import keep

SECRET = "Plantedname"


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def objects():
    """One study: a slice, a report, key images, an ECG, a PDF and a presentation state."""
    first = dcmread(get_testdata_file("CT_small.dcm"))
    first.PatientName = first.PatientID = first.StudyDescription = first.SeriesDescription = SECRET
    ecg = dcmread(get_testdata_file("waveform_ecg.dcm"))
    ecg.SOPInstanceUID = ecg.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    report = papers.report(first, f"{SECRET} is well.")
    others = [
        report,
        papers.key_images(first, SECRET),
        ecg,
        papers.pdf(title=SECRET),
        papers.presentation(first, SECRET),
    ]
    for one in others:
        one.StudyInstanceUID = first.StudyInstanceUID
        one.PatientName = SECRET
    return [first, *others]


@pytest.fixture
def kept(ctx, objects) -> dict[str, int]:
    names = ("ct", "report", "keys", "ecg", "pdf", "state")
    return dict(zip(names, keep(ctx, *objects), strict=True))


@pytest.fixture
def analyst(as_role):
    return as_role(Role.ANALYST)


@pytest.fixture
def opened(analyst, objects, kept):
    return cohort_view.open_study(analyst, objects[0].StudyInstanceUID)


def wishes(kept):
    for number, name in enumerate(kept):
        yield {"errand": 2 * number, "what": "header", "id": kept[name], "frame": 0}
        yield {"errand": 2 * number + 1, "what": "paper", "id": kept[name]}
    yield {"errand": 20, "what": "part", "id": kept["ecg"], "group": 1, "start": 0}
    place = {"id": kept["state"], "image": kept["ct"], "frame": 0}
    yield {"errand": 21, "what": "presented", **place}
    yield {"errand": 22, "what": "pdf", "id": kept["pdf"]}


def test_a_notebook_is_told_of_every_object_and_of_nobody(opened, kept, objects):
    told = [errands.answer(opened.papers, wish) for wish in wishes(kept)]
    text = json.dumps(told) + repr(opened) + json.dumps(series_of(opened.view))
    for secret in (SECRET, SECRET.upper(), *(str(one.SOPInstanceUID) for one in objects)):
        assert secret not in text

    by_number = {one["errand"]: one for one in told}
    titles = [by_number[2 * number + 1].get("found", {}).get("title") for number in (1, 2, 3)]
    assert titles == ["Imaging Measurement Report", "For Printing", "12-lead ECG Waveform"]
    assert by_number[20]["found"]["hz"] == 1000
    assert by_number[21]["found"]["tones"]["window"] == [40, 300]
    assert [one["errand"] for one in told if "problem" in one] == [1, 9, 11, 22]  # no papers; PDF
    assert "may name its patient" in by_number[22]["problem"]
    [key] = [one["id"] for one in by_number[5]["found"]["content"]["images"] if one["id"]]
    assert key == kept["ct"]

    kinds = [one.get("paper") for series in series_of(opened.view) for one in series["frames"]]
    assert sorted(filter(None, kinds)) == ["key images", "pdf", "report", "waveform"]


def test_the_check_above_would_see_a_leak(as_role, kept):
    doctor = AtHand(as_role(Role.CLINICIAN), Lightbox())
    told = [errands.answer(doctor, wish) for wish in wishes(kept)]
    assert SECRET in json.dumps([one for one in told if "bytes" not in one])
    assert [one["bytes"] for one in told if "bytes" in one] == [papers.PDF]


def test_each_header_and_document_is_an_entry_of_the_audit(ctx, opened, kept):
    with ctx.read() as session:
        before = len(session.scalars(select(AuditEntry.id)).all())
    opened.papers.header(kept["report"], 0)
    opened.papers.paper(kept["report"])
    with ctx.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()[before:]
        said = [(one.role, one.subject_type, one.subject_id, one.detail) for one in entries]
    assert said == [
        ("analyst", "instance", kept["report"], {"list": "cohort header"}),
        ("analyst", "instance", kept["report"], {"list": "cohort document"}),
    ]


def test_what_is_of_another_study_is_not_told(ctx, opened, kept, as_role):
    [foreign] = keep(ctx, papers.report(papers.made("1.2.840.10008.5.1.4.1.1.2", "CT"), "x"))
    with pytest.raises(NotFound):
        opened.papers.paper(foreign)
    with pytest.raises(NotFound):
        opened.papers.presented(kept["state"], foreign, 0)
    doctor = as_role(Role.CLINICIAN)
    with pytest.raises(Forbidden):
        cohort_waveform.samples(doctor, "1.2.3", 0, 0, None)


@pytest.mark.parametrize(
    "wish",
    [
        {"errand": 1, "what": "shutdown", "id": 1},
        {"errand": "1", "what": "paper", "id": 1},
        {"errand": 1, "what": "paper"},
        {"errand": 1, "what": "part", "id": 1, "group": "x", "start": 0},
        {"errand": 1, "what": "header", "id": float("inf")},
    ],
)
def test_what_is_no_wish_of_ours_is_not_answered(wish):
    assert errands.answer(AtHand(None, Lightbox()), wish) is None
    asked = errands.answer(None, {"errand": 1, "what": "paper", "id": 1})
    assert asked == {"errand": 1, "problem": errands.NOT_AT_HAND}


def test_a_recording_is_a_table_with_the_values_that_pydicom_reads(ctx, analyst, objects, kept):
    uid = objects[3].SOPInstanceUID
    expected = dcmread(get_testdata_file("waveform_ecg.dcm")).waveform_array(0) / 1000
    whole = cohort_waveform.samples(analyst, pseudonym.uid(ctx, uid), 0, 0.0, None)
    np.testing.assert_allclose(whole.to_numpy(), expected, rtol=1e-6, atol=1e-7)
    assert list(whole.columns[:4]) == ["I", "II", "III", "aVR"]
    assert set(whole.attrs["units"].values()) == {"mV"}
    assert (whole.attrs["frequency_hz"], whole.attrs["seconds"]) == (1000, 10)

    part = cohort_waveform.samples(analyst, uid, 0, 2.5, 1.0)
    assert part.index[[0, -1]].tolist() == [2.5, 3.499]
    np.testing.assert_array_equal(part.to_numpy(), whole.loc[2.5:3.499].to_numpy())

    for wrong in ((-1, 0.0, None), (0, -1.0, None), (0, 0.0, 0.0), (0, float("nan"), None)):
        with pytest.raises(Invalid):
            cohort_waveform.samples(analyst, uid, *wrong)
    with pytest.raises(NotDisplayable, match="no such part"):
        cohort_waveform.samples(analyst, uid, 5, 0.0, None)
    with pytest.raises(NotFound):
        cohort_waveform.samples(analyst, objects[0].SOPInstanceUID, 0, 0.0, None)
    with ctx.read() as session:
        [instance] = session.scalars(select(Instance).where(Instance.id == kept["ecg"]))
    found = cohort.instances(analyst, dcm_series(ctx, instance))
    assert uid not in found.to_csv()


def dcm_series(ctx, instance) -> str:
    with ctx.read() as session:
        return session.get_one(Instance, instance.id).series.series_instance_uid


def test_the_viewer_gives_the_recording_as_curves_and_the_header_as_a_table(opened, kept):
    viewer = StudyViewer(series=series_of(opened.view), source=opened.frame, papers=opened.papers)
    assert viewer.over_comm
    with pytest.raises(NotDisplayable, match="no document"):
        _ = viewer.waveform
    viewer.param.update(document_id=kept["ecg"], waveform_group=0, waveform_start_s=4.0)
    curves = list(viewer.waveform)
    assert [curve.label for curve in curves[:3]] == ["I", "II", "III"]
    expected = dcmread(get_testdata_file("waveform_ecg.dcm")).waveform_array(0)[4000:] / 1000
    for column, curve in enumerate(curves):
        assert (curve.kdims[0].unit, curve.vdims[0].unit) == ("s", "mV")
        time, values = (curve.dimension_values(number) for number in range(2))
        assert (time[0], len(time)) == (4.0, 6000)
        np.testing.assert_allclose(values, expected[:, column], rtol=1e-6, atol=1e-7)
    header = viewer.header.set_index("keyword")
    assert header.loc["Modality", "value"] == "ECG"
    assert header.loc["PatientName", "note"] == "withheld"
    assert StudyViewer().over_comm is False
