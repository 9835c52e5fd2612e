"""Several listener processes on one port: what one loses in a crash, and what the others do not."""

import contextlib
import signal
import threading

import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.services import audit
from listener.limits import Limits
from listener.processes import TurnLock
from tests import factories
from tests.integration.peer import PATIENCE_S, STATION, associated, wait_for
from tests.integration.test_listener_process import Listener

SUCCESS = 0x0000


@pytest.fixture
def listener(ctx, settings):
    factories.room(ctx, station_ae_title=STATION)
    values = {name: getattr(settings, name) for name in type(settings).names()}
    with Listener(type(settings)(**values | {"dicom_processes": 2})) as running:
        yield running


def workers(listener):
    return psutil.Process(listener.process.pid).children()


def worker_of(listener, association):
    """The process an association lives in."""
    port = association.dul.socket.socket.getsockname()[1]
    for worker in workers(listener):
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in worker.net_connections("tcp"):
                if connection.raddr and connection.raddr.port == port:
                    return worker
    raise AssertionError("no process has this association")


def elsewhere(listener, home, stack):
    """An association in another process: the idle one accepts, unless the machine holds it up."""
    found = []

    def begun():
        with contextlib.ExitStack() as attempt:
            association = attempt.enter_context(associated(listener))
            if worker_of(listener, association) != home:
                found.append(association)
                stack.push(attempt.pop_all())
        return found

    wait_for(begun)
    return found[0]


def images():
    """The same image under ever other UIDs."""
    image = dcmread(get_testdata_file("CT_small.dcm"))
    uid, number = image.SOPInstanceUID, 0
    while True:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{number}"
        number += 1
        yield image


def rows(ctx, model):
    with ctx.read() as session:
        return list(session.scalars(select(model)))


def test_a_killed_process_takes_its_own_associations_only(ctx, listener):
    supply, acknowledged = images(), []

    def store(association):
        image = next(supply)
        answer = association.send_c_store(image)
        if "Status" in answer and answer.Status == SUCCESS:
            acknowledged.append(image.SOPInstanceUID)
        return "Status" in answer

    with contextlib.ExitStack() as stack:
        doomed = stack.enter_context(associated(listener))
        home = worker_of(listener, doomed)
        survivor = elsewhere(listener, home, stack)
        assert store(doomed)
        assert store(survivor)

        home.kill()
        wait_for(lambda: not doomed.is_established)
        assert all(store(survivor) for _ in range(5))
        wait_for(lambda: len({worker.pid for worker in workers(listener)} - {home.pid}) == 2)
        with associated(listener) as afresh:
            assert store(afresh)

    listener.process.send_signal(signal.SIGTERM)
    _, log = listener.process.communicate(timeout=PATIENCE_S)
    assert listener.process.returncode == 0
    assert "starting it again" in log
    assert "Traceback" not in log
    kept = rows(ctx, Instance)
    assert {row.sop_instance_uid for row in kept} == set(acknowledged)
    assert rows(ctx, Study)[0].number_of_instances == len(kept) == 8
    files = {str(path.relative_to(ctx.store.root)) for path in ctx.store.root.glob("?/?/*.dcm")}
    assert {row.path for row in kept} == files
    said = [e.detail["instances"] for e in rows(ctx, AuditEntry) if e.action == Action.RECEIVE]
    assert sum(said) == 8
    assert audit.verify(ctx).broken_ids == ()


@pytest.mark.parametrize("database", ["sqlite"])
def test_none_outlives_the_first_process(ctx, listener):
    orphans = workers(listener)
    assert len(orphans) == 2

    listener.process.kill()

    _, alive = psutil.wait_procs(orphans, timeout=PATIENCE_S)
    assert alive == []


def test_limits_are_divided_so_that_all_together_keep_them():
    limits = Limits(associations=10, associations_per_address=7, connections=12).shared_by(4)
    assert (limits.associations, limits.associations_per_address, limits.connections) == (3, 2, 3)
    assert limits.pdu_bytes == Limits().pdu_bytes


def test_processes_take_turns(tmp_path):
    """Two handles of one file stand for two processes: the kernel does not tell them apart."""
    mine, theirs = TurnLock(tmp_path / "lock"), TurnLock(tmp_path / "lock")
    order = []

    def other():
        with theirs():
            order.append("theirs")

    waiting = threading.Thread(target=other)
    with mine():
        waiting.start()
        waiting.join(0.1)
        order.append("mine")
    waiting.join()
    assert order == ["mine", "theirs"]
    mine.close()
    theirs.close()
