"""Forwarding to other archives: DCMTK's storescp, Orthanc, and peers that misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)
from sqlalchemy import select

from clinic_panel.archive import data_set_offset
from clinic_panel.checkpoint import Checkpoint
from clinic_panel.context import Context
from clinic_panel.dimse import commitment
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound, PeerUnavailable
from clinic_panel.imaging.header import read_header
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.peer import Forwarding, ForwardingState
from clinic_panel.models.user import Role
from clinic_panel.services import dicom, peers, sync
from clinic_panel.services.peers import PeerForm
from clinic_panel.tasks.journal import Journal
from clinic_panel.tasks.sync import forward
from tests.conftest import free_port
from tests.integration.orthanc import until_it_answers
from tests.integration.peer import PATIENCE_S, wait_for

FILES = ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm"]


@pytest.fixture
def admin(as_role) -> Context:
    return as_role(Role.ADMIN)


@pytest.fixture
def peer(admin):
    """A peer that studies go to; whether someone answers there is up to the test."""
    form = PeerForm("Archive", "ARCHIVE", "127.0.0.1", free_port(), forwards=True)
    return peers.add(admin, form)


def receive(ctx: Context, *names: str, source: str = "CT1") -> list[int]:
    """Index real objects, each under identifiers of its own; return the ids of their rows."""
    received = []
    for name in names:
        ct = dcmread(get_testdata_file(name))
        ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        out = io.BytesIO()
        ct.save_as(out)
        stored = ctx.store.put(out.getvalue())
        received.append(dicom.Received(read_header(ctx.store.path(stored.path)), stored, source))
    return [outcome.instance_id for outcome in dicom.index_batch(ctx, received)]


def send(ctx: Context, peer_id: int) -> None:
    forward(ctx, peer_id, threading.Event())


def owed(ctx: Context) -> list[Forwarding]:
    with ctx.read() as session:
        return list(session.scalars(select(Forwarding).order_by(Forwarding.id)))


def state_counts(ctx: Context) -> Counter[ForwardingState]:
    return Counter(row.state for row in owed(ctx))


def sent_digests(ctx: Context) -> list[str]:
    with ctx.read() as session:
        return sorted(session.scalars(select(Instance.sha256)))


class ScriptedPeer:
    """A storage SCP that answers as it is told and keeps what it took."""

    def __init__(
        self,
        port: int,
        status: Callable[[int], int],
        classes: list[str] | None = None,
        asked_by: str = "",
    ):
        self.kept: list[tuple[str, bytes]] = []
        self.associations = 0
        self._status = status
        _config.LOG_HANDLER_LEVEL = "none"
        entity = AE("ARCHIVE")
        for context in AllStoragePresentationContexts:
            if classes is None or context.abstract_syntax in classes:
                syntaxes = [
                    "1.2.840.10008.1.2",
                    "1.2.840.10008.1.2.1",
                    "1.2.840.10008.1.2.5",
                    "1.2.840.10008.1.2.4.90",
                    "1.2.840.10008.1.2.4.91",
                ]
                entity.add_supported_context(UID(context.abstract_syntax), syntaxes)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_ACTION, self._commit),
            (evt.EVT_PDU_SENT, self._sent),
        ]
        if asked_by:
            entity.add_supported_context(asked_by)
        self.asked: list[str] = []
        self._reports: list[Callable[[], None]] = []
        self._server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _accepted(self, event: evt.Event) -> None:
        self.associations += 1
        event.assoc._reactor_checkpoint = Checkpoint()  # we report on it

    def _store(self, event: evt.Event) -> int:
        status = self._status(len(self.kept))
        if status < 0:
            event.assoc.abort()
            return 0x0110
        if status == 0:
            data_set = event.request.DataSet.getvalue()
            self.kept.append((event.request.AffectedSOPInstanceUID, data_set))
        return status

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append("C-FIND")
        if event.identifier.SOPInstanceUID in [uid for uid, _ in self.kept]:
            yield 0xFF00, event.identifier

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        """Take the request and report at once, on the same association."""
        self.asked.append("N-ACTION")
        [item] = event.action_information.ReferencedSOPSequence
        result = Dataset()
        result.TransactionUID = event.action_information.TransactionUID
        result.ReferencedSOPSequence = [item]
        association = event.assoc
        is_kept = item.ReferencedSOPInstanceUID in [uid for uid, _ in self.kept]
        if not is_kept:
            item.FailureReason = 0x0112
            result.FailedSOPSequence = result.pop("ReferencedSOPSequence").value

        def report() -> None:
            association.send_n_event_report(
                result,
                1 if is_kept else 2,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )

        self._reports.append(report)
        return 0x0000, None

    def _sent(self, event: evt.Event) -> None:
        """Report once our response to the request is out."""
        if self._reports and isinstance(event.pdu, P_DATA_TF):
            threading.Thread(target=self._reports.pop()).start()

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ScriptedPeer]]:
    # Our own listener, started by a test before, takes data sets in pieces.
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
    started: list[ScriptedPeer] = []

    def start(port: int, status: Callable[[int], int] = lambda n: 0, **options) -> ScriptedPeer:
        started.append(ScriptedPeer(port, status, **options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


# --- real archives ---


@pytest.fixture
def storescp(peer, tmp_path: Path) -> Iterator[Path]:
    """DCMTK's receiver at the peer's address; the folder it writes to, bit by bit as received."""
    program = shutil.which("storescp")
    assert program, "DCMTK is not installed: run `make test`, which installs it"
    folder = tmp_path / "storescp"
    folder.mkdir()
    process = subprocess.Popen(
        [program, "--bit-preserving", "-aet", "ARCHIVE", "+xa", "-od", str(folder), str(peer.port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until_it_answers(process, peer.port)
    yield folder
    process.kill()
    process.wait()


def test_dcmtk_gets_every_object_byte_for_byte_in_one_association(ctx, peer, storescp, caplog):
    caplog.set_level(logging.DEBUG)
    receive(ctx, *FILES)

    send(ctx, peer.id)

    got = []
    for path in storescp.iterdir():
        part10 = path.read_bytes()
        got.append(hashlib.sha256(part10[data_set_offset(memoryview(part10)) :]).hexdigest())
    assert sorted(got) == sent_digests(ctx)
    assert state_counts(ctx) == {ForwardingState.DELIVERED: len(FILES)}
    header = dcmread(get_testdata_file("CT_small.dcm"))
    for secret in (header.PatientID, str(header.PatientName), header.StudyInstanceUID):
        assert str(secret) not in caplog.text


@pytest.fixture
def orthanc(peer, tmp_path: Path) -> Iterator[str]:
    """An Orthanc at the peer's address; the address of its REST interface."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, "Orthanc is not installed: run `make test`, which installs it"
    port = free_port()
    config = tmp_path / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(tmp_path / "orthanc"),
                "IndexDirectory": str(tmp_path / "orthanc"),
                "DicomAet": "ARCHIVE",
                "DicomPort": peer.port,
                "DicomAlwaysAllowStore": True,
                "HttpPort": port,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "Plugins": [],
            }
        )
    )
    process = subprocess.Popen(
        [program, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until_it_answers(process, peer.port, port)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_S)


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
        return answer.read()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_orthanc_gets_every_object_in_its_transfer_syntax(ctx, peer, orthanc):
    receive(ctx, *FILES)

    send(ctx, peer.id)

    # Orthanc writes a file of its own: what it says must be the same, element by element.
    got = {}
    for instance in json.loads(get(f"{orthanc}/instances")):
        data_set = dcmread(io.BytesIO(get(f"{orthanc}/instances/{instance}/file")))
        got[data_set.SOPInstanceUID] = data_set
    with ctx.read() as session:
        rows = session.scalars(select(Instance)).all()
    assert len(rows) == len(FILES)
    for row in rows:
        ours = dcmread(ctx.store.path(row.path))
        assert got[row.sop_instance_uid] == ours
        assert got[row.sop_instance_uid].file_meta.TransferSyntaxUID == row.transfer_syntax_uid
    assert state_counts(ctx) == {ForwardingState.DELIVERED: len(FILES)}


# --- the outbox ---


def test_what_is_received_is_owed_in_the_same_commit_to_all_it_goes_to_on_or_off(ctx, admin, peer):
    form = PeerForm("Off", "OFF", "127.0.0.1", 104, forwards=True, is_active=False)
    off = peers.add(admin, form)
    peers.add(admin, PeerForm("Workstation", "WORK", "127.0.0.1", 104))

    ids = receive(ctx, "CT_small.dcm", "MR_small.dcm")

    assert {(row.peer_pk, row.instance_pk) for row in owed(ctx)} == {
        (to.id, n) for to in (peer, off) for n in ids
    }
    with ctx.read() as session:
        asked = session.scalars(select(Job).where(Job.kind == JobKind.FORWARD)).all()
        assert {job.subject_id for job in asked} == {peer.id, off.id}
        assert {job.state for job in asked} == {JobState.QUEUED}


def test_nothing_goes_back_to_its_sender(ctx, peer):
    receive(ctx, "CT_small.dcm", source="ARCHIVE")

    assert owed(ctx) == []


def test_an_instance_is_sent_once(ctx, peer, scripted):
    archive = scripted(peer.port)
    receive(ctx, *FILES)

    send(ctx, peer.id)
    send(ctx, peer.id)

    assert len(archive.kept) == len(FILES)
    assert archive.associations == 1


def test_an_archive_that_is_away_gets_all_when_it_is_back(ctx, peer, scripted):
    receive(ctx, *FILES)

    with pytest.raises(PeerUnavailable):
        send(ctx, peer.id)
    assert state_counts(ctx) == {ForwardingState.WAITING: len(FILES)}
    archive = scripted(peer.port)
    send(ctx, peer.id)

    assert sorted(hashlib.sha256(data).hexdigest() for _, data in archive.kept) == sent_digests(ctx)


def test_an_association_that_breaks_loses_and_repeats_nothing(ctx, peer, scripted):
    breaks = iter([True])
    archive = scripted(peer.port, lambda kept: -1 if kept == 3 and next(breaks, False) else 0)
    receive(ctx, *(["MR_small.dcm"] * 8))

    with pytest.raises(PeerUnavailable):
        send(ctx, peer.id)
    assert state_counts(ctx) == {ForwardingState.DELIVERED: 3, ForwardingState.WAITING: 5}
    send(ctx, peer.id)

    assert Counter(uid for uid, _ in archive.kept).most_common(1)[0][1] == 1
    assert len(archive.kept) == 8
    assert state_counts(ctx) == {ForwardingState.DELIVERED: 8}


KILLED = """
import sys, threading
from clinic_panel.config import Settings
from clinic_panel.context import system
from clinic_panel.resources import build_context, build_engine
from clinic_panel.tasks.sync import forward

settings = Settings.read()
ctx = build_context(settings, build_engine(settings), system("worker"))
forward(ctx, int(sys.argv[1]), threading.Event())
"""


@pytest.mark.parametrize(
    ("asked_by", "asked", "repeated"),
    [
        (StudyRootQueryRetrieveInformationModelFind, ["C-FIND"], 0),
        (StorageCommitmentPushModel, ["N-ACTION"], 0),
        ("", [], 1),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_killed_worker_repeats_at_most_the_object_under_way(
    ctx, peer, scripted, monkeypatch, asked_by, asked, repeated
):
    """It dies when the peer has the eighth object and has not answered: nothing is noted yet."""
    monkeypatch.setitem(commitment.commit.__kwdefaults__, "wait_s", PATIENCE_S)
    killed = threading.Event()

    def status(kept: int) -> int:
        if kept == 7 and not killed.is_set():
            worker.kill()
            worker.wait()
            killed.set()
        return 0

    archive = scripted(peer.port, status, asked_by=asked_by)
    receive(ctx, *(["MR_small.dcm"] * 10))
    environ = os.environ | ctx.settings.environ()
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(peer.id)], env=environ)
    assert killed.wait(PATIENCE_S)
    wait_for(lambda: len(archive.kept) == 8)
    assert state_counts(ctx) == {ForwardingState.WAITING: 10}

    send(ctx, peer.id)

    assert archive.asked == asked
    assert len(archive.kept) == 10 + repeated
    assert len({uid for uid, _ in archive.kept}) == 10
    assert state_counts(ctx) == {ForwardingState.DELIVERED: 10}


def test_an_object_in_doubt_that_did_not_arrive_is_sent(ctx, peer, scripted):
    archive = scripted(peer.port, asked_by=StudyRootQueryRetrieveInformationModelFind)
    receive(ctx, "CT_small.dcm", "MR_small.dcm")
    journal_path = ctx.settings.home / "outbox" / f"{peer.id}.journal"
    with Journal(journal_path) as journal:
        journal.begin(owed(ctx)[0].id)

    send(ctx, peer.id)

    assert archive.asked == ["C-FIND"]
    assert len(archive.kept) == 2
    assert journal_path.stat().st_size == 0


def test_a_full_archive_is_asked_again_later(ctx, peer, scripted):
    room = iter([0xA700, 0xA700, 0, 0])
    scripted(peer.port, lambda kept: next(room))
    receive(ctx, "CT_small.dcm", "MR_small.dcm")

    with pytest.raises(PeerUnavailable):
        send(ctx, peer.id)
    assert {row.last_status for row in owed(ctx)} == {0xA700}
    send(ctx, peer.id)

    assert state_counts(ctx) == {ForwardingState.DELIVERED: 2}


def test_a_warning_is_a_delivery(ctx, peer, scripted):
    scripted(peer.port, lambda kept: 0xB007)
    receive(ctx, "CT_small.dcm")

    send(ctx, peer.id)

    assert state_counts(ctx) == {ForwardingState.DELIVERED: 1}


def test_what_is_refused_is_seen_and_can_be_sent_again(ctx, admin, peer, scripted):
    refuses = iter([0xC000])
    archive = scripted(peer.port, lambda kept: next(refuses, 0))
    receive(ctx, "CT_small.dcm")

    send(ctx, peer.id)
    [row] = sync.forwarding_state(admin)
    assert (row.refused, row.last_status, row.peer_name) == (1, 0xC000, "Archive")
    send(ctx, peer.id)
    assert archive.kept == []  # not by itself

    assert sync.retry(admin, peer.id, row.study_id) == 1
    send(ctx, peer.id)

    [row] = sync.forwarding_state(admin)
    assert (row.waiting, row.delivered, row.refused, row.last_status) == (0, 1, 0, None)
    assert row.last_delivered_at == ctx.clock()


def test_a_class_the_archive_does_not_take_holds_up_nothing_else(ctx, peer, scripted):
    ct_only = scripted(peer.port, classes=["1.2.840.10008.5.1.4.1.1.2"])
    receive(ctx, "MR_small.dcm", "CT_small.dcm")

    send(ctx, peer.id)

    assert {row.last_status for row in owed(ctx)} == {0x0122, 0x0000}
    assert len(ct_only.kept) == 1


def test_a_file_that_is_gone_holds_up_nothing_else(ctx, peer, scripted):
    archive = scripted(peer.port)
    receive(ctx, "MR_small.dcm", "CT_small.dcm")
    with ctx.read() as session:
        first = session.scalars(select(Instance).order_by(Instance.id)).first()
    ctx.store.path(first.path).unlink()

    send(ctx, peer.id)

    assert state_counts(ctx) == {ForwardingState.REFUSED: 1, ForwardingState.DELIVERED: 1}
    assert len(archive.kept) == 1


def test_what_left_the_house_is_in_the_audit(ctx, peer, scripted):
    scripted(peer.port)
    receive(ctx, "CT_small.dcm", "MR_small.dcm", "MR_small.dcm")

    send(ctx, peer.id)

    with ctx.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == Action.FORWARD)
        entries = session.scalars(query.order_by(AuditEntry.id)).all()
        assert [(e.subject_type, e.detail) for e in entries] == [
            ("study", {"peer": peer.id, "instances": 1}),
            ("study", {"peer": peer.id, "instances": 2}),
        ]


