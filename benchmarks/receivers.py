"""What receives in the benchmarks: this listener, and the peers it is compared with."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text

from clinic_panel.config import Settings
from clinic_panel.resources import build_engine, upgrade

ORTHANC = shutil.which("Orthanc")
ORTHANC_POSTGRESQL = Path("/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so")
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
