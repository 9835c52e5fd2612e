"""The reading area in a real browser: real mouse, wheel and keys, pixels over real HTTP."""

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import panel as pn
import pytest
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from panel.io.fastapi import add_applications
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from pydicom import dcmwrite
from pydicom.data import get_testdata_file

from clinic_panel.components.viewer import viewer as viewer_module
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.errors import ClinicError
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.phantom import INSERTS, ct_phantom, ultrasound
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.subtraction import Wish, read_seen

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
VIEWER = Path(viewer_module.__file__).parent
SLICES, ROWS = 48, 256
WORDS = itertools.count()
CLIP, DAMAGED, PALETTE, GRAPHICS = 1000, 1001, 1002, 1003
BANNER = {
    "name": "<img src=x onerror=alert(1)>Tanaka 田中",
    "id": "P-1",
    "birth_date": "1961-04-12",
    "sex": "F",
    "study_date": "2026-03-16",
    "study": "CT Abdomen",
}


@dataclass
class Clinic:
    """A web server with pictures in memory, and the viewers it opened."""

    origin: str = ""
    pictures: dict[int, Picture] = field(default_factory=dict)
    viewers: list[tuple[StudyViewer, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    api: Any = None

    def frame(self, instance_id: int, frame: int, mask: str = "") -> Frame:
        picture = self.pictures[instance_id]
        return read_seen(picture, frame, Wish(mask), lambda number: read_frame(picture, number))

    def change(self, **values: Any) -> None:
        """Set params of the newest viewer in its own document, as a page would."""
        viewer, document = self.viewers[-1]
        document.add_next_tick_callback(lambda: viewer.param.update(**values))

    def hang(self, *wish: Any, **joined: bool) -> None:
        """Let Python hang series in the newest viewer, as a page would."""
        viewer, document = self.viewers[-1]
        document.add_next_tick_callback(lambda: viewer.hang(*wish, **joined))

    def bring(self, *shapes: dict[str, Any], gone: Sequence[str] = ()) -> None:
        """Let Python bring shapes to the newest viewer."""
        viewer, document = self.viewers[-1]
        document.add_next_tick_callback(lambda: viewer.bring(list(shapes), gone))

    @property
    def viewer(self) -> StudyViewer:
        return self.viewers[-1][0]


def series(**more: Any) -> list[dict[str, Any]]:
    ct = {
        "id": "1",
        "label": "Phantom",
        "modality": "CT",
        "thumbnail_url": f"/thumbs/{SLICES // 2}",
    }
    ct["frames"] = [{"id": number} for number in range(SLICES)]
    us = {"id": "2", "label": "Cine", "modality": "US", "thumbnail_url": f"/thumbs/{CLIP}"}
    us["frames"] = [{"id": CLIP, "count": 8}]
    bad = {"id": "3", "label": "Damaged", "modality": "MR", "thumbnail_url": ""}
    bad["frames"] = [{"id": DAMAGED}]
    return [ct | more, us, bad]


@pytest.fixture(scope="module")
def clinic() -> Iterator[Clinic]:
    made = Clinic()
    for number, ds in enumerate(ct_phantom(slices=SLICES, rows=ROWS, noise_hu=0)):
        made.pictures[number] = described(ds)
    made.pictures[CLIP] = described(ultrasound(frames=8, rows=120, columns=160))
    made.pictures[DAMAGED] = describe(Path(get_testdata_file("MR_truncated.dcm")))
    made.pictures[GRAPHICS] = describe(Path(get_testdata_file("examples_overlay.dcm")))
    with served(made):
        yield made


def described(ds: Any) -> Picture:
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return describe(out.getvalue())


class InThread:
    """A web server that runs as long as its block lasts."""

    def __init__(self, config: uvicorn.Config) -> None:
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()
        until(lambda: self.server.started)

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(10)


class served(InThread):
    """The clinic's web server in a thread, on a free port."""

    def __init__(self, clinic: Clinic) -> None:
        api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @api.get("/frames/{instance_id}/{frame}")
        def frame(instance_id: int, frame: int, mask: str = "") -> Response:
            try:
                found = clinic.frame(instance_id, frame, mask)
            except ClinicError as error:
                return JSONResponse({"detail": error.message}, status_code=422)
            header = {"X-Frame-Info": found.info.as_header()}
            return Response(found.body, media_type="application/octet-stream", headers=header)

        @api.get("/previews/{instance_id}/{frame}")
        def preview(instance_id: int, frame: int) -> Response:
            small = thumbnail.jpeg(clinic.pictures[instance_id], frame, edge_px=64)
            header = {"X-Frame-Info": clinic.frame(instance_id, frame).info.as_header()}
            return Response(small, media_type="image/jpeg", headers=header)

        @api.get("/thumbs/{instance_id}")
        def thumb(instance_id: int) -> Response:
            return Response(thumbnail.png(clinic.pictures[instance_id]), media_type="image/png")

        def page() -> StudyViewer:
            options = {"series": series(), "frame_url": "/frames/{id}/{frame}", "banner": BANNER}
            viewer = StudyViewer(
                **(options | clinic.options),
                source=clinic.frame,
                sizing_mode="stretch_width",
                height=640,
            )
            clinic.viewers.append((viewer, pn.state.curdoc))
            return viewer

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        clinic.api = api
        clinic.origin = f"http://127.0.0.1:{port}"
        add_applications({"/study": page}, app=api)
        super().__init__(
            uvicorn.Config(api, port=port, log_level="warning", ws="websockets-sansio")
        )


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a condition in this process; Playwright's ``expect`` waits for those in the page."""
    ready = threading.Event()
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        ready.wait(0.02)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, clinic: Clinic) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: problems.append(f"a script ran: {dialog.message}"))
    outside: list[str] = []
    opened.on("request", lambda request: outside.append(request.url))
    yield opened
    context.close()
    assert problems == []
    assert [url for url in outside if not url.startswith((clinic.origin, "data:", "blob:"))] == []


