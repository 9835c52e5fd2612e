"""The runner with a real Dask cluster, processes that are killed, and real DICOM."""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import psutil
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from sqlalchemy import func, select, update

from clinic_panel.config import Settings
from clinic_panel.context import Context
from clinic_panel.dimse.model import Reference, Request
from clinic_panel.errors import Unavailable
from clinic_panel.feed import ChangeFeed
from clinic_panel.imaging.header import read_header
from clinic_panel.incoming import Stored
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series, Thumbnail
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.report import ReportDocument
from clinic_panel.models.user import Role
from clinic_panel.resources import now
from clinic_panel.services import commitments, dicom, jobs, report
from clinic_panel.services.report import KeyImageRef, Texts
from clinic_panel.tasks import dicom as pictures
from clinic_panel.tasks.cluster import Cluster
from clinic_panel.tasks.runner import Runner, owner, work
from clinic_panel.tasks.work import Outcome, run_all
from tests import factories
from tests.conftest import free_port
from tests.integration.peer import wait_for
from tests.threads import end_by_another_thread

WAIT_S = 240
CT = Path(get_testdata_file("CT_small.dcm"))
_numbers = count(1)


@contextmanager
def two_processes(home: Path) -> Iterator[Cluster]:
    cluster = Cluster(Settings.read({}, home=home), workers=2)
    try:
        wait_for(cluster.connect)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two Dask processes, shared by the tests that leave them as they were."""
    with two_processes(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def clinic(ctx: Context) -> Context:
    """The clinic on the real clock: leases and pauses are real seconds here."""
    return replace(ctx, clock=now)


@contextmanager
def running(clinic: Context, cluster: Cluster) -> Iterator[Runner]:
    """A runner in a thread, woken by the change feed."""
    runner = Runner(clinic, cluster, "worker-test")
    feed = ChangeFeed(clinic.sessions.kw["bind"])
    feed.subscribe(runner.wake)
    feed.start()
    feed.ready.wait()
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join()
        feed.stop()


def until(clinic: Context, condition: Callable[[], bool]) -> None:
    """Wait for what a change of the database brings about."""
    changed = threading.Event()
    feed = ChangeFeed(clinic.sessions.kw["bind"])
    feed.subscribe(lambda topics: changed.set())
    feed.start()
    feed.ready.wait()
    deadline = time.monotonic() + WAIT_S
    try:
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about: {states(clinic)}"
            changed.wait(1.0)  # what makes it true may be no change of the database
            changed.clear()
    finally:
        feed.stop()


def fresh_ct() -> bytes:
    """The real CT with a remark of its own: Dask knows work by its content."""
    ct = dcmread(CT)
    ct.PatientComments = f"copy {next(_numbers)}"
    out = io.BytesIO()
    ct.save_as(out)
    return out.getvalue()


def receive(clinic: Context, series: int, *, stored: Stored | None = None, **values) -> None:
    """Index one real CT image in each of so many series of one study."""
    header = replace(read_header(CT), **{"StudyInstanceUID": generate_uid()} | values)
    stored = stored or clinic.store.put(fresh_ct())
    dicom.index_batch(
        clinic,
        [
            dicom.Received(
                replace(
                    header,
                    SeriesInstanceUID=generate_uid(),
                    SOPInstanceUID=generate_uid(),
                    InstanceNumber=next(_numbers),
                ),
                stored,
            )
            for _ in range(series)
        ],
    )


def states(clinic: Context) -> dict[JobState, int]:
    with clinic.read() as session:
        query = select(Job.state, func.count().label("n")).group_by(Job.state)
        return {row.state: row.n for row in session.execute(query)}


def all_done(clinic: Context) -> bool:
    return set(states(clinic)) == {JobState.DONE}


def thumbnails(clinic: Context) -> list[Thumbnail]:
    with clinic.read() as session:
        return list(session.scalars(select(Thumbnail)))


def failed(clinic: Context) -> list[Job]:
    with clinic.read() as session:
        return list(session.scalars(select(Job).where(Job.state == JobState.FAILED)))


def dask_processes(of: psutil.Process) -> list[psutil.Process]:
    """The computing processes: children of the server that forks them."""
    return [
        child
        for server in of.children()
        if "forkserver" in " ".join(server.cmdline())
        for child in server.children()
    ]


def test_a_received_study_is_pictured_and_its_booking_is_to_read(clinic, cluster):
    patient = factories.patient(clinic)
    visit = factories.appointment(clinic, patient=patient, status=AppointmentStatus.ARRIVED)
    with running(clinic, cluster):
        receive(
            clinic,
            3,
            StudyInstanceUID=visit.study_instance_uid,
            PatientID=patient.patient_id,
            PatientName=patient.patient_name,
        )
        until(clinic, lambda: all_done(clinic))

    with clinic.read() as session:
        assert session.get_one(Appointment, visit.id).status is AppointmentStatus.TO_READ
    rows = thumbnails(clinic)
    assert len(rows) == 3
    assert {row.media_type for row in rows} == {"image/jpeg"}
    image = Image.open(io.BytesIO(rows[0].picture))
    assert image.size == (128, 128)
    darkest, brightest = image.getextrema()
    assert darkest < brightest


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_picture_of_a_series_is_its_middle_image_once_it_is_complete(clinic, cluster):
    stored = [
        clinic.store.put(Path(get_testdata_file(name)).read_bytes())
        for name in ("MR_small.dcm", "CT_small.dcm", "MR_small_RLE.dcm")
    ]
    header = read_header(CT)
    with running(clinic, cluster):
        for number, kept in enumerate(stored, 1):
            received = replace(header, SOPInstanceUID=generate_uid(), InstanceNumber=number)
            dicom.index_batch(clinic, [dicom.Received(received, kept)])
        until(clinic, lambda: all_done(clinic))

    [row] = thumbnails(clinic)
    assert Image.open(io.BytesIO(row.picture)).size == (128, 128)  # the CT; the MR has 64


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_series_without_a_picture_is_no_failure(clinic, cluster):
    text = Path(get_testdata_file("reportsi.dcm"))
    with running(clinic, cluster):
        dicom.index_batch(
            clinic, [dicom.Received(read_header(text), clinic.store.put(text.read_bytes()))]
        )
        until(clinic, lambda: all_done(clinic))

    assert thumbnails(clinic) == []


def test_a_damaged_object_is_set_aside_seen_and_tried_again(clinic, cluster, as_role):
    broken = clinic.store.put(fresh_ct())
    clinic.store.path(broken.path).write_bytes(b"what the disk made of it")
    with running(clinic, cluster):
        receive(clinic, 2)
        receive(clinic, 1, stored=broken)
        until(clinic, lambda: states(clinic).get(JobState.FAILED) == 1 and len(states(clinic)) == 2)

        admin = replace(as_role(Role.ADMIN), clock=now)
        [job] = jobs.failed_jobs(admin)
        assert job.kind is JobKind.THUMBNAIL
        assert job.error.startswith("NotUnderstood")
        assert len(thumbnails(clinic)) == 2

        whole = clinic.store.put(fresh_ct())
        with clinic.begin() as session:
            session.get_one(Series, job.subject_id).instances[0].path = whole.path
        jobs.retry(admin, job.id)
        until(clinic, lambda: all_done(clinic))

    assert len(thumbnails(clinic)) == 3


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_missing_file_is_set_aside(clinic, cluster):
    with running(clinic, cluster):
        receive(clinic, 1, stored=Stored("0" * 64, f"0/0/{'0' * 64}.dcm", 1))
        until(clinic, lambda: states(clinic).get(JobState.FAILED) == 1)

    [job] = failed(clinic)
    assert job.error == "NotFound: The file is missing from the archive."


def test_killed_dask_processes_lose_no_job(clinic, cluster):
    receive(clinic, 150)
    with running(clinic, cluster):
        for done in (1, 40, 80):
            until(clinic, lambda done=done: len(thumbnails(clinic)) >= done)
            for process in dask_processes(psutil.Process()):
                process.kill()
        until(clinic, lambda: all_done(clinic))

    assert len(thumbnails(clinic)) == 150


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_task_that_ends_its_process_is_set_aside_and_the_others_are_done(
    clinic, tmp_path, monkeypatch
):
    with clinic.begin() as session:
        poison = session.scalar(select(func.coalesce(func.max(Series.id), 0))) + 1
    render = pictures.render
    monkeypatch.setattr(
        pictures,
        "render",
        lambda task: os._exit(9) if task.series_id == poison else render(task),
    )
    receive(clinic, 6)
    with two_processes(tmp_path / "dask") as cluster, running(clinic, cluster):
        until(clinic, lambda: states(clinic).get(JobState.FAILED) == 1 and len(states(clinic)) == 2)

    [job] = failed(clinic)
    assert (job.subject_id, job.error) == (poison, "KilledWorker")
    assert len(thumbnails(clinic)) == 5


class Answer(Future):
    """What Dask gives for work it was sent."""

    def release(self) -> None:
        """Let go of the result."""


class SlowCluster:
    """A cluster that answers when it is told to."""

    workers = 4

    def __init__(self) -> None:
        self.asked: queue.Queue[tuple[Answer, int]] = queue.Queue()

    def connect(self) -> bool:
        return True

    def submit(self, function, of_each, tasks, *, key: str) -> Answer:
        del function, of_each, key
        future = Answer()
        self.asked.put((future, len(tasks)))
        return future


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_last_tries_are_made_one_at_a_time(clinic):
    receive(clinic, 3)
    with clinic.begin() as session:
        session.execute(update(Job).where(Job.kind == JobKind.THUMBNAIL).values(attempts=2))
    slow = SlowCluster()
    with running(clinic, slow):
        for left in (2, 1, 0):
            sent = slow.asked.get(timeout=WAIT_S)
            receive(clinic, 1)  # what is fresh does not wait for it
            fresh = slow.asked.get(timeout=WAIT_S)
            assert slow.asked.empty()
            for future, tasks in (fresh, sent):
                assert tasks == 1
                future.set_result([Outcome(b"a picture")])
            until(clinic, lambda left=left: len(thumbnails(clinic)) == 2 * (3 - left))


def test_a_signed_report_is_printed_once(clinic, cluster, as_role):
    receive(clinic, 1)
    doctor = replace(as_role(Role.CLINICIAN), clock=now)
    with clinic.read() as session:
        instance = session.scalars(select(Instance)).one()
        study_id = instance.series.study_pk
    draft = report.open_draft(doctor, study_id)
    draft = report.save_draft(
        doctor,
        draft.id,
        draft.version,
        Texts("", "", "Lungs clear.", "No mass."),
        (KeyImageRef(instance.id, 0, 40, 400, "Slice 1"),),
    )
    with running(clinic, cluster):
        signed = report.sign(doctor, draft.id, draft.version, factories.PASSWORD)
        until(clinic, lambda: all_done(clinic))

    with clinic.read() as session:
        [document] = session.scalars(select(ReportDocument))
        assert document.report_version_pk == signed.id
        assert document.pdf.startswith(b"%PDF-")
        made = select(AuditEntry).where(
            AuditEntry.action == Action.CREATE, AuditEntry.subject_type == "report_version"
        )
        assert len(session.scalars(made).all()) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_commitment_that_nobody_took_for_a_day_is_set_aside(clinic, cluster):
    yesterday = replace(clinic, clock=lambda: now() - timedelta(hours=25))
    asked = Request(generate_uid(), (Reference("1.2.3", generate_uid()),))
    taken = commitments.ask(yesterday, "CT1", "10.0.0.1", asked, frozenset())
    commitments.let_go(yesterday, taken.request_id)
    commitments.conclude(yesterday, taken.request_id)

    with running(clinic, cluster):
        until(clinic, lambda: JobState.FAILED in states(clinic))

    with clinic.read() as session:
        [job] = session.scalars(select(Job))
    assert job.error.startswith("GivenUp: The result was not taken for a day. No address is known")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_stopping_gives_back_what_is_not_done(clinic, cluster, monkeypatch, tmp_path):
    over = tmp_path / "over"

    def render(task):
        while not over.exists():
            time.sleep(0.05)

    monkeypatch.setattr(pictures, "render", render)
    receive(clinic, 3)
    try:
        with running(clinic, cluster):
            until(clinic, lambda: JobState.RUNNING in states(clinic))
    finally:
        over.touch()  # the processes are shared with other tests

    with clinic.read() as session:
        left = session.scalars(select(Job).where(Job.kind == JobKind.THUMBNAIL)).all()
    assert {(job.state, job.attempts, job.claimed_by) for job in left} == {(JobState.QUEUED, 0, "")}


def test_no_exception_text_reaches_dask():
    def fails(task):
        raise ValueError("Muster^Maria")

    [outcome] = run_all(fails, ["task"])

    assert (outcome.value, outcome.error, outcome.final) == (None, "ValueError", False)


def test_dask_is_reached_from_this_machine_only(cluster):
    listening = [
        connection.laddr.ip
        for process in [psutil.Process(), *dask_processes(psutil.Process())]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert len(listening) >= 3  # the scheduler and two workers
    assert set(listening) == {"127.0.0.1"}


# --- the worker as a process ---

# Dask's processes import the main module again: as of `clinic`, it is next to nothing.
WORK = """
if __name__ == "__main__":
    from clinic_panel.config import Settings
    from clinic_panel.tasks.runner import work
    work(Settings.read())
