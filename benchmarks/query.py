"""C-FIND: worklist and archive queries of this listener beside Orthanc and DCMTK's wlmscpfs.

All servers run at once and are asked in turn by the same client over one association each; the time
is that from a request to its final response. Ours is measured at the size the others load and at
100,000 bookings and studies.
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    StudyRootQueryRetrieveInformationModelFind,
)
from sqlalchemy import Engine, create_engine, text

from benchmarks import query_data
from benchmarks.find_client import Answered, FindClient
from benchmarks.receivers import ORTHANC, Cluster, Orthanc, Ours, OursPostgres, Server, free_port
from clinic_panel.config import Settings
from clinic_panel.resources import build_engine

WORKLIST, STUDY = (
    str(ModalityWorklistInformationFind),
    str(StudyRootQueryRetrieveInformationModelFind),
)
ORTHANC_WORKLISTS = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")
ORTHANC_NAME, WLMSCPFS_NAME = "Orthanc", "DCMTK wlmscpfs"


class OrthancWithWorklists(Orthanc):
    """Orthanc with its plugin that answers worklist queries from a folder of files."""

    def settings(self, folder: Path, port: int) -> dict[str, object]:
        worklists = {"Enable": True, "Database": str(folder / "worklists" / "BENCH")}
        return super().settings(folder, port) | {
            "Plugins": [str(ORTHANC_WORKLISTS)],
            "Worklists": worklists,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowFindWorklist": True,
            "DicomCheckCalledAet": False,
            "LimitFindResults": 0,
            "LimitFindInstances": 0,
        }


class Wlmscpfs(Server):
    def command(self, folder: Path, port: int) -> list[str]:
        folders = str(folder / "worklists")
        return [
            str(shutil.which("wlmscpfs")),
            "-nse",
            "--single-process",
            "-dfp",
            folders,
            str(port),
        ]


@dataclass
class Running:
    """A server with its data, and the seconds that each query took."""

    name: str
    port: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, int] = field(default_factory=dict)

    def note(self, query: str, answered: Answered) -> None:
        if answered.status != 0x0000:
            raise RuntimeError(f"{self.name} answered {query!r} with {answered.status:04X}")
        self.seconds[query].append(answered.seconds)
        self.answers[query] = answered.answers


@contextlib.contextmanager
def running(server: Server, folder: Path, prepare: Callable[[], None]) -> Iterator[Running]:
    """Start a server, fill it, and stop it at the end."""
    port = free_port()
    with server.running(folder, port):
        prepare()
        yield Running(server.name, port)


def _engine_of(server: Ours, folder: Path) -> Engine:
    if isinstance(server, OursPostgres):
        return create_engine(server.cluster.url("clinic"))
    return build_engine(Settings.read({}, home=folder / "home"))


def fill_ours(server: Ours, folder: Path, studies: int, bookings: int) -> None:
    engine = _engine_of(server, folder)
    query_data.fill_studies(engine, studies)
    query_data.fill_bookings(engine, bookings)
    if engine.dialect.name == "postgresql":  # as its autovacuum would, in a while
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def fill_orthanc(port: int, folder: Path, studies: int) -> None:
    paths = list(query_data.study_files(folder / "files", studies))
    for start in range(0, len(paths), 500):
        chunk = map(str, paths[start : start + 500])
        command = ["storescu", "-aec", "BENCH", "127.0.0.1", str(port), *chunk]
        environ = os.environ | {"TCP_NODELAY": "1"}
        subprocess.run(command, check=True, capture_output=True, env=environ)


def study_queries(count: int, large: bool) -> dict[str, Dataset]:
    """What is asked of the archive: one patient, a name, a week, all (or as many)."""

    def keys(**given: str) -> Dataset:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.SpecificCharacterSet = "ISO_IR 192"
        for keyword in (
            "StudyInstanceUID",
            "PatientID",
            "PatientName",
            "PatientBirthDate",
            "PatientSex",
            "StudyDate",
            "StudyTime",
            "AccessionNumber",
            "StudyID",
            "StudyDescription",
            "ModalitiesInStudy",
            "ReferringPhysicianName",
        ):
            setattr(identifier, keyword, given.get(keyword, ""))
        return identifier

    # Among more, what finds about as many.
    return {
        "one patient": keys(PatientID=f"P{count // 4:06d}"),
        "one accession number": keys(AccessionNumber=f"A{count // 2:06d}"),
        "name prefix": keys(PatientName="Huber31^Hanna1*" if large else "Huber31^*"),
        "a week, or a day": keys(StudyDate="20240101" if large else "20240101-20240107"),
        "5,000 answers": keys(StudyDate="20230101-20230226" if large else ""),
    }


def worklist_queries(large: bool = False) -> dict[str, Dataset]:
    """What stations ask: their own day, a modality's day, one patient, a name."""
    today = f"{datetime.now(UTC):%Y%m%d}"

    def keys(patient_id: str = "", patient_name: str = "", **given: str) -> Dataset:
        step = Dataset()
        for keyword in (
            "ScheduledStationAETitle",
            "ScheduledProcedureStepStartDate",
            "ScheduledProcedureStepStartTime",
            "Modality",
            "ScheduledPerformingPhysicianName",
            "ScheduledProcedureStepID",
            "ScheduledProcedureStepDescription",
        ):
            setattr(step, keyword, given.get(keyword, ""))
        identifier = Dataset()
        identifier.SpecificCharacterSet = "ISO_IR 192"
        identifier.ScheduledProcedureStepSequence = [step]
        identifier.PatientID, identifier.PatientName = patient_id, patient_name
        for keyword in ("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID"):
            setattr(identifier, keyword, "")
        identifier.PatientBirthDate = identifier.PatientSex = ""
        return identifier

    return {
        "a station's day": keys(
            ScheduledStationAETitle="STATION4", ScheduledProcedureStepStartDate=today
        ),
        "a modality's day": keys(Modality="CT", ScheduledProcedureStepStartDate=today),
        "all of the day": keys(ScheduledProcedureStepStartDate=today),
        # Among more, what finds about as many.
        "a station's patient": keys(
            "", "Huber31^Hanna75*" if large else "Huber31^*", ScheduledStationAETitle="STATION7"
        ),
        "a station's family name": keys("", "Huber31^*", ScheduledStationAETitle="STATION7"),
    }


