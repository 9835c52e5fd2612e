"""`python -m listener` as the process it is, with DCMTK as the modality."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.models.imaging import Instance
from listener.__main__ import main
from tests import factories
from tests.integration.peer import PATIENCE_S, STATION, wait_for
from tests.threads import end_by_another_thread

IMAGES = 12
STORESCU = ["storescu", "-v", "-aet", STATION, "-aec", "CLINIC", "127.0.0.1"]
CERTIFICATE = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]


class Listener:
    """The process, started and ready; killed at the end if it still lives."""

    def __init__(self, settings, *arguments, under=()):
        self.port = settings.dicom_port
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "listener", *arguments],
            env={k: v for k, v in os.environ.items() if not k.startswith("CLINIC_")}
            | settings.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def dcmtk(self, tool, *arguments):
        command = [tool, "-v", "-aet", STATION, "-aec", "CLINIC", "127.0.0.1", str(self.port)]
        environ = os.environ | {"TCP_NODELAY": "1"}
        return subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, env=environ
        )


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    image = dcmread(get_testdata_file("CT_small.dcm"))
    uid = image.SOPInstanceUID
    for number in range(IMAGES):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{number}"
        image.save_as(folder / f"{number:02}.dcm")
    return folder


@pytest.fixture
def station(ctx):
    return factories.room(ctx, station_ae_title=STATION)


def kept(ctx):
    with ctx.read() as session:
        return list(session.scalars(select(Instance)))


def test_dcmtk_verifies_stores_and_the_end_is_clean(ctx, settings, station, images):
    with Listener(settings) as listener:
        assert listener.dcmtk("echoscu").returncode == 0
        sent = listener.dcmtk("storescu", "+sd", images)
        assert sent.returncode == 0, sent.stderr

        end_by_another_thread(listener.process.pid, signal.SIGTERM)
        _, log = listener.process.communicate(timeout=PATIENCE_S)

    assert listener.process.returncode == 0
    assert len(kept(ctx)) == IMAGES
    assert "Traceback" not in log
    image = dcmread(get_testdata_file("CT_small.dcm"))
    for secret in (image.PatientID, str(image.PatientName), image.StudyInstanceUID):
        assert secret not in log


@pytest.mark.parametrize("database", ["sqlite"])
def test_what_was_acknowledged_survives_kill_9_and_the_index_equals_the_archive(
    ctx, settings, station, images
):
    acknowledged = 0
    for round_number in range(2):
        with Listener(settings) as listener:
            sender = subprocess.Popen(
                [*STORESCU, str(listener.port), "+sd", str(images)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"TCP_NODELAY": "1"},
            )
            seen = 0
            for line in sender.stderr:
                seen += bool(re.search(r"Received Store Response \(Success\)", line))
                if seen == 3 + 4 * round_number:
                    listener.process.kill()
                    break
            sender.communicate()
            acknowledged = max(acknowledged, seen)
    with Listener(settings):
        pass  # the start-up sweep

    rows = kept(ctx)
    assert len(rows) >= acknowledged >= 3
    files = {str(p.relative_to(ctx.store.root)) for p in ctx.store.root.glob("?/?/*.dcm")}
    assert {row.path for row in rows} == files
    assert all(ctx.store.digests(row.path)[0] == row.sha256 for row in rows)
    assert list((ctx.store.root / "incoming").iterdir()) == []


def steps(trace):
    """What a traced listener did, in order: what it synced, renamed, and answered."""
    pending = {}
    for line in trace.read_text().splitlines():
        thread, call = line.split(None, 1)
        if call.endswith("<unfinished ...>"):
            pending[thread] = call
        elif call.startswith("<..."):
            call = pending.pop(thread, "") + call
        if (
            call.startswith(("write", "sendto")) and '"\\4\\0' in call
        ):  # P-DATA, when it begins to leave
            yield "answer"
        elif not call.endswith(" = 0"):
            continue  # of the others it counts when they are done
        elif call.startswith("rename"):
            yield "rename"
        elif "sync(" in call:
            path = call[call.index("<") + 1 : call.index(">")]
            yield (
                "file"
                if "/incoming/" in path
                else "row"
                if path.endswith("clinic.db-wal")
                else "folder"
                if re.search(r"/archive/[0-9a-f]/[0-9a-f]$", path)
                else "other"
            )


@pytest.mark.parametrize("database", ["sqlite"])
def test_every_success_comes_after_file_folder_and_row_are_on_stable_storage(
    ctx, settings, station, images, tmp_path
):
    """The order a power cut needs, as the kernel sees it."""
    if not shutil.which("strace"):
        pytest.fail("strace is not installed: run `make test`, which installs it.")
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if tried.returncode:
        said = " ".join(tried.stderr.split())
        pytest.skip(f"NOT CHECKED, as this machine lets no process be traced (ptrace): {said}")
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,write,sendto"
    strace = ["strace", "-D", "-f", "-qq", "-y", "-s", "8", "-e", calls, "-o", str(trace)]
    with Listener(settings, under=strace) as listener:
        sent = listener.dcmtk("storescu", "+sd", images)
        assert sent.returncode == 0, sent.stderr
        listener.process.terminate()
        listener.process.wait(PATIENCE_S)
    wait_for(lambda: trace.read_text().count('"\\4\\0') == IMAGES)

    done, answers = [], []
    for step in steps(trace):
        if step == "answer":
            answers.append(done)
            done = []
        elif step != "other":
            done.append(step)
    assert len(answers) == IMAGES
    for number, before in enumerate(answers):
        order = iter(before)
        wanted = ["file", "rename", "folder", "row"]
        assert all(step in order for step in wanted), f"answer {number} came after {before}"


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_full_file_system_is_told_and_passes(ctx, settings, station, images):
    """A process that may write no file beyond 20 kB: the kernel refuses in the middle."""
    with Listener(settings) as listener:
        limit = ["prlimit", "--pid", str(listener.process.pid), "--fsize=20000:unlimited"]
        subprocess.run(limit, check=True)
        refused = listener.dcmtk("storescu", images / "00.dcm")
        subprocess.run([*limit[:-1], "--fsize=unlimited"], check=True)
        accepted = listener.dcmtk("storescu", images / "00.dcm")

    assert "Refused: OutOfResources" in refused.stderr
    assert "Received Store Response (Success)" in accepted.stderr
    assert len(kept(ctx)) == 1


@pytest.mark.parametrize("database", ["sqlite"])
def test_tls_with_a_client_certificate(ctx, settings, station, tmp_path):
    for name in ("server", "client"):
        subprocess.run(
            [*CERTIFICATE, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"],
            check=True,
            cwd=tmp_path,
            capture_output=True,
        )
    environ = {
        "dicom_tls_cert": str(tmp_path / "server.pem"),
        "dicom_tls_key": str(tmp_path / "server.key"),
        "dicom_tls_ca": str(tmp_path / "client.pem"),
    }
    values = {name: getattr(settings, name) for name in type(settings).names()}
    tls = ["+tls", tmp_path / "client.key", tmp_path / "client.pem"]
    with Listener(type(settings)(**values | environ)) as listener:
        trusted = listener.dcmtk("echoscu", *tls, "+cf", tmp_path / "server.pem")
        file = get_testdata_file("CT_small.dcm")
        stored = listener.dcmtk("storescu", *tls, "+cf", tmp_path / "server.pem", file)
        anonymous = listener.dcmtk("echoscu", "+tla", "+cf", tmp_path / "server.pem")
        plain = listener.dcmtk("echoscu", "-ta", "5")

    assert (trusted.returncode, stored.returncode) == (0, 0), trusted.stderr + stored.stderr
    assert anonymous.returncode != 0
    assert plain.returncode != 0
    assert len(kept(ctx)) == 1


@pytest.mark.parametrize("database", ["sqlite"])
def test_an_empty_database_is_one_clear_line(tmp_path, monkeypatch, capsys, database):
    monkeypatch.setenv("CLINIC_HOME", str(tmp_path / "new"))
    previous = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    umask = os.umask(0o022)
    try:
        assert main([]) == 1
    finally:
        left = os.umask(umask)
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), previous, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
    assert left == 0o077  # what a listener makes is nobody else's to read
    assert capsys.readouterr().err == (
        "The listener cannot start: The database is empty: run `clinic db upgrade`.\n"
    )
