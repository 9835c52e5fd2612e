"""Storage Commitment as provider: pynetdicom and Orthanc ask, the worker checks and reports."""

from __future__ import annotations

import io
import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from sqlalchemy import select

from clinic_panel.errors import GivenUp, PeerFailure, PeerUnavailable
from clinic_panel.imaging.header import read_header
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.commitment import CommitmentItem, CommitmentRequest, CommitmentState
from clinic_panel.models.imaging import Instance
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.user import Role
from clinic_panel.resources import now
from clinic_panel.services import commitment_list, dicom, jobs, peers
from clinic_panel.services.peers import PeerForm
from clinic_panel.tasks.commitment import settle
from listener.server import Node
from tests.conftest import free_port
from tests.integration.orthanc import orthanc
from tests.integration.peer import PATIENCE_S, associated, wait_for

STATION = "CT_ONE"
CONTEXT = (StorageCommitmentPushModel, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def admin(as_role):
    return as_role(Role.ADMIN)


@pytest.fixture
def node(ctx):
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


class Device:
    """A modality: asks for commitment and hears the results, here or on its own port."""

    def __init__(self, port=0, status=0x0000, as_scu=True):
        self.results = []
        self.status = status
        self.heard = threading.Event()
        entity = AE(STATION)
        roles = {"scu_role": True, "scp_role": True} if as_scu else {}
        entity.add_supported_context(*CONTEXT, **roles)
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self.take)]
        self.server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=self.handlers
        )
        self.port = self.server.server_address[1]

    def take(self, event):
        self.results.append((event.event_type, event.event_information))
        self.heard.set()
        return self.status, None

    def stop(self):
        self.server.shutdown()


@contextmanager
def device_at(port=0, **options):
    device = Device(port, **options)
    try:
        yield device
    finally:
        device.stop()


@pytest.fixture
def device():
    with device_at() as device:
        yield device


def known(admin, port, **options):
    """The device as the administrator enters it."""
    return peers.add(admin, PeerForm("Scanner", STATION, "127.0.0.1", port, **options))


def stored(ctx, count=1):
    """Index real CTs; return their references."""
    received = []
    for _ in range(count):
        ct = dcmread(get_testdata_file("CT_small.dcm"))
        ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        out = io.BytesIO()
        ct.save_as(out)
        kept = ctx.store.put(out.getvalue())
        received.append(dicom.Received(read_header(ctx.store.path(kept.path)), kept, STATION))
    dicom.index_batch(ctx, received)
    return [(CTImageStorage, each.header.SOPInstanceUID) for each in received]


def information(*references, transaction=None):
    ds = Dataset()
    ds.TransactionUID = transaction or generate_uid()
    ds.ReferencedSOPSequence = []
    for sop_class, instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        ds.ReferencedSOPSequence.append(item)
    return ds


def ask(node, ds, *, action=1, instance=StorageCommitmentPushModelInstance):
    """Ask on an association that is released at once; return the status."""
    with associated(node, CONTEXT, ae_title=STATION) as association:
        answer, _ = association.send_n_action(ds, action, StorageCommitmentPushModel, instance)
    return answer.Status


def requests(ctx):
    with ctx.read() as session:
        return session.scalars(select(CommitmentRequest).order_by(CommitmentRequest.id)).all()


def job(ctx):
    with ctx.read() as session:
        return session.scalars(select(Job).where(Job.kind == JobKind.COMMITMENT)).one()


def work(ctx, request_id=None):
    settle(ctx, request_id or requests(ctx)[-1].id, threading.Event())


def said(ds, keyword):
    return [
        (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, item.get("FailureReason"))
        for item in ds.get(keyword, [])
    ]


