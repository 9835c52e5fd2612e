"""What the benchmarks send, how fast it is taken, and how receivers take turns."""

import contextlib
import itertools
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from benchmarks.folders import fresh
from benchmarks.memory import Ballast
from benchmarks.receivers import PDU_BYTES, Server, free_port

WARM_UP = 8
UID_ROOT, ROUND_DIGITS = b"1.2.826.0.1.3680043.8.498.77.1", 6  # so that a round has its own UIDs


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


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of what the rounds say."""
    return statistics.median(mine / theirs for mine, theirs in zip(ours, others, strict=True))
