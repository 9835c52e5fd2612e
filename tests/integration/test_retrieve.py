"""C-MOVE and C-GET over real sockets: DCMTK, pynetdicom and Orthanc as the other side."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import ssl
import subprocess
import threading
from collections import Counter
from dataclasses import replace

import pytest
from pydicom import DataElement, dcmread
from pydicom.config import IGNORE
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import generate_uid
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from sqlalchemy import select

from clinic_panel.archive import data_set_offset
from clinic_panel.imaging.header import read_header
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Role
from clinic_panel.services import dicom, peers
from clinic_panel.services.peers import PeerForm
from listener.commands import StoreRequest
from listener.limits import Limits
from listener.server import Node
from tests import factories
from tests.conftest import free_port
from tests.integration.orthanc import orthanc, until_it_answers
from tests.integration.peer import PATIENCE_S, STATION, associated, pdu, pdv, wait_for

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
both_receivers = pytest.mark.parametrize("receiver", ["event-driven", "library"], indirect=True)

MOVE, GET = StudyRootQueryRetrieveInformationModelMove, StudyRootQueryRetrieveInformationModelGet
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
J2K, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
NAMES = ["Buc^Jérôme", "Люкceмбypг^Пётр", "Διονυσιος^Α", "山田^太郎=やまだ^たろう", "שרון^דבורה"]


@pytest.fixture
def receiver(request):
    return getattr(request, "param", "event-driven")


@pytest.fixture
def start(ctx, receiver, monkeypatch):
    factories.room(ctx, station_ae_title=STATION)
    started = []

    def begin(settings=None, **limits):
        here = ctx if settings is None else replace(ctx, settings=settings)
        node = Node(here, limits=Limits(**limits), accelerated=receiver == "event-driven")
        node.start()
        # The other side in this process takes data sets whole.
        monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
        started.append(node)
        return node

    yield begin
    for node in started:
        node.stop()


@pytest.fixture
def node(start):
    return start()


class Kept:
    """Objects of one patient in our archive."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.patient_id = f"P{generate_uid()[-9:]}"
        self.studies = [generate_uid(), generate_uid()]
        self.series = [generate_uid(), generate_uid()]
        self.uids: list[str] = []

    def add(self, *names, study=0, series=0, **values):
        received = []
        for number, name in enumerate(names, len(self.uids) + 1):
            ds = dcmread(get_testdata_file(name))
            ds.PatientID, ds.InstanceNumber = self.patient_id, number
            ds.StudyInstanceUID, ds.SeriesInstanceUID = self.studies[study], self.series[series]
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            for keyword, value in values.items():
                setattr(ds, keyword, value)
            out = io.BytesIO()
            ds.save_as(out)
            stored = self.ctx.store.put(out.getvalue())
            header = read_header(self.ctx.store.path(stored.path))
            received.append(dicom.Received(header, stored, STATION))
            self.uids.append(str(ds.SOPInstanceUID))
        dicom.index_batch(self.ctx, received)
        return self

    def data_sets(self):
        """The bytes of every data set by SOP Instance UID, as they lie in the archive."""
        with self.ctx.read() as session:
            rows = session.execute(select(Instance.sop_instance_uid, Instance.path)).all()
        return {uid: data_set(self.ctx.store.path(path).read_bytes()) for uid, path in rows}

    def original(self, uid):
        with self.ctx.read() as session:
            row = select(Instance.path).where(Instance.sop_instance_uid == uid)
            return dcmread(self.ctx.store.path(session.scalars(row).one()))


@pytest.fixture
def kept(ctx):
    return Kept(ctx)


def data_set(part10):
    return part10[data_set_offset(memoryview(part10)) :]


def asked(level, **keys):
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def last(responses):
    """The final response of a retrieve: status, the counts, and the list of what failed."""
    found = list(responses)
    status, listed = found[-1]
    failed = [] if listed is None else listed.get("FailedSOPInstanceUIDList") or []
    counts = [
        status.get(f"NumberOf{kind}Suboperations")
        for kind in ("Remaining", "Completed", "Failed", "Warning")
    ]
    return status.Status, counts, [failed] if isinstance(failed, str) else list(failed)


