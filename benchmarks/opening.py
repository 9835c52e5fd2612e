"""From the click on a study's row to its first image on the screen, in a whole clinic.

Run: ``python -m benchmarks.opening``. `clinic demo` with two kinds of CT imported, stored as they
are and as JPEG 2000; headless Chromium follows the row's link, as a reader does. The browser knows
the product's scripts, the study is new to everybody (``first``) or was open a moment ago
(``again``). An image counts as painted in the task after the animation frame that drew it. Then the
server's processor time for such a page with all it fetches. With ``--beside CHECKOUT`` the clinic
of another checkout is measured in turn with this one.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, generate_uid

from benchmarks.schedule import opening, web_process
from clinic_panel.imaging.phantom import ct_phantom
from tests.e2e.conftest import CHROMIUM_ARGUMENTS, ROOT, Clinic, sign_in

SLICES: Final = 40
WIDE: Final = "1366 px"
SIZES: Final = {WIDE: (1366, 768), "390 px": (390, 844)}
KINDS: Final = ("uncompressed", "JPEG 2000")
# Where the shadow roots are is noted as they are made: to search the page would be in its way.
WATCH: Final = """
(() => {
  const roots = [document];
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options);
    roots.push(root);
    return root;
  };
  const now = () => performance.timeOrigin + performance.now();
  addEventListener("click", (event) => {
    sessionStorage.setItem("clicked", performance.timeOrigin + event.timeStamp);
  }, true);
  if (location.pathname !== "/study") return;
  const seen = window.seen = {};
  const since = () => now() - Number(sessionStorage.getItem("clicked"));
  const at = (name) => { seen[name] ??= since(); };
  seen.html = since();
  const look = () => {
    const shown = roots.some((root) => root.querySelector("canvas[data-shown]"));
    if (shown && !seen.image) setTimeout(() => at("image"));
    if (seen.image && window.Bokeh?.index?.roots?.[0]?.is_idle) setTimeout(() => at("whole"));
    if (!seen.image || !seen.whole) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


@dataclass
class Subject:
    """One clinic under the stopwatch: its studies of each kind, and what was found."""

    name: str
    clinic: Clinic
    context: BrowserContext
    page: Page
    studies: dict[str, list[int]]
    found: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    cpu_ms: list[float] = field(default_factory=list)


def write_studies(folder: Path, count: int) -> dict[str, list[str]]:
    """Write so many studies of each kind; return their UIDs."""
    uids: dict[str, list[str]] = {}
    for kind in KINDS:
        slices = list(ct_phantom(slices=SLICES))
        if kind != "uncompressed":
            for ds in slices:
                ds.compress(JPEG2000Lossless)
        uids[kind] = [_write(slices, folder) for _ in range(count)]
    return uids


def _write(slices: list[Dataset], folder: Path) -> str:
    study, series, frame = (generate_uid() for _ in range(3))
    for ds in slices:
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.save_as(folder / f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)
    return str(study)


def import_into(clinic: Clinic, folder: Path) -> None:
    """Take the files of a folder into a clinic's archive."""
    command = [sys.executable, "-m", "clinic_panel", "import", "--home", str(clinic.home)]
    subprocess.run(
        [*command, str(folder)], cwd=clinic.checkout, check=True, stdout=subprocess.DEVNULL
    )


def take_in(clinic: Clinic, folder: Path, uids: dict[str, list[str]]) -> dict[str, list[int]]:
    """Import the studies; return the clinic's own numbers of them."""
    import_into(clinic, folder)
    with closing(sqlite3.connect(clinic.home / "clinic.db")) as database:
        rows = dict(database.execute("select study_instance_uid, id from study").fetchall())
    return {kind: [rows[uid] for uid in wanted] for kind, wanted in uids.items()}


def follow(subject: Subject, study_id: int) -> dict[str, float]:
    """Click on a row that leads to a study; return ms until HTML, first image and whole page."""
    page = subject.page
    page.goto(f"{subject.clinic.url}/schedule")
    link = page.get_by_role("link", name="Open images").first
    link.evaluate("(link, address) => { link.href = address; }", f"/study?id={study_id}")
    page.wait_for_load_state("networkidle")
    link.click(no_wait_after=True)
    page.wait_for_url("**/study?id=*", wait_until="commit")
    page.wait_for_function("window.seen?.image && window.seen?.whole", timeout=60_000)
    seen: dict[str, float] = page.evaluate("window.seen")
    return seen


def measure(subjects: list[Subject], repetitions: int) -> None:
    for subject in subjects:
        follow(subject, subject.studies[KINDS[0]][0])  # the product's scripts
    for size, (width, height) in SIZES.items():
        for number in range(1, repetitions + 1):
            for kind in KINDS:
                for subject in subjects:
                    subject.page.set_viewport_size({"width": width, "height": height})
                    for when in ("first", "again") if size == WIDE else ("again",):
                        found = follow(subject, subject.studies[kind][number])
                        subject.found[f"{kind}, {when}, {size}"].append(found)
    for number in range(2 * repetitions):
        for subject in subjects:
            address = f"{subject.clinic.url}/study?id={subject.studies[KINDS[0]][1]}"
            subject.page.set_viewport_size(dict(zip(("width", "height"), SIZES[WIDE], strict=True)))
            cost = opening(subject.page, web_process(subject.clinic), address)
            if number:  # the first one fetches what a narrow page did not show
                subject.cpu_ms.append(cost)


def report(subjects: list[Subject]) -> None:
    print("| from the click, ms | page's HTML | first image | whole page |\n|---|---|---|---|")
    for name in subjects[0].found:
        for subject in subjects:
            found = subject.found[name]
            cells = [_cell([one[what] for one in found]) for what in ("html", "image", "whole")]
            print(f"| {name}, {subject.name} | {' | '.join(cells)} |")
    for subject in subjects:
        print(f"server CPU to open, {subject.name}: {_cell(subject.cpu_ms)} ms")


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def start(stack: ExitStack, browser: Browser, checkout: Path, name: str) -> Subject:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clinic-opening-")))
    clinic = Clinic(home / "home", checkout)
    clinic.start()
    stack.callback(clinic.stop)
    context: Any = browser.new_context(viewport={"width": 1366, "height": 768})
    stack.callback(context.close)
    context.add_init_script(WATCH)
    return Subject(name, clinic, context, sign_in(context, clinic, "doctor"), {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--beside", type=Path, help="another checkout of this project")
    options = parser.parse_args()
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        arguments = {"executable_path": options.chromium, "args": CHROMIUM_ARGUMENTS}
        browser = stack.enter_context(playwright.chromium.launch(**arguments))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clinic-opening-")))
        uids = write_studies(folder, options.repetitions + 1)
        checkouts = {"here": ROOT} | ({"beside": options.beside} if options.beside else {})
        subjects = [start(stack, browser, path, name) for name, path in checkouts.items()]
        for subject in subjects:
            subject.studies = take_in(subject.clinic, folder, uids)
        measure(subjects, options.repetitions)
        report(subjects)


if __name__ == "__main__":
    main()