def test_what_is_safe_is_reported_on_a_new_association(ctx, admin, node, device, caplog):
    caplog.set_level(logging.DEBUG)
    known(admin, device.port)
    references = stored(ctx, 3)
    asked = information(*references)

    assert ask(node, asked) == 0x0000
    assert device.results == [], "nothing before the bytes were read"
    assert (job(ctx).state, requests(ctx)[0].state) == (JobState.QUEUED, CommitmentState.CHECKING)
    work(ctx)

    [(event_type, result)] = device.results
    assert event_type == 1
    assert result.TransactionUID == asked.TransactionUID
    assert said(result, "ReferencedSOPSequence") == [(*each, None) for each in references]
    assert "FailedSOPSequence" not in result
    assert result.RetrieveAETitle == "CLINIC"
    [row] = requests(ctx)
    assert (row.state, row.instances, row.failures) == (CommitmentState.REPORTED, 3, {})
    work(ctx)
    assert len(device.results) == 1, "reported once"
    with ctx.read() as session:
        assert session.scalars(select(CommitmentItem)).all() == []
        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.action == Action.COMMIT).order_by(AuditEntry.id)
        ).all()
    assert [entry.detail.get("asked", entry.detail.get("committed")) for entry in entries] == [3, 3]
    for _, secret in references:
        assert secret not in caplog.text


def test_every_kind_of_failure_has_its_reason(ctx, admin, node, device):
    known(admin, device.port)
    good, damaged, gone, other = stored(ctx, 4)
    with ctx.read() as session:
        path = {
            row.sop_instance_uid: ctx.store.path(row.path)
            for row in session.scalars(select(Instance))
        }
    with path[damaged[1]].open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"\xff\x00\xff")
    path[gone[1]].unlink()
    unknown = (CTImageStorage, generate_uid())
    strange = ("1.2.3.4.5", generate_uid())
    conflict = (MRImageStorage, other[1])

    assert ask(node, information(good, damaged, gone, unknown, strange, conflict)) == 0x0000
    work(ctx)

    [(event_type, result)] = device.results
    assert event_type == 2
    assert said(result, "ReferencedSOPSequence") == [(*good, None)]
    assert said(result, "FailedSOPSequence") == [
        (*damaged, 0x0110),
        (*gone, 0x0112),
        (*unknown, 0x0112),
        (*strange, 0x0122),
        (*conflict, 0x0119),
    ]
    assert requests(ctx)[0].failures == {"0110": 1, "0112": 2, "0122": 1, "0119": 1}


@only_sqlite
def test_a_result_without_anything_safe_has_no_empty_sequence(ctx, admin, node, device):
    known(admin, device.port)
    assert ask(node, information((CTImageStorage, generate_uid()))) == 0x0000
    work(ctx)

    [(event_type, result)] = device.results
    assert (event_type, "ReferencedSOPSequence" in result) == (2, False)


def _nested(depth):
    ds = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedSOPSequence = [ds]
        ds = outer
    return ds


@only_sqlite
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_a_request_that_breaks_a_rule_is_answered_and_leaves_nothing(ctx, node):
    peers.add(ctx, PeerForm("Scanner", STATION))
    fine = (CTImageStorage, generate_uid())
    no_transaction = information(fine)
    del no_transaction.TransactionUID
    for ds, options, status in [
        (information(fine), {"action": 2}, 0x0123),
        (information(fine), {"instance": "1.2.840.10008.1.20.1.2"}, 0x0112),
        (no_transaction, {}, 0x0115),
        (information(), {}, 0x0115),
        (information(fine, transaction="not a uid"), {}, 0x0115),
        (information((CTImageStorage, "../../etc/passwd")), {}, 0x0115),
        (_nested(150), {}, 0x0115),
    ]:
        assert ask(node, ds, **options) == status
    assert requests(ctx) == []


@only_sqlite
def test_a_request_for_too_many_is_refused(ctx, node, monkeypatch):
    peers.add(ctx, PeerForm("Scanner", STATION))
    monkeypatch.setattr("listener.commitment.MOST_REFERENCES", 2)

    assert ask(node, information(*[(CTImageStorage, generate_uid())] * 3)) == 0x0213
    assert requests(ctx) == []


def test_asking_again_is_harmless_but_other_instances_under_one_transaction_fail(
    ctx, admin, node, device
):
    known(admin, device.port)
    first, second = stored(ctx, 2)
    asked = information(first)

    assert [ask(node, asked), ask(node, asked)] == [0, 0]
    assert len(requests(ctx)) == 1
    work(ctx)
    assert ask(node, asked) == 0x0000  # its result was lost on the way
    work(ctx)
    assert [event_type for event_type, _ in device.results] == [1, 1]

    assert ask(node, information(second, transaction=asked.TransactionUID)) == 0x0000
    work(ctx)
    event_type, result = device.results[-1]
    assert (event_type, said(result, "FailedSOPSequence")) == (2, [(*second, 0x0131)])