def retrieved(ctx):
    with ctx.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == Action.RETRIEVE)
        return [entry.detail for entry in session.scalars(query.order_by(AuditEntry.id))]


@contextlib.contextmanager
def running(port, *command):
    found = shutil.which(command[0], path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert found, f"{command[0]} is not installed: run `make test`, which installs it"
    process = subprocess.Popen(
        [found, *map(str, command[1:])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until_it_answers(process, port)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def dcmtk(program, *arguments):
    found = shutil.which(program)
    assert found, "DCMTK is not installed: run `make test`, which installs it"
    command = [found, "-d", "-aet", STATION, "-aec", "CLINIC", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def keys(identifier):
    for element in identifier:
        value = element.value
        text = "\\".join(value) if element.VM > 1 else value
        yield from ("-k", f"{element.keyword}={text}")


class Target:
    """A move destination: keeps what comes, and answers as it is told."""

    def __init__(self, answer=lambda n: 0x0000, syntaxes=(IMPLICIT, EXPLICIT, J2K, RLE), tls=None):
        self.port, self.answer = free_port(), answer
        self.kept: dict[str, bytes] = {}
        self.syntaxes: dict[str, str] = {}
        self.originators = set()
        self.associations = 0
        entity = AE("TARGET")
        for uid in (CTImageStorage, MRImageStorage):
            entity.add_supported_context(uid, list(syntaxes))
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)]
        self.server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls
        )

    def _accepted(self, event):
        self.associations += 1

    def _store(self, event):
        status = self.answer(len(self.kept))
        if status is None:
            event.assoc.abort()
            return 0x0110
        request = event.request
        self.originators.add(
            (request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID)
        )
        if status < 0xA000 or status >> 12 == 0xB:
            uid = str(request.AffectedSOPInstanceUID)
            self.kept[uid] = request.DataSet.getvalue()
            self.syntaxes[uid] = str(event.context.transfer_syntax)
        return status


@pytest.fixture
def target(as_role):
    """Start a destination that our peers table knows."""
    started = []

    def begin(*arguments, **options):
        target = Target(*arguments, **options)
        started.append(target)
        form = PeerForm("Target", "TARGET", "127.0.0.1", target.port, uses_tls="tls" in options)
        peers.add(as_role(Role.ADMIN), form)
        return target

    yield begin
    for each in started:
        each.server.shutdown()


@contextlib.contextmanager
def moving(node, *more):
    with associated(node, (MOVE, [EXPLICIT]), *more) as association:
        yield association


# --- as it is stored ---


@both_receivers
def test_movescu_has_a_study_sent_to_storescp_byte_for_byte(ctx, node, kept, as_role, tmp_path):
    for name in NAMES:
        kept.add("CT_small.dcm", PatientName=name, SpecificCharacterSet="ISO_IR 192")
    kept.add("MR_small_RLE.dcm", "JPEG2000.dcm", series=1)
    port, folder = free_port(), tmp_path / "storescp"
    folder.mkdir()
    peers.add(as_role(Role.ADMIN), PeerForm("Target", "TARGET", "127.0.0.1", port))
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])

    with running(
        port, "storescp", "--bit-preserving", "+xa", "-aet", "TARGET", "-od", folder, port
    ):
        said = dcmtk("movescu", "-S", "-aem", "TARGET", *keys(wanted), "127.0.0.1", node.port)

    assert said.returncode == 0
    assert "0x0000: Success" in said.stdout + said.stderr
    got = [data_set(path.read_bytes()) for path in folder.iterdir()]
    assert sorted(got) == sorted(kept.data_sets().values())
    assert retrieved(ctx) == [{"ae_title": STATION, "destination": "TARGET", "instances": 7}]


