"""C-STORE throughput: this listener beside Orthanc, DCMTK and a plain pynetdicom handler.

All servers are started once, each on an empty folder and an empty database, and take turns: a few
objects to warm one up, then DCMTK's storescu (Nagle off) with the rest, spread over the
associations. A turn takes seconds, so that a slow moment of the machine hits all of them; each
round sends new objects, to the servers in another order. Compared are medians, and of ratios the
median of the rounds.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import create_engine, text

from benchmarks import loads
from benchmarks.folders import fresh
from benchmarks.memory import Ballast
from clinic_panel.config import Settings
from clinic_panel.resources import build_engine, upgrade

ORTHANC = shutil.which("Orthanc")
ORTHANC_POSTGRESQL = Path("/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so")
WARM_UP = 8
UID_ROOT, ROUND_DIGITS = b"1.2.826.0.1.3680043.8.498.77.1", 6  # so that a round has its own UIDs
PDU_BYTES = 131072
START_S = 120


@dataclass
class Server(ABC):
    """One receiver: how it is started in a folder of its own, and what its Success means."""

    name: str
    means: str

    @contextlib.contextmanager
    def running(self, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            self.command(folder, port),
            env=self.environ(folder, port),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
        )
        try:
            wait_for_port(port, process)
            yield process
        finally:
            process.terminate()
            process.wait(60)

    @abstractmethod
    def command(self, folder: Path, port: int) -> list[str]: ...

    def environ(self, folder: Path, port: int) -> dict[str, str]:
        # Orthanc and storescp answer in two writes: with Nagle on, each answer waits 40 ms.
        return os.environ | {"TCP_NODELAY": "1"}


class Ours(Server):
    def __init__(self, name: str, means: str, processes: int = 1) -> None:
        super().__init__(name, means)
        self.processes = processes

    def command(self, folder: Path, port: int) -> list[str]:
        return [sys.executable, "-m", "listener"]

    def database_url(self) -> str:
        return ""

    def environ(self, folder: Path, port: int) -> dict[str, str]:
        settings = Settings.read(
            {},
            home=folder / "home",
            dicom_host="127.0.0.1",
            dicom_port=port,
            unknown_ae="accept",
            ae_title="BENCH",
            database_url=self.database_url(),
            dicom_processes=self.processes,
        )
        engine = build_engine(settings)
        upgrade(engine)
        engine.dispose()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CLINIC_")}
        root = str(Path(__file__).parents[1])
        return inherited | settings.environ() | {"PYTHONPATH": root}


class OursPostgres(Ours):
    def __init__(self, name: str, means: str, cluster: "Cluster", processes: int = 1) -> None:
        super().__init__(name, means, processes)
        self.cluster = cluster

    def database_url(self) -> str:
        return self.cluster.fresh(f"clinic{self.processes}")


class Orthanc(Server):
    def settings(self, folder: Path, port: int) -> dict[str, object]:
        return {
            "Name": "bench",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "HttpServerEnabled": False,
            "DicomAet": "BENCH",
            "DicomPort": port,
            "DicomAlwaysAllowStore": True,
            "SynchronousCMove": False,
            "Plugins": [],
        }

    def command(self, folder: Path, port: int) -> list[str]:
        path = folder / "orthanc.json"
        path.write_text(json.dumps(self.settings(folder, port)))
        return [str(ORTHANC), str(path)]


class OrthancPostgres(Orthanc):
    def __init__(self, name: str, means: str, cluster: "Cluster") -> None:
        super().__init__(name, means)
        self.cluster = cluster

    def settings(self, folder: Path, port: int) -> dict[str, object]:
        self.cluster.fresh("orthanc")
        return super().settings(folder, port) | {
            "Plugins": [str(ORTHANC_POSTGRESQL)],
            "PostgreSQL": {
                "EnableIndex": True,
                "EnableStorage": False,
                "Host": "127.0.0.1",
                "Port": self.cluster.port,
                "Database": "orthanc",
                "Username": "bench",
                "Password": "bench",
                "Lock": False,
            },
        }


class Storescp(Server):
    def command(self, folder: Path, port: int) -> list[str]:
        (folder / "kept").mkdir()
        options = ["--fork", "-pdu", str(PDU_BYTES), "-od", str(folder / "kept")]
        return [str(shutil.which("storescp")), *options, str(port)]


class Naive(Server):
    def command(self, folder: Path, port: int) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("naive_scp.py")), str(port)]


class Cluster:
    """A throw-away PostgreSQL with its safe defaults (fsync on), as the user postgres."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            raise FileNotFoundError("PostgreSQL is not installed")
        self.bin, self.folder, self.port = programs[-1], folder, free_port()
        folder.mkdir()
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._run("initdb", "-D", str(folder / "data"), "-U", "bench", "-A", "trust")
        options = f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-D", str(folder / "data"), "-w", "-l", "log", "-o", options, "start")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.prefix, str(self.bin / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://bench@127.0.0.1:{self.port}/{database}"

    def fresh(self, database: str) -> str:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {database}"))
        engine.dispose()
        return self.url(database)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{process.args!r} does not listen")


