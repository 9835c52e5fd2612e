"""The desk's page in a whole clinic: images to row, and what opening a page costs the server.

Run: ``python -m benchmarks.schedule``. `clinic demo` in a process group of its own, DCMTK's
``storescu`` as the scanner, headless Chromium as the desk. A row counts from the moment its text
or picture stands in the page, by the clock all three share.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e import watch
from tests.e2e.conftest import CHROMIUM_ARGUMENTS, Clinic, sign_in
from tests.e2e.test_story import images_for, worklist_items

IMAGES = 20
PAGES = {
    "reception": ("/schedule", "/patients"),
    "tech": ("/schedule",),
    "doctor": ("/schedule", "/study", "/reports"),
    "analyst": ("/analytics",),
    "admin": ("/schedule", "/admin"),
}


def web_process(clinic: Clinic) -> psutil.Process:
    """The process that listens on the clinic's HTTP port."""
    assert clinic.process is not None
    for child in psutil.Process(clinic.process.pid).children(recursive=True):
        ports = {c.laddr.port for c in child.net_connections("tcp") if c.status == "LISTEN"}
        if clinic.http_port in ports:
            return child
    raise RuntimeError("no process listens for HTTP")


def cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return 1000 * (times.user + times.system)


def settle(process: psutil.Process) -> None:
    """Wait until the process has been idle for half a second."""
    before = -100.0
    while cpu_ms(process) - before > 20:
        before = cpu_ms(process)
        time.sleep(0.5)


def opening(page: Page, process: psutil.Process, address: str) -> float:
    """Server CPU, in milliseconds, of opening a page with everything it fetches."""
    settle(process)
    before = cpu_ms(process)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    settle(process)
    return cpu_ms(process) - before


def arrivals(page: Page, clinic: Clinic, count: int) -> list[tuple[float, float]]:
    """Seconds from the end of storescu to the row *To read*, and to its picture, a patient each."""
    page.goto(f"{clinic.url}/schedule")
    page.get_by_role("row").nth(5).wait_for()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, item in enumerate(worklist_items(clinic, "")):
            if len(found) == count:
                break
            patient_id = str(item.PatientID)
            rows = page.get_by_role("row").filter(has_text=patient_id)
            if rows.count() != 1 or "Booked" not in rows.inner_text():
                continue  # of another day, twice today, or the demo's own scanner was faster
            target = Path(folder) / str(number)
            target.mkdir()
            files = [str(path) for path in images_for(item, target, count=IMAGES)]
            watch.begin(page, patient_id, "To read")
            receiver = ("-aec", "CLINIC", "127.0.0.1", str(clinic.dicom_port))
            subprocess.run(["storescu", *receiver, *files], check=True)
            done = time.time()
            row_at, image_at = watch.end(page, 30_000)
            found.append((row_at - done, image_at - done))
    return found


def table(name: str, values: Sequence[float], unit: str) -> str:
    middle = statistics.median(values)
    return f"| {name} | {middle:.2f} {unit} | {min(values):.2f}-{max(values):.2f} | {len(values)} |"


def report(clinic: Clinic, browser: Browser, repetitions: int) -> None:
    print("| what | median | least-most | n |\n|---|---|---|---|")
    size = {"width": 1366, "height": 768}
    context = browser.new_context(viewport=size)
    waits = arrivals(sign_in(context, clinic, "reception"), clinic, repetitions)
    print(table("last C-STORE response to row *To read*", [row for row, _ in waits], "s"))
    print(table("... to its thumbnail", [image for _, image in waits], "s"))
    context.close()
    process = web_process(clinic)
    for username, paths in PAGES.items():
        context = browser.new_context(viewport=size)
        page = sign_in(context, clinic, username)
        for path in paths:
            address = clinic.url + (study_of(page, clinic) if path == "/study" else path)
            opening(page, process, address)  # once, so that caches are as on any other day
            costs = [opening(page, process, address) for _ in range(repetitions)]
            print(table(f"server CPU, `{path}` as {username}", costs, "ms"))
        context.close()


def study_of(page: Page, clinic: Clinic) -> str:
    """The address of a study that is open for reading."""
    page.goto(f"{clinic.url}/schedule")
    link = page.get_by_role("link", name="Open images").first
    return str(link.get_attribute("href"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        clinic = Clinic(Path(home) / "home")
        clinic.start()
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=CHROMIUM_ARGUMENTS
        )
        try:
            report(clinic, browser, options.repetitions)
        finally:
            browser.close()
            clinic.stop()


if __name__ == "__main__":
    main()