@only_sqlite
@both_receivers
def test_getscu_fetches_at_every_level(node, kept, tmp_path, ctx):
    kept.add("CT_small.dcm", "MR_small.dcm").add("CT_small.dcm", series=1)
    kept.add("CT_small.dcm", study=1)
    other = Kept(ctx).add("CT_small.dcm")
    study, series = kept.studies[0], kept.series[1]
    levels = [
        (asked("STUDY", StudyInstanceUID=kept.studies), "-S", kept.uids),
        (asked("SERIES", StudyInstanceUID=study, SeriesInstanceUID=series), "-S", kept.uids[2:3]),
        (
            asked(
                "IMAGE",
                PatientID=kept.patient_id,
                StudyInstanceUID=study,
                SeriesInstanceUID=kept.series[0],
                SOPInstanceUID=[*kept.uids, *other.uids],
            ),
            "-P",
            kept.uids[:2],
        ),
        (asked("PATIENT", PatientID=kept.patient_id), "-P", kept.uids),
        (asked("STUDY", StudyInstanceUID=generate_uid()), "-S", []),
    ]
    for number, (wanted, model, expected) in enumerate(levels):
        folder = tmp_path / str(number)
        folder.mkdir()

        said = dcmtk(
            "getscu",
            "--bit-preserving",
            "-od",
            folder,
            model,
            *keys(wanted),
            "127.0.0.1",
            node.port,
        )

        assert said.returncode == 0
        assert "0x0000: Success" in said.stdout + said.stderr
        got = {path.name: data_set(path.read_bytes()) for path in folder.iterdir()}
        assert got == {uid: kept.data_sets()[uid] for uid in expected}


@only_sqlite
def test_a_target_hears_who_asked_and_for_which_request(node, kept, target):
    archive = target()
    kept.add("CT_small.dcm", "CT_small.dcm")

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        answers = association.send_c_move(wanted, "TARGET", MOVE, msg_id=4711)
        assert last(answers) == (0x0000, [None, 2, 0, 0], [])

    assert archive.originators == {(STATION, 4711)}
    assert archive.associations == 1


@only_sqlite
def test_dcmqrscp_takes_what_it_is_sent(node, kept, as_role, tmp_path):
    kept.add("CT_small.dcm", "MR_small.dcm", "CT_small.dcm")
    port, store = free_port(), tmp_path / "qr"
    store.mkdir()
    config = tmp_path / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 4\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {store} RW (200, 1024mb) ANY\nAETable END\n"
    )
    peers.add(as_role(Role.ADMIN), PeerForm("QR", "QR", "127.0.0.1", port))
    wanted = asked("PATIENT", PatientID=kept.patient_id)

    with running(port, "dcmqrscp", "-c", config):
        said = dcmtk("movescu", "-P", "-aem", "QR", *keys(wanted), "127.0.0.1", node.port)

    assert said.returncode == 0
    got = {str(dcmread(path).SOPInstanceUID) for path in store.glob("*.dcm")}
    got |= {str(dcmread(path).SOPInstanceUID) for path in store.glob("CT*")}
    assert got == set(kept.uids)


