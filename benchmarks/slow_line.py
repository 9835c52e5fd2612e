"""How soon the first image is there: after a click, warm, and over a line of 10 Mbit/s.

Run: ``python -m benchmarks.slow_line``. The viewer as in ``benchmarks.viewer``, with one CT slice
stored uncompressed and as JPEG 2000, and a radiograph of 10 MB. The line's pace and its 50 ms are
the browser's own emulation, since not every kernel can slow a network down.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Final

from playwright.sync_api import Page, sync_playwright

from benchmarks.viewer import FLAGS
from benchmarks.viewer_pages import KINDS, serve

SLOW: Final = {
    "offline": False,
    "latency": 50,
    "downloadThroughput": 10e6 / 8,
    "uploadThroughput": 10e6 / 8,
}
FIRST: Final = """
async (label) => {
  const deep = (root, wish) => root.querySelector(wish)
    ?? [...root.querySelectorAll("*")]
      .map((one) => one.shadowRoot && deep(one.shadowRoot, wish)).find(Boolean);
  const button = deep(document, `button[aria-label^="CT ${label}"]`);
  const canvas = deep(document, ".port canvas");
  const title = deep(document, ".study");
  const began = performance.now();
  const since = () => performance.now() - began;
  let first = null;
  button.click();
  for (;;) {
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done));
    if (!title.textContent.startsWith(label)) continue;
    if (canvas.dataset.preview || canvas.dataset.shown) first ??= since();
    if (canvas.dataset.shown) return [first, since()];
  }
}
"""


def measure(page: Page, label: str) -> tuple[float, float]:
    """Return ms from the click on a series to something of it painted, and to the exact image."""
    first, exact = page.evaluate(FIRST, label)
    return first, exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    origin = serve()
    print("| first image, ms from the click | painted | exact |\n|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for line, condition in (("this machine", None), ("10 Mbit/s, 50 ms", SLOW)):
            for label in KINDS:
                found = []
                for _ in range(options.repetitions):
                    page = browser.new_page(viewport={"width": 1100, "height": 900})
                    page.goto(f"{origin}/study?kinds")
                    page.locator('canvas[data-shown="0"]').wait_for(timeout=60_000)
                    if condition:
                        page.context.new_cdp_session(page).send(
                            "Network.emulateNetworkConditions", condition
                        )
                    found.append(measure(page, label))
                    page.close()
                first, exact = (statistics.median(values) for values in zip(*found, strict=True))
                print(f"| {line}, {label} | {first:.0f} | {exact:.0f} |")
        browser.close()


if __name__ == "__main__":
    main()