@pytest.fixture
def viewport(page: Page, clinic: Clinic) -> Locator:
    clinic.options = {}
    return opened(page, clinic)


def opened(page: Page, clinic: Clinic) -> Locator:
    page.goto(f"{clinic.origin}/study")
    expect(canvas(page)).to_have_attribute("data-shown", "0")
    return page.get_by_role("application")


def heard(page: Page, clinic: Clinic) -> None:
    """Wait until the page has all that Python said before."""
    word = f"Word {next(WORDS)}"
    clinic.change(notice=word)
    expect(page.locator(".notice").first).to_have_text(word)


def canvas(page: Page) -> Locator:
    return page.locator(".port canvas")


def shown(page: Page, index: int) -> None:
    expect(canvas(page)).to_have_attribute("data-shown", str(index))


def roll(page: Page, viewport: Locator, notches: int) -> None:
    viewport.hover(position={"x": 300, "y": 260})
    for _ in range(abs(notches)):
        page.mouse.wheel(0, 100 if notches > 0 else -100)


def drag(page: Page, viewport: Locator, dx: int, dy: int, button: Any = "left") -> None:
    box = viewport.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up(button=button)


def painted(page: Page, x_mm: float, y_mm: float) -> list[int]:
    """The colour on screen at patient coordinates of the fitted phantom (field of view 384 mm)."""
    return canvas(page).evaluate(
        """(canvas, [x, y]) => {
            const {clientWidth: width, clientHeight: height} = canvas.parentNode;
            const perMm = Math.min(width, height) / 384;
            const spot = {x: width / 2 + x * perMm, y: height / 2 + y * perMm};
            const laid = new DOMMatrix(getComputedStyle(canvas).transform);
            const at = laid.inverse().transformPoint(spot);
            const [column, row] = [at.x, at.y].map(Math.floor);
            const {data} = canvas.getContext("2d").getImageData(column, row, 1, 1);
            return [...data.slice(0, 3)];
        }""",
        [x_mm, y_mm],
    )


def reddish(page: Page) -> int:
    """How many pixels on screen are clearly more red than blue."""
    return canvas(page).evaluate(
        """canvas => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i] > data[i + 2] + 60) count += 1;
            return count;
        }"""
    )


def grey(hu: float, center: float, width: float) -> int:
    return round(255 * min(1, max(0, (hu - center + 0.5) / (width - 1) + 0.5)))


def test_the_wheel_scrolls_and_the_screen_shows_the_true_values(page, viewport, clinic):
    shown(page, 0)
    roll(page, viewport, 23)
    shown(page, 23)  # z = -0.75 mm: the middle of the inserts

    for insert in INSERTS:
        x, y, z = insert.center_mm
        if z == 0:
            expected = grey(insert.hu, 50, 400)
            assert painted(page, x, y) == pytest.approx([expected] * 3, abs=1), insert.name
    until(lambda: clinic.viewer.index == 23)
    roll(page, viewport, -30)
    shown(page, 0)


