"""What everybody must be able to read, reach and name on a page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as TooLong

SCRIPT = Path(__file__).with_name("access.js").read_text(encoding="utf-8")
COLOURS_MS = 5_000  # a theme may fade in
MOST_TABS = 400


def faults(page: Page) -> list[str]:
    """Return what breaks a rule: faint text in either theme, no name, no way by keyboard."""
    page.evaluate(SCRIPT)
    found = [f"no name: {node}" for node in page.evaluate("access.nameless()")]
    found += [f"for the mouse alone: {node}" for node in page.evaluate("access.mouseOnly()")]
    kept = page.evaluate("document.documentElement.dataset.theme ?? ''")
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        found += [f"faint, {theme}: {node}" for node in _faint(page)]
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", kept)
    return found + [f"not met by Tab: {node}" for node in _missed(page)]


def _faint(page: Page) -> list[str]:
    try:
        page.wait_for_function("access.faint().length === 0", timeout=COLOURS_MS)
    except TooLong:
        return sorted(set(page.evaluate("access.faint()")))
    return []


def _missed(page: Page) -> list[str]:
    """Walk the page by Tab; it must meet every control and not be caught on the way."""
    left = page.evaluate("access.begin()")
    for _ in range(MOST_TABS):
        if not left:
            break
        page.keyboard.press("Tab")
        left = page.evaluate("access.step()")
    return sorted(set(page.evaluate("access.missed()")))
