"""Other content under a known SOP Instance UID: kept beside, rejected, or put in its place."""

import contextlib
import threading
from copy import deepcopy
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from sqlalchemy import select

from clinic_panel.config import Settings
from clinic_panel.errors import Conflict, NotFound
from clinic_panel.imaging.header import read_header
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.base import Base
from clinic_panel.models.imaging import Instance, InstanceConflict, Series, Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.peer import Forwarding, ForwardingState, Peer
from clinic_panel.models.user import Role
from clinic_panel.services import dicom, frames, replacement, report, sync
from clinic_panel.services.dicom import Duplicates, Received, Verdict
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.report import KeyImageRef, Texts
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, associated

WRITTEN = Texts("Cough.", "CT of the chest.", "Lungs clear.", "No mass.")


@pytest.fixture
def under(ctx):
    """The clinic under another policy."""
    factories.room(ctx, station_ae_title=STATION)
    values = {name: getattr(ctx.settings, name) for name in Settings.names()}
    return lambda policy: replace(ctx, settings=Settings(**values | {"duplicates": policy}))


@contextlib.contextmanager
def listening(clinic):
    node = Node(clinic)
    node.start()
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture
def first():
    return dcmread(get_testdata_file("CT_small.dcm"))


@pytest.fixture
def other():
    data_set = dcmread(get_testdata_file("CT_small.dcm"))
    data_set.SeriesDescription = "corrected"
    return data_set


def rows(ctx, model):
    with ctx.read() as session:
        return list(session.scalars(select(model).order_by(model.id)))


def entries(ctx, action):
    return [entry for entry in rows(ctx, AuditEntry) if entry.action == action]


def send(clinic, *data_sets):
    """Store the objects over one association; return the statuses."""
    with listening(clinic) as node, associated(node) as association:
        return [association.send_c_store(data_set).Status for data_set in data_sets]


def described(ctx, row):
    return dcmread(ctx.store.path(row.path)).get("SeriesDescription")


def files(ctx):
    return {str(path.relative_to(ctx.store.root)) for path in ctx.store.root.glob("?/?/*.dcm")}


def known_files(ctx):
    return {row.path for model in (Instance, InstanceConflict) for row in rows(ctx, model)}


def kept(ctx, data_set, folder):
    """A durable file of these bytes, as a listener has it before it asks for a row."""
    path = folder / f"{generate_uid()}.dcm"
    data_set.save_as(path)
    stored = ctx.store.put(path.read_bytes())
    return Received(read_header(path), stored, STATION, "127.0.0.1")


def test_rejected_content_is_not_kept_and_each_time_noted(under, ctx, first, other):
    assert send(under("reject"), first, other, other, first) == [0x0000, 0x0111, 0x0111, 0x0000]

    [instance] = rows(ctx, Instance)
    assert described(ctx, instance) != "corrected"
    assert rows(ctx, InstanceConflict) == []
    assert files(ctx) == {instance.path}
    noted = entries(ctx, Action.CONFLICT)
    assert [entry.detail for entry in noted] == [{"ae_title": STATION, "kept": False}] * 2
    assert {(entry.subject_id, entry.address) for entry in noted} == {(instance.id, "127.0.0.1")}


def test_a_file_kept_under_another_policy_survives_its_rejection(under, ctx, first, other):
    assert send(under("keep"), first, other) == [0x0000, 0x0111]
    assert send(under("reject"), other) == [0x0111]

    [beside] = rows(ctx, InstanceConflict)
    assert described(ctx, beside) == "corrected"
    assert files(ctx) == known_files(ctx)


def test_a_replacement_is_shown_and_the_old_bytes_are_known_as_superseded(
    under, ctx, first, other, clock, as_role
):
    clinic, lightbox = under("replace"), Lightbox()
    assert send(clinic, first) == [0x0000]
    [old] = rows(ctx, Instance)
    doctor = as_role(Role.CLINICIAN)
    before = frames.frame(doctor, lightbox, old.id, 0)
    other.PixelData = bytes(len(other.PixelData))
    clock.advance(hours=1)

    assert send(clinic, other, other) == [0x0000, 0x0000]

    [new] = rows(ctx, Instance)
    assert (new.id != old.id, described(ctx, new)) == (True, "corrected")
    assert (new.received_at, new.series_pk) == (clock.at, old.series_pk)
    [gone] = rows(ctx, InstanceConflict)
    assert (gone.path, gone.sha256, gone.instance_pk) == (old.path, old.sha256, new.id)
    assert (gone.received_at, gone.superseded_at) == (old.received_at, clock.at)
    assert files(ctx) == known_files(ctx)
    [entry] = entries(ctx, Action.REPLACE)
    assert (entry.subject_id, entry.address, entry.at) == (new.id, "127.0.0.1", clock.at)
    assert entry.detail == {"ae_title": STATION, "previous": old.id}
    [listed] = dicom.conflicts(ctx)
    assert (listed.instance_id, listed.superseded_at) == (new.id, clock.at)
    [study], [series] = rows(ctx, Study), rows(ctx, Series)
    assert study.number_of_instances == series.number_of_instances == 1
    # Nobody is shown the old picture as the new one.
    assert frames.frame(doctor, lightbox, new.id, 0).data != before.data
    with pytest.raises(NotFound):
        frames.frame(doctor, Lightbox(), old.id, 0)