def test_the_slider_says_where_the_image_is_and_leads_to_another(page, viewport, clinic):
    slider, gauge = page.get_by_role("slider"), page.locator(".gauge")
    roll(page, viewport, 23)
    shown(page, 23)
    track, thumb = gauge.bounding_box(), gauge.locator("i").bounding_box()
    way, end = track["height"] - 16, thumb["y"] + thumb["height"] - track["y"]
    assert (end - 16) / way == pytest.approx(23 / 47, abs=0.005)
    expect(slider).to_have_value("23")
    expect(slider).to_have_attribute("aria-valuetext", "24 of 48")
    page.mouse.click(track["x"] + 13, track["y"] + 8 + way * 36 / 47)
    shown(page, 36)
    page.keyboard.press("Shift+Tab")
    roll(page, viewport, -6)
    shown(page, 30)
    slider.press("ArrowDown")  # from where the image is, not from where it was a moment ago
    shown(page, 31)


def test_a_preset_a_drag_and_python_set_the_window(page, viewport, clinic):
    page.get_by_label("Window preset").select_option(label="2 Bone 2000/500")
    until(lambda: (clinic.viewer.window_center, clinic.viewer.window_width) == (500, 2000))
    expect(page.locator(".values")).to_contain_text("WW 2000 WL 500")
    assert painted(page, 0, 0) == pytest.approx([grey(40, 500, 2000)] * 3, abs=1)

    drag(page, viewport, 50, -25)
    until(lambda: clinic.viewer.window_width > 2300 and clinic.viewer.window_center < 350)

    clinic.change(window_center=40.0, window_width=100.0)
    expect(page.locator(".values")).to_contain_text("WW 100 WL 40")
    assert painted(page, 0, 0) == pytest.approx([grey(40, 40, 100)] * 3, abs=1)
    page.keyboard.press("i")
    expect(page.locator(".values")).to_contain_text("inverted")
    assert painted(page, 0, 0) == pytest.approx([255 - grey(40, 40, 100)] * 3, abs=1)
    until(lambda: clinic.viewer.invert)
    page.keyboard.press("r")
    expect(page.locator(".values")).to_contain_text("WW 400 WL 50")


def test_zoom_and_pan_move_the_picture_and_fit_brings_it_back(page, viewport):
    place = page.locator(".place")
    fitted = place.inner_text()
    drag(page, viewport, 0, -120, button="right")
    expect(place).not_to_have_text(fitted)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    shown(page, 0)  # zooming is not scrolling
    page.get_by_role("button", name="Move", exact=True).click()
    assert painted(page, 0, 0) != [0, 0, 0]
    for _ in range(4):
        drag(page, viewport, 0, 300)
    until(lambda: painted(page, 0, 0) == [0, 0, 0])  # the body was pushed out of the middle
    page.get_by_role("button", name="Fit to window").click()
    expect(place).to_have_text(fitted)


def test_keys_reach_every_image_series_and_mark(page, viewport, clinic):
    viewport.focus()
    for key, index in (("End", 47), ("ArrowUp", 46), ("PageUp", 36), ("Home", 0), ("ArrowDown", 1)):
        page.keyboard.press(key)
        shown(page, index)
    clinic.change(sync_ms=5000)
    heard(page, clinic)
    page.keyboard.press("2")
    page.keyboard.press("k")
    until(lambda: clinic.viewer.key_images == [{"series_id": "1", "instance_id": 1, "frame": 0}])
    assert clinic.viewer.window_width == 2000  # as it is seen, however soon after it was set
    clinic.change(sync_ms=250)
    heard(page, clinic)
    expect(page.get_by_text("★ Key image")).to_be_visible()
    page.keyboard.press("]")
    until(lambda: clinic.viewer.selected_series == "2")
    page.keyboard.press("[")
    shown(page, 1)  # where the reader was
    page.keyboard.press("k")
    until(lambda: clinic.viewer.key_images == [])
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard and mouse")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_ultrasound_is_in_colour_and_plays(page, viewport, clinic):
    page.get_by_role("button", name="US Cine, 8 images").click()
    expect(canvas(page)).to_have_attribute("data-key", f"{CLIP}/0")
    before = reddish(page)
    roll(page, viewport, 2)
    shown(page, 2)
    assert reddish(page) > before + 100  # flow towards the probe in the first half of the beat
    page.get_by_role("button", name="Play").click()
    expect(canvas(page)).not_to_have_attribute("data-shown", "2")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_graphics_of_an_image_are_shown_until_hidden(page, viewport, clinic):
    button = page.get_by_role("button", name="Graphics of the image")
    expect(button).to_have_count(0)  # the phantom brings none
    drawn = {"id": "4", "label": "Drawn", "modality": "MR", "frames": [{"id": GRAPHICS}]}
    clinic.change(series=[*series(), drawn])
    page.get_by_role("button", name="MR Drawn, 1 image").click()
    expect(canvas(page)).to_have_attribute("data-key", f"{GRAPHICS}/0")
    assert reddish(page) > 200
    expect(button).to_have_attribute("aria-pressed", "true")
    viewport.focus()
    page.keyboard.press("y")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert reddish(page) == 0
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert reddish(page) > 200


