"""Several panes in a real browser: each its own series and place, one set of tools and marks."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.integration import test_viewer_browser as stage

browser, clinic, page = stage.browser, stage.clinic, stage.page


def pane(page: Page, number: int) -> Locator:
    return page.locator(".port").nth(number)


def shows(page: Page, number: int, key: str) -> None:
    expect(pane(page, number).locator("canvas")).to_have_attribute("data-key", key)


def roll(page: Page, number: int, notches: int) -> None:
    pane(page, number).hover(position={"x": 120, "y": 120})
    for _ in range(abs(notches)):
        page.mouse.wheel(0, 100 if notches > 0 else -100)


@pytest.fixture
def two(page: Page, clinic: Any) -> Page:
    clinic.options = {"layout": [1, 2]}
    page.goto(f"{clinic.origin}/study")
    shows(page, 0, "0/0")
    shows(page, 1, f"{stage.CLIP}/0")
    return page


def test_tools_act_on_the_active_pane_and_python_follows_it(two, clinic):
    stage.until(lambda: clinic.viewer.panes == ["1", "2"])
    expect(pane(two, 0)).to_have_class("port active")
    pane(two, 1).click(position={"x": 20, "y": 300})
    expect(pane(two, 1)).to_have_class("port active")
    two.keyboard.press("i")
    expect(pane(two, 1).locator(".values")).to_contain_text("inverted")
    expect(pane(two, 0).locator(".values")).not_to_contain_text("inverted")
    stage.until(lambda: (clinic.viewer.active_pane, clinic.viewer.selected_series) == (1, "2"))

    roll(two, 0, 3)
    shows(two, 0, "3/0")
    shows(two, 1, f"{stage.CLIP}/0")
    stage.until(lambda: (clinic.viewer.active_pane, clinic.viewer.index) == (0, 3))
    for number in (0, 1):  # whose images, and what they are not for, on each
        expect(pane(two, number).locator(".banner")).to_contain_text("ID P-1")
        expect(pane(two, number).locator(".notice")).to_have_text("Not for primary diagnosis")


def test_python_arranges_panes_and_marks_are_one_list(two, clinic):
    clinic.change(layout=[2, 2], panes=["2", "1", "1", "3"])
    expect(two.locator(".port")).to_have_count(4)
    shows(two, 0, f"{stage.CLIP}/0")
    shows(two, 1, "0/0")
    shows(two, 2, "0/0")
    expect(pane(two, 3).get_by_role("alert")).to_contain_text("The image is cut short.")
    pane(two, 2).click(position={"x": 20, "y": 200})
    two.keyboard.press("l")
    two.keyboard.press("Enter")
    for number in (1, 2):  # two panes at one image show the same shape
        expect(pane(two, number).locator(".shapes")).to_have_attribute("data-count", "1")
    stage.until(lambda: len(clinic.viewer.measurements) == 1)
    roll(two, 1, 1)
    expect(pane(two, 1).locator(".shapes")).to_have_attribute("data-count", "0")
    expect(pane(two, 2).locator(".shapes")).to_have_attribute("data-count", "1")

    clinic.change(layout=[1, 1])  # the active pane is the one that stays
    expect(two.locator(".port")).to_have_count(1)
    shows(two, 0, "1/0")
    stage.until(lambda: clinic.viewer.panes == ["1"])


def test_nine_panes_share_one_small_cache(page, clinic):
    ct = stage.series()[0]
    many = [ct | {"id": str(n), "frames": ct["frames"][n:] + ct["frames"][:n]} for n in range(9)]
    clinic.options = {"layout": [3, 3], "series": many, "cache_mb": 16, "prefetch": 200}
    page.goto(f"{clinic.origin}/study")
    for number in range(9):
        shows(page, number, f"{number}/0")
    roll(page, 8, 20)
    shows(page, 8, "28/0")
    shows(page, 0, "0/0")