def test_a_peer_that_is_switched_off_gets_nothing_until_it_is_on_again(ctx, admin, peer, scripted):
    archive = scripted(peer.port)
    receive(ctx, "CT_small.dcm")
    form = PeerForm("Archive", "ARCHIVE", "127.0.0.1", peer.port, forwards=True)
    off = peers.change(admin, peer.id, peer.version, replace(form, is_active=False))
    receive(ctx, "MR_small.dcm")

    send(ctx, peer.id)
    assert archive.kept == []

    peers.change(admin, peer.id, off.version, form)
    with ctx.read() as session:
        [job] = session.scalars(select(Job).where(Job.kind == JobKind.FORWARD))
        assert job.state is JobState.QUEUED
    send(ctx, peer.id)
    assert len(archive.kept) == 2, "what came meanwhile too"


# --- who may say what a peer is ---


def test_two_who_change_one_peer_are_told(admin, peer):
    form = PeerForm("Archive", "ARCHIVE", "10.0.0.1", 104)
    peers.change(admin, peer.id, peer.version, form)

    with pytest.raises(Conflict):
        peers.change(admin, peer.id, peer.version, replace(form, port=105))
    with pytest.raises(NotFound):
        peers.change(admin, 10**6, 1, form)
    assert [(row.host, row.port) for row in peers.peers(admin)] == [("10.0.0.1", 104)]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (PeerForm("", "X", "h"), "peer_name"),
        (PeerForm("X", "", "h"), "ae_title"),
        (PeerForm("X", "X" * 17, "h"), "ae_title"),
        (PeerForm("X", "X", "", forwards=True), "host"),
        (PeerForm("X", "X", "a b"), "host"),
        (PeerForm("X", "X", "h", 0), "port"),
        (PeerForm("X", "X", "h", 65536), "port"),
        (PeerForm("Archive", "X", "h"), "ae_title"),
        (PeerForm("X", "ARCHIVE", "h"), "ae_title"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_peer_that_breaks_a_rule_is_refused(admin, peer, form, field):
    with pytest.raises(Invalid) as caught:
        peers.add(admin, form)

    assert caught.value.field == field


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.TECHNOLOGIST, Role.CLINICIAN])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_only_an_administrator_deals_with_peers(as_role, peer, role):
    someone = as_role(role)
    for call in (
        lambda: peers.peers(someone),
        lambda: peers.add(someone, PeerForm("X", "X", "h")),
        lambda: peers.change(someone, peer.id, peer.version, PeerForm("X", "X", "h")),
        lambda: sync.forwarding_state(someone),
        lambda: sync.retry(someone, peer.id),
        lambda: sync.next_batch(someone, peer.id),
        lambda: sync.record(someone, peer.id, []),
    ):
        with pytest.raises(Forbidden):
            call()
