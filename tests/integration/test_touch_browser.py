"""Every tool of the viewer by fingers, on a phone, on one page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from clinic_panel.imaging.measure import Shape
from tests.integration import test_viewer_browser as stage
from tests.integration.test_measuring_browser import at, label, numbers

browser, clinic = stage.browser, stage.clinic

MM = 1.5  # of a pixel
MARK = {
    "id": "mark",
    "kind": "rectangle",
    "instance_id": 0,
    "frame": 0,
    "points": [[100.0, 100.0], [140.0, 140.0]],
    "text": "",
}
type Spot = tuple[float, float]


class Phone:
    """A page of 390 pixels, and the fingers on it; places are in pixels of the image."""

    def __init__(self, page: Page, clinic: stage.Clinic, viewport: Locator) -> None:
        self.page, self.clinic, self.viewport = page, clinic, viewport
        self._touch = page.context.new_cdp_session(page)
        self.is_down = False
        self.home: list[float] = []  # where the mark was at first

    def send(self, kind: str, *spots: Spot) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(spots)]
        self._touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        self.is_down = kind != "touchEnd"

    def on(self, *places: Spot) -> list[Spot]:
        return [at(self.viewport, *place) for place in places]

    def draw(self, *places: Spot, steps: int = 3) -> None:
        """One finger from place to place."""
        spots = self.on(*places)
        self.send("touchStart", spots[0])
        for (x1, y1), (x2, y2) in itertools.pairwise(spots):
            for step in range(1, steps + 1):
                share = step / steps
                self.send("touchMove", (x1 + share * (x2 - x1), y1 + share * (y2 - y1)))
        self.send("touchEnd")

    def tap(self, *places: Spot) -> None:
        for spot in self.on(*places):
            self.page.touchscreen.tap(*spot)

    def choose(self, name: str) -> None:
        """Tap a tool: on the toolbar, else in the panel of measuring tools."""
        bar = self.page.get_by_role("toolbar", name="Image tools")
        button = bar.get_by_role("button", name=name, exact=True)
        if not button.count():
            bar.get_by_role("button", name="Measure").tap()
            button = self.page.get_by_role("dialog", name="Measurements")
            button = button.get_by_role("button", name=name, exact=True)
        button.tap()

    def mark(self) -> list[float]:
        """Left, top and width on the screen of a rectangle drawn on the image before."""
        box = self.page.locator(".shapes [data-kind=rectangle] rect").last
        return [float(box.get_attribute(name) or "nan") for name in ("x", "y", "width")]

    @property
    def made(self) -> list[dict[str, Any]]:
        return [one for one in self.clinic.viewer.measurements if one["id"] != "mark"]


@pytest.fixture(scope="module")
def held(browser, clinic) -> Iterator[Phone]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    clinic.options = {"measurements": [MARK], "layout": [1, 1], "tool": "window"}
    phone = Phone(page, clinic, stage.opened(page, clinic))
    phone.home = phone.mark()
    yield phone
    context.close()
    assert problems == []


@pytest.fixture
def phone(held: Phone, clinic) -> Iterator[Phone]:
    """The page as it was opened: each test leaves it so."""
    yield held
    if held.is_down:
        held.send("touchEnd")
    clinic.change(measurements=[MARK], index=0)
    stage.heard(held.page, clinic)
    stage.shown(held.page, 0)
    expect(held.page.locator(".shapes")).to_have_attribute("data-count", "1")
    held.viewport.focus()
    for key in ("Escape", "w", "r"):
        held.page.keyboard.press(key)
    expect(held.page.locator(".values")).to_contain_text("WW 400")
    stage.until(lambda: held.mark() == pytest.approx(held.home))
    stage.until(lambda: clinic.viewer.tool == "window")
    held.tap((10, 10))  # the emulation takes the first tap after a drag for the end of a fling


def test_every_control_of_the_toolbar_is_large_enough_for_a_thumb(phone):
    bar = phone.page.get_by_role("toolbar", name="Image tools")
    controls = bar.locator("button:visible, select:visible").all()
    assert len(controls) > 15
    for control in controls:
        box = control.bounding_box()
        assert min(box["width"], box["height"]) >= 43.9, control.get_attribute("aria-label")
    last = bar.get_by_role("button", name="Keyboard and mouse help")
    last.scroll_into_view_if_needed()
    box = last.bounding_box()
    assert 0 <= box["x"] <= 390 - box["width"]
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390


def window(phone: Phone) -> None:
    phone.draw((90, 200), (190, 200))
    stage.until(lambda: phone.clinic.viewer.window_width > 420)


def scroll(phone: Phone) -> None:
    phone.draw((200, 60), (200, 200), steps=8)
    canvas = stage.canvas(phone.page)
    stage.until(lambda: phone.clinic.viewer.index == int(canvas.get_attribute("data-shown")) > 5)


def pan(phone: Phone) -> None:
    (x, y), (to_x, to_y) = phone.on((60, 60), (100, 90))
    left, top, width = phone.mark()
    phone.draw((60, 60), (100, 90))
    moved = left + to_x - x, top + to_y - y, width
    stage.until(lambda: phone.mark() == pytest.approx(moved, abs=1))


def zoom(phone: Phone) -> None:
    width = phone.mark()[2]
    (_, y), (_, to_y) = phone.on((200, 220), (200, 150))
    phone.draw((200, 220), (200, 150))
    wide = width * math.exp((y - to_y) / 150)
    stage.until(lambda: phone.mark()[2] == pytest.approx(wide, rel=0.02))


def magnify(phone: Phone) -> None:
    [spot] = phone.on((50.5, 60.5))
    phone.send("touchStart", spot)
    expect(phone.page.locator(".loupe")).to_be_visible()
    glass = phone.page.locator(".loupe").bounding_box()
    assert glass["y"] + glass["height"] / 2 < spot[1] - 60  # above the finger, which covers it
    expect(phone.page.locator(".values")).to_contain_text("x 50  y 60")
    phone.send("touchEnd")
    expect(phone.page.locator(".loupe")).to_have_count(0)
    expect(phone.page.locator(".values")).not_to_contain_text("x 50")


TOOLS: dict[str, Callable[[Phone], None]] = {
    "Window and level": window,
    "Scroll": scroll,
    "Move": pan,
    "Zoom": zoom,
    "Magnifier": magnify,
}


@pytest.mark.parametrize("name", TOOLS)
def test_a_finger_drags_with_the_tool(phone, name):
    phone.choose(name)
    TOOLS[name](phone)


# Strokes of one finger, and what is then said; the last of a polygon's taps is on its first corner.
DRAWN: dict[str, tuple[list[list[Spot]], list[float]]] = {
    "Length": ([[(60, 60), (160, 60)]], [100 * MM]),
    "Bidirectional": ([[(60, 60), (160, 60)]], [100 * MM, 50 * MM]),
    "Angle": ([[(60, 60), (60, 160)], [(160, 160)]], [90]),
    "Cobb angle": ([[(60, 60), (160, 60)], [(60, 160), (160, 210)]], [26.6, 153.4]),
    "Rectangle": ([[(60, 60), (100, 90)]], [40 * 30 * MM * MM / 100]),
    "Ellipse": ([[(60, 60), (100, 100)]], [math.pi * 400 * MM * MM / 100]),
    "Polygon": ([[(60, 60)], [(200, 60)], [(200, 200)], [(60, 60)]], [9800 * MM * MM / 100]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_finger_draws(phone, name):
    strokes, truth = DRAWN[name]
    phone.choose(name)
    expect(phone.page.get_by_role("dialog", name="Measurements")).to_be_hidden()
    for places in strokes:
        if len(places) > 1:
            phone.draw(*places)
        else:
            phone.tap(*places)
    stage.until(lambda: phone.made)
    [kept] = phone.made
    kind = Shape(kept["kind"])
    text = label(phone.page, kind.value).last.text_content()
    found = numbers(text.replace("°", " ").replace("²", " "))[: len(truth)]
    assert found == pytest.approx(truth, rel=0.03)  # a finger has whole pixels of the screen
    if kind is Shape.LENGTH:  # and by its end it is bent
        phone.draw(kept["points"][1], (160, 150))
        stage.until(lambda: phone.made[0]["points"][1][1] > 140)


def test_a_finger_points_and_the_words_are_typed(phone):
    phone.choose("Arrow with text")
    phone.draw((100, 180), (150, 200))
    words = phone.page.get_by_role("textbox", name="Text of the shape")
    words.fill("Here")
    words.press("Enter")
    stage.until(lambda: [one["text"] for one in phone.made] == ["Here"])


def test_a_finger_calibrates(phone):
    phone.choose("Calibrate")
    phone.draw((60, 200), (160, 200))
    asked = phone.page.get_by_role("form", name="Calibrate on a known object")
    known = asked.get_by_label("Length in mm")
    known.fill("50")
    known.press("Enter")
    stage.until(lambda: [one.get("known_mm") for one in phone.made] == [50])


def test_a_finger_that_rests_asks_for_the_value_or_for_the_words_of_a_shape(phone):
    places = (60.5, 90.5), (180.5, 90.5), (100, 120)
    here, there, edge = phone.on(*places)
    phone.send("touchStart", here)
    expect(phone.page.locator(".loupe")).to_be_visible()
    values = phone.clinic.frame(0, 0).values
    value = phone.page.locator(".values")
    expect(value).to_contain_text(f"x 60  y 90  {values[90, 60]:g} HU")
    phone.send("touchMove", there)
    expect(value).to_contain_text(f"x 180  y 90  {values[90, 180]:g} HU")
    phone.send("touchEnd")
    expect(phone.page.locator(".loupe")).to_have_count(0)
    phone.send("touchStart", edge)
    words = phone.page.get_by_role("textbox", name="Text of the shape")
    expect(words).to_be_visible()
    phone.send("touchEnd")
    words.fill("Held")
    words.press("Enter")
    stage.until(lambda: phone.clinic.viewer.measurements[0]["text"] == "Held")
    expect(value).to_contain_text("WW 400")


def test_two_fingers_pinch_and_move_and_leave_what_is_being_drawn(phone):
    phone.choose("Polygon")
    phone.tap((60, 60), (200, 60))
    left, top, width = phone.mark()
    middle = phone.on((128, 128))[0]
    x, y = middle

    def pair(apart: float, dx: float = 0, dy: float = 0) -> tuple[Spot, Spot]:
        return (x + dx - apart, y + dy), (x + dx + apart, y + dy)

    phone.send("touchStart", pair(50)[0])
    phone.send("touchStart", *pair(50))
    for step in range(1, 6):
        phone.send("touchMove", *pair(50 + 5 * step, 4 * step, 6 * step))
    phone.send("touchEnd")
    stage.until(lambda: phone.mark()[2] == pytest.approx(width * 1.5, rel=0.01))
    box = phone.viewport.bounding_box()
    focus_x, focus_y = x - box["x"], y - box["y"]
    where = (focus_x + 20 + (left - focus_x) * 1.5, focus_y + 30 + (top - focus_y) * 1.5)
    assert phone.mark()[:2] == pytest.approx(where, abs=1.5)
    assert phone.made == []

    def grown(place: Spot) -> Spot:
        sx, sy = phone.on(place)[0]
        return x + 20 + (sx - x) * 1.5, y + 30 + (sy - y) * 1.5

    for place in ((160, 140), (60, 60)):  # on with the polygon: its corners are where they were
        phone.page.touchscreen.tap(*grown(place))
    stage.until(lambda: phone.made)
    assert phone.made[0]["points"] == [
        pytest.approx(place, abs=2) for place in ((60, 60), (200, 60), (160, 140))
    ]
