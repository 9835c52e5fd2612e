"""Copies that leave the clinic: a case for teaching without the person, media from the shell."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import zipfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from sqlalchemy import select

from clinic_panel.__main__ import main
from clinic_panel.documents.reservations import Reason
from clinic_panel.documents.terms import Terms
from clinic_panel.errors import Forbidden, Invalid, NotFound, Unavailable
from clinic_panel.evidence.order import KeyTitle
from clinic_panel.imaging.cleaning import MOST_BYTES, Area
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.user import Role
from clinic_panel.notebook import Clinic
from clinic_panel.services import evidence, export, handout, markup, patient
from clinic_panel.services.demographics import PatientForm
from clinic_panel.services.export import Source, Teaching, Wanted
from clinic_panel.services.handout import Progress
from clinic_panel.services.markup import Drawn
from clinic_panel.tasks.export import LeftOut, cleaned
from tests import factories, planted
from tests.integration.archive import keep
from tests.integration.test_evidence import work as save_documents
from tests.integration.test_handout import work

SERIES = {"CT": 1, "US": 2, "SR": 3, "OT": 4}
TERMS = Terms(key=b"k" * 32, subject="somebody", case="Teaching 12")


@pytest.fixture
def database():
    return "sqlite"


def named(name, uid, **changes):
    """Return an object of the planted person in one study."""
    ds = dcmread(get_testdata_file(name))
    ds.PatientName, ds.PatientID, ds.AccessionNumber = planted.NAME, planted.ID, planted.ACCESSION
    ds.PatientBirthDate, ds.StudyDate, ds.StudyTime = planted.BORN, planted.DAY, planted.TIME
    ds.StudyInstanceUID, ds.SeriesInstanceUID = planted.UID, f"{planted.UID}.{SERIES[ds.Modality]}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def study(ctx):
    """Two CT slices, the second with a reference to the first; an ultrasound; a report."""
    first = planted.ct(planted.identified)
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
    first.SeriesInstanceUID = f"{planted.UID}.{SERIES['CT']}"
    second = named("CT_small.dcm", "1.2.3.2", InstanceNumber=2)
    reference = Dataset()
    reference.ReferencedSOPClassUID = second.SOPClassUID
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    second.ReferencedImageSequence = Sequence([reference])
    ultrasound = named("examples_rgb_color.dcm", "1.2.3.3", Modality="US", SeriesNumber=2)
    ultrasound.SeriesInstanceUID = f"{planted.UID}.{SERIES['US']}"
    report = named("test-SR.dcm", "1.2.3.4", SeriesNumber=3)
    ids = keep(ctx, planted.part10(first), second, ultrasound, report)
    with ctx.read() as session:
        [study_id] = session.scalars(select(Study.id))
    return study_id, ids


def objects(files):
    return [path for path in files if path.name not in ("DICOMDIR", "README.TXT")]


def listed(folder):
    """Return the files that a DICOMDIR names, by SOP Instance UID."""
    records = dcmread(folder / "DICOMDIR").DirectoryRecordSequence
    return {
        str(one.ReferencedSOPInstanceUIDInFile): folder.joinpath(*one.ReferencedFileID)
        for one in records
        if "ReferencedFileID" in one
    }


def unpacked(doctor, made, folder):
    with zipfile.ZipFile(handout.fetch(doctor, made).path) as packed:
        packed.extractall(folder)
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_a_case_for_teaching_leads_back_to_nobody(ctx, study, as_role, tmp_path):
    study_id, ids = study
    doctor = as_role(Role.CLINICIAN)
    made = export.ask(doctor, study_id, Teaching(tuple(ids), case="Teaching 12"))
    with pytest.raises(Unavailable):
        handout.fetch(doctor, made)
    with pytest.raises(NotFound):
        export.made_of(doctor, made)
    work(ctx)
    assert handout.state(doctor, made).progress is Progress.READY
    file = handout.fetch(doctor, made)
    assert (file.filename, file.media_type) == (f"teaching-{made}.zip", "application/zip")

    files = unpacked(doctor, made, tmp_path / "case")
    for path in files:
        assert planted.found_in(path.read_bytes()) == set(), path
        assert planted.found_in(str(path.relative_to(tmp_path)).encode()) == set()
    case, result = export.made_of(doctor, made)
    assert (case, result.objects) == ("Teaching 12", 2)
    assert [(one.series, one.count, one.reason) for one in result.left] == [
        ("Series 2 (US)", 1, Reason.ULTRASOUND.value),
        ("Series 3 (SR)", 1, Reason.REPORT.value),
    ]
    said = (tmp_path / "case" / "README.TXT").read_text()
    assert Reason.ULTRASOUND.value in said

    one, two = sorted((dcmread(path) for path in objects(files)), key=lambda ds: ds.InstanceNumber)
    assert two.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert {str(ds.PatientName) for ds in (one, two)} == {"Teaching 12"}
    with ctx.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.subject_type == "handout"))
        entries = [(row.action, row.detail.get("objects")) for row in rows]
    assert entries == [(Action.CREATE, 4), (Action.HAND_OUT, None), (Action.HAND_OUT, None)]
    assert not [path for path in (ctx.settings.home / handout.FOLDER).iterdir() if path.is_dir()]


def test_others_read_the_medium_and_a_second_export_has_the_same_uids(
    ctx, study, as_role, tmp_path
):
    study_id, ids = study
    doctor = as_role(Role.ANALYST)  # may export, though not look
    uids = []
    for turn in ("first", "second"):
        made = export.ask(doctor, study_id, Teaching(tuple(ids[:2])))
        work(ctx)
        folder = tmp_path / turn
        files = unpacked(doctor, made, folder)
        uids.append(set(listed(folder)))
        assert set(listed(folder).values()) == set(objects(files))
        assert export.made_of(doctor, made)[0].startswith("Case ")
    assert uids[0] == uids[1]
    directory = ran("dcmdump", folder / "DICOMDIR")
    assert directory.count("refFileID=") == 2
    images = objects(files)
    assert ran("dcmftest", *images).count("yes:") == 2
    assert all(re.fullmatch(r"[A-Z0-9]{1,8}", path.name) for path in images)
    before = complaints(get_testdata_file("CT_small.dcm"))
    [plain] = [path for path in images if dcmread(path).InstanceNumber == 2]
    assert complaints(plain) <= before


def ran(*words):
    return subprocess.run(
        [str(word) for word in words], check=True, capture_output=True, text=True
    ).stdout


def complaints(path):
    """Return what dciodvfy calls an error, without the values it quotes."""
    found = subprocess.run(["dciodvfy", str(path)], check=False, capture_output=True, text=True)
    lines = (found.stdout + found.stderr).splitlines()
    return {line for line in lines if line.startswith("Error")}


def test_a_case_stays_one_case_however_the_desk_corrects_the_record(ctx, study, as_role):
    study_id, _ = study
    analyst, desk = as_role(Role.ANALYST), as_role(Role.RECEPTIONIST)

    def copied():
        order = export.order_of(analyst, [planted.UID], Wanted(deidentified=True))
        return order.case, order.sources[0].terms.offset

    def is_of(person):
        with ctx.begin() as session:
            session.get_one(Study, study_id).patient_pk = person.id

    before = copied()
    person = patient.get(desk, factories.patient(ctx, patient_id=planted.ID).id)
    found = [copied()]  # by issuer and ID, though no booking joined them
    for change in ({"issuer_of_patient_id": "HOSP"}, {"patient_id": "P-CORRECTED"}):
        form = replace(PatientForm.of(person), **change)
        person = patient.edit(desk, person.id, person.version, form)
        found.append(copied())
    is_of(person)
    found.append(copied())
    assert found == [before] * 4

    is_of(factories.patient(ctx, patient_id=planted.ID))  # given out again, to somebody else
    case, offset = copied()
    assert case != before[0]
    assert offset != before[1]


def test_only_some_roles_export_and_only_what_is_there(study, as_role):
    study_id, ids = study
    for role in (Role.RECEPTIONIST, Role.TECHNOLOGIST):
        with pytest.raises(Forbidden):
            export.ask(as_role(role), study_id, Teaching(tuple(ids)))
    doctor = as_role(Role.CLINICIAN)
    for wanted in (
        Teaching(()),
        Teaching((ids[0] + 99,)),
        Teaching(tuple(ids), case="case of QUELLMALTZ"),
        Teaching(tuple(ids), case=f"no {planted.ID}"),
        Teaching(tuple(ids), case="x" * 65),
        Teaching(tuple(ids), case="a^b"),
        Teaching(tuple(ids), black_out=True),
    ):
        with pytest.raises(Invalid):
            export.ask(doctor, study_id, wanted)
    with pytest.raises(NotFound):
        export.ask(doctor, study_id + 99, Teaching(tuple(ids)))
    made = export.ask(as_role(Role.ADMIN), study_id, Teaching(tuple(ids)))
    with pytest.raises(NotFound):
        handout.fetch(doctor, made)


def test_what_a_rectangle_encloses_is_black_in_all_images_of_its_series(
    ctx, study, as_role, tmp_path
):
    study_id, ids = study
    doctor = as_role(Role.CLINICIAN)
    box = Drawn("a", Shape.RECTANGLE, ids[2], 0, ((10.4, 20.0), (60.0, 39.5)))
    markup.keep_shapes(doctor, study_id, [box], version=0)
    made = export.ask(doctor, study_id, Teaching((ids[2],), black_out=True))
    work(ctx)
    assert export.made_of(doctor, made)[1].left == ()
    [path] = objects(unpacked(doctor, made, tmp_path / "case"))
    ds, before = dcmread(path), dcmread(get_testdata_file("examples_rgb_color.dcm"))
    pixels, there = ds.pixel_array, before.pixel_array.copy()
    assert (there[20:40, 10:60] != 0).any()
    there[20:40, 10:60] = 0
    assert (pixels == there).all()
    assert ds.BurnedInAnnotation == "NO"
    assert "113101" in [code.CodeValue for code in ds.DeidentificationMethodCodeSequence]


def test_what_a_reader_saved_still_speaks_of_the_same_images(ctx, study, as_role, tmp_path):
    study_id, ids = study
    doctor = as_role(Role.CLINICIAN)
    length = Drawn("a", Shape.LENGTH, ids[1], 0, ((1.0, 2.0), (30.0, 8.0)), "of Quellmaltz")
    markup.keep_shapes(doctor, study_id, [length], version=0)
    evidence.save(doctor, study_id, [(ids[1], 0)], title=KeyTitle.OF_INTEREST)
    save_documents(ctx)
    made = export.ask(doctor, study_id, Teaching(export.instances_of(doctor, study_id)))
    work(ctx)
    found = [dcmread(path) for path in objects(unpacked(doctor, made, tmp_path / "case"))]
    [image] = [ds for ds in found if ds.Modality == "CT" and ds.InstanceNumber == 2]
    [state] = [ds for ds in found if ds.Modality == "PR"]
    [keys] = [ds for ds in found if ds.Modality == "KO"]
    for ds in (state, keys):
        pointers = {str(e.value) for e in every(ds) if e.keyword == "ReferencedSOPInstanceUID"}
        assert pointers == {image.SOPInstanceUID}
        assert ds.StudyInstanceUID == image.StudyInstanceUID
        assert planted.found_in(saved(ds, tmp_path).read_bytes()) == set()
        assert complaints(saved(ds, tmp_path)) == set()
    [annotation] = state.GraphicAnnotationSequence
    assert annotation.GraphicObjectSequence[0].GraphicType == "POLYLINE"
    assert keys.ConceptNameCodeSequence[0].CodeMeaning == KeyTitle.OF_INTEREST.value


def every(ds):
    return [element for element in ds.iterall() if element.VR == "UI"]


def test_when_nothing_may_leave_the_person_is_told_why(ctx, study, as_role):
    study_id, ids = study
    doctor = as_role(Role.CLINICIAN)
    made = export.ask(doctor, study_id, Teaching((ids[3],)))
    work(ctx)
    state = handout.state(doctor, made)
    assert state.progress is Progress.FAILED
    assert Reason.REPORT.value in state.error
    looked = export.ask(doctor, study_id, Teaching((ids[2], ids[3]), looked=True))
    work(ctx)
    [left] = export.made_of(doctor, looked)[1].left
    assert left.reason == Reason.REPORT.value


def saved(ds, tmp_path):
    path = tmp_path / "one.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"),
        *("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"),
        *("JPEG2000.dcm", "JPGExtended.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_2frame.dcm"),
        *("SC_ybr_full_422_uncompressed.dcm", "rtdose.dcm", "liver_expb_1frame.dcm"),
    ],
)
def test_pixels_stay_in_every_encoding(name, tmp_path):
    path = Path(get_testdata_file(name))
    after = cleaned(Source(path, "", TERMS), TERMS, looked=True)
    after = dcmread(saved(after, tmp_path))
    before = dcmread(path)
    assert (after.pixel_array == before.pixel_array).all()
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.PatientID == "Teaching 12"


@pytest.mark.parametrize(
    "name", ["SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"]
)
def test_no_text_hides_in_a_compressed_stream(name, tmp_path):
    ds = dcmread(get_testdata_file(name))
    pixels = ds.pixel_array
    note = f"of {planted.NAME} ".encode()
    frames = [with_text(frame, note) for frame in generate_frames(ds.PixelData, number_of_frames=1)]
    ds.PixelData = encapsulate(frames)
    path = saved(ds, tmp_path)
    assert path.read_bytes().count(planted.NAME.encode()) == 2
    after = cleaned(Source(path, "", TERMS), TERMS, looked=True)
    assert planted.found_in(saved(after, tmp_path).read_bytes()) == set()
    assert (after.pixel_array == pixels).all()


def with_text(frame, note):
    """Write a comment into a stream, and the same behind its end."""
    if frame[:2] == b"\xff\xd8":
        segment = b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note
        return frame[:2] + segment + frame[2:] + note
    at = frame.index(b"\xff\x90")  # before the first tile
    segment = b"\xff\x64" + struct.pack(">HH", len(note) + 4, 1) + note
    return frame[:at] + segment + frame[at:] + note


def test_old_overlays_in_spare_bits_and_bytes_behind_the_pixels_go(tmp_path):
    ds = dcmread(get_testdata_file("MR_small.dcm"))
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    picture = (ds.pixel_array.view(np.uint16) & 0x0FFF).copy()
    drawn = picture.copy()
    drawn[10:20, 10:20] |= 0x8000
    ds.PixelData = drawn.tobytes() + planted.NAME.encode()
    after = cleaned(Source(saved(ds, tmp_path), "", TERMS), TERMS, looked=True)
    assert after.PixelData == picture.tobytes()


@pytest.mark.parametrize(
    "name",
    [
        *("SC_rgb_jpeg_dcmtk.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_rle_2frame.dcm"),
        *("examples_palette.dcm", "MR_small_jp2klossless.dcm"),
    ],
)
def test_areas_turn_black_in_every_kind_of_image(name, tmp_path):
    path = Path(get_testdata_file(name))
    source = Source(path, "", TERMS, areas=(Area(4, 6, 20, 16),))
    after = dcmread(saved(cleaned(source, TERMS, looked=False), tmp_path))
    before = dcmread(path).pixel_array
    pixels = after.pixel_array
    frames = pixels if after.get("NumberOfFrames", 1) > 1 else pixels[None]
    originals = before if after.get("NumberOfFrames", 1) > 1 else before[None]
    for frame, original in zip(frames, originals, strict=True):
        inside = frame[6:16, 4:20].reshape(160, -1)
        assert (inside == inside[0]).all()
        assert np.abs(frame[30:].astype(int) - original[30:]).max() <= 2  # colours turned round
    assert "IconImageSequence" not in after


def test_a_damaged_object_is_left_out():
    path = Path(get_testdata_file("MR_truncated.dcm"))
    with pytest.raises(LeftOut) as caught:
        cleaned(Source(path, "", TERMS), TERMS, looked=True)
    assert caught.value.reason is Reason.DAMAGED


def test_an_object_that_no_worker_can_hold_is_left_out(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(LeftOut) as caught:
        cleaned(Source(path, "", TERMS), TERMS, looked=True)
    assert caught.value.reason is Reason.TOO_LARGE


# -- from the shell ----------------------------------------------------------------------------


def run(ctx, *words, exit_code=0):
    found = CliRunner().invoke(
        main, ["export", *map(str, words)], env=ctx.settings.environ(), prog_name="clinic"
    )
    assert found.exit_code == exit_code, found.output
    return found.output


def test_media_hold_the_objects_as_they_were_received(ctx, study, tmp_path):
    assert run(ctx, planted.UID, "--to", tmp_path / "cd") == "4 exported\n"
    with ctx.read() as session:
        query = select(Instance.path).join(Series).order_by(Instance.id)
        kept = {ctx.store.path(path).read_bytes() for path in session.scalars(query)}
    assert {path.read_bytes() for path in listed(tmp_path / "cd").values()} == kept
    run(ctx, planted.UID, "--to", tmp_path / "files", "--format", "folder")
    plain = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in plain} == kept
    assert not (tmp_path / "files" / "DICOMDIR").exists()
    run(ctx, planted.UID, "--to", tmp_path / "zip", "--format", "zip")
    with zipfile.ZipFile(tmp_path / "zip" / "EXPORT.ZIP") as packed:
        packed.extractall(tmp_path / "again")
    assert {path.read_bytes() for path in listed(tmp_path / "again").values()} == kept
    with ctx.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.HAND_OUT))
        details = [(row.subject_type, row.detail) for row in rows]
    assert details == [("study", {"objects": 4, "deidentified": False})] * 3


def test_a_deidentified_copy_says_what_it_left_out(ctx, study, tmp_path):
    to = tmp_path / "case"
    said = run(ctx, planted.UID, "--to", to, "--deidentify", "--case", "Teaching 12")
    assert said.splitlines()[-1] == "2 exported, 2 left out"
    assert f"left out: Series 2 (US): 1. {Reason.ULTRASOUND.value}" in said
    for path in to.rglob("*"):
        if path.is_file():
            assert planted.found_in(path.read_bytes()) == set()
    said = run(ctx, planted.UID, "--to", tmp_path / "all", "--deidentify", "--looked")
    assert "3 exported, 1 left out" in said


def test_an_analyst_takes_a_copy_from_a_notebook(study, as_role, tmp_path):
    clinic = Clinic(as_role(Role.ANALYST), ExitStack())
    uid = clinic.studies().study_uid[0]  # a pseudonym
    left = clinic.export(uid, tmp_path / "case", case="Teaching 12")
    assert left.to_dict("list") == {
        "series": ["Series 2 (US)", "Series 3 (SR)"],
        "count": [1, 1],
        "reason": [Reason.ULTRASOUND.value, Reason.REPORT.value],
    }
    assert len(listed(tmp_path / "case")) == 2
    with pytest.raises(Invalid):
        clinic.export(uid, tmp_path / "case")


def test_slips_at_the_shell_end_in_one_line(ctx, study, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    assert "not empty" in run(ctx, planted.UID, "--to", tmp_path / "full", exit_code=1)
    assert "no such study" in run(ctx, "1.2.3", "--to", tmp_path / "new", exit_code=1)
    assert "--deidentify" in run(ctx, "1", "--to", tmp_path, "--looked", exit_code=2)
    to, name = tmp_path / "new", "Frau Quellmaltz"
    words = (planted.UID, "--to", to, "--deidentify", "--case", name)
    assert "patient's own" in run(ctx, *words, exit_code=1)
    with ctx.read() as session:
        ctx.store.path(session.get_one(Instance, study[1][3]).path).unlink()
    for to in (tmp_path / "new", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        said = run(ctx, planted.UID, "--to", to, exit_code=1)
        assert "No such file" in said
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "empty").iterdir()) == []
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_what_was_received_names_the_person(study, ctx):
    """The assertions above look for what is really there."""
    with ctx.read() as session:
        paths = [ctx.store.path(path) for path in session.scalars(select(Instance.path))]
    found = set().union(*(planted.found_in(path.read_bytes()) for path in paths))
    assert found >= set(planted.PLANTED)
    assert dcmread(io.BytesIO(paths[0].read_bytes())).PatientName == planted.NAME
