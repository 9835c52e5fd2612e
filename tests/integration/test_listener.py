"""The listener over real sockets, on both receivers: storing, refusing, and what is kept of it."""

import threading
from copy import deepcopy
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom.sop_class import CTImageStorage, Verification
from sqlalchemy import func, select

from clinic_panel.archive import data_set_offset
from clinic_panel.config import Settings
from clinic_panel.errors import SettingsError
from clinic_panel.imaging.header import read_header
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.arrival import Arrival
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, InstanceConflict, Series, Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.peer import Forwarding, Peer
from clinic_panel.models.user import Role
from clinic_panel.services import associations, dicom, matching
from listener.limits import Limits
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, associated, store_as, wait_for

only_sqlite = pytest.mark.parametrize("database", ["sqlite"])


@pytest.fixture(params=["event-driven", "library"])
def receiver(request):
    return request.param


@pytest.fixture
def start(ctx, receiver):
    """Start a node, with other limits or settings when asked; it is stopped at the end."""
    factories.room(ctx, station_ae_title=STATION)
    started = []

    def begin(limits=None, **settings):
        here = ctx
        if settings:
            values = {name: getattr(ctx.settings, name) for name in Settings.names()}
            here = replace(ctx, settings=Settings(**values | settings))
        node = Node(here, limits=limits, accelerated=receiver == "event-driven")
        node.start()
        started.append(node)
        return node

    yield begin
    for node in started:
        node.stop()


@pytest.fixture
def node(start):
    return start()


@pytest.fixture
def ct():
    return dcmread(get_testdata_file("CT_small.dcm"))


def as_sent(part10):
    """The data set of a file, as bytes: what must come back unchanged."""
    return part10[data_set_offset(memoryview(part10)) :]


def leftovers(ctx):
    """Temporary files, and files in the archive that no row speaks of."""
    orphans = list(ctx.store.sweep(lambda paths: dicom._indexed(ctx, paths)))
    return [*(ctx.store.root / "incoming").iterdir(), *orphans]


def patient_of(ctx, booking):
    with ctx.read() as session:
        return session.get_one(Appointment, booking.id).patient


def rows(ctx, model):
    with ctx.read() as session:
        return list(session.scalars(select(model)))


def count(ctx, model):
    with ctx.read() as session:
        return session.scalar(select(func.count()).select_from(model))


def test_it_answers_an_echo(node):
    with associated(node, (Verification, [ImplicitVRLittleEndian])) as association:
        assert association.send_c_echo().Status == 0x0000


def test_a_ct_sent_twice_is_kept_once_and_says_nothing_of_the_patient(node, ctx, ct, caplog):
    caplog.set_level("DEBUG")

    with associated(node) as association:
        answers = [association.send_c_store(ct).Status for _ in range(2)]

    assert answers == [0x0000, 0x0000]
    [kept] = rows(ctx, Instance)
    [study] = rows(ctx, Study)
    assert (study.patient_id, study.number_of_instances) == (ct.PatientID, 1)
    assert study.source_ae_title == kept.source_ae_title == STATION
    jobs = {job.kind for job in rows(ctx, Job)}
    assert jobs == {JobKind.THUMBNAIL, JobKind.SETTLE_STUDY}
    [entry] = [e for e in rows(ctx, AuditEntry) if e.action == Action.RECEIVE]
    assert (entry.subject_id, entry.detail["instances"]) == (study.id, 1)
    stored = dcmread(ctx.store.path(kept.path))
    assert (stored.pixel_array == ct.pixel_array).all()
    assert stored.file_meta.SourceApplicationEntityTitle == STATION
    for secret in (ct.PatientID, str(ct.PatientName), ct.SOPInstanceUID, ct.StudyInstanceUID):
        assert secret not in caplog.text