def test_an_image_that_cannot_be_shown_says_why_and_keeps_the_identity(page, viewport, clinic):
    page.get_by_role("button", name="MR Damaged, 1 image").click()
    expect(page.get_by_role("alert")).to_contain_text("The image is cut short.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    until(lambda: clinic.viewer.problem == "The image is cut short.")
    expect(page.locator(".banner")).to_contain_text(BANNER["name"])
    page.get_by_role("button", name="CT Phantom, 48 images").click()
    shown(page, 0)
    until(lambda: clinic.viewer.problem == "")


def test_what_failed_for_a_moment_comes_back(page, clinic):
    clinic.options = {"preload": False, "prefetch": 0}
    viewport = opened(page, clinic)
    page.route("**/frames/5/0", lambda route: route.abort())
    roll(page, viewport, 5)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    page.unroute("**/frames/5/0")
    roll(page, viewport, 1)
    shown(page, 6)
    roll(page, viewport, -1)
    shown(page, 5)


def test_an_image_that_takes_long_is_shown_small_first_and_is_not_measured(page, clinic):
    clinic.options = {"preload": False, "prefetch": 0, "preview_url": "/previews/{id}/{frame}"}
    viewport = opened(page, clinic)
    held = []
    page.route("**/frames/5/0", lambda route: held.append(route))
    roll(page, viewport, 5)
    expect(canvas(page)).to_have_attribute("data-preview", re.compile("^5/"))
    expect(page.get_by_role("alert")).to_contain_text("Preview")
    expect(canvas(page)).not_to_have_attribute("data-shown", re.compile(".*"))
    box = viewport.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".values")).to_be_empty()
    held[-1].continue_()
    shown(page, 5)
    expect(canvas(page)).not_to_have_attribute("data-preview", re.compile(".*"))
    expect(page.get_by_role("alert")).to_be_hidden()


def test_while_the_shown_image_travels_slowly_no_other_is_asked_for(page, clinic):
    clinic.options = {}
    held, asked = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/frames/0/0", lambda route: held.append(route))
    page.goto(f"{clinic.origin}/study")
    expect(page.get_by_role("alert")).to_contain_text("Loading")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert {url for url in asked if "/frames/" in url} == {f"{clinic.origin}/frames/0/0"}
    with page.expect_request(f"{clinic.origin}/frames/1/0"):
        held[0].continue_()
    shown(page, 0)


def test_identity_and_notice_stand_on_the_picture_as_text(page, viewport):
    banner = page.locator(".banner")
    expect(banner).to_contain_text(BANNER["name"])
    expect(banner).to_contain_text("ID P-1 · born 1961-04-12 · F")
    expect(page.get_by_text("Not for primary diagnosis")).to_be_visible()
    expect(page.locator(".scale")).to_contain_text("cm · Pixel Spacing")
    letters = page.locator(".left, .right, .top, .bottom").all_inner_texts()
    assert sorted(letters) == ["A", "L", "P", "R"]
    assert page.locator(".banner img").count() == 0