def test_the_series_is_pictured_and_forwarded_anew(under, ctx, first, other):
    clinic = under("replace")
    with ctx.begin() as session:
        session.add(Peer(peer_name="Archive", ae_title="ARCHIVE", host="h", forwards=True))
    send(clinic, first)
    [owed] = rows(ctx, Forwarding)
    sync.record(ctx, owed.peer_pk, [(owed.id, 0x0000)])
    with ctx.begin() as session:
        for job in session.scalars(select(Job)):
            job.state = JobState.DONE

    send(clinic, other)

    [owed] = rows(ctx, Forwarding)
    assert owed.state is ForwardingState.WAITING
    assert owed.instance_pk == rows(ctx, Instance)[0].id
    waiting = {job.kind for job in rows(ctx, Job) if job.state is JobState.QUEUED}
    assert waiting == {JobKind.THUMBNAIL, JobKind.FORWARD}


def test_back_and_forth_the_latest_counts_and_no_file_is_lost(under, ctx, first, other):
    clinic = under("replace")
    assert send(under("keep"), first, other) == [0x0000, 0x0111]
    assert send(clinic, other, first, other) == [0x0000] * 3

    [instance] = rows(ctx, Instance)
    [beside] = rows(ctx, InstanceConflict)
    assert described(ctx, instance) == "corrected"
    assert beside.superseded_at is not None
    assert {instance.path, beside.path} == files(ctx)


@pytest.mark.parametrize("database", ["sqlite"])
def test_another_patient_or_series_takes_no_object_s_place(under, ctx, first):
    changes = {
        "PatientID": "SOMEBODY ELSE",
        "IssuerOfPatientID": "elsewhere",
        "StudyInstanceUID": "2.25.1",
        "SeriesInstanceUID": "2.25.2",
    }
    sent = [first]
    for keyword, value in changes.items():
        sent.append(deepcopy(first))
        setattr(sent[-1], keyword, value)

    assert send(under("replace"), *sent) == [0x0000, *[0x0111] * len(changes)]

    assert described(ctx, rows(ctx, Instance)[0]) is None
    assert [row.superseded_at for row in rows(ctx, InstanceConflict)] == [None] * len(changes)


def marked(ctx, doctor):
    """A draft of the study that marks its image."""
    [instance] = rows(ctx, Instance)
    [study] = rows(ctx, Study)
    opened = report.open_draft(doctor, study.id)
    image = KeyImageRef(instance.id, 0, 40, 400, "")
    return report.save_draft(doctor, opened.id, opened.version, WRITTEN, (image,))


@pytest.mark.parametrize("is_signed", [True, False])
def test_what_a_report_rests_on_is_never_replaced(under, ctx, first, other, as_role, is_signed):
    clinic, doctor = under("replace"), as_role(Role.CLINICIAN)
    send(clinic, first)
    if is_signed:
        opened = report.open_draft(doctor, rows(ctx, Study)[0].id)
        written = report.save_draft(doctor, opened.id, opened.version, WRITTEN)
        report.sign(doctor, written.id, written.version, factories.PASSWORD)
    else:
        marked(ctx, doctor)
    before = rows(ctx, Instance)[0]

    assert send(clinic, other) == [0x0111]

    [instance] = rows(ctx, Instance)
    assert (instance.id, instance.sha256) == (before.id, before.sha256)
    assert rows(ctx, InstanceConflict)[0].superseded_at is None
    assert entries(ctx, Action.REPLACE) == []


def test_a_draft_that_marks_nothing_is_in_nobody_s_way(under, ctx, first, other, as_role):
    clinic = under("replace")
    send(clinic, first)
    report.open_draft(as_role(Role.CLINICIAN), rows(ctx, Study)[0].id)

    assert send(clinic, other) == [0x0000]


def test_two_that_replace_at_once_leave_one_row_and_all_files(ctx, first, tmp_path):
    dicom.index_batch(ctx, [kept(ctx, first, tmp_path)])
    others = []
    for number in range(6):
        first.SeriesDescription = f"number {number}"
        others.append(kept(ctx, first, tmp_path))
    verdicts = []

    def take(item):
        while True:  # as the index writer does
            try:
                [outcome] = dicom.index_batch(ctx, [item], duplicates=Duplicates.REPLACE)
            except Conflict:
                continue
            verdicts.append(outcome.verdict)
            return

    takers = [threading.Thread(target=take, args=(item,)) for item in others]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()

    assert verdicts == [Verdict.REPLACED] * 6
    [instance] = rows(ctx, Instance)
    beside = rows(ctx, InstanceConflict)
    assert {row.instance_pk for row in beside} == {instance.id}
    assert len(beside) == 6
    assert files(ctx) == {instance.path} | {row.path for row in beside}


@pytest.mark.parametrize("policy", ["reject", "replace"])
def test_a_file_without_a_row_is_never_removed_nor_takes_another_s_place(
    under, ctx, first, other, policy, tmp_path
):
    dicom.index_batch(ctx, [kept(ctx, first, tmp_path)])
    orphan = kept(ctx, other, tmp_path)
    [before] = rows(ctx, Instance)

    assert dicom.adopt_orphans(under(policy)) == 0

    [instance] = rows(ctx, Instance)
    assert instance.id == before.id
    assert [row.path for row in rows(ctx, InstanceConflict)] == [orphan.stored.path]
    assert ctx.store.path(orphan.stored.path).exists()


def test_every_table_that_points_at_an_instance_is_seen_to():
    pointing = {
        table.name
        for table in Base.metadata.tables.values()
        if any(key.column.table.name == "instance" for key in table.foreign_keys)
    }
    assert pointing == replacement.FOLLOWED
