"""Storing what is not a series of CT slices: tiny objects, a huge one, beside stalled peers."""

import contextlib
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from benchmarks.folders import fresh
from benchmarks.receivers import Server, free_port
from benchmarks.sending import WARM_UP, compare, make_images, ratio, send

STALLED = 200
STALLED_AFTER_SIGN_ON = 40
ELSEWHERE = "127.0.0.2"  # where the stalled peers are: the limits count by address
_BLOCK_BYTES = 1 << 24


def make_huge(path: Path, like: Path, size_bytes: int) -> Path:
    """Write one multi-frame object of about that size, in memory flat in it."""
    ds = dcmread(like)
    frame_bytes = 2 * ds.Rows * ds.Columns
    frames = size_bytes // frame_bytes
    del ds.PixelData
    ds.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.NumberOfFrames = frames
    ds.save_as(path, enforce_file_format=True)
    left = frames * frame_bytes
    noise = np.random.default_rng(2).bytes(_BLOCK_BYTES)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\0OW\0\0" + left.to_bytes(4, "little"))  # PS3.5 7.1.2
        while left:
            left -= file.write(noise[:left])
    return path


def seconds_for_one(
    server: Server, folder: Path, warm_up: Sequence[Path], path: Path
) -> tuple[float, float]:
    """Return how long one object takes, and the most memory of the server's process in MB."""
    port = free_port()
    try:
        with server.running(folder, port) as process:
            send(port, list(warm_up))
            began = time.perf_counter()
            send(port, [path])
            return time.perf_counter() - began, _peak_mb(process.pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def beside_stalled(server: Server, folder: Path, images: Sequence[Path]) -> float:
    """Return how long one object takes while 200 peers hold connections and say nothing."""
    port = free_port()
    try:
        with server.running(folder, port), contextlib.ExitStack() as held:
            send(port, [images[0]])
            for _ in range(STALLED - STALLED_AFTER_SIGN_ON):
                address = ("127.0.0.1", port)
                peer = socket.create_connection(address, source_address=(ELSEWHERE, 0))
                held.enter_context(peer)
            for _ in range(STALLED_AFTER_SIGN_ON):
                entity = AE("STALLED")
                entity.add_requested_context(CTImageStorage)
                association = entity.associate(
                    "127.0.0.1", port, ae_title="BENCH", bind_address=(ELSEWHERE, 0)
                )
                held.callback(association.abort)
            began = time.perf_counter()
            send(port, [images[1]])
            return time.perf_counter() - began
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report_tiny(found: Sequence[Server], home: Path, count: int, repetitions: int) -> str:
    """Send small objects to ours and to Orthanc; return a line of figures."""
    pair = _pick(found, "ours, SQLite", "Orthanc, SQLite")
    images = make_images(home / "tiny", count + WARM_UP, 100)
    rates = compare(pair, home, images, [1], repetitions)
    size = images[0].stat().st_size // 1000
    shutil.rmtree(home / "tiny")
    found_rates = [rates[server.name, 1] for server in pair]
    text = ", ".join(
        f"{server.name} {statistics.median(values):.0f}/s"
        for server, values in zip(pair, found_rates, strict=True)
    )
    ratios = f" ({ratio(*found_rates):.2f}x)" if len(pair) == 2 else ""
    return f"- {count} objects of {size} kB, 1 association: {text}{ratios}"


def report_huge(
    found: Sequence[Server], home: Path, images: Sequence[Path], size_mb: int, repetitions: int
) -> str:
    """Send one huge object to ours and to storescp; return a line of figures."""
    pair = _pick(found, "ours, SQLite", "DCMTK storescp")
    path = make_huge(home / "huge.dcm", images[0], size_mb << 20)
    rates: dict[str, list[float]] = {server.name: [] for server in pair}
    memory = 0.0
    for _ in range(repetitions):
        for server in pair:
            seconds, peak = seconds_for_one(server, fresh(home), images[:4], path)
            rates[server.name].append(size_mb / seconds)
            print(f"huge  {server.name}: {size_mb / seconds:.0f} MB/s", file=sys.stderr)
            if server.name.startswith("ours"):
                memory = max(memory, peak)
    path.unlink()
    line = f"- one object of {size_mb} MB: {_compared(rates, ' MB/s')}"
    return f"{line}; our process at its most {memory:.0f} MB" if memory else line


def report_stalled(found: Sequence[Server], home: Path, images: Sequence[Path]) -> str:
    """Store one object beside stalled peers; return a line of figures."""
    seconds = [
        f"{server.name} {beside_stalled(server, fresh(home), images):.2f} s"
        for server in _pick(found, "ours, SQLite")
    ]
    return (
        f"- one CT slice beside {STALLED} stalled connections, {STALLED_AFTER_SIGN_ON} of them "
        f"associations, storescu's own start included: {', '.join(seconds)}"
    )


def _pick(found: Sequence[Server], *names: str) -> list[Server]:
    return [server for server in found if server.name in names]


def _compared(rates: dict[str, list[float]], unit: str) -> str:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    text = ", ".join(f"{name} {value:.0f}{unit}" for name, value in medians.items())
    if len(medians) == 2:
        ours, other = medians.values()
        text += f" ({ours / other:.2f}x)"
    return text
