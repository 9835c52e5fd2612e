"""Calling other archives: echo, find, move and confirmation, with Orthanc and ourselves there."""

from __future__ import annotations

import io
import subprocess
import threading
from dataclasses import replace
from datetime import date

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.dimse import commitment, find, move
from clinic_panel.dimse.echo import echo
from clinic_panel.dimse.model import (
    Caller,
    FoundStudy,
    Reference,
    Remote,
    Result,
    StudyQuery,
)
from clinic_panel.errors import (
    Forbidden,
    GivenUp,
    Invalid,
    PeerFailure,
    PeerRefuses,
    PeerUnavailable,
    SettingsError,
)
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.fetch import Fetch, FetchState
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.peer import Confirmation, Forwarding, ForwardingState, Peer
from clinic_panel.models.user import Role
from clinic_panel.pages.admin import Administration
from clinic_panel.pages.fetch import OtherArchives
from clinic_panel.services import fetching, jobs, peers, sync
from clinic_panel.services.fetching import Findings, Found
from clinic_panel.services.peers import PeerForm
from clinic_panel.tasks.confirm import confirm
from clinic_panel.tasks.fetch import carry
from clinic_panel.tasks.sync import forward
from listener.server import Node
from tests.conftest import free_port
from tests.integration.orthanc import orthanc, until_it_answers
from tests.integration.peer import wait_for
from tests.integration.test_commitment import stored
from tests.integration.test_listener_process import CERTIFICATE

US = Caller("CLINIC")
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


@pytest.fixture
def archive(node, admin, tmp_path):
    """Orthanc, which knows us and which we know; studies go there and it confirms them."""
    clinic = {"clinic": ["CLINIC", "127.0.0.1", node.port]}
    with orthanc(tmp_path / "orthanc", peers=clinic) as running:
        form = PeerForm("Orthanc", "ARCHIVE", "127.0.0.1", running.port, True, commits=True)
        running.row = peers.add(admin, form)
        running.remote = Remote("ARCHIVE", "127.0.0.1", running.port)
        yield running