def test_images_that_arrive_meanwhile_do_not_move_the_reader(page, clinic):
    clinic.options = {"series": series(frames=[{"id": n} for n in range(20, 40)])[:1]}
    viewport = opened(page, clinic)
    roll(page, viewport, 5)
    expect(canvas(page)).to_have_attribute("data-key", "25/0")

    clinic.change(series=series())

    expect(page.get_by_role("button", name="CT Phantom, 48 images")).to_be_visible()
    expect(canvas(page)).to_have_attribute("data-key", "25/0")
    shown(page, 25)
    expect(page.get_by_role("button", name="US Cine")).to_be_visible()


def test_an_empty_study_fills_while_it_is_open(page, clinic):
    clinic.options = {"series": []}
    page.goto(f"{clinic.origin}/study")
    expect(page.get_by_text("No images yet")).to_be_visible()
    clinic.change(series=series())
    shown(page, 0)
    expect(page.get_by_text("No images yet")).to_have_count(0)


def test_without_a_route_the_pixels_come_over_the_comm(page, clinic):
    clinic.options = {"frame_url": ""}
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    viewport = opened(page, clinic)
    roll(page, viewport, 3)
    shown(page, 3)
    assert painted(page, 0, 0) == pytest.approx([grey(40, 50, 400)] * 3, abs=1)
    assert not [url for url in asked if "/frames/" in url]
    page.get_by_role("button", name="MR Damaged, 1 image").click()
    expect(page.get_by_role("alert")).to_contain_text("The image is cut short.")


def test_a_small_cache_still_scrolls_through_everything(page, clinic):
    clinic.options = {"cache_mb": 16, "series": series()}
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    viewport = opened(page, clinic)
    roll(page, viewport, SLICES - 1)
    shown(page, SLICES - 1)
    until(lambda: clinic.viewer.index == SLICES - 1)
    assert len({url for url in asked if "/frames/" in url}) == SLICES


def test_every_control_has_a_name_and_the_page_fits_a_phone(page, viewport):
    for role in ("button", "combobox", "slider"):
        for control in page.get_by_role(role).all():
            name = control.get_attribute("aria-label") or control.inner_text()
            assert name.strip(), control
    rail, port = page.get_by_role("navigation", name="Series"), viewport
    wide = port.bounding_box()
    assert rail.bounding_box()["x"] < wide["x"]
    page.set_viewport_size({"width": 390, "height": 844})
    expect(port).to_have_css(
        "width",
        "358px" if port.bounding_box()["width"] == 358 else f"{port.bounding_box()['width']:g}px",
    )
    assert rail.bounding_box()["y"] + rail.bounding_box()["height"] <= port.bounding_box()["y"] + 1
    assert port.bounding_box()["x"] + port.bounding_box()["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shown(page, 0)


def test_two_fingers_zoom_and_one_scrolls(browser, clinic):
    clinic.options = {"tool": "scroll"}
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    viewport = opened(page, clinic)
    expect(page.locator(".progress")).to_be_hidden()  # so that what is shown is where one is
    box = viewport.bounding_box()
    touch = context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    send("touchStart", (150, 150))
    for step in range(1, 11):
        send("touchMove", (150, 150 + 12 * step))
    send("touchEnd")
    until(lambda: clinic.viewer.index == int(canvas(page).get_attribute("data-shown")) > 0)
    place = page.locator(".place")
    before = place.inner_text()
    send("touchStart", (140, 200), (160, 200))
    for step in range(1, 6):
        send("touchMove", (140 - 10 * step, 200), (160 + 10 * step, 200))
    send("touchEnd")
    expect(place).not_to_have_text(before)
    assert place.inner_text().split("·")[0] == before.split("·")[0]
    context.close()


def test_the_view_is_one_property_away_in_python(clinic):
    clinic.pictures[PALETTE] = describe(Path(get_testdata_file("examples_palette.dcm")))
    stacks = [*series(), {"id": "4", "label": "", "modality": "US", "frames": [{"id": PALETTE}]}]
    viewer = StudyViewer(series=stacks, source=clinic.frame, selected_series="1", index=23)

    image = viewer.image

    assert image.dimension_values("value", flat=False).shape == (ROWS, ROWS)
    assert image[-0.0 + 192 - 70, 192 + 30] == 0  # the water insert; y points up in HoloViews
    assert image.vdims[0].unit == "HU"
    viewer.param.update(selected_series="4", index=0)
    assert type(viewer.image).__name__ == "RGB"
    assert viewer.hv_view()[()] is not None
