"""Wheel to painted, window drag and a cold burst in headless Chromium: 300 x 512 x 512 int16.

Run: ``python -m benchmarks.viewer``. A frame counts as painted in the task after the browser's
animation frame in which it was drawn.
"""

import argparse
import socket
import statistics
import threading
import time
from io import BytesIO
from typing import Any

import panel as pn
import psutil
import uvicorn
from fastapi import FastAPI, Response
from panel.io.fastapi import add_applications
from playwright.sync_api import Page, sync_playwright
from pydicom import dcmwrite

from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.imaging.phantom import ct_phantom
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame

SLICES = 300
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SPY = """
() => {
  const host = [...document.querySelectorAll("*")].map(function find(node) {
    if (!node.shadowRoot) return null;
    return node.shadowRoot.querySelector(".port")
      ?? [...node.shadowRoot.querySelectorAll("*")].map(find).find(Boolean);
  }).find(Boolean);
  const canvas = host.querySelector("canvas");
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
}
"""
BURST = """
async (count) => {
  const {canvas, host} = window.spy;
  window.spy.paints.length = 0;
  const slider = host.querySelector("input");
  const seen = new Set();
  const began = performance.now();
  for (let i = 1; i < count; i += 1) {
    await new Promise(requestAnimationFrame);
    slider.value = i;
    slider.dispatchEvent(new Event("input"));
  }
  while (canvas.dataset.shown !== String(count - 1)) await new Promise(requestAnimationFrame);
  const end = performance.now();
  await new Promise((done) => setTimeout(done, 50));
  for (const [, index] of window.spy.paints) seen.add(index);
  return {painted: seen.size, seconds: (end - began) / 1000};
}
"""


def serve() -> str:
    pictures = []
    for ds in ct_phantom(slices=SLICES):
        out = BytesIO()
        dcmwrite(out, ds, enforce_file_format=True)
        pictures.append(describe(out.getvalue()))
    api = FastAPI()

    @api.get("/frames/{number}/{frame}")
    def frame(number: int, frame: int) -> Response:
        found = read_frame(pictures[number], frame)
        return Response(found.data, headers={"X-Frame-Info": found.info.as_header()})

    def page() -> Any:
        stack = [{"id": number} for number in range(SLICES)]
        series = [
            {"id": "1", "label": "CT", "modality": "CT", "thumbnail_url": "", "frames": stack}
        ]
        preload = "preload" in pn.state.session_args
        return StudyViewer(
            series=series, frame_url="/frames/{id}/{frame}", width=1024, height=820, preload=preload
        )

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    add_applications({"/study": page}, app=api)
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{port}"


def opened(page: Page, url: str) -> None:
    page.goto(url)
    page.locator('canvas[data-shown="0"]').wait_for(timeout=30_000)
    page.evaluate(SPY)


def latencies(page: Page) -> list[float]:
    """Milliseconds from each input event to the first paint after it."""
    events, paints = page.evaluate("[window.spy.events, window.spy.paints]")
    times = [moment for moment, _ in paints]
    return [next((t - event for t in times if t > event), float("nan")) for event in events]


def line(name: str, values: list[float]) -> str:
    ordered = sorted(value for value in values if value == value)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    p50 = statistics.median(ordered)
    return f"{name:<34} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   n={len(ordered)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chromium = parser.parse_args().chromium
    origin = serve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        opened(page, f"{origin}/study?preload=1")
        page.wait_for_function(
            "!window.spy.host.querySelector('.progress').offsetParent", timeout=60_000
        )
        page.mouse.move(600, 450)
        for _ in range(120):
            page.mouse.wheel(0, 100)
            page.wait_for_timeout(60)
        print(line("wheel to painted, cached", latencies(page)))
        page.evaluate("window.spy.events.length = window.spy.paints.length = 0")
        page.mouse.down()
        for step in range(120):
            page.mouse.move(600 + step, 450 + step % 30)
            page.wait_for_timeout(40)
        page.mouse.up()
        print(line("window drag to painted", latencies(page)))
        memory = sum(
            one.memory_info().rss
            for one in psutil.Process().children(recursive=True)
            if "renderer" in " ".join(one.cmdline())
        )
        print(f"{'renderers, whole stack cached':<34} {memory / 2**20:6.0f} MiB")
        opened(page, f"{origin}/study")
        before = psutil.Process().cpu_times().user
        burst = page.evaluate(BURST, SLICES)
        cpu = psutil.Process().cpu_times().user - before
        rate = burst["painted"] / burst["seconds"]
        name = "burst of 300 from an empty cache"
        print(f"{name:<34} {burst['painted']} painted in {burst['seconds']:.2f} s ({rate:.0f} fps)")
        print(f"{'server CPU for a slice sent':<34} {1000 * cpu / SLICES:.2f} ms")
        browser.close()


if __name__ == "__main__":
    main()