@only_sqlite
def test_orthanc_verifies_asks_fetches_and_stores(node, kept, as_role, tmp_path, ctx):
    kept.add("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", PatientName="Müller^Ève")
    booking = factories.appointment(ctx, room=factories.room(ctx, station_ae_title="MR_ONE"))
    port = free_port()
    peers.add(as_role(Role.ADMIN), PeerForm("Orthanc", "ORTHANC", "127.0.0.1", port))
    us = {"clinic": ["CLINIC", "127.0.0.1", node.port]}
    wanted = {"Level": "Study", "Resources": [{"StudyInstanceUID": kept.studies[0]}]}
    own = dcmread(get_testdata_file("MR_small.dcm"))
    own.SOPInstanceUID = own.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    out = io.BytesIO()
    own.save_as(out)

    with orthanc(tmp_path / "orthanc", ae_title="ORTHANC", port=port, peers=us) as other:
        other.post("/modalities/clinic/echo", {})
        keys = {
            "PatientName": "muller*",
            "StudyInstanceUID": "",
            "NumberOfStudyRelatedInstances": "",
        }
        asked = other.post("/modalities/clinic/query", {"Level": "Study", "Query": keys})
        [study] = other.get(f"/queries/{asked['ID']}/answers?expand&simplify")
        station = [{"ScheduledStationAETitle": "MR_ONE"}]
        keys = {"AccessionNumber": "", "ScheduledProcedureStepSequence": station}
        [step] = other.post("/modalities/clinic/find-worklist", keys)
        other.post("/modalities/clinic/move", wanted | {"TargetAet": "ORTHANC"})
        there = other.get("/instances?expand")
        mine = other.post("/instances", out.getvalue())["ID"]
        sent = other.post("/modalities/clinic/store", {"Resources": [mine], "Synchronous": True})

    assert study["StudyInstanceUID"] == kept.studies[0]
    assert study["NumberOfStudyRelatedInstances"] == "3"
    assert step["AccessionNumber"] == booking.accession_number
    assert {each["MainDicomTags"]["SOPInstanceUID"] for each in there} == set(kept.uids)
    assert [entry["instances"] for entry in retrieved(ctx)] == [3]
    assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (1, 0)
    assert kept.original(own.SOPInstanceUID).PixelData == own.PixelData


# --- decoded ---


