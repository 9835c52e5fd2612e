"""Every service exercised: of our own node, of DCMTK as a peer, from the command and the page."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification
from rich.console import Console
from sqlalchemy import select

from clinic_panel.__main__ import main
from clinic_panel.errors import Unavailable
from clinic_panel.exercise import bench, commitment, specimens
from clinic_panel.exercise.lines import TESTER, Outcome, Target
from clinic_panel.exercise.run import exercise
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.commitment import CommitmentRequest, CommitmentState
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.user import Role
from clinic_panel.pages.admin import Administration
from clinic_panel.services import exercises, matching, peers
from clinic_panel.services.peers import PeerForm
from clinic_panel.simulator.check import check_services
from clinic_panel.tasks.commitment import settle
from listener.server import Node
from tests import factories
from tests.conftest import free_port
from tests.integration.peer import wait_for
from tests.integration.test_listener_process import CERTIFICATE

only_sqlite = pytest.mark.parametrize("database", ["sqlite"])
NAME = "Yamada^Taro=山田^太郎"


@pytest.fixture
def node(ctx, settings):
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def today(ctx, clock):
    clock.at = datetime.now(ctx.zone).replace(microsecond=0)
    room = factories.room(ctx, station_ae_title="CT1")
    noon = clock.at.replace(hour=12, minute=0, second=0)
    for number in range(3):
        person = factories.patient(ctx, patient_name=NAME if number else "Müller^Ève")
        factories.appointment(
            ctx, room=room, patient=person, start_at=noon + timedelta(minutes=30 * number)
        )
    return clock.at


@pytest.fixture
def worker(ctx):
    """Settles commitment requests, as the batch process does."""
    over = threading.Event()

    def run():
        while not over.wait(0.05):
            with ctx.read() as session:
                asked = select(CommitmentRequest.id).where(
                    CommitmentRequest.state == CommitmentState.CHECKING
                )
                due = session.scalars(asked).all()
            for request_id in due:
                settle(ctx, request_id, over)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    over.set()
    thread.join()


def at(node, **values):
    return Target(**{"port": node.port, "ae_title": TESTER} | values)


def by_service(lines):
    found = {}
    for line in lines:
        found.setdefault(line.service, []).append(line)
    return found


def test_our_own_node_passes_every_check_and_keeps_one_study(ctx, node, today, worker):
    peers.add(ctx, PeerForm("Service check", TESTER))

    lines = exercise(at(node), today)
    again = exercise(at(node), today)

    for one in (*lines, *again):
        assert one.outcome is Outcome.PASSED, one
    assert {name: len(found) for name, found in by_service(lines).items()} == {
        "C-ECHO": 1,
        "Worklist": 5,
        "MPPS": 9,
        "C-STORE": 8,
        "Commitment": 2,
        "C-FIND": 6,
        "C-GET": 1,
        "C-MOVE": 1,
    }
    said = " ".join(str(line) for line in lines)
    assert not [secret for secret in ("Yamada", "Müller", "山田") if secret in said]
    with ctx.read() as session:
        [study] = session.scalars(select(Study))
        assert study.number_of_instances == 5
        assert study.patient_id == specimens.PATIENT_ID
        for kept in session.scalars(select(Instance)):
            assert dcmread(ctx.store.path(kept.path)).PatientID == specimens.PATIENT_ID
    assert matching.unmatched_studies(ctx) == []


@pytest.fixture
def broken():
    """A node that takes everything, even what it must not, and commits to nothing."""
    ae = AE("BROKEN")
    ae.add_supported_context(Verification)
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)]
    )
    yield Target(port=server.socket.getsockname()[1], called_ae_title="BROKEN")
    server.shutdown()


def test_a_node_that_takes_what_it_must_not_fails(broken):
    lines = exercise(broken, datetime(2026, 3, 16, 12, 0))  # noqa: DTZ001 - as a device counts

    failed = [(line.service, line.asked) for line in lines if line.outcome is Outcome.FAILED]
    assert failed == [
        ("C-STORE", "another UID than announced"),
        ("C-STORE", "a data set that breaks off"),
    ]
    offered = {line.service for line in lines if line.outcome is Outcome.NOT_OFFERED}
    assert offered >= {"Worklist", "MPPS", "Commitment", "C-FIND", "C-GET", "C-MOVE"}


def test_the_tester_waits_for_a_report_as_long_as_it_says(broken, monkeypatch):
    called = []

    class Recorded(AE):
        def associate(self, *args, **options):
            called.append(self)
            return super().associate(*args, **options)

    monkeypatch.setattr(bench, "AE", Recorded)
    list(commitment.commitment(bench.Bench(broken)))
    assert [ae.network_timeout > commitment.PATIENCE_S for ae in called] == [True]


def test_nobody_there_is_one_line_and_an_exit_code():
    out = io.StringIO()
    target = Target(port=free_port())
    assert check_services(target, datetime(2026, 3, 16), console=Console(file=out, width=160)) == 1  # noqa: DTZ001
    assert "Nothing answers at 127.0.0.1" in out.getvalue()
    assert "0 passed, 1 failed, 0 not offered" in out.getvalue()


@only_sqlite
def test_the_command_prints_json_and_says_who_was_refused(ctx, node):
    command = ["simulate", "modality", "--check", "--json", "--port", str(node.port)]
    found = CliRunner().invoke(main, [*command, "--home", str(ctx.settings.home)])
    assert found.exit_code == 1, found.output
    [line] = json.loads(found.output)
    assert line["came"].startswith(f"CLINIC refuses {TESTER}: let it in")


@pytest.fixture
def dcmqrscp(tmp_path):
    """DCMTK's archive as a peer."""
    port, folder = free_port(), tmp_path / "qr"
    folder.mkdir()
    config = tmp_path / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQR {folder} RW (20, 1024mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen(
        [shutil.which("dcmqrscp"), "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    target = Target(port=port, called_ae_title="DCMQR", is_peer=True)
    wait_for(lambda: exercise(target, datetime.now())[0].outcome is Outcome.PASSED)  # noqa: DTZ005
    yield port, folder
    process.kill()
    process.wait()


def check(page, subject_id):
    section = page.sections["check"]
    page.tabs.active = "check"
    section.subjects._handle_msg({"kind": "action", "id": subject_id, "action": "check"})
    if section.thread:
        section.thread.join()
    return section


@only_sqlite
def test_the_administrator_checks_a_peer_and_keeps_the_result_on_screen(ctx, as_role, dcmqrscp):
    port, folder = dcmqrscp
    peer = peers.add(ctx, PeerForm("Archive", "DCMQR", "127.0.0.1", port))
    peers.add(ctx, PeerForm("Somewhere", "NOWHERE"))
    page = Administration(as_role(Role.ADMIN))

    section = check(page, peer.id)

    rows = [(row["service"], row["outcome"]) for row in section.board.rows]
    assert rows == [("C-ECHO", "Passed"), ("C-FIND", "Passed"), ("C-STORE", "Passed")]
    assert section.board.footer == "3 passed, 0 failed, 0 not offered"
    assert not section.board.busy
    stored = [path for path in folder.iterdir() if path.name != "index.dat"]
    assert {dcmread(path).PatientID for path in stored} == {specimens.PATIENT_ID}
    assert "disabled" in str(section.subjects.rows[2]["actions"])
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.EXERCISE))
        assert entry.detail["ae_title"] == "DCMQR"


@only_sqlite
def test_the_administrator_checks_this_clinic_under_a_title_that_may_be_switched_off(
    ctx, as_role, node, today, worker
):
    page = Administration(as_role(Role.ADMIN))
    section = check(page, 0)
    assert section.board.rows[0]["came"] == "0x0000"
    [tester] = peers.peers(page.ctx)
    assert tester.ae_title == TESTER
    off = PeerForm(tester.peer_name, TESTER, is_active=False)
    peers.change(page.ctx, tester.id, tester.version, off)
    check(page, 0)
    assert page.tasks.notice.message["text"] == "Service check is switched off under Devices."


@only_sqlite
def test_a_node_that_wants_tls_is_checked_over_tls(ctx, as_role, tmp_path, today):
    subprocess.run(
        [*CERTIFICATE, "-keyout", "own.key", "-out", "own.pem", "-subj", "/CN=clinic"],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    values = {name: getattr(ctx.settings, name) for name in type(ctx.settings).names()}
    cert, key = str(tmp_path / "own.pem"), str(tmp_path / "own.key")
    values |= {"dicom_tls_cert": cert, "dicom_tls_key": key}
    trusting = replace(ctx, settings=type(ctx.settings)(**values | {"dicom_tls_ca": cert}))
    administrator = as_role(Role.ADMIN).actor
    node = Node(trusting)
    node.start()
    try:
        form = PeerForm("Itself", "CLINIC", "127.0.0.1", node.port, uses_tls=True)
        row = peers.add(as_role(Role.ADMIN), form)
        target = exercises.begin(trusting.acting_as(administrator), row.id)
        lines = exercise(target, today)
        [failed] = exercise(replace(target, called_ae_title="OTHER"), today)
    finally:
        node.stop()
    assert [(line.service, line.outcome) for line in lines] == [
        (service, Outcome.PASSED) for service in ("C-ECHO", "C-FIND", "C-STORE")
    ]
    assert failed.came.startswith("OTHER refuses CLINIC")
    assert exercises.begin(trusting.acting_as(administrator), 0).tls is not None
    blind = replace(ctx, settings=type(ctx.settings)(**values)).acting_as(administrator)
    with pytest.raises(Unavailable, match="CLINIC_DICOM_TLS_CA"):
        exercises.begin(blind, 0)