@only_sqlite
def test_two_devices_may_use_the_same_transaction(ctx, admin, node, device):
    known(admin, device.port)
    peers.add(ctx, PeerForm("Other", "CT_TWO"))
    asked = information(*stored(ctx))
    ask(node, asked)
    with associated(node, CONTEXT, ae_title="CT_TWO") as association:
        answer, _ = association.send_n_action(
            asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    assert answer.Status == 0x0000
    assert [(row.ae_title, row.number) for row in requests(ctx)] == [(STATION, 0), ("CT_TWO", 0)]


# --- devices that are away ---


def test_a_device_that_is_away_gets_its_result_when_it_is_back(ctx, clock, admin, node):
    port = free_port()
    known(admin, port)
    ask(node, information(*stored(ctx)))

    with pytest.raises(PeerUnavailable, match="nothing listens at this port"):
        work(ctx)
    clock.advance(hours=23)
    with pytest.raises(PeerUnavailable):
        work(ctx)
    assert requests(ctx)[0].attempts == 2
    with device_at(port) as device:
        work(ctx)

    assert [event_type for event_type, _ in device.results] == [1]
    assert requests(ctx)[0].state is CommitmentState.REPORTED


def test_after_a_day_a_person_is_told_and_can_try_again(ctx, clock, admin, node):
    port = free_port()
    known(admin, port)
    ask(node, information(*stored(ctx)))
    with pytest.raises(PeerUnavailable):
        work(ctx)
    clock.advance(hours=24)

    with pytest.raises(GivenUp):
        work(ctx)
    [row] = commitment_list.requests(admin)
    assert row.state is CommitmentState.GIVEN_UP
    assert "nothing listens at this port" in row.last_error
    commitment_list.retry(admin, row.id)
    assert job(ctx).state is JobState.QUEUED
    with pytest.raises(PeerUnavailable):  # for another day
        work(ctx)
    with device_at(port) as device:
        work(ctx)
    assert len(device.results) == 1


@only_sqlite
def test_a_device_that_says_no_or_refuses_our_role_is_asked_again(ctx, admin, node):
    references = stored(ctx)
    with device_at(status=0x0110) as device:
        known(admin, device.port)
        ask(node, information(*references))
        with pytest.raises(PeerFailure, match="0x0110"):
            work(ctx)
        port = device.port
    with device_at(port, as_scu=False) as device:
        with pytest.raises(PeerFailure, match="SCP role refused"):
            work(ctx)
        assert device.results == []


@only_sqlite
def test_an_address_that_is_entered_later_is_called_at_once(ctx, clock, admin, node, device):
    row = peers.add(admin, PeerForm("Scanner", STATION))
    ask(node, information(*stored(ctx)))
    wait_for(lambda: requests(ctx)[0].held_until_at is None)  # its association is over
    with pytest.raises(PeerUnavailable, match="No address is known for CT_ONE"):
        work(ctx)
    [claimed] = jobs.claim(ctx, "worker", [JobKind.COMMITMENT], limit=1)
    jobs.fail(ctx, claimed, "PeerUnavailable")
    assert job(ctx).not_before_at > ctx.clock()

    form = PeerForm("Scanner", STATION, "127.0.0.1", device.port)
    peers.change(admin, row.id, row.version, form)

    assert job(ctx).not_before_at == ctx.clock()
    work(ctx)
    assert len(device.results) == 1


# --- on the association that asked ---


def test_a_device_without_an_address_hears_on_its_own_association(ctx, admin, node, device):
    peers.add(admin, PeerForm("Scanner", STATION))
    asked = information(*stored(ctx))
    with associated(node, CONTEXT, ae_title=STATION, evt_handlers=device.handlers) as association:
        answer, _ = association.send_n_action(
            asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert answer.Status == 0x0000
        work(ctx)  # checks, and leaves the report to the listener
        assert device.heard.wait(PATIENCE_S)
        wait_for(lambda: requests(ctx)[0].state is CommitmentState.REPORTED)

    assert [(kind, ds.TransactionUID) for kind, ds in device.results] == [(1, asked.TransactionUID)]
    work(ctx)
    assert len(device.results) == 1


def test_the_worker_reports_when_the_association_ends_too_early(ctx, admin, node, device):
    known(admin, device.port, reports_on_same=True)
    ask(node, information(*stored(ctx)))

    wait_for(lambda: requests(ctx)[0].held_until_at is None)
    assert device.results == []
    work(ctx)

    assert len(device.results) == 1


@only_sqlite
def test_the_worker_reports_when_the_listener_died_with_the_association(
    ctx, clock, admin, node, device
):
    known(admin, device.port, reports_on_same=True)
    with associated(node, CONTEXT, ae_title=STATION) as association:
        association.send_n_action(
            information(*stored(ctx)),
            1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        node.commitments._held.clear()  # nobody remembers
        work(ctx)
        assert device.results == []
        assert job(ctx).not_before_at == requests(ctx)[0].held_until_at

        clock.advance(seconds=ctx.settings.commitment_grace_s)
        work(ctx)
    assert len(device.results) == 1


# --- Orthanc, and a worker that is killed ---


@only_sqlite
def test_orthanc_learns_what_is_safe_and_what_is_not(ctx, admin, node, tmp_path):
    port = free_port()
    peers.add(admin, PeerForm("Orthanc", "ARCHIVE", "127.0.0.1", port))
    good, bad = stored(ctx, 2)
    with ctx.read() as session:
        query = select(Instance.path).where(Instance.sop_instance_uid == bad[1])
        path = ctx.store.path(session.scalars(query).one())
    path.write_bytes(path.read_bytes()[:-2] + b"??")
    clinic = {"clinic": ["CLINIC", "127.0.0.1", node.port]}
    with orthanc(tmp_path / "orthanc", port=port, peers=clinic) as archive:

        def committed(*references):
            body = {"DicomInstances": [list(each) for each in references], "Timeout": PATIENCE_S}
            where = archive.post("/modalities/clinic/storage-commitment", body)["Path"]
            work(ctx)
            return archive.get(where)

        fine = committed(good)
        assert fine["Status"] == "Success"
        assert fine["Success"] == [dict(zip(("SOPClassUID", "SOPInstanceUID"), good, strict=True))]
        broken = committed(good, bad)
        assert broken["Status"] == "Failure"
        [failure] = broken["Failures"]
        assert failure["SOPInstanceUID"] == bad[1]
        assert "general failure" in failure["Description"], "0110"


WORKER = """
import threading
from clinic_panel.config import Settings
from clinic_panel.context import system
from clinic_panel.models.job import JobKind
from clinic_panel.resources import build_context, build_engine
from clinic_panel.services import jobs
from clinic_panel.tasks.commitment import settle

settings = Settings.read()
ctx = build_context(settings, build_engine(settings), system("worker"))
[asked] = jobs.claim(ctx, "worker-killed", [JobKind.COMMITMENT], limit=1)
settle(ctx, asked.subject_id, threading.Event())
"""


def test_a_worker_killed_between_request_and_report_reports_once(ctx, clock, admin, node, device):
    """It is killed while it calls; whoever comes after it finds the job in the database."""
    clock.at = now()
    silent = socket.create_server(("127.0.0.1", 0))  # takes the call and says nothing
    row = known(admin, silent.getsockname()[1])
    assert ask(node, information(*stored(ctx, 2))) == 0x0000

    environ = os.environ | ctx.settings.environ()
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=environ)
    with worker, silent, silent.accept()[0]:
        worker.kill()
    assert requests(ctx)[0].state is CommitmentState.TO_REPORT
    assert job(ctx).state is JobState.RUNNING

    form = PeerForm("Scanner", STATION, "127.0.0.1", device.port)
    peers.change(admin, row.id, row.version, form)
    clock.at = now()
    assert jobs.release_owned_by(ctx, "worker-killed") == 1
    [again] = jobs.claim(ctx, "worker", [JobKind.COMMITMENT], limit=1)
    work(ctx, again.subject_id)
    jobs.finish(ctx, [(again, None)])

    assert [event_type for event_type, _ in device.results] == [1]
    assert job(ctx).state is JobState.DONE