@only_sqlite
@pytest.mark.parametrize(
    ("file", "syntax"),
    [
        ("CT_small.dcm", ExplicitVRLittleEndian),
        ("MR_small_implicit.dcm", ImplicitVRLittleEndian),
        ("MR_small_bigendian.dcm", ExplicitVRBigEndian),
        ("image_dfl.dcm", DeflatedExplicitVRLittleEndian),
        ("examples_jpeg2k.dcm", None),
        ("examples_ybr_color.dcm", None),
        ("SC_rgb_rle_2frame.dcm", None),
        ("MR_small_jpeg_ls_lossless.dcm", None),
        ("SC_rgb_jpeg_gdcm.dcm", None),
        ("ExplVR_BigEnd.dcm", ExplicitVRBigEndian),
        ("reportsi.dcm", None),
        ("waveform_ecg.dcm", None),
    ],
)
def test_every_transfer_syntax_is_kept_byte_for_byte(node, ctx, file, syntax):
    with open(get_testdata_file(file), "rb") as opened:
        part10 = opened.read()
    meta = dcmread(get_testdata_file(file), stop_before_pixels=True).file_meta
    syntax = syntax or meta.TransferSyntaxUID

    with associated(node, (meta.MediaStorageSOPClassUID, [syntax])) as association:
        status = store_as(
            association,
            as_sent(part10),
            meta.MediaStorageSOPClassUID,
            meta.MediaStorageSOPInstanceUID,
        )

    assert status == 0x0000
    [kept] = rows(ctx, Instance)
    assert kept.transfer_syntax_uid == syntax
    stored = ctx.store.path(kept.path).read_bytes()
    assert as_sent(stored) == as_sent(part10)
    assert kept.size_bytes == len(stored)


def test_other_bytes_under_a_known_uid_are_kept_beside_and_told(node, ctx, ct):
    with associated(node) as association:
        first = association.send_c_store(ct).Status
        ct.SeriesDescription = "another"
        again = [association.send_c_store(ct).Status for _ in range(2)]

    assert (first, *again) == (0x0000, 0x0111, 0x0111)
    [kept] = rows(ctx, Instance)
    [other] = rows(ctx, InstanceConflict)
    assert other.instance_pk == kept.id
    assert other.path != kept.path
    assert dcmread(ctx.store.path(other.path)).SeriesDescription == "another"
    assert [row.instance_id for row in dicom.conflicts(ctx)] == [kept.id]
    dicom.acknowledge_conflict(ctx, other.id)
    assert dicom.conflicts(ctx) == []
    assert count(ctx, Series) == 1
    assert dicom.adopt_orphans(ctx) == 0, "a file of a conflict is no orphan"


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("announced", ["2.25.1", "1.2.3/../../../etc", "../../etc/passwd"])
def test_an_object_other_than_announced_is_refused(node, ctx, ct, announced):
    with open(get_testdata_file("CT_small.dcm"), "rb") as opened:
        data_set = as_sent(opened.read())
    with associated(node) as association:
        status = store_as(association, data_set, ct.SOPClassUID, announced)
        echo = association.send_c_store(ct).Status  # the association goes on

    assert status == (0xC000 if "/" in announced else 0xA900)
    assert echo == 0x0000
    assert count(ctx, Instance) == 1
    assert leftovers(ctx) == []


@pytest.mark.parametrize("data_set", [b"no DICOM at all", b"\x08\0\x18\0UI\x04\x001.2\0"])
def test_an_object_without_identity_is_not_understood(node, ctx, data_set):
    with associated(node) as association:
        status = store_as(association, data_set, CTImageStorage, generate_uid())

    assert status in (0xC000, 0xA900)
    assert (count(ctx, Instance), leftovers(ctx)) == (0, [])


def test_a_full_disk_is_told_before_it_is_full_and_passes(node, ctx, ct):
    reserve, ctx.store.reserve_bytes = ctx.store.reserve_bytes, 1 << 60
    with associated(node) as association:
        refused = association.send_c_store(ct).Status
        ctx.store.reserve_bytes = reserve
        accepted = association.send_c_store(ct).Status

    assert (refused, accepted) == (0xA700, 0x0000)
    assert leftovers(ctx) == []


def test_an_object_beyond_the_limit_is_refused_and_its_bytes_are_not_kept(start, ctx, ct):
    node = start(Limits(object_bytes=10_000))
    with associated(node) as association:
        association.send_c_store(ct)

    wait_for(lambda: leftovers(ctx) == [])  # its end is heard before the thread there tidies up
    assert count(ctx, Instance) == 0