def make_images(folder: Path, count: int, edge_px: int) -> list[Path]:
    """Write CT slices of noise, so that nothing on the way can compress them."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    root = UID_ROOT.decode() + "0" * ROUND_DIGITS
    study, series = f"{root}.1", f"{root}.2"
    paths = []
    for number in range(count):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{root}.3.{number + 1}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Bench^Mark", "B", "", ""
        ds.AccessionNumber, ds.StudyID, ds.ReferringPhysicianName = "", "", ""
        ds.StudyDate, ds.StudyTime, ds.Modality = "20260101", "120000", "CT"
        ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
        ds.Rows = ds.Columns = edge_px
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.PixelData = noise.bytes(2 * edge_px * edge_px)
        paths.append(folder / f"{number:05}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def send(port: int, images: list[Path]) -> None:
    command = ["storescu", "-pdu", str(PDU_BYTES), "-aec", "BENCH", "127.0.0.1", str(port)]
    subprocess.run(
        [*command, *map(str, images)],
        check=True,
        capture_output=True,
        env=os.environ | {"TCP_NODELAY": "1"},
    )


def renew(images: list[Path], number: int) -> None:
    """Make new objects of what was sent, for the round of that number."""
    for path in images:
        content = path.read_bytes()
        before = content[content.index(UID_ROOT) :][: len(UID_ROOT) + ROUND_DIGITS]
        path.write_bytes(content.replace(before, UID_ROOT + b"%0*d" % (ROUND_DIGITS, number)))


def measure(port: int, images: list[Path], associations: int) -> float:
    """Return the instances a second of one turn."""
    failed: list[BaseException] = []

    def sender(share: list[Path]) -> None:
        try:
            send(port, share)
        except subprocess.CalledProcessError as error:
            failed.append(error)

    send(port, images[:WARM_UP])
    rest = images[WARM_UP:]
    shares = [rest[n::associations] for n in range(associations)]
    threads = [threading.Thread(target=sender, args=(share,)) for share in shares]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failed:
        raise failed[0]
    return len(rest) / seconds


def compare(
    found: Sequence[Server],
    home: Path,
    images: list[Path],
    associations: Sequence[int],
    repetitions: int,
) -> dict[tuple[str, int], list[float]]:
    """Let the servers take turns; return the instances a second of each by associations."""
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    ballast, numbers = Ballast(), itertools.count(1)
    with contextlib.ExitStack() as stack:
        stack.callback(ballast.release)
        ports = {server.name: free_port() for server in found}
        for server in found:
            folder = fresh(home)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(server.running(folder, ports[server.name]))
        for repetition, count in itertools.product(range(repetitions), associations):
            renew(images, next(numbers))
            ballast.fill()
            for server in random.sample(found, len(found)):
                rate = measure(ports[server.name], images, count)
                rates[server.name, count].append(rate)
                print(
                    f"{repetition + 1}/{repetitions}  {count} assoc.  {server.name}: {rate:.0f}/s",
                    file=sys.stderr,
                )
    return rates


def servers(cluster: Cluster | None) -> list[Server]:
    means = "file and row fsynced"
    found: list[Server] = [
        Ours("ours, SQLite", means),
        Ours("ours, 2 processes, SQLite", means, 2),
    ]
    if cluster:
        found.append(OursPostgres("ours, PostgreSQL", means, cluster))
        found.append(OursPostgres("ours, 2 processes, PostgreSQL", means, cluster, 2))
    if ORTHANC:
        found.append(Orthanc("Orthanc, SQLite", "file fsynced, row in the page cache"))
        if cluster and ORTHANC_POSTGRESQL.exists():
            found.append(OrthancPostgres("Orthanc, PostgreSQL", means, cluster))
    if shutil.which("storescp"):
        found.append(Storescp("DCMTK storescp", "file in the page cache, no index"))
    found.append(Naive("pynetdicom, plain handler", "file in the page cache, row committed"))
    return found


def other_loads(found: list[Server], home: Path, images: list[Path], full: bool) -> str:
    """Return the figures of what is no series of slices, a line each."""
    return "\n".join(
        [
            loads.report_tiny(found, home, 5000 if full else 500, 3 if full else 2),
            loads.report_huge(found, home, images, 1024 if full else 256, 3 if full else 2),
            loads.report_stalled(found, home, images),
        ]
    )


def report(
    found: list[Server], rates: Mapping[tuple[str, int], list[float]], associations: list[int]
) -> str:
    """Return the medians, and the ratios of ours to the others', as a Markdown table."""
    heads = "".join(f" {n} assoc. |" for n in associations)
    lines = [f"| receiver |{heads} Success means |", "|---|" + "---|" * (len(associations) + 1)]
    for server in found:
        cells = "".join(f" {_shown(rates[server.name, n])} |" for n in associations)
        lines.append(f"| {server.name} |{cells} {server.means} |")
    names = {server.name for server in found}
    for ours, other in (
        ("ours, SQLite", "Orthanc, SQLite"),
        ("ours, 2 processes, SQLite", "Orthanc, SQLite"),
        ("ours, PostgreSQL", "Orthanc, PostgreSQL"),
        ("ours, 2 processes, PostgreSQL", "Orthanc, PostgreSQL"),
        ("ours, SQLite", "DCMTK storescp"),
        ("ours, SQLite", "pynetdicom, plain handler"),
    ):
        if ours in names and other in names:
            ratios = "".join(
                f" {ratio(rates[ours, n], rates[other, n]):.2f}x |" for n in associations
            )
            lines.append(f"| *{ours} / {other}* |{ratios} |")
    return "\n".join(lines)


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of what the rounds say."""
    return statistics.median(mine / theirs for mine, theirs in zip(ours, others, strict=True))


def _shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="1000 images, 5 repetitions, 5000 tiny objects, 1 GB"
    )
    parser.add_argument("--images", type=int, help="how many objects a run sends")
    parser.add_argument("--edge", type=int, default=512, help="rows and columns of an object")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--loads", choices=["all", "only", "none"], default="all")
    parser.add_argument("--only", nargs="+", help="names of receivers must contain one of these")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    count = options.images or (1000 if options.full else 300)
    repetitions = options.repetitions or (5 if options.full else 2)
    with tempfile.TemporaryDirectory(prefix="clinic-bench-") as name:
        home = Path(name)
        home.chmod(0o755)  # the user postgres has to pass
        cluster = Cluster(home / "postgres") if Path("/usr/lib/postgresql").exists() else None
        try:
            found = [
                server
                for server in servers(cluster)
                if not options.only or any(word in server.name for word in options.only)
            ]
            images = make_images(home / "images", count + WARM_UP, options.edge)
            others = (
                "" if options.loads == "none" else other_loads(found, home, images, options.full)
            )
            rates = compare(
                found,
                home,
                images,
                options.associations,
                0 if options.loads == "only" else repetitions,
            )
        finally:
            if cluster:
                cluster.stop()
        print(f"\n{others}")
        if options.loads == "only":
            return
        print(f"\n{count} CT slices of {images[0].stat().st_size // 1000} kB, instances a second:")
        print("median (least-most) of", repetitions, "interleaved runs\n")
        print(report(found, rates, options.associations))


if __name__ == "__main__":
    main()