def measure(
    servers: list[Running],
    sop_class_uid: str,
    queries: Callable[[Running], dict[str, Dataset]],
    repetitions: int,
) -> None:
    """Ask all the servers in turn, each query of each kind as often."""
    with contextlib.ExitStack() as stack:
        clients = {
            one.name: stack.enter_context(FindClient(one.port, sop_class_uid)) for one in servers
        }
        requests = {
            one.name: {
                name: clients[one.name].request(identifier)
                for name, identifier in queries(one).items()
            }
            for one in servers
        }
        for name in requests[servers[0].name]:
            # 5,000 answers take a while; a week or a patient does not.
            rounds = repetitions // 5 if name.startswith("5,000") else repetitions
            for turn in range(rounds + 2):
                for one in servers:
                    answered = clients[one.name].ask(requests[one.name][name])
                    if turn > 1:  # the first find nothing in memory
                        one.note(name, answered)


def report(servers: list[Running], base: str) -> str:
    """Return p50 / p95 in ms of each query, and the ratio to the base, as a Markdown table."""
    peer = next((one for one in servers if one.name == base), None)
    lines = ["| query | answers |" + "".join(f" {one.name} |" for one in servers)]
    lines.append("|---" * (len(servers) + 2) + "|")
    for query in servers[0].seconds:
        cells = []
        for one in servers:
            p50, p95 = _percentiles(one.seconds[query])
            cell = f" {p50:.1f} / {p95:.1f}"
            if peer is not None and one is not peer:
                cell += f" ({p50 / _percentiles(peer.seconds[query])[0]:.2f}x)"
            cells.append(cell + " |")
        answers = " · ".join(str(n) for n in dict.fromkeys(one.answers[query] for one in servers))
        lines.append(f"| {query} | {answers} |" + "".join(cells))
    return "\n".join(lines)


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return statistics.median(ordered) * 1000, p95 * 1000


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.query", description=__doc__)
    parser.add_argument("--studies", type=int, default=5000, help="what all servers hold")
    parser.add_argument("--bookings", type=int, default=1000, help="what all servers hold")
    parser.add_argument("--large", type=int, default=100_000, help="what ours holds besides")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--only", nargs="+", help="names of servers must contain one of these")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    with (
        tempfile.TemporaryDirectory(prefix="clinic-bench-") as name,
        contextlib.ExitStack() as all_,
    ):
        home = Path(name)
        home.chmod(0o755)  # the user postgres has to pass
        servers = _start(home, options, all_)
        archives = [one for one in servers if one.name != WLMSCPFS_NAME]
        measure(
            archives,
            STUDY,
            lambda one: study_queries(options.studies, is_large(one)),
            options.repetitions,
        )
        print(f"\nStudy C-FIND, {options.studies} studies or {options.large}, ms p50 / p95:\n")
        print(report(archives, ORTHANC_NAME))
        for one in servers:
            one.seconds.clear()
        measure(servers, WORKLIST, lambda one: worklist_queries(is_large(one)), options.repetitions)
        print(f"\nWorklist C-FIND, {options.bookings} bookings or {options.large}, ms p50 / p95:\n")
        print(report(servers, WLMSCPFS_NAME))


def is_large(server: Running) -> bool:
    """Whether it holds more than the others."""
    return server.name.endswith("large")


def _start(home: Path, options: argparse.Namespace, stack: contextlib.ExitStack) -> list[Running]:
    started: list[Running] = []

    def wanted(name: str) -> bool:
        return not options.only or any(word in name for word in options.only)

    def start(server: Server, folder: Path, prepare: Callable[[int], None]) -> None:
        if wanted(server.name):
            folder.mkdir(exist_ok=True)
            one = stack.enter_context(running(server, folder, lambda: None))
            prepare(one.port)
            started.append(one)

    def ours(server: Ours, folder: Path, studies: int, bookings: int) -> None:
        start(server, folder, lambda _: fill_ours(server, folder, studies, bookings))

    ours(Ours("ours", ""), home / "small", options.studies, options.bookings)
    ours(Ours("ours, large", ""), home / "large", options.large, options.large)
    if Path("/usr/lib/postgresql").exists() and wanted("ours, PostgreSQL, large"):
        cluster = Cluster(home / "postgres")
        stack.callback(cluster.stop)
        server = OursPostgres("ours, PostgreSQL, large", "", cluster)
        ours(server, home / "pg", options.large, options.large)
    if ORTHANC:
        folder = home / "orthanc"
        query_data.worklist_files(folder / "worklists" / "BENCH", options.bookings)
        start(
            OrthancWithWorklists(ORTHANC_NAME, ""),
            folder,
            lambda port: fill_orthanc(port, folder, options.studies),
        )
    if shutil.which("wlmscpfs"):
        folder = home / "wlmscpfs"
        query_data.worklist_files(folder / "worklists" / "BENCH", options.bookings)
        start(Wlmscpfs(WLMSCPFS_NAME, ""), folder, lambda _: None)
    return started


if __name__ == "__main__":
    main()