"""


class Worker:
    """`clinic work` in a process of its own, ready."""

    def __init__(self, settings: Settings, script: Path) -> None:
        script.write_text(WORK)
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            env=os.environ | settings.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.process.communicate()[1]
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def wait(self) -> None:
        """Wait for its end."""
        self.process.communicate(timeout=WAIT_S)


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def start(**values) -> Worker:
        flags = {name: getattr(settings, name) for name in settings.names()} | values
        started.append(Worker(Settings(**flags), tmp_path / "work.py"))
        return started[-1]

    yield start
    for worker in started:
        worker.process.kill()
        worker.process.communicate()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_killed_worker_leaves_no_process_and_the_next_does_its_jobs_at_once(
    clinic, settings, start_worker
):
    first = start_worker()
    with pytest.raises(Unavailable, match="has a worker already"):
        work(settings)
    receive(clinic, 150)
    until(clinic, lambda: states(clinic).keys() & {JobState.RUNNING, JobState.DONE})

    first.process.kill()
    first.wait()
    with clinic.begin() as session:  # as if it had claimed them for long: nobody has to wait
        for job in session.scalars(select(Job).where(Job.state == JobState.RUNNING)):
            job.lease_until_at = now() + timedelta(hours=1)
    gone, left = psutil.wait_procs(first.children, timeout=WAIT_S)
    assert (len(gone), left) == (len(first.children), [])
    second = start_worker()
    until(clinic, lambda: all_done(clinic))

    assert len(thumbnails(clinic)) == 150
    end_by_another_thread(second.process.pid, signal.SIGTERM)
    second.wait()
    assert second.process.returncode == 0
    assert psutil.wait_procs(second.children, timeout=WAIT_S)[1] == []


def test_each_home_has_a_name_of_its_own_in_claims(tmp_path):
    names = {owner(Settings.read({}, home=tmp_path / name)) for name in ("a", "b")}

    assert len(names) == 2
    assert all(len(f"{name}/{'0' * 32}") <= 64 for name in names)


class Scheduler:
    """A Dask cluster of somebody else's: one scheduler, one worker, on a fixed port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.start()

    def _run(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )

    def start(self) -> None:
        self.scheduler = self._run(
            "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        self.worker = self._run("worker", self.address, "--nthreads", "2", "--no-dashboard")

    def kill(self) -> None:
        for process in (self.scheduler, self.worker):  # a worker ends without its scheduler
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_scheduler_that_is_killed_and_comes_back_loses_no_job(clinic, tmp_path):
    elsewhere = Scheduler(tmp_path)
    settings = Settings.read({}, home=tmp_path / "home", dask_scheduler=elsewhere.address)
    cluster = Cluster(settings)
    try:
        with running(clinic, cluster):
            receive(clinic, 60)
            until(clinic, lambda: len(thumbnails(clinic)) >= 1)
            receive(clinic, 100)
            until(clinic, lambda: JobState.RUNNING in states(clinic) or all_done(clinic))
            elsewhere.kill()
            receive(clinic, 20)
            elsewhere.start()
            until(clinic, lambda: all_done(clinic))
        assert len(thumbnails(clinic)) == 180
    finally:
        cluster.close()
        elsewhere.kill()