def test_a_peer_we_do_not_know_is_turned_away_and_noted_once(node, ctx):
    for _ in range(3):
        with associated(node, ae_title="STRANGER") as association:
            rejected = association.acceptor.primitive
            assert association.is_rejected
    assert (rejected.result, rejected.result_source, rejected.diagnostic) == (1, 1, 3)
    wait_for(lambda: len(associations.refusals(ctx)) == 1)  # the answer comes first
    with associated(node, called="OTHER") as association:
        rejected = association.acceptor.primitive
    assert (rejected.result, rejected.result_source, rejected.diagnostic) == (1, 1, 7)

    wait_for(lambda: len(associations.refusals(ctx)) == 2)
    assert [(row.ae_title, row.address) for row in associations.refusals(ctx)] == [
        (STATION, "127.0.0.1"),
        ("STRANGER", "127.0.0.1"),
    ]


def test_unknown_peers_may_be_let_in_by_setting(start):
    node = start(unknown_ae="accept")
    with associated(node, (Verification, [ImplicitVRLittleEndian]), ae_title="ANY") as association:
        assert association.send_c_echo().Status == 0x0000


def test_more_associations_than_allowed_are_rejected_for_now(start):
    node = start(Limits(associations=2))
    with associated(node), associated(node), associated(node) as third:
        rejected = third.acceptor.primitive
        assert third.is_rejected
        assert (rejected.result, rejected.result_source, rejected.diagnostic) == (2, 3, 2)
    wait_for(lambda: node.admission.associations == 0)
    with associated(node) as association:
        assert association.is_established


def test_a_taken_port_is_one_clear_sentence(node, ctx):
    values = {name: getattr(ctx.settings, name) for name in Settings.names()}
    second = Node(replace(ctx, settings=Settings(**values | {"dicom_port": node.port})))
    with pytest.raises(SettingsError, match=f"Cannot listen on 127.0.0.1:{node.port}"):
        second.start()


def test_images_of_a_booking_move_it_on(node, ctx, ct, clock):
    booking = factories.appointment(ctx)
    who = patient_of(ctx, booking)
    ct.StudyInstanceUID, ct.PatientID = booking.study_instance_uid, who.patient_id
    ct.PatientName = who.patient_name
    with associated(node) as association:
        association.send_c_store(ct)

    [study] = rows(ctx, Study)
    assert (study.appointment_pk, study.patient_pk) == (booking.id, who.id)
    assert rows(ctx, Appointment)[0].status is AppointmentStatus.IMAGES_ARRIVING
    assert not dicom.settle_study(ctx, study.id), "too early"
    clock.advance(seconds=dicom.QUIET.total_seconds())
    assert dicom.settle_study(ctx, study.id)
    assert rows(ctx, Appointment)[0].status is AppointmentStatus.TO_READ


def received(ctx, ct, **uids):
    """Keep a copy of the image under other identifiers, as the wire would."""
    ct = deepcopy(ct)
    ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in uids.items():
        setattr(ct, keyword, value)
    out = BytesIO()
    ct.save_as(out)
    stored = ctx.store.put(out.getvalue())
    return dicom.Received(read_header(ctx.store.path(stored.path)), stored)


def test_a_visit_is_read_once_each_of_its_studies_is_quiet_and_the_audit_says_so(ctx, ct, clock):
    booking = factories.appointment(ctx)
    named = {
        "PatientID": patient_of(ctx, booking).patient_id,
        "PatientName": patient_of(ctx, booking).patient_name,
        "AccessionNumber": booking.accession_number,
    }
    dicom.index_batch(ctx, [received(ctx, ct, **named)])
    clock.advance(seconds=dicom.QUIET.total_seconds())
    dicom.index_batch(ctx, [received(ctx, ct, StudyInstanceUID=generate_uid(), **named)])
    first, second = rows(ctx, Study)

    assert dicom.settle_study(ctx, first.id), "it is quiet itself"
    assert rows(ctx, Appointment)[0].status is AppointmentStatus.IMAGES_ARRIVING
    clock.advance(seconds=dicom.QUIET.total_seconds())
    assert dicom.settle_study(ctx, second.id)
    assert dicom.settle_study(ctx, first.id), "again changes nothing"

    assert rows(ctx, Appointment)[0].status is AppointmentStatus.TO_READ
    [entry] = [e for e in rows(ctx, AuditEntry) if e.action == Action.CHANGE]
    assert (entry.subject_type, entry.subject_id) == ("appointment", booking.id)
    assert (entry.patient_pk, entry.detail) == (booking.patient_pk, {"fields": ["status"]})


