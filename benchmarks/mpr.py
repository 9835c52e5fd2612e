"""Dragging the cross-hair of three linked sections of 512 x 512 x 300 int16, beside Cornerstone3D.

Run: ``python -m benchmarks.mpr``, in headless Chromium. The hand is real mouse events, each sent as
soon as the browser took the last. A frame counts when it shows *both* another coronal and another
sagittal section than the one before, in the task after the animation frame that drew them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.viewer import FLAGS, latencies, p95, renderer_mib
from benchmarks.viewer_pages import SLICES, serve

LONG: Final = 2_000
MOVES: Final = 120
SLAB_MM: Final = 20
SLABS: Final = {
    "ours, one slice": "slice",
    f"ours, MIP of {SLAB_MM} mm": "max",
    f"ours, mean of {SLAB_MM} mm": "mean",
}
PEERS: Final = {"Cornerstone3D, CPU": "cpu&", "Cornerstone3D, GPU path": ""}
SPY: Final = """
() => {
  const find = (node) => {
    if (!node.shadowRoot) return null;
    return node.shadowRoot.querySelector(".ports.mpr")
      ?? [...node.shadowRoot.querySelectorAll("*")].map(find).find(Boolean);
  };
  const ports = [...document.querySelectorAll("*")].map(find).find(Boolean);
  const canvas = (name) => ports.querySelector(`[data-section=${name}] canvas`);
  const places = () => [canvas("Coronal").dataset.shown, canvas("Sagittal").dataset.shown];
  const spy = window.spy = {ports, events: [], paints: []};
  let last = places();
  const channel = new MessageChannel();
  channel.port1.onmessage = () => spy.paints.push([performance.now(), 0]);
  const changed = () => {
    const now = places();
    if (now[0] === last[0] || now[1] === last[1]) return;
    last = now;
    channel.port2.postMessage(0);
  };
  for (const name of ["Coronal", "Sagittal"]) {
    new MutationObserver(changed).observe(canvas(name), {attributeFilter: ["data-shown"]});
  }
  const moved = (event) => event.buttons && spy.events.push(event.timeStamp);
  ports.addEventListener("pointermove", moved);
}
"""
WHOLE: Final = "[...spy.ports.querySelectorAll('.progress')].every((one) => one.hidden)"


def opened(browser: Browser, origin: str) -> tuple[Page, float]:
    """Return a page with the whole volume in it, and the seconds from its first section to that."""
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto(f"{origin}/study?mpr&slices={SLICES}")
    page.locator('.mpr [data-section="Axial"] canvas[data-shown]').wait_for(timeout=60_000)
    began = time.perf_counter()
    page.evaluate(SPY)
    page.wait_for_function(WHOLE, timeout=120_000)
    return page, time.perf_counter() - began


def long(browser: Browser, origin: str) -> tuple[float, float, str]:
    """Return MiB of the page at its most, seconds to the whole volume, and what is said of it.

    The worst case: the browser holds all the images it may before the sections are opened.
    """
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto(f"{origin}/study?preload&slices={LONG}")
    page.locator("canvas[data-shown]").wait_for(timeout=60_000)
    loaded, before = page.get_by_role("progressbar").first, ""
    while (now := loaded.get_attribute("aria-valuenow") or "") != before:
        before = now
        page.wait_for_timeout(3_000)
    page.keyboard.press("v")
    began, most = time.perf_counter(), 0.0
    axial = page.locator('.mpr [data-section="Axial"]')
    axial.locator("canvas[data-shown]").wait_for(timeout=60_000)
    bar = axial.get_by_role("progressbar")
    while bar.is_visible():
        most = max(most, renderer_mib())
        page.wait_for_timeout(250)
    seconds = time.perf_counter() - began
    page.evaluate(SPY)
    drag(page)
    most = max(most, renderer_mib())
    said = axial.locator(".place").inner_text().splitlines()[-1]
    page.close()
    return most, seconds, said


def peer(browser: Browser, origin: str, path: str) -> Page | str:
    """Return Cornerstone3D's page with the whole volume in it, or what it says instead."""
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto(f"{origin}/peer-mpr?{path}slices={SLICES}")
    page.wait_for_function("window.spy?.ready || window.failed", timeout=120_000)
    failed = page.evaluate("window.failed ?? ''")
    return str(failed).splitlines()[0] if failed else page


def drag(page: Page, axial: str = '[data-section="Axial"]') -> tuple[float, list[float]]:
    """Return painted frames a second, and milliseconds from each event to the next paint."""
    box = page.locator(axial).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 120, box["y"] + 200)
    page.mouse.down()
    page.evaluate("window.spy.events.length = window.spy.paints.length = 0")
    for step in range(1, MOVES + 1):
        way = min(step, MOVES - step)  # there and back, askew: every move changes both sections
        page.mouse.move(box["x"] + 120 + 3 * way + step % 2, box["y"] + 200 + 2 * way + step % 2)
    page.mouse.up()
    times = [moment for moment, _ in page.evaluate("window.spy.paints")]
    return (len(times) - 1) / (times[-1] - times[0]) * 1000, latencies(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    origin = serve()
    found: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))

    def note(name: str, page: Page, *axial: str) -> None:
        rate, wait = drag(page, *axial)
        found[name][0].append(rate)
        found[name][1].extend(wait)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page, filled = opened(browser, origin)
        for _ in range(options.repetitions):
            for name, mode in SLABS.items():
                page.get_by_label("What a section shows").select_option(mode)
                if mode != "slice":
                    page.get_by_label("Thickness of the slab").fill(str(SLAB_MM))
                    page.keyboard.press("Enter")
                note(name, page)
        most = renderer_mib()
        page.close()
        long_mib, seconds, said = long(browser, origin)
        print(f"{LONG} slices: {long_mib:.0f} MiB at most, whole after {seconds:.0f} s, {said!r}")
        for name, path in PEERS.items():
            other = peer(browser, origin, path)
            if isinstance(other, str):
                print(f"{name}: {other}")
                continue
            for _ in range(options.repetitions):
                note(name, other, "#AXIAL")
            other.close()
        browser.close()
    print(f"{SLICES} slices in the volume {filled:.1f} s after the first section; {most:.0f} MiB")
    print("| | frames a second | event to paint p50 / p95 ms |\n|---|---|---|")
    for name, (rates, waits) in found.items():
        spread = f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
        print(f"| {name} | {spread} | {statistics.median(waits):.0f} / {p95(waits):.0f} |")


if __name__ == "__main__":
    main()
