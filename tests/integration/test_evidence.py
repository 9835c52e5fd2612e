"""A reader's work saved as DICOM: into our own archive, once, by the way that all objects take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ComprehensiveSRStorage
from sqlalchemy import select

from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.evidence.order import DocumentKind, KeyTitle
from clinic_panel.imaging.cut import Cut
from clinic_panel.imaging.header import read_header
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.evidence import Evidence
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.peer import Forwarding, Peer
from clinic_panel.models.user import Role
from clinic_panel.services import dicom, evidence, jobs, markup
from clinic_panel.services.dicom import Received
from clinic_panel.services.evidence import Standing
from clinic_panel.services.markup import Drawn, Look
from clinic_panel.tasks import evidence as documents
from clinic_panel.tasks.work import run_all
from tests import factories

CT = Path(get_testdata_file("CT_small.dcm"))


@pytest.fixture
def ct(ctx):
    """One CT slice in the archive: the study's and the image's ids."""
    stored = ctx.store.put(CT.read_bytes())
    received = Received(read_header(ctx.store.path(stored.path)), stored, "CT1")
    [outcome] = dicom.index_batch(ctx, [received])
    return outcome.study_id, outcome.instance_id


def line(instance_id, id_="a", end=30.25):
    return Drawn(id_, Shape.LENGTH, instance_id, 0, ((1.5, 2.0), (end, 8.0)), "Läsion")


def draw(ctx, ct, *shapes):
    study_id, _ = ct
    markup.keep_shapes(ctx, study_id, shapes, version=markup.of_study(ctx, study_id).version)


def work(ctx):
    """What the worker does with the documents that wait."""
    claims = jobs.claim(ctx, "worker-test", [JobKind.EVIDENCE], limit=10)
    for work in documents.plan(ctx, claims):
        [outcome] = run_all(work.function, work.tasks)
        if outcome.error:
            jobs.fail(ctx, *work.claims, outcome.error, final=outcome.final)
        else:
            work.keep([(*work.claims, outcome.value)])


def made(ctx, modality):
    """Data sets of a modality in the archive, in their order, and their series."""
    query = (
        select(Instance.path, Series.series_instance_uid)
        .join(Instance.series)
        .where(Series.modality == modality)
        .order_by(Instance.instance_number)
    )
    with ctx.read() as session:
        rows = session.execute(query).all()
    return [dcmread(ctx.store.path(path)) for path, _ in rows], {uid for _, uid in rows}


def stands(holdings):
    return {holding.kind: holding.standing for holding in holdings}


def test_what_was_measured_and_marked_becomes_objects_of_the_study(ctx, ct, as_role):
    study_id, image_id = ct
    doctor = as_role(Role.CLINICIAN)
    draw(doctor, ct, line(image_id))
    stands_ = {"rotation": 90, "mirrored": True, "area": (10.0, 20.0, 50.0, 60.0)}
    look = Look(image_id, 0, 35.0, 350.0, **stands_)
    markup.keep_look(doctor, study_id, look, version=markup.of_study(doctor, study_id).version)

    places = [(image_id, 0)]
    before = evidence.standing(doctor, study_id, places)
    assert set(stands(before).values()) == {Standing.NEW}
    assert [(one.shapes, one.images) for one in before] == [(1, 0), (1, 1), (0, 1)]
    asked = evidence.save(doctor, study_id, places, title=KeyTitle.FOR_SURGERY)
    assert set(stands(asked).values()) == {Standing.MAKING}
    work(ctx)

    after = evidence.standing(doctor, study_id, places)
    assert set(stands(after).values()) == {Standing.SAVED}
    source = dcmread(CT)
    for modality in ("SR", "PR", "KO"):
        [document], _ = made(ctx, modality)
        assert document.StudyInstanceUID == source.StudyInstanceUID
        assert document.PatientID == source.PatientID
    [shown], _ = made(ctx, "PR")
    assert shown.SoftcopyVOILUTSequence[0].WindowWidth == 350
    # Mirrored and then turned clockwise is turned counterclockwise and then flipped.
    assert (shown.ImageRotation, shown.ImageHorizontalFlip) == (270, "Y")
    [area] = shown.DisplayedAreaSelectionSequence
    corners = area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner
    # The bottom right of the image is what comes to the top left of the screen.
    assert [list(corner) for corner in corners] == [[50, 60], [11, 21]]
    [chosen], _ = made(ctx, "KO")
    assert chosen.ConceptNameCodeSequence[0].CodeMeaning == "For Surgery"
    with ctx.read() as session:
        query = select(AuditEntry).where(AuditEntry.subject_type == "evidence")
        [entry] = session.scalars(query)
        assert (entry.action, entry.username) == (Action.CREATE, doctor.actor.username)
        assert entry.detail["study"] == study_id
        assert set(entry.detail["documents"]) == {kind.value for kind in DocumentKind}
        assert session.scalar(select(Study.modalities_in_study)) == "CT\\KO\\PR\\SR"


def test_saving_again_makes_nothing_and_a_change_makes_the_next_version(ctx, ct, as_role):
    study_id, image_id = ct
    doctor = as_role(Role.CLINICIAN)
    draw(doctor, ct, line(image_id))
    for _ in range(2):
        evidence.save(doctor, study_id)
        work(ctx)
    [first], series = made(ctx, "SR")
    with ctx.read() as session:
        assert len(session.scalars(select(Evidence)).all()) == 2  # report and presentation

    draw(doctor, ct, line(image_id, end=40.0))
    kind = DocumentKind.MEASUREMENTS
    assert stands(evidence.standing(doctor, study_id))[kind] is Standing.CHANGED
    evidence.save(doctor, study_id)
    work(ctx)
    (_, second), same = made(ctx, "SR")
    assert same == series
    assert second.InstanceNumber == 2
    before = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    uid = before.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == first.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_a_calibration_is_no_measurement_and_a_section_stands_in_the_report_alone(ctx, ct, as_role):
    study_id, image_id = ct
    coronal = Cut("Coronal", (0, 6, 0), (1, 0, 0, 0, 0, -1), (1.5, 0.75), "slice", 0.75)
    aside = replace(line(image_id, "s"), section=coronal)
    doctor = as_role(Role.CLINICIAN)
    known = Drawn("k", Shape.CALIBRATION, image_id, 0, ((0.0, 0.0), (0.0, 50.0)), known_mm=100.0)
    draw(doctor, ct, known)
    with pytest.raises(Invalid):
        evidence.save(doctor, study_id)
    draw(doctor, ct, known, line(image_id), aside)
    evidence.save(doctor, study_id)
    with ctx.read() as session:
        rows = {row.kind: row.id for row in session.scalars(select(Evidence))}
        path = ctx.store.path(session.scalar(select(Instance.path)))
    orders = {kind: evidence.order(ctx, id_) for kind, id_ in rows.items()}
    [shown] = orders[DocumentKind.PRESENTATION].marks
    first, second = orders[DocumentKind.MEASUREMENTS].marks
    for mark in (shown, first):
        assert mark.kind is Shape.LENGTH
        assert mark.known.source == "Calibrated by Clinician on 100 mm"
    assert (second.section, second.slices, second.known) == (coronal, (path,), None)
    work(ctx)  # one slice is no volume
    kind = DocumentKind.MEASUREMENTS
    [failed] = [one for one in evidence.standing(doctor, study_id) if one.kind is kind]
    assert failed.error == "A volume needs at least two slices."

    draw(doctor, ct, line(image_id))
    evidence.save(doctor, study_id)
    work(ctx)
    draw(doctor, ct, line(image_id), aside)
    evidence.save(doctor, study_id)
    draw(doctor, ct, line(image_id, end=20.0))
    evidence.save(doctor, study_id)
    with ctx.read() as session:
        query = select(Evidence.id).where(Evidence.kind == kind).order_by(Evidence.number.desc())
        newest = evidence.order(ctx, session.scalar(query.limit(1)))
    assert (
        newest.identity.predecessor_class_uid == ComprehensiveSRStorage
    )  # the last that was saved


def test_a_worker_that_died_after_the_archive_ends_with_one_object(ctx, ct, as_role):
    study_id, image_id = ct
    doctor = as_role(Role.CLINICIAN)
    draw(doctor, ct, line(image_id))
    evidence.save(doctor, study_id)
    with ctx.read() as session:
        ids = list(session.scalars(select(Evidence.id)))
    for id_ in ids:  # built and kept, but the job was never marked as done
        objects = documents.render(documents.EvidenceTask(id_, evidence.order(ctx, id_)))
        evidence.keep(ctx, id_, objects)
    work(ctx)
    assert len(made(ctx, "SR")[0]) == len(made(ctx, "PR")[0]) == 1
    with ctx.read() as session:
        kinds = session.scalars(select(Job.state).where(Job.kind == JobKind.EVIDENCE))
        assert set(kinds) == {JobState.DONE}
        assert (
            session.scalars(select(AuditEntry).where(AuditEntry.action == Action.CONFLICT)).all()
            == []
        )


def test_peers_get_what_was_saved_and_the_booking_stays_as_it_was(ctx, ct, as_role):
    study_id, image_id = ct
    visit = factories.appointment(ctx)
    with ctx.begin() as session:
        session.add(Peer(peer_name="PACS", ae_title="PACS", host="h", port=104, forwards=True))
        booking = session.get_one(Appointment, visit.id)
        booking.status = AppointmentStatus.TO_READ
        session.get_one(Study, study_id).appointment_pk = visit.id
    doctor = as_role(Role.CLINICIAN)
    draw(doctor, ct, line(image_id))
    evidence.save(doctor, study_id)
    work(ctx)
    with ctx.read() as session:
        owed = session.scalars(select(Forwarding.instance_pk)).all()
        own = select(Instance.id).join(Instance.series).where(Series.modality.in_(["SR", "PR"]))
        assert sorted(owed) == sorted(session.scalars(own))
        booking = session.get_one(Appointment, visit.id)
        assert (booking.status, booking.images_at) == (AppointmentStatus.TO_READ, None)


def test_a_reader_saves_their_own_work_and_nobody_elses(ctx, ct, as_role):
    study_id, image_id = ct
    draw(as_role(Role.CLINICIAN), ct, line(image_id))
    other = as_role(Role.CLINICIAN)
    user = factories.user(ctx, Role.CLINICIAN, username="second")
    other = ctx.acting_as(
        type(other.actor)(username="second", role=Role.CLINICIAN, user_pk=user.id)
    )
    with pytest.raises(Invalid):
        evidence.save(other, study_id)
    with pytest.raises(NotFound):
        evidence.save(other, study_id + 99)
    for role in (Role.TECHNOLOGIST, Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN):
        with pytest.raises(Forbidden):
            evidence.standing(as_role(role), study_id)
        with pytest.raises(Forbidden):
            evidence.save(as_role(role), study_id)


def test_an_image_that_cannot_be_read_is_said_and_can_be_tried_again(ctx, ct, as_role):
    study_id, image_id = ct
    doctor = as_role(Role.CLINICIAN)
    draw(doctor, ct, line(image_id))
    with ctx.read() as session:
        path = ctx.store.path(session.scalar(select(Instance.path)))
    content = path.read_bytes()
    path.unlink()
    evidence.save(doctor, study_id)
    work(ctx)
    kind = DocumentKind.MEASUREMENTS
    [failed] = [one for one in evidence.standing(doctor, study_id) if one.kind is kind]
    assert failed.standing is Standing.FAILED
    assert failed.error == "The file is missing from the archive."
    path.write_bytes(content)
    assert stands(evidence.save(doctor, study_id))[kind] is Standing.MAKING
    work(ctx)
    assert len(made(ctx, "SR")[0]) == 1


def test_other_bytes_under_the_documents_uid_are_not_taken_for_it(ctx, ct, as_role):
    study_id, image_id = ct
    doctor = as_role(Role.CLINICIAN)
    draw(doctor, ct, line(image_id))
    evidence.save(doctor, study_id)
    with ctx.read() as session:
        row = session.scalars(select(Evidence)).first()
    objects = documents.render(documents.EvidenceTask(row.id, evidence.order(ctx, row.id)))
    evidence.keep(ctx, row.id, objects)
    other = objects[0].replace(b"20260316", b"20260317")
    assert other != objects[0]
    with pytest.raises(Conflict):
        evidence.keep(ctx, row.id, [other])
