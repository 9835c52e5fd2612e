"""What the server spends on a slice it sends: sign-in, audit and headers included.

Run: ``python -m benchmarks.frames``. `clinic demo` with a generated CT imported; one signed-in
client asks for every slice over one kept connection, again and again. Processor time is the web
process's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.opening import import_into
from benchmarks.schedule import cpu_ms, settle, web_process
from clinic_panel.imaging.phantom import ct_phantom
from tests.e2e.conftest import PASSWORD, Clinic

SLICE_BYTES = 512 * 512 * 2
SLICES = 120


def slices(client: httpx.Client) -> list[str]:
    """Return the addresses of the slices of 512 x 512 int16."""
    found: list[str] = []
    number = 1
    while len(found) < SLICES:
        answer = client.get(f"/frames/{number}/0")
        if answer.status_code == 404:
            raise RuntimeError("the slices are not in the archive")
        if answer.status_code == 200 and len(answer.content) == SLICE_BYTES:
            found.append(f"/frames/{number}/0")
        number += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clinic-bench-") as home:
        clinic = Clinic(Path(home))
        clinic.start()
        try:
            with tempfile.TemporaryDirectory(prefix="clinic-bench-") as folder:
                for number, ds in enumerate(ct_phantom(slices=SLICES)):
                    ds.save_as(Path(folder) / f"{number}.dcm", enforce_file_format=True)
                import_into(clinic, Path(folder))
            measure(clinic, options.repetitions)
        finally:
            clinic.stop()


def measure(clinic: Clinic, repetitions: int) -> None:
    process = web_process(clinic)
    with httpx.Client(base_url=clinic.url, timeout=60) as client:
        client.post("/login", data={"username": "doctor", "password": PASSWORD})
        addresses = slices(client)
        cpu, wall = [], []
        for _ in range(repetitions):
            settle(process)
            before, began = cpu_ms(process), time.perf_counter()
            for address in addresses:
                client.get(address).raise_for_status()
            wall.append(1000 * (time.perf_counter() - began) / len(addresses))
            cpu.append((cpu_ms(process) - before) / len(addresses))
    print(f"{len(addresses)} slices of {SLICE_BYTES // 1024} KiB, {repetitions} rounds")
    for name, values in (("server CPU", cpu), ("until it has arrived", wall)):
        print(
            f"{name:<22} {statistics.median(values):.2f} ms ({min(values):.2f}-{max(values):.2f})"
        )


if __name__ == "__main__":
    main()
