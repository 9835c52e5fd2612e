"""C-MOVE and C-GET of one study: this archive beside Orthanc, with DCMTK as the other side.

Both servers are filled once and then asked in turn, so that a slow minute of the machine hits both.
A C-MOVE goes to `storescp --ignore`, a C-GET to `getscu --ignore`: nothing is written on the other
side, and each time a process's own start is in the figure.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydicom import dcmread

from benchmarks.receivers import ORTHANC, Orthanc, Ours, Server, free_port, wait_for_port
from benchmarks.sending import make_images, send
from clinic_panel.config import Settings
from clinic_panel.context import system
from clinic_panel.resources import open_context
from clinic_panel.services import peers
from clinic_panel.services.peers import PeerForm

NODELAY = os.environ | {"TCP_NODELAY": "1"}


class OursAsSource(Ours):
    """Ours, with the destination among its peers."""

    def __init__(self, name: str, means: str, target_port: int) -> None:
        super().__init__(name, means)
        self.target_port = target_port

    def environ(self, folder: Path, port: int) -> dict[str, str]:
        environ = super().environ(folder, port)
        settings = Settings.read(environ)
        with open_context(settings, system("benchmark")) as ctx:
            peers.add(ctx, PeerForm("Target", "TARGET", "127.0.0.1", self.target_port))
        return environ


class OrthancAsSource(Orthanc):
    """Orthanc, with the destination among its modalities; it answers a C-MOVE when it is done."""

    def __init__(self, name: str, means: str, target_port: int) -> None:
        super().__init__(name, means)
        self.target_port = target_port

    def settings(self, folder: Path, port: int) -> dict[str, object]:
        return super().settings(folder, port) | {
            "SynchronousCMove": True,
            "DicomAlwaysAllowMove": True,
            "DicomAlwaysAllowGet": True,
            "DicomModalities": {"target": ["TARGET", "127.0.0.1", self.target_port]},
        }


@contextmanager
def target(port: int, pdu_bytes: int) -> Iterator[None]:
    command = ["storescp", "--ignore", "-aet", "TARGET", "-pdu", str(pdu_bytes), str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=NODELAY
    )
    try:
        wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(10)


def fetch(program: str, port: int, study: str, *options: str) -> float:
    """Run one retrieve to its end; return its seconds."""
    command = [program, "-v", "-S", "-aec", "BENCH", "-aet", "CLIENT", *options]
    command += ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    began = time.perf_counter()
    said = subprocess.run(
        [*command, "127.0.0.1", str(port)], capture_output=True, text=True, env=NODELAY, check=True
    )
    seconds = time.perf_counter() - began
    done = {"movescu": "(Success)", "getscu": "Number of Failed Suboperations    : 0"}[program]
    if done not in said.stdout + said.stderr:
        raise RuntimeError("not everything was sent")
    return seconds


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieve", description=__doc__)
    parser.add_argument("--full", action="store_true", help="1000 images, 5 repetitions")
    parser.add_argument("--images", type=int, help="instances of the study")
    parser.add_argument("--edge", type=int, default=512, help="rows and columns of an image")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--pdu", type=int, default=16384, help="what the other side takes at once")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    count = options.images or (1000 if options.full else 200)
    repetitions = options.repetitions or (5 if options.full else 3)
    if not shutil.which("movescu"):
        sys.exit("DCMTK is not installed")
    target_port = free_port()
    servers: list[Server] = [OursAsSource("ours, SQLite", "", target_port)]
    if ORTHANC:
        servers.append(OrthancAsSource("Orthanc, SQLite", "", target_port))
    rates: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="clinic-bench-") as name, ExitStack() as stack:
        home = Path(name)
        images = make_images(home / "images", count, options.edge)
        study = str(dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
        stack.enter_context(target(target_port, options.pdu))
        ports = {}
        for number, server in enumerate(servers):
            folder, ports[server.name] = home / str(number), free_port()
            folder.mkdir()
            stack.enter_context(server.running(folder, ports[server.name]))
            began = time.perf_counter()
            send(ports[server.name], images)
            rates["C-STORE", server.name] = [count / (time.perf_counter() - began)]
        jobs = {
            "C-MOVE": ("movescu", "-aem", "TARGET"),
            "C-GET": ("getscu", "--ignore", "-pdu", str(options.pdu)),
        }
        for repetition in range(repetitions + 1):  # the first one warms up
            for kind, (program, *more) in jobs.items():
                for server in servers:
                    seconds = fetch(program, ports[server.name], study, *more)
                    if repetition:
                        rates.setdefault((kind, server.name), []).append(count / seconds)
                        print(f"{kind} {server.name}: {count / seconds:.0f}/s", file=sys.stderr)
    size = images_size(options.edge)
    print(f"\n{count} CT slices of {size} kB, peer takes PDUs of {options.pdu} bytes,")
    print("instances a second: median (least-most) of", repetitions, "interleaved runs\n")
    print(report(servers, rates))


def images_size(edge_px: int) -> int:
    return (2 * edge_px * edge_px + 700) // 1000


def report(servers: list[Server], rates: dict[tuple[str, str], list[float]]) -> str:
    """Return the medians and the ratios as a Markdown table."""
    kinds = ["C-MOVE", "C-GET", "C-STORE"]
    lines = ["| archive | C-MOVE | C-GET | C-STORE into it |", "|---|---|---|---|"]
    for server in servers:
        cells = [_shown(rates[kind, server.name]) for kind in kinds]
        lines.append(f"| {server.name} | {' | '.join(cells)} |")
    ours = servers[0].name
    medians = {key: statistics.median(values) for key, values in rates.items()}
    for other in servers[1:]:
        ratios = [f"{medians[kind, ours] / medians[kind, other.name]:.2f}x" for kind in kinds]
        lines.append(f"| *{ours} / {other.name}* | {' | '.join(ratios)} |")
    stored = medians["C-STORE", ours]
    shares = [f"{medians[kind, ours] / stored:.2f}x" for kind in kinds[:2]]
    lines.append(f"| *{ours} / its own C-STORE* | {' | '.join(shares)} | |")
    return "\n".join(lines)


def _shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"


if __name__ == "__main__":
    main()
