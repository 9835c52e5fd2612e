"""Sheets of images and other files to hand out: made once, for whoever asked, and audited."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pypdf import PdfReader
from sqlalchemy import select

from clinic_panel.errors import Forbidden, Invalid, NotFound, Unavailable
from clinic_panel.imaging.header import read_header
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.user import Role
from clinic_panel.services import dicom, film, handout, jobs, markup, prepared
from clinic_panel.services.dicom import Received
from clinic_panel.services.film import Layout, Pictured
from clinic_panel.services.handout import Progress
from clinic_panel.services.markup import Drawn
from clinic_panel.tasks import handout as files
from clinic_panel.tasks.work import run_all
from tests import factories

CT = Path(get_testdata_file("CT_small.dcm"))
PATIENT = "Ötztürk^Ayşe"


@pytest.fixture
def database():
    return "sqlite"


@pytest.fixture
def ct(ctx):
    """Seven slices of one study in the archive: the study's and the images' ids."""
    received = []
    for number in range(7):
        dataset = dcmread(CT)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.InstanceNumber = PATIENT, number + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        if number == 1:  # says so of itself, wherever it is shown
            dataset.LossyImageCompression = "01"
            dataset.EnhancedPaletteColorLookupTableSequence = [Dataset()]
        out = io.BytesIO()
        dataset.save_as(out)
        stored = ctx.store.put(out.getvalue())
        received.append(Received(read_header(ctx.store.path(stored.path)), stored, "CT1"))
    outcomes = dicom.index_batch(ctx, received)
    return outcomes[0].study_id, [outcome.instance_id for outcome in outcomes]


def work(ctx):
    claims = jobs.claim(ctx, "worker-test", [JobKind.HANDOUT], limit=10)
    for one in files.plan(ctx, claims):
        [outcome] = run_all(one.function, one.tasks)
        if outcome.error:
            jobs.fail(ctx, *one.claims, outcome.error, final=outcome.final)
        else:
            one.keep([(*one.claims, outcome.value)])


def pictured(images, **more):
    return [
        Pictured(image, 0, f"Thorax · {place} / 7", **more)
        for place, image in enumerate(images, start=1)
    ]


def test_what_was_prepared_is_found_again_by_whoever_asked_for_it_for_a_day(ctx, ct, as_role):
    study_id, images = ct
    doctor = as_role(Role.CLINICIAN)
    patient = factories.patient(ctx)
    with ctx.begin() as session:
        session.get_one(Study, study_id).patient_pk = patient.id
    first = film.ask(doctor, study_id, pictured(images[:1]), Layout(rows=1, columns=1))
    work(ctx)
    second = film.ask(doctor, study_id, pictured(images[:1]), Layout(rows=1, columns=1))

    found = prepared.of_study(doctor, study_id)

    assert [(each.id, each.progress) for each in found] == [
        (second, Progress.MAKING),
        (first, Progress.READY),
    ]
    assert found == prepared.of_patient(doctor, patient.id)
    with ctx.begin() as session:
        session.scalars(select(Job).where(Job.subject_id == second)).one().state = JobState.FAILED
    assert prepared.of_study(doctor, study_id)[0].progress is Progress.FAILED
    other = factories.user(ctx, Role.CLINICIAN, username="other")
    elsewhere = ctx.acting_as(replace(doctor.actor, username="other", user_pk=other.id))
    assert prepared.of_study(elsewhere, study_id) == []
    assert prepared.of_patient(doctor, patient.id + 1) == []
    later = replace(doctor, clock=lambda: ctx.clock() + handout.KEPT_FOR)
    assert prepared.of_study(later, study_id) == []
    with pytest.raises(Forbidden):
        prepared.of_study(as_role(Role.RECEPTIONIST), study_id)


def test_a_film_names_the_patient_on_every_image_and_counts_its_pages(ctx, ct, as_role):
    study_id, images = ct
    doctor = as_role(Role.CLINICIAN)
    shape = Drawn("a", Shape.LENGTH, images[0], 0, ((10.0, 10.0), (60.0, 40.0)), "Läsion")
    markup.keep_shapes(doctor, study_id, [shape], version=0)
    layout = Layout(rows=3, columns=2, notice="Not for primary diagnosis")
    asked = pictured(images, window_center=40.0, window_width=400.0)
    made = film.ask(doctor, study_id, asked, layout)
    assert handout.state(doctor, made).progress is Progress.MAKING
    with pytest.raises(Unavailable):
        handout.fetch(doctor, made)
    work(ctx)
    assert handout.state(doctor, made).progress is Progress.READY

    file = handout.fetch(doctor, made)
    assert (file.filename, file.media_type) == (f"film-{made}.pdf", "application/pdf")
    assert file.path.stat().st_mode & 0o077 == 0
    first, second = PdfReader(file.path).pages
    text = " ".join(first.extract_text().split())
    assert text.count("Ötztürk, Ayşe") == 6 + 1  # each image, and the page
    assert text.count("ID 1CT1") == 6 + 1
    assert text.count("WW 400 WL 40") == 6
    said = "WW 400 WL 40 · Lossy compressed · Enhanced palette not applied"
    assert text.count(said) == text.count("Lossy") == 1
    assert "Thorax · 3 / 7" in text
    assert "Läsion" in text
    assert "Pixel Spacing" in text
    assert "Not for primary diagnosis" in text
    assert "Page 1 of 2" in text
    assert "Page 2 of 2" in second.extract_text()
    assert second.extract_text().count("Thorax") == 1
    with ctx.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.subject_type == "handout"))
        assert [row.action for row in rows] == [Action.CREATE, Action.HAND_OUT]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (6, 4), (1, 2)])
def test_every_grid_holds_its_images_and_turns_the_page_for_more(ctx, ct, as_role, rows, columns):
    study_id, images = ct
    doctor = as_role(Role.TECHNOLOGIST)
    made = film.ask(doctor, study_id, pictured(images), Layout(rows, columns))
    work(ctx)
    pages = PdfReader(handout.fetch(doctor, made).path).pages
    assert len(pages) == -(-7 // (rows * columns))
    said = [page.extract_text().count("Thorax") for page in pages]
    assert said[:-1] == [rows * columns] * (len(pages) - 1)
    assert sum(said) == 7
    wide = pages[0].mediabox.width > pages[0].mediabox.height
    assert wide == (columns > rows)


def test_what_cannot_be_a_film_is_refused(ct, as_role):
    study_id, images = ct
    doctor = as_role(Role.CLINICIAN)
    good = pictured(images)
    for asked, layout in (
        (good, Layout(7, 4)),
        (good, Layout(0, 1)),
        ([], Layout(1, 1)),
        (good * 40, Layout(1, 1)),
        ([Pictured(images[0] + 99, 0)], Layout(1, 1)),
    ):
        with pytest.raises(Invalid):
            film.ask(doctor, study_id, asked, layout)
    with pytest.raises(NotFound):
        film.ask(doctor, study_id + 99, good, Layout(1, 1))
    for role in (Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN):
        with pytest.raises(Forbidden):
            film.ask(as_role(role), study_id, good, Layout(1, 1))


def test_a_file_is_for_whoever_asked_and_for_a_day(ctx, ct, as_role, clock):
    study_id, images = ct
    doctor, technologist = as_role(Role.CLINICIAN), as_role(Role.TECHNOLOGIST)
    made = film.ask(doctor, study_id, pictured(images[:1]), Layout(1, 1))
    work(ctx)
    with pytest.raises(NotFound):
        handout.fetch(technologist, made)
    with pytest.raises(NotFound):
        handout.state(technologist, made)
    path = handout.fetch(doctor, made).path
    clock.advance(days=1, seconds=1)
    film.ask(doctor, study_id, pictured(images[:1]), Layout(1, 1))
    assert not path.exists()
    with pytest.raises(NotFound, match="no longer kept"):
        handout.fetch(doctor, made)


def test_a_film_of_an_image_that_is_gone_says_so(ctx, ct, as_role):
    study_id, images = ct
    doctor = as_role(Role.CLINICIAN)
    made = film.ask(doctor, study_id, [Pictured(images[0], 5)], Layout(1, 1))
    work(ctx)
    state = handout.state(doctor, made)
    assert state.progress is Progress.FAILED
    assert state.error
    assert list((ctx.settings.home / handout.FOLDER).iterdir()) == []