def test_a_study_that_a_person_took_from_its_booking_stays_without(ctx, ct, as_role):
    booking = factories.appointment(ctx)
    named = {
        "PatientID": patient_of(ctx, booking).patient_id,
        "PatientName": patient_of(ctx, booking).patient_name,
        "StudyInstanceUID": booking.study_instance_uid,
    }
    dicom.index_batch(ctx, [received(ctx, ct, **named)])
    [study] = rows(ctx, Study)
    assert study.appointment_pk == booking.id
    matching.unlink_study(as_role(Role.TECHNOLOGIST), study.id)

    dicom.index_batch(ctx, [received(ctx, ct, SeriesInstanceUID=generate_uid(), **named)])

    [study] = rows(ctx, Study)
    assert (study.appointment_pk, study.number_of_instances) == (None, 2)
    assert rows(ctx, Appointment)[0].status is AppointmentStatus.BOOKED


def test_what_peers_are_owed_is_noted_with_the_index(node, ctx, ct):
    with ctx.begin() as session:
        session.add(Peer(peer_name="Archive", ae_title="ARCHIVE", host="h", forwards=True))
    with associated(node) as association:
        association.send_c_store(ct)

    [owed] = rows(ctx, Forwarding)
    assert owed.instance_pk == rows(ctx, Instance)[0].id
    assert JobKind.FORWARD in {job.kind for job in rows(ctx, Job)}


def test_several_associations_share_the_index_writer(node, ctx, ct):
    """Eight modalities at once: every object has its row, each study and series once."""

    def send(number):
        image = dcmread(get_testdata_file("CT_small.dcm"))
        with associated(node) as association:
            for slice_number in range(5):
                image.SOPInstanceUID = f"{ct.SOPInstanceUID}.{number}.{slice_number}"
                image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
                answers.append(association.send_c_store(image).Status)

    answers = []
    senders = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert answers == [0x0000] * 40
    assert (count(ctx, Instance), count(ctx, Series), count(ctx, Study)) == (40, 1, 1)
    assert rows(ctx, Study)[0].number_of_instances == 40
    assert rows(ctx, Series)[0].number_of_instances == 40

    def in_the_audit():
        entries = [entry for entry in rows(ctx, AuditEntry) if entry.action == Action.RECEIVE]
        return sum(entry.detail["instances"] for entry in entries)

    wait_for(lambda: in_the_audit() == 40)
    assert count(ctx, Arrival) == 0


def test_an_orphan_the_database_refuses_keeps_neither_the_others_nor_the_node_out(
    start, ctx, ct, monkeypatch, caplog
):
    refused, good = received(ctx, ct), received(ctx, ct)

    def read(path):
        header = read_header(path)
        return replace(header, Rows=2**63) if header.SOPInstanceUID == refused.uid else header

    monkeypatch.setattr(dicom, "read_header", read)
    start()

    assert [row.sop_instance_uid for row in rows(ctx, Instance)] == [good.uid]
    assert "a file without a row cannot be indexed" in caplog.text
    assert refused.uid not in caplog.text


def test_files_without_a_row_are_adopted_at_the_next_start(start, ctx, ct):
    ct.save_as(ctx.settings.home / "orphan.dcm")
    ctx.store.put((ctx.settings.home / "orphan.dcm").read_bytes())

    start()

    [kept] = rows(ctx, Instance)
    assert kept.sop_instance_uid == ct.SOPInstanceUID
