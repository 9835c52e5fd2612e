"""What is left in the browser of studies that were looked at: nothing."""

from __future__ import annotations

from typing import Any

import panel as pn
import pytest
from panel.io.fastapi import add_applications
from playwright.sync_api import Page, expect

from clinic_panel.components.viewer.viewer import StudyViewer
from tests.integration import test_viewer_browser as stage

browser, clinic, page = stage.browser, stage.clinic, stage.page

STUDIES = 50
# What may come and go: much less than 25 studies would leave, or one viewer.
ROOM = {"Documents": 0, "Nodes": 120, "JSEventListeners": 40, "JSHeapUsedSize": 1 << 20}


class Desk:
    """A page on which a viewer stands, in a document that the test may change."""

    def page(self) -> pn.Column:
        self.doc, self.place = pn.state.curdoc, pn.Column(sizing_mode="stretch_width")
        self.stand()
        return self.place

    def stand(self) -> None:
        """Put a viewer where the last one was."""
        self.viewer = StudyViewer(
            frame_url="/frames/{id}/{frame}",
            offers=[{"id": "film", "label": "Film…", "hint": ""}],
            second_url="/desk",
            sizing_mode="stretch_width",
            height=640,
        )
        self.place[:] = [self.viewer]

    def open(self, study: int) -> None:
        """Put the series of another study into the viewer."""
        frames = [{"id": (study + step) % stage.SLICES} for step in range(3)]
        series = [
            {"id": f"{study}-{number}", "label": "CT", "modality": "CT", "study": str(study)}
            | {"thumbnail_url": f"/thumbs/{study % stage.SLICES}", "frames": frames}
            for number in range(2)
        ]
        home = {"id": str(study), "date": "2026-03-16", "label": "CT", "is_prior": False}
        self.viewer.param.update(
            series=series, studies=[home | {"is_open": True}], measurements=[], key_images=[]
        )


@pytest.fixture(scope="module")
def desks(clinic) -> list[Desk]:
    made: list[Desk] = []

    def page() -> pn.Column:
        made.append(Desk())
        return made[-1].page()

    add_applications({"/desk": page}, app=clinic.api)
    return made


@pytest.fixture
def desk(page, clinic, desks) -> Desk:
    page.goto(f"{clinic.origin}/desk")
    expect(page.get_by_role("application")).to_be_visible()
    return desks[-1]


def read(page: Page, study: int) -> None:
    """Look at a study as a reader does: scroll, measure, mark, open every panel."""
    expect(page.locator(f'canvas[data-key="{study % stage.SLICES}/0"]')).to_be_visible()
    page.get_by_role("application").focus()
    for key in ("ArrowDown", "l", "Enter", "k", "m", "0"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Save and hand out").click()
    expect(page.get_by_role("menuitem", name="Film…")).to_be_focused()


def held(page: Page) -> dict[str, int]:
    """What the page holds once its garbage is gone."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    found: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return {one["name"]: int(one["value"]) for one in found if one["name"] in ROOM}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Of what there is more than may come and go."""
    more = {name: after[name] - before[name] for name in ROOM}
    return {name: count for name, count in more.items() if count > ROOM[name]}


def test_of_fifty_studies_none_is_left_behind(page, clinic, desk):
    half: dict[str, int] = {}
    for study in range(STUDIES):
        desk.doc.add_next_tick_callback(lambda study=study: desk.open(study))
        read(page, study)
        if study == STUDIES // 2 - 1:
            half = held(page)
    assert grown(half, held(page)) == {}


def test_a_viewer_that_goes_takes_along_what_it_had(page, clinic, desk):
    before: dict[str, int] = {}
    for study in range(4):
        desk.doc.add_next_tick_callback(lambda study=study: (desk.stand(), desk.open(study)))
        read(page, study)
        before = before or held(page)
    after = held(page)
    # Bokeh's own document keeps the models, which have no nodes and hear nothing.
    assert {name: after[name] for name in grown(before, after)}.keys() <= {"JSHeapUsedSize"}