@only_sqlite
def test_a_target_without_codecs_gets_exact_pixels(node, kept, target):
    names = ["JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "CT_small.dcm"]
    archive = target(syntaxes=[IMPLICIT])
    for name in names:
        kept.add(name, SOPClassUID=CTImageStorage)

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        assert last(association.send_c_move(wanted, "TARGET", MOVE))[0] == 0x0000

    assert set(archive.syntaxes.values()) == {IMPLICIT}
    for uid in kept.uids:
        ours, theirs = kept.original(uid), dcmread(io.BytesIO(archive.kept[uid]), force=True)
        theirs.ensure_file_meta()
        theirs.file_meta.TransferSyntaxUID = IMPLICIT
        assert (pixel_array(theirs, raw=True) == pixel_array(ours, raw=True)).all()
        assert theirs.PatientID == kept.patient_id


# --- what goes wrong ---


@only_sqlite
def test_an_identifier_that_names_nothing_is_refused(node, kept, target, ctx):
    archive = target()
    kept.add("CT_small.dcm")
    study, series, uid = kept.studies[0], kept.series[0], kept.uids[0]
    everything = asked("STUDY")
    everything.add(DataElement("StudyInstanceUID", "UI", "*", validation_mode=IGNORE))
    study_root = [
        asked(""),
        everything,
        asked("PATIENT", PatientID=kept.patient_id),
        asked("IMAGES", StudyInstanceUID=study),
        asked("STUDY"),
        asked("STUDY", StudyInstanceUID=""),
        asked("STUDY", PatientID=kept.patient_id),
        asked("SERIES", SeriesInstanceUID=series),
        asked("SERIES", StudyInstanceUID=[study, generate_uid()], SeriesInstanceUID=series),
        asked("IMAGE", StudyInstanceUID=study, SOPInstanceUID=uid),
    ]
    patient_root = [
        asked("STUDY", StudyInstanceUID=study),
        asked("PATIENT", PatientID=""),
        asked("PATIENT", PatientID=[kept.patient_id, "X"]),
    ]

    with moving(node, (PatientRootQueryRetrieveInformationModelMove, [IMPLICIT])) as association:
        for model, identifiers in (
            (MOVE, study_root),
            (PatientRootQueryRetrieveInformationModelMove, patient_root),
        ):
            for identifier in identifiers:
                [(status, _)] = association.send_c_move(identifier, "TARGET", model)
                assert status.Status == 0xA900, identifier
        wanted = asked("STUDY", StudyInstanceUID=study, PatientID="another")
        model = PatientRootQueryRetrieveInformationModelMove
        assert last(association.send_c_move(wanted, "TARGET", model)) == (
            0x0000, [None, 0, 0, 0], [],
        )  # fmt: skip

    assert not archive.associations
    assert retrieved(ctx) == []


@only_sqlite
def test_keys_of_upper_levels_may_be_missing_where_that_was_agreed(node, kept, target):
    archive = target()
    kept.add("CT_small.dcm", "CT_small.dcm")
    relational = SOPClassExtendedNegotiation()
    relational.sop_class_uid, relational.service_class_application_information = MOVE, b"\1"

    with associated(node, (MOVE, [EXPLICIT]), ext_neg=[relational]) as association:
        wanted = asked("IMAGE", SOPInstanceUID=kept.uids[1])
        assert last(association.send_c_move(wanted, "TARGET", MOVE))[:2] == (
            0x0000, [None, 1, 0, 0],
        )  # fmt: skip
        [(status, _)] = association.send_c_move(asked("IMAGE"), "TARGET", MOVE)
        assert status.Status == 0xA900

    assert set(archive.kept) == {kept.uids[1]}


@only_sqlite
def test_only_peers_that_are_on_and_have_an_address_are_destinations(node, kept, as_role):
    kept.add("CT_small.dcm")
    admin = as_role(Role.ADMIN)
    peers.add(admin, PeerForm("Off", "OFF", "127.0.0.1", 104, is_active=False))
    peers.add(admin, PeerForm("Nowhere", "NOWHERE"))

    with moving(node) as association:
        for title in ("OFF", "NOWHERE", STATION, "NOBODY"):
            wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
            [(status, _)] = association.send_c_move(wanted, title, MOVE)
            assert status.Status == 0xA801, title


@only_sqlite
def test_a_destination_that_is_away(node, kept, as_role, ctx):
    kept.add("CT_small.dcm", "MR_small.dcm")
    peers.add(as_role(Role.ADMIN), PeerForm("Away", "AWAY", "127.0.0.1", free_port()))

    with moving(node, (Verification, [IMPLICIT])) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        answers = list(association.send_c_move(wanted, "AWAY", MOVE))
        assert last(answers) == (0xA702, [None, 0, 2, 0], kept.uids)
        assert answers[-1][0].ErrorComment == "no association with AWAY"
        assert association.send_c_echo().Status == 0x0000

    assert retrieved(ctx) == []


@only_sqlite
def test_a_destination_that_breaks_off_in_the_middle_gets_the_rest(node, kept, target, ctx):
    breaks = iter([True])
    archive = target(lambda n: None if n == 2 and next(breaks, False) else 0x0000)
    kept.add(*["CT_small.dcm"] * 5)

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        status, counts, failed = last(association.send_c_move(wanted, "TARGET", MOVE))

    assert (status, counts, failed) == (0xB000, [None, 4, 1, 0], [kept.uids[2]])
    assert set(archive.kept) == set(kept.uids) - {kept.uids[2]}
    assert archive.associations == 2
    assert [(entry["instances"], entry["failed"]) for entry in retrieved(ctx)] == [(4, 1)]


@only_sqlite
def test_a_destination_that_always_breaks_off_is_given_up(node, kept, target):
    archive = target(lambda n: None)
    kept.add(*["CT_small.dcm"] * 5)

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        status, counts, failed = last(association.send_c_move(wanted, "TARGET", MOVE))

    assert (status, counts, failed) == (0xA702, [None, 0, 5, 0], kept.uids)
    assert archive.associations == 2


@only_sqlite
def test_what_is_refused_gone_or_remarked_upon_is_said(node, kept, target, ctx):
    target(lambda n: {0: 0xB007, 1: 0xA700}.get(n, 0x0000))
    kept.add("CT_small.dcm", "CT_small.dcm", "CT_small.dcm", "reportsi.dcm")
    with ctx.read() as session:
        gone = select(Instance.path).where(Instance.sop_instance_uid == kept.uids[2])
        ctx.store.path(session.scalars(gone).one()).unlink()

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        status, counts, failed = last(association.send_c_move(wanted, "TARGET", MOVE))

    assert (status, counts) == (0xB000, [None, 0, 3, 1])
    assert sorted(failed) == sorted(kept.uids[1:])  # full, gone, and a class it does not take


@only_sqlite
def test_a_move_is_cancelled_in_the_middle(node, kept, target):
    go_on, arrived = threading.Event(), threading.Event()

    def answer(n):
        arrived.set()
        return 0x0000 if go_on.wait(PATIENCE_S) else 0xC000

    archive = target(answer)
    kept.add(*["CT_small.dcm"] * 6)

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        answers = association.send_c_move(wanted, "TARGET", MOVE, msg_id=7)
        first, _ = next(answers)
        assert (first.Status, first.NumberOfRemainingSuboperations) == (0xFF00, 6)
        assert arrived.wait(PATIENCE_S)
        association.send_c_cancel(7, query_model=MOVE)
        wait_for(lambda: any(a.dimse.cancel_req for a in list(node.acceptance.associations)))
        go_on.set()
        status, counts, _ = last(answers)

    assert status == 0xFE00
    assert counts == [5, 1, 0, 0]
    assert len(archive.kept) == 1


@only_sqlite
@both_receivers
def test_a_slow_destination_costs_neither_patience_nor_the_association(start, kept, target):
    node = start(idle_s=600.0)
    go_on = threading.Event()
    target(lambda n: 0x0000 if go_on.wait(PATIENCE_S) else 0xC000)
    kept.add("CT_small.dcm")

    def grow_late():
        """Let the time without a word from the peer seem longer: only our own answers mend that."""
        [serving] = node.acceptance.associations
        serving.dul._idle_timer._start_time -= 400

    with moving(node, (Verification, [IMPLICIT])) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        pending = 0
        for status, _ in association.send_c_move(wanted, "TARGET", MOVE):
            pending += status.Status == 0xFF00
            if pending == 3:
                go_on.set()
            elif status.Status == 0xFF00:
                grow_late()
        assert status.Status == 0x0000
        assert association.send_c_echo().Status == 0x0000


@only_sqlite
def test_nothing_more_is_sent_for_somebody_who_has_gone(node, kept, target, ctx):
    go_on, arrived = threading.Event(), threading.Event()

    def answer(n):
        arrived.set()
        return 0x0000 if go_on.wait(PATIENCE_S) else 0xC000

    archive = target(answer)
    kept.add(*["CT_small.dcm"] * 6)

    with moving(node) as association:
        wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
        next(association.send_c_move(wanted, "TARGET", MOVE))
        assert arrived.wait(PATIENCE_S)
        association.abort()
    wait_for(lambda: all(a.acse.is_aborted() for a in list(node.acceptance.associations)))
    go_on.set()
    wait_for(lambda: not node.acceptance.associations)

    assert len(archive.kept) <= 1  # that one was under way


# --- on the same association ---


@contextlib.contextmanager
def getting(node, *contexts, roles, answer=lambda event: 0x0000, **options):
    """An association for C-GET; what comes is kept by SOP Instance UID."""
    entity = AE(STATION)
    entity.add_requested_context(GET, EXPLICIT)
    for abstract, syntaxes in contexts:
        entity.add_requested_context(abstract, syntaxes)
    got = {}

    def store(event):
        status = answer(event)
        if status == 0x0000:
            got[str(event.request.AffectedSOPInstanceUID)] = event.dataset
        return status

    association = entity.associate(
        "127.0.0.1",
        node.port,
        ae_title="CLINIC",
        ext_neg=[build_role(uid, **role) for uid, role in roles.items()],
        evt_handlers=[(evt.EVT_C_STORE, store)],
        **options,
    )
    assert association.is_established
    yield association, got
    association.release()


@only_sqlite
@both_receivers
def test_only_classes_whose_role_was_agreed_are_sent_back(node, kept):
    kept.add("CT_small.dcm", "MR_small.dcm", "CT_small.dcm")
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
    plain = [(CTImageStorage, [IMPLICIT, EXPLICIT]), (MRImageStorage, [IMPLICIT, EXPLICIT])]
    roles = {CTImageStorage: {"scp_role": True}, MRImageStorage: {"scu_role": True}}

    with getting(node, *plain, roles=roles) as (association, got):
        answers = last(association.send_c_get(wanted, GET))

    assert answers == (0xB000, [None, 2, 1, 0], [kept.uids[1]])
    assert set(got) == {kept.uids[0], kept.uids[2]}


@only_sqlite
def test_what_a_device_had_sent_and_says_it_could_not_keep_is_audited(node, kept, ctx):
    kept.add("CT_small.dcm")
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
    roles = {CTImageStorage: {"scp_role": True}}
    full = {"answer": lambda event: 0xA700}
    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles, **full) as (association, _):
        assert last(association.send_c_get(wanted, GET))[0] == 0xA702

    place = {"ae_title": STATION, "destination": STATION}
    assert retrieved(ctx) == [{**place, "instances": 0, "failed": 1}]


