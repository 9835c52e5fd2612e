"""A row of the schedule under a stopwatch: when did its words and its picture stand in the page?"""

from __future__ import annotations

from playwright.sync_api import Page

# Rows live in the shadow roots of Bokeh's views.
_WATCH = """
([name, status]) => {
  const seen = window.seen = {};
  const rows = (root) => [...root.querySelectorAll("*")].flatMap((node) => [
    ...(node.getAttribute("role") === "row" && node.innerText.includes(name) ? [node] : []),
    ...(node.shadowRoot ? rows(node.shadowRoot) : []),
  ]);
  const look = () => {
    for (const row of rows(document)) {
      if (row.innerText.includes(status)) seen.row ??= Date.now();
      const image = row.querySelector("img");
      if (image?.complete && image.naturalWidth) seen.image ??= Date.now();
    }
    if (!(seen.row && seen.image)) requestAnimationFrame(look);
  };
  look();
}
"""


def begin(page: Page, name: str, status: str) -> None:
    """Watch the rows that name somebody, frame by frame, for a status and a loaded picture."""
    page.evaluate(_WATCH, [name, status])


def end(page: Page, timeout_ms: float) -> tuple[float, float]:
    """Wait for both; return when each was there, in seconds of the clock all processes share."""
    page.wait_for_function("window.seen.row && window.seen.image", timeout=timeout_ms)
    seen = page.evaluate("window.seen")
    return seen["row"] / 1000, seen["image"] / 1000
