"""Subtraction angiography in a real browser: what is painted, said, kept and asked for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.picture import describe
from tests.integration import test_viewer_browser as stage
from tests.integration.test_measuring_browser import at, draw, label
from tests.pictures import angiogram

browser, page = stage.browser, stage.page
RUN, NATIVE, FRAMES, ROWS = 2000, 2001, 12, 256
VESSEL, BESIDE = (128, 0), (20, 200)  # columns and rows; what fills first, and what stays


@pytest.fixture(scope="module")
def clinic() -> Iterator[stage.Clinic]:
    made = stage.Clinic()
    made.pictures[RUN] = describe(angiogram(FRAMES, ROWS))
    made.pictures[NATIVE] = describe(angiogram(FRAMES, ROWS, RecommendedViewingMode="NAT"))
    made.pictures[stage.CLIP] = stage.described(stage.ultrasound(frames=3, rows=60, columns=80))
    with stage.served(made):
        yield made


def series() -> list[dict[str, Any]]:
    return [
        {"id": str(number), "label": label, "modality": modality, "thumbnail_url": ""}
        | {"frames": [{"id": number, "count": count}]}
        for number, label, modality, count in (
            (RUN, "Run", "XA", FRAMES),
            (NATIVE, "Native", "XA", FRAMES),
            (stage.CLIP, "Cine", "US", 3),
        )
    ]


@pytest.fixture
def reading(page: Page, clinic: stage.Clinic) -> Page:
    clinic.options = {"series": series()}
    stage.opened(page, clinic)
    return page


def viewport(page: Page) -> Locator:
    return page.get_by_role("application")


def said(page: Page) -> Locator:
    return page.locator(".overlay .values")


def level(page: Page, place: tuple[int, int]) -> int:
    """The grey that a pixel of the image is painted in: its canvas holds nothing else."""
    read = "(canvas, [x, y]) => canvas.getContext('2d').getImageData(x, y, 1, 1).data[0]"
    return page.locator(".port canvas").first.evaluate(read, list(place))


def is_painted(page: Page, clinic: stage.Clinic, frame: int, mask: str, **window: float) -> None:
    """What Python draws of the frame stands on the screen, in the vessel and beside it."""
    shown = clinic.frame(RUN, frame, mask)
    drawn = thumbnail.draw(shown, **window)
    for column, row in (VESSEL, BESIDE):
        assert level(page, (column, row)) == drawn[row, column]
    assert (drawn[0, 128] < drawn[200, 20]) == bool(frame)


def test_a_run_is_seen_subtracted_as_stored_and_with_another_mask(reading, clinic):
    page = reading
    expect(said(page)).to_contain_text("Subtracted: mask 1–2")
    page.keyboard.press("End")
    stage.shown(page, FRAMES - 1)
    is_painted(page, clinic, FRAMES - 1, "")
    tool = page.get_by_role("button", name="Subtraction", exact=True)
    expect(tool).to_have_attribute("aria-pressed", "true")
    page.mouse.move(*at(viewport(page), 128.5, 0.5))
    expect(said(page)).to_contain_text("y 0 -400")
    stage.drag(page, viewport(page), 60, 0)  # a window of the reader's own
    expect(said(page)).not_to_contain_text("WW 440")
    wide = said(page).inner_text().split("\n")[1]

    page.keyboard.press("Shift+D")
    expect(said(page)).to_contain_text("Without the subtraction of its mask")
    page.mouse.move(*at(viewport(page), 128.5, 0.5))
    native = clinic.frame(RUN, FRAMES - 1, "none")
    expect(said(page)).to_contain_text(f"y 0 {native.stored[0, 128]}")
    expect(said(page)).to_contain_text(f"WW {native.info.window_width:.0f}")
    is_painted(page, clinic, FRAMES - 1, "none")
    expect(tool).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name="Mask: this image")).to_be_hidden()
    stage.until(lambda: clinic.viewer.mask == "none")

    tool.click()
    expect(said(page)).to_contain_text("Subtracted: mask 1–2")
    expect(said(page)).to_contain_text(wide)
    page.keyboard.press("Shift+M")
    expect(said(page)).to_contain_text("Subtracted: mask 12")
    assert level(page, VESSEL) == level(page, BESIDE)  # taken from itself, nothing is left
    stage.until(lambda: clinic.viewer.mask == "12")
    np.testing.assert_array_equal(clinic.viewer.image.dimension_values(2), 0)
    page.keyboard.press("r")  # to the usual window, which goes along with the mask from now on
    expect(said(page)).to_contain_text("Subtracted: mask 1–2")
    expect(said(page)).to_contain_text("WW 440")
    stage.until(lambda: clinic.viewer.mask is None)
    page.keyboard.press("Shift+M")
    usual = clinic.frame(RUN, 11, "12").info
    expect(said(page)).to_contain_text(f"WW {int(usual.window_width + 0.5)} ")


def test_a_run_plays_subtracted_and_its_regions_have_no_values(reading, clinic):
    page = reading
    page.keyboard.press("b")
    draw(page, viewport(page), (100, 100), (150, 150))
    expect(label(page, "rectangle")).to_contain_text("Values only without subtraction")
    expect(label(page, "rectangle")).not_to_contain_text("Mean")
    page.keyboard.press("Shift+D")
    expect(label(page, "rectangle")).to_contain_text("Mean")
    page.keyboard.press("Shift+D")
    expect(label(page, "rectangle")).not_to_contain_text("Mean")
    page.keyboard.press("Space")
    expect(stage.canvas(page)).not_to_have_attribute("data-shown", "0")
    page.keyboard.press("Space")
    expect(said(page)).to_contain_text("Subtracted: mask 1–2")


def test_a_recording_is_subtracted_where_it_can_be_and_when_it_is_asked_for(reading, clinic):
    page = reading
    page.keyboard.press("]")
    tool = page.get_by_role("button", name="Subtraction", exact=True)
    expect(tool).to_have_attribute("aria-pressed", "false")
    expect(said(page)).not_to_contain_text("ubtract")
    page.keyboard.press("Shift+D")
    expect(said(page)).to_contain_text("Subtracted: mask 1–2")
    page.keyboard.press("]")
    expect(tool).to_be_hidden()
    page.keyboard.press("Shift+D")
    expect(page.get_by_role("alert").filter(has_text="nothing to subtract")).to_be_visible()


def test_a_study_opens_again_with_the_mask_that_was_chosen(page, clinic):
    clinic.options = {"series": series(), "selected_series": str(RUN), "index": 8, "mask": "4"}
    clinic.options |= {"window_center": -100.0, "window_width": 300.0}
    page.goto(f"{clinic.origin}/study")
    stage.shown(page, 8)
    expect(said(page)).to_contain_text("Subtracted: mask 4")
    expect(said(page)).to_contain_text("WW 300  WL -100")