@only_sqlite
def test_a_device_may_store_and_fetch_on_one_association(node, kept, ctx):
    kept.add("CT_small.dcm")
    another = dcmread(get_testdata_file("CT_small.dcm"))
    another.SOPInstanceUID = generate_uid()
    roles = {CTImageStorage: {"scp_role": True, "scu_role": True}}
    wanted = asked("STUDY", StudyInstanceUID=[kept.studies[0], another.StudyInstanceUID])

    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles) as (association, got):
        assert association.send_c_store(another).Status == 0x0000
        assert last(association.send_c_get(wanted, GET))[0] == 0x0000
        assert association.send_c_store(another).Status == 0x0000

    assert set(got) == {kept.uids[0], str(another.SOPInstanceUID)}


@only_sqlite
@both_receivers
def test_a_get_is_cancelled_in_the_middle(node, kept):
    kept.add(*["CT_small.dcm"] * 5)
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
    seen = Counter()

    def cancel(event):
        seen["stored"] += 1
        if seen["stored"] == 2:
            event.assoc.send_c_cancel(9, query_model=GET)
        return 0x0000

    roles = {CTImageStorage: {"scp_role": True}}
    with getting(node, (CTImageStorage, [IMPLICIT]), roles=roles, answer=cancel) as (peer, got):
        status, counts, _ = last(peer.send_c_get(wanted, GET, msg_id=9))
        again = last(peer.send_c_get(wanted, GET, msg_id=11))

    assert status == 0xFE00
    assert counts == [3, 2, 0, 0]
    assert again[:2] == (0x0000, [None, 5, 0, 0])
    assert set(got) == set(kept.uids)  # decoded to implicit on the way


