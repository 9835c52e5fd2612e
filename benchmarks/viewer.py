"""The viewer beside Cornerstone3D in headless Chromium: wheel, window drag, a cold burst, memory.

Run: ``python -m benchmarks.viewer``. Both show the same stack from the same server, in turn. A
frame counts as painted in the task after the browser's animation frame in which it was drawn.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.viewer_pages import CLIP_FRAMES, PORT_PIXELS, SLICES, serve

FLAGS: Final = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--enable-unsafe-swiftshader",),  # WebGL without a graphics card, for Cornerstone's GPU path
]
FRAME_MS: Final = 1000 / 60  # of the screen
LONG: Final = 2_000  # slices of the long stack
OURS_SPY: Final = """
() => {
  const host = [...document.querySelectorAll("*")].map(function find(node) {
    if (!node.shadowRoot) return null;
    return node.shadowRoot.querySelector(".port")
      ?? [...node.shadowRoot.querySelectorAll("*")].map(find).find(Boolean);
  }).find(Boolean);
  const canvas = host.querySelector("canvas");
  const slider = host.querySelector("input");
  const spy = window.spy = {host, canvas, events: [], paints: []};
  const channel = new MessageChannel();
  const note = () => spy.paints.push([performance.now(), Number(canvas.dataset.shown)]);
  channel.port1.onmessage = note;
  const text = host.querySelector(".values");
  new MutationObserver(() => channel.port2.postMessage(0)).observe(canvas, {attributes: true});
  new MutationObserver(() => channel.port2.postMessage(0))
    .observe(text, {characterData: true, childList: true, subtree: true});
  host.addEventListener("wheel", (event) => spy.events.push(event.timeStamp));
  const moved = (event) => event.buttons && spy.events.push(event.timeStamp);
  host.addEventListener("pointermove", moved);
  spy.go = (index) => {
    slider.value = index;
    slider.dispatchEvent(new Event("input"));
  };
  spy.ready = true;
}
"""
BURST: Final = """
async (count) => {
  const {spy} = window;
  spy.paints.length = 0;
  const seen = new Set();
  const began = performance.now();
  for (let i = 1; i < count; i += 1) {
    await new Promise(requestAnimationFrame);
    spy.go(i);
  }
  while (spy.paints.at(-1)?.[1] !== count - 1) await new Promise(requestAnimationFrame);
  const seconds = (performance.now() - began) / 1000;
  for (const [, index] of spy.paints) seen.add(index);
  return {painted: seen.size, seconds};
}
"""


@dataclass(frozen=True, slots=True)
class Viewer:
    """One page that shows the stack."""

    name: str
    path: str
    spy: str = ""


OURS: Final = Viewer("ours", "/study?", OURS_SPY)
VIEWERS: Final = (
    OURS,
    Viewer("Cornerstone3D, CPU", "/peer?cpu&"),
    Viewer("Cornerstone3D, GPU path", "/peer?"),
)
LATENCIES: Final = ("wheel", "drag")


def opened(browser: Browser, url: str, viewer: Viewer, slices: int = SLICES) -> Page:
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.goto(f"{url}{viewer.path}slices={slices}")
    if viewer.spy:
        page.locator('canvas[data-shown="0"]').wait_for(timeout=30_000)
        page.evaluate(viewer.spy)
    page.wait_for_function("window.spy?.ready", timeout=120_000)
    size = page.evaluate("[window.spy.host.clientWidth, window.spy.host.clientHeight]")
    if size != [PORT_PIXELS, PORT_PIXELS]:
        raise SystemExit(f"{viewer.name} has {size} pixels, which makes it no fair comparison")
    return page


def latencies(page: Page) -> list[float]:
    """Milliseconds from each input event to the first paint after it."""
    events, paints = page.evaluate("[window.spy.events, window.spy.paints]")
    page.evaluate("window.spy.events.length = window.spy.paints.length = 0")
    times = [moment for moment, _ in paints]
    return [next(t - event for t in times if t > event) for event in events if event < times[-1]]


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def interact(browser: Browser, origin: str, viewer: Viewer) -> dict[str, tuple[float, float]]:
    """Return p50 and p95 of wheel and window drag, in ms, the whole stack cached.

    A hand moves at any moment of the screen's clock; even pauses after the browser's answer would
    keep to one, and measure mostly which.
    """
    pause = random.Random(7)
    page = opened(browser, f"{origin}", Viewer(viewer.name, f"{viewer.path}preload&", viewer.spy))
    if viewer.spy:
        hidden = "!window.spy.host.querySelector('.progress').offsetParent"
        page.wait_for_function(hidden, timeout=120_000)
    page.evaluate("window.spy.events.length = window.spy.paints.length = 0")
    page.mouse.move(600, 450)
    for _ in range(120):
        page.mouse.wheel(0, 100)
        page.wait_for_timeout(60 + pause.uniform(0, FRAME_MS))
    wheel = latencies(page)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(600 + step, 450 + step % 30)
        page.wait_for_timeout(40 + pause.uniform(0, FRAME_MS))
    page.mouse.up()
    drag = latencies(page)
    page.close()
    return {
        "wheel": (statistics.median(wheel), p95(wheel)),
        "drag": (statistics.median(drag), p95(drag)),
    }


def burst(browser: Browser, origin: str, viewer: Viewer) -> tuple[int, float, float]:
    """Return slices painted, frames a second and server CPU a slice in ms, from an empty cache."""
    page = opened(browser, origin, viewer)
    before = psutil.Process().cpu_times()
    found = page.evaluate(BURST, SLICES)
    after = psutil.Process().cpu_times()
    page.close()
    cpu = (after.user + after.system - before.user - before.system) * 1000 / SLICES
    return found["painted"], found["painted"] / found["seconds"], cpu


def memory(browser: Browser, origin: str, what: str, count: int) -> float:
    """Return MiB of the page's process at its most, a stack scrolled through once."""
    page = opened(browser, origin, Viewer(OURS.name, f"{OURS.path}{what}", OURS.spy), count)
    most, steps = 0.0, range(0, count, max(1, count // 500))
    for place, index in enumerate(steps):
        page.evaluate("(index) => window.spy.go(index)", index)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        if place % 25 == 0:
            most = max(most, renderer_mib())
    last = f"window.spy.canvas.dataset.shown === '{steps[-1]}'"
    page.wait_for_function(last, timeout=60_000)
    most = max(most, renderer_mib())
    page.close()
    return most


def renderer_mib() -> float:
    """Return MiB of the largest page process."""
    children = psutil.Process().children(recursive=True)
    pages = [one for one in children if "--type=renderer" in one.cmdline()]
    return max(one.memory_info().rss for one in pages) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", choices=("speed", "memory"))
    options = parser.parse_args()
    origin = serve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        if options.only != "memory":
            _speed(browser, origin, options.repetitions)
        if options.only != "speed":
            _memory(browser, origin)
        browser.close()


def _speed(browser: Browser, origin: str, repetitions: int) -> None:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(repetitions):
        for viewer in VIEWERS:
            for name, (middle, high) in interact(browser, origin, viewer).items():
                found[viewer.name, f"{name} p50"].append(middle)
                found[viewer.name, f"{name} p95"].append(high)
            painted, rate, cpu = burst(browser, origin, viewer)
            found[viewer.name, "painted"].append(painted)
            found[viewer.name, "fps"].append(rate)
            found[viewer.name, "server ms a slice"].append(cpu)
    measures = list(dict.fromkeys(measure for _, measure in found))
    print(f"| {SLICES} slices | " + " | ".join(measures) + " |")
    print("|---" * (len(measures) + 1) + "|")
    for viewer in VIEWERS:
        cells = [_cell(found[viewer.name, measure]) for measure in measures]
        print(f"| {viewer.name} | " + " | ".join(cells) + " |")


def _memory(browser: Browser, origin: str) -> None:
    stacks = {
        f"{LONG:,} slices": ("", LONG),
        f"an ultrasound of {CLIP_FRAMES} frames of 800 x 600 in colour": ("clip&", CLIP_FRAMES),
    }
    for name, stack in stacks.items():
        most = memory(browser, origin, *stack)
        print(f"the page's process, {name} scrolled through: {most:.0f} MiB at its most")


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