def part10(name, **values):
    ds = dcmread(get_testdata_file(name))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def certificate(folder):
    """Make a key and a certificate that stands for itself; return the certificate's path."""
    command = [*CERTIFICATE, "-keyout", "own.key", "-out", "own.pem", "-subj", "/CN=clinic"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return str(folder / "own.pem")


# --- echo ---


def test_an_echo_is_answered_or_the_reason_is_told(ctx, admin, node, tmp_path):
    here = Remote("CLINIC", "127.0.0.1", node.port)
    with pytest.raises(PeerUnavailable, match="does not know our AE title STRANGER"):
        echo(Caller("STRANGER"), here)
    peers.add(admin, PeerForm("Ourselves", "CLINIC", "127.0.0.1", node.port))
    assert echo(US, here) > 0
    with pytest.raises(PeerUnavailable, match="Its AE title is not ELSEWHERE"):
        echo(US, Remote("ELSEWHERE", "127.0.0.1", node.port))
    with pytest.raises(PeerUnavailable, match="nothing listens at this port"):
        echo(US, Remote("CLINIC", "127.0.0.1", free_port()))
    with pytest.raises(PeerUnavailable, match="host name is not known"):
        echo(US, Remote("CLINIC", "no-such-host.invalid", 104))
    trusting = replace(US, tls_ca=certificate(tmp_path))
    with pytest.raises(PeerUnavailable, match="encryption"):
        echo(trusting, Remote("CLINIC", "127.0.0.1", node.port, uses_tls=True))
    with pytest.raises(PeerRefuses, match="does not offer this service"):
        list(find.find(US, here, dcmread(get_testdata_file("CT_small.dcm")), "1.2.840.10008.1.99"))


def test_no_call_is_encrypted_to_whom_nobody_vouches_for():
    """The authorities of the web would vouch for anyone who has a web site."""
    with pytest.raises(SettingsError, match="CLINIC_DICOM_TLS_CA"):
        echo(US, Remote("CLINIC", "127.0.0.1", 104, uses_tls=True))


@only_sqlite
def test_calls_and_objects_go_encrypted_where_a_peer_wants_it(ctx, admin, tmp_path):
    certificate(tmp_path)
    values = {name: getattr(ctx.settings, name) for name in type(ctx.settings).names()}
    tls = {"dicom_tls_cert": "own.pem", "dicom_tls_key": "own.key", "dicom_tls_ca": "own.pem"}
    files = {name: str(tmp_path / file) for name, file in tls.items()}
    encrypted = replace(ctx, settings=type(ctx.settings)(**values | files))
    node = Node(encrypted)
    node.start()
    row = peers.add(admin, PeerForm("Self", "CLINIC", "127.0.0.1", node.port, uses_tls=True))
    stored(ctx)
    try:
        assert peers.test(replace(encrypted, actor=admin.actor), row.id) > 0
        with pytest.raises(PeerUnavailable, match="not as a DICOM node"):
            echo(US, Remote("CLINIC", "127.0.0.1", node.port))
        with ctx.begin() as session:
            [instance] = session.scalars(select(Instance))
            session.add(Forwarding(peer_pk=row.id, instance_pk=instance.id, created_at=ctx.clock()))
            session.get_one(Peer, row.id).forwards = True
        forward(encrypted, row.id, threading.Event())
        assert states(ctx) == [(ForwardingState.DELIVERED, False)]
    finally:
        node.stop()


@only_sqlite
def test_a_device_is_called_from_the_admin_page(ctx, admin, node):
    here = peers.add(admin, PeerForm("Ourselves", "CLINIC", "127.0.0.1", node.port))
    away = peers.add(admin, PeerForm("Away", "AWAY", "127.0.0.1", free_port()))
    silent = peers.add(admin, PeerForm("No address", "NOWHERE"))
    page = Administration(admin)
    page.tabs.active = "devices"
    board = page.sections["devices"].peers

    def told(peer):
        board._handle_msg({"kind": "action", "id": peer.id, "action": "test"})
        return next(row["test"] for row in board.rows if row["id"] == peer.id)

    assert "answered in" in told(here)
    assert "nothing listens at this port" in told(away)
    assert page.tasks.notice.message["text"].startswith("AWAY at 127.0.0.1")
    assert told(silent) == "", "there is nothing to call"
    with pytest.raises(Invalid):
        peers.test(admin, silent.id)


# --- find and move ---


def test_a_study_of_another_archive_is_found_and_fetched(ctx, as_role, node, archive):
    technologist = as_role(Role.TECHNOLOGIST)
    for number in range(3):
        archive.post(
            "/instances",
            part10("CT_small.dcm", SOPInstanceUID=f"1.2.3.{number}", PatientID="P-7"),
        )
    archive.post("/instances", part10("MR_small.dcm", PatientID="P-8"))
    page = OtherArchives(technologist)
    page.found._handle_msg({"kind": "action", "id": None, "action": "search"})

    def search(**values):
        fields = page.tasks.dialog.fields
        filled = {field["name"]: field.get("value", "") for field in fields}
        page.tasks.dialog.submitted = filled | values

    search(patient_id="P-7", modality="CT")
    [row] = page.found.rows
    assert (row["ident"], row["modality"], row["images"]) == ("P-7", "CT", "3 images")
    page.found._handle_msg({"kind": "action", "id": 0, "action": "fetch"})
    [waiting] = page.transfers.rows
    assert (waiting["state"], waiting["figures"]) == ("Waiting", "3 to come")

    [claimed] = jobs.claim(ctx, "worker", [JobKind.FETCH], limit=1)
    carry(ctx, claimed.subject_id, threading.Event())

    page.reload()
    [done] = page.transfers.rows
    assert (done["state"], done["figures"], done["note"]) == ("Here", "3 here", "")
    with ctx.read() as session:
        [study] = session.scalars(select(Study))
        assert (study.number_of_instances, study.source_ae_title) == (3, "ARCHIVE")
        uids = session.scalars(select(Instance.sop_instance_uid)).all()
        assert session.scalars(select(Forwarding)).all() == [], "nothing goes back"
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert sorted(uids) == ["1.2.3.0", "1.2.3.1", "1.2.3.2"]
    assert done["actions"][0]["href"] == f"/study?id={study.id}"
    assert [each for each in actions if each in (Action.SEARCH, Action.FETCH)] == [
        Action.SEARCH,
        Action.FETCH,
    ]


@only_sqlite
def test_a_press_on_a_row_of_the_answer_before_fetches_no_other_study(ctx, admin, as_role):
    peer = peers.add(admin, PeerForm("Archive", "ARCHIVE", "127.0.0.1", 1, True))
    page = OtherArchives(as_role(Role.TECHNOLOGIST))

    def answer(uid):
        study = FoundStudy(uid, "P-7", "Muster^Maria", "", "", "", "", "CT", 3)
        page._show(Findings(peer.id, peer.peer_name, (Found(study, None, 0),), is_cut=False))
        return {"kind": "action", "id": page.found.rows[0]["id"], "action": "fetch"}

    late, present = answer("1.2.3"), answer("1.2.4")
    page.found._handle_msg(late)
    assert page.transfers.rows == []
    page.found._handle_msg(present)
    with ctx.read() as session:
        assert session.scalars(select(Fetch.study_instance_uid)).all() == ["1.2.4"]


@pytest.fixture
def dcmqrscp(node, tmp_path):
    """DCMTK's archive, which may send to us; where it is."""
    folder, port = tmp_path / "dcmqrscp", free_port()
    folder.mkdir()
    config = tmp_path / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nclinic = (CLINIC, 127.0.0.1, {node.port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder} RW (100, 1024mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen(
        ["dcmqrscp", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until_it_answers(process, port)
    yield Remote("ARCHIVE", "127.0.0.1", port)
    process.kill()
    process.wait()


@only_sqlite
def test_dcmtk_takes_is_asked_and_sends(ctx, admin, node, dcmqrscp):
    row = peers.add(admin, PeerForm("DCMTK", "ARCHIVE", "127.0.0.1", dcmqrscp.port, True))
    references = owed_to(ctx, row, 2)
    assert echo(US, dcmqrscp) > 0
    forward(ctx, row.id, threading.Event())
    assert states(ctx) == [(ForwardingState.DELIVERED, False)] * 2
    with ctx.read() as session:
        [study] = session.scalars(select(Study))
        [series] = study.series
        uids = (study.study_instance_uid, series.series_instance_uid)

    [found], is_cut = find.studies(US, dcmqrscp, StudyQuery(patient_name="CompressedSamples"))
    assert (found.study_instance_uid, is_cut) == (uids[0], False)
    assert find.studies(US, dcmqrscp, StudyQuery(patient_id="nobody")) == ([], False)
    assert find.holds(US, dcmqrscp, (*uids, references[0][1])) is True
    assert find.holds(US, dcmqrscp, (*uids, "1.2.3")) is False

    other = dcmread(get_testdata_file("MR_small.dcm"))
    subprocess.run(
        ["storescu", "-aec", "ARCHIVE", "127.0.0.1", str(dcmqrscp.port), other.filename],
        check=True,
    )
    moved = move.move(US, dcmqrscp, other.StudyInstanceUID, "CLINIC")
    assert (moved.completed, moved.failed, moved.remaining) == (1, 0, 0)
    with ctx.read() as session:
        assert other.SOPInstanceUID in session.scalars(select(Instance.sop_instance_uid)).all()
    with pytest.raises(PeerFailure, match="It does not know our AE title NOBODY"):
        move.move(US, dcmqrscp, other.StudyInstanceUID, "NOBODY")


@only_sqlite
def test_what_an_archive_refuses_is_told_in_words(ctx, as_role, node, archive):
    doctor = as_role(Role.CLINICIAN)
    archive.post("/instances", part10("CT_small.dcm"))
    query = StudyQuery(first_day=date(2004, 1, 1), last_day=date(2004, 12, 31))
    [found] = fetching.find(doctor, archive.row.id, query).found
    uid = found.study.study_instance_uid
    with pytest.raises(PeerFailure):
        move.move(US, archive.remote, uid, "UNKNOWN")
    fetch_id = fetching.fetch(doctor, archive.row.id, found.study)
    archive.process.kill()
    archive.process.wait()
    carry(ctx, fetch_id, threading.Event())

    [row] = fetching.transfers(doctor)
    assert row.state is FetchState.FAILED
    assert "nothing listens at this port" in row.message
    with pytest.raises(PeerUnavailable):
        fetching.find(doctor, archive.row.id, query)


@only_sqlite
def test_questions_have_bounds_and_roles(ctx, as_role, admin):
    row = peers.add(admin, PeerForm("Archive", "ARCHIVE", "127.0.0.1", free_port()))
    doctor = as_role(Role.CLINICIAN)
    for query in (StudyQuery(), StudyQuery(patient_name="**"), StudyQuery(modality="CT")):
        with pytest.raises(Invalid):
            fetching.find(doctor, row.id, query)
    backwards = StudyQuery(first_day=date(2026, 1, 2), last_day=date(2026, 1, 1))
    with pytest.raises(Invalid):
        fetching.find(doctor, row.id, backwards)
    for role in (Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN):
        for call in (
            lambda who: fetching.archives(who),
            lambda who: fetching.transfers(who),
            lambda who: fetching.find(who, row.id, StudyQuery(patient_id="P")),
        ):
            with pytest.raises(Forbidden):
                call(as_role(role))


# --- confirmation ---


def states(ctx):
    with ctx.read() as session:
        rows = session.scalars(select(Forwarding).order_by(Forwarding.id)).all()
    return [(row.state, row.confirmed_at is not None) for row in rows]


def owed_to(ctx, row, count):
    """So many CTs on their way to a peer."""
    references = stored(ctx, count)
    with ctx.begin() as session:
        ids = session.scalars(select(Instance.id).order_by(Instance.id)).all()
        sync.enqueue(ctx, session, dict.fromkeys(ids, "CT_ONE"))
    return references


def test_orthanc_confirms_what_it_was_sent_and_gets_what_it_lost(ctx, admin, node, archive):
    references = owed_to(ctx, archive.row, 3)
    forward(ctx, archive.row.id, threading.Event())
    assert states(ctx) == [(ForwardingState.DELIVERED, False)] * 3
    with ctx.read() as session:
        asked = select(Job).where(Job.kind == JobKind.CONFIRM)
        assert [job.subject_id for job in session.scalars(asked)] == [archive.row.id]
    lost = archive.post("/tools/lookup", references[1][1].encode())[0]["ID"]
    archive.delete(f"/instances/{lost}")

    confirm(ctx, archive.row.id, threading.Event())
    wait_for(lambda: len([each for each in states(ctx) if each[1]]) == 2)

    assert states(ctx)[1] == (ForwardingState.WAITING, False)
    forward(ctx, archive.row.id, threading.Event())
    confirm(ctx, archive.row.id, threading.Event())
    wait_for(lambda: states(ctx) == [(ForwardingState.DELIVERED, True)] * 3)
    [row] = sync.forwarding_state(admin)
    assert (row.delivered, row.confirmed, row.waiting) == (3, 3, 0)
    with ctx.read() as session:
        assert session.scalars(select(Confirmation)).all() == []


@only_sqlite
def test_an_answer_that_never_comes_is_asked_for_again(ctx, clock, admin, node, archive):
    owed_to(ctx, archive.row, 1)
    forward(ctx, archive.row.id, threading.Event())
    archive.process.kill()
    archive.process.wait()
    with pytest.raises(PeerUnavailable):
        confirm(ctx, archive.row.id, threading.Event())
    with ctx.read() as session:
        assert session.scalars(select(Confirmation)).all() == [], "the peer does not know of it"

    from clinic_panel.services import confirming

    first = confirming.next_request(ctx, archive.row.id)
    assert first is not None
    assert confirming.next_request(ctx, archive.row.id) is None, "it is under way"
    with ctx.read() as session:
        job = session.scalars(select(Job).where(Job.kind == JobKind.CONFIRM)).one()
    assert job.not_before_at == ctx.clock() + confirming.ANSWER_WITHIN
    clock.advance(hours=1)
    again = confirming.next_request(ctx, archive.row.id)
    assert again is not None
    assert again.request.transaction_uid != first.request.transaction_uid
    assert again.request.references == first.request.references


@only_sqlite
def test_nobody_confirms_what_was_not_asked_and_not_for_another(ctx, admin, node):
    peers.add(admin, PeerForm("Archive", "ARCHIVE", "127.0.0.1", 104, commits=True))
    here = Remote("CLINIC", "127.0.0.1", node.port)
    result = Result("1.2.3", (Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.4"),))

    with pytest.raises(PeerFailure, match="0x0112"):
        commitment.report(Caller("ARCHIVE"), here, result)


@only_sqlite
def test_a_peer_without_the_service_is_told_to_the_administrator(ctx, admin, node):
    """Another listener of ours, whose storage commitment is switched off."""
    from pynetdicom import AE

    entity = AE("ARCHIVE")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    port = server.server_address[1]
    row = peers.add(admin, PeerForm("Archive", "ARCHIVE", "127.0.0.1", port, True, commits=True))
    owed_to(ctx, row, 1)
    with ctx.begin() as session:
        session.scalars(select(Forwarding)).one().state = ForwardingState.DELIVERED

    with pytest.raises(GivenUp, match="does not offer this service"):
        confirm(ctx, row.id, threading.Event())

    server.shutdown()
    assert states(ctx) == [(ForwardingState.DELIVERED, False)]