class InPieces(DIMSEServiceProvider):
    """Sends every message in PDUs of a few bytes."""

    maximum_pdu_size = 40


@only_sqlite
@both_receivers
@pytest.mark.parametrize("service", [DIMSEServiceProvider, InPieces])
def test_what_the_other_side_answers_is_counted_whole_or_in_pieces(node, kept, service):
    kept.add(*["CT_small.dcm"] * 5)
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
    statuses = iter([0x0000, 0xB007, 0xA700, 0x0000, 0xC123])
    roles = {CTImageStorage: {"scp_role": True}}

    def answer(event):
        event.assoc.dimse.__class__ = service
        return next(statuses)

    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles, answer=answer) as (peer, got):
        answers = last(peer.send_c_get(wanted, GET))

    assert answers == (0xB000, [None, 2, 2, 1], [kept.uids[2], kept.uids[4]])
    assert len(got) == 2


def response(event, message_id):
    """A C-STORE-RSP as its PDU."""
    request = event.request
    uids = (request.AffectedSOPClassUID.encode(), request.AffectedSOPInstanceUID.encode())
    return StoreRequest(event.context.context_id, message_id, *uids).response(0x0000)


def to_another(event):
    return response(event, event.request.MessageID + 1)


def twice(event):
    return response(event, event.request.MessageID)  # the library answers as well


def request_in_its_place(event):
    said = response(event, event.request.MessageID)
    return said.replace(b"\0\0\0\x01\2\0\0\0\x01\x80", b"\0\0\0\x01\2\0\0\0\x30\0")


@only_sqlite
@both_receivers
@pytest.mark.parametrize("lie", [to_another, twice, request_in_its_place])
def test_an_answer_that_lies_ends_the_association_and_nothing_else(node, kept, lie):
    kept.add(*["CT_small.dcm"] * 9)  # more than one that answers late may still be sent
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
    roles = {CTImageStorage: {"scp_role": True}}

    def answer(event):
        event.assoc.dul.socket.socket.sendall(lie(event))
        return 0x0000

    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles, answer=answer) as (peer, got):
        connection = peer.dul.socket.socket
        *_, (status, _) = peer.send_c_get(wanted, GET)
        assert "Status" not in status
        wait_for(lambda: peer.is_aborted and not peer.dul.is_alive())
        connection.close()  # pynetdicom may leave it open
        assert len(got) < 9
    wait_for(lambda: not node.acceptance.associations)

    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles) as (peer, got):
        assert last(peer.send_c_get(wanted, GET))[:2] == (0x0000, [None, 9, 0, 0])


@only_sqlite
def test_an_answer_inside_another_keeps_nobody_waiting(node, kept):
    kept.add(*["CT_small.dcm"] * 3)
    roles = {CTImageStorage: {"scp_role": True}}

    def answer(event):
        context_id, body = event.context.context_id, twice(event)[6:]
        half = pdv(1, body[6:30], context_id=context_id)
        connections.append(event.assoc.dul.socket.socket)  # gone once the other side hangs up
        connections[0].sendall(pdu(4, half + body))
        wait_for(lambda: not node.acceptance.associations)
        return 0x0000

    connections = []
    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles, answer=answer) as (peer, _):
        list(peer.send_c_get(asked("STUDY", StudyInstanceUID=kept.studies[0]), GET))
        wait_for(lambda: peer.is_aborted)
    connections[0].close()


@only_sqlite
@both_receivers
def test_a_get_ends_with_its_association(node, kept):
    kept.add(*["CT_small.dcm"] * 3)
    roles = {CTImageStorage: {"scp_role": True}}

    def answer(event):
        event.assoc.abort()
        event.assoc.dimse.msg_queue.put((None, None))  # else it waits for us itself
        return 0x0000

    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles, answer=answer) as (peer, _):
        list(peer.send_c_get(asked("STUDY", StudyInstanceUID=kept.studies[0]), GET))

    wait_for(lambda: not node.acceptance.associations)


@only_sqlite
@both_receivers
def test_both_ways_under_tls(ctx, settings, start, kept, target, tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=clinic"
    files = ["-keyout", tmp_path / "key", "-out", tmp_path / "pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    pem, key = str(tmp_path / "pem"), str(tmp_path / "key")
    values = {name: getattr(settings, name) for name in type(settings).names()}
    ours = {"dicom_tls_cert": pem, "dicom_tls_key": key, "dicom_tls_ca": pem}
    node = start(type(settings)(**values | ours))
    server, client = (
        ssl.create_default_context(purpose, cafile=pem)
        for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH)
    )
    client.check_hostname = False
    for side in (server, client):
        side.load_cert_chain(pem, key)
    archive = target(tls=server)
    kept.add(*["CT_small.dcm"] * 10)
    wanted = asked("STUDY", StudyInstanceUID=kept.studies[0])
    secure = {"tls_args": (client, "clinic")}
    roles = {CTImageStorage: {"scp_role": True}}

    with associated(node, (MOVE, [EXPLICIT]), **secure) as association:
        assert last(association.send_c_move(wanted, "TARGET", MOVE))[0] == 0x0000
    with getting(node, (CTImageStorage, [EXPLICIT]), roles=roles, **secure) as (peer, got):
        assert last(peer.send_c_get(wanted, GET))[0] == 0x0000

    assert set(archive.kept) == set(got) == set(kept.uids)
    assert archive.kept == kept.data_sets()
