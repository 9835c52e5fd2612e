"""The reader's tools by real mouse and touch, on one page; what they measure, against NumPy."""

import re
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from clinic_panel.components.viewer.palettes import PALETTES
from clinic_panel.imaging.measure import Shape, angle, area, axes, length, mask, statistics
from clinic_panel.imaging.phantom import ultrasound
from clinic_panel.services.preferences import Preferences, Preset
from tests.integration import test_viewer_browser as stage
from tests.integration.test_measuring_browser import at, draw, label, numbers

browser, clinic = stage.browser, stage.clinic


@pytest.fixture(scope="module")
def screen(browser, clinic) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    clinic.options = {}
    stage.opened(page, clinic)
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def desk(screen: Page, clinic) -> Iterator[tuple[Page, Locator]]:
    """The page as it was opened: each test leaves it so."""
    viewport = screen.get_by_role("application")
    viewport.focus()
    yield screen, viewport
    viewport.focus()
    for key in ("Escape", "Home", "r"):
        screen.keyboard.press(key)
    stage.shown(screen, 0)
    for key, tool in (("l", "length"), ("w", "window")):  # all that the page said before is here
        screen.keyboard.press(key)
        stage.until(lambda tool=tool: clinic.viewer.tool == tool)
    clinic.change(measurements=[])
    stage.heard(screen, clinic)


def test_a_cobb_angle_is_two_lines_and_says_both_readings(desk, clinic):
    page, viewport = desk
    page.keyboard.press("c")
    draw(page, viewport, (60, 60), (160, 80))
    page.mouse.move(*at(viewport, 100, 100))  # on the way nothing follows the hand
    draw(page, viewport, (160, 150), (60, 200))
    stage.until(lambda: clinic.viewer.measurements)
    [kept] = clinic.viewer.measurements
    truth = angle(Shape.COBB, kept["points"], 1.5, 1.5)
    assert truth == pytest.approx(37.9, abs=0.5)
    found = numbers(label(page, "cobb").text_content().replace("°", " "))
    assert found == pytest.approx([truth, 180 - truth], abs=0.06)


def test_the_short_axis_stays_square_to_the_long_one(desk, clinic):
    page, viewport = desk
    page.keyboard.press("d")
    draw(page, viewport, (60, 80), (160, 120))
    stage.until(lambda: clinic.viewer.measurements)
    for start, end in ((2, (90, 130)), (0, (70, 60))):
        before = clinic.viewer.measurements[0]["points"]
        draw(page, viewport, before[start], end)
        stage.until(lambda before=before: clinic.viewer.measurements[0]["points"] != before)
    a, b, c, d = clinic.viewer.measurements[0]["points"]
    assert a == pytest.approx([70, 60], abs=0.5)
    square = (b[0] - a[0]) * (d[0] - c[0]) + (b[1] - a[1]) * (d[1] - c[1])
    assert square == pytest.approx(0, abs=1e-6)
    text = label(page, "bidirectional").text_content()
    assert numbers(text)[:2] == pytest.approx(axes([a, b, c, d], 1.5, 1.5), abs=0.06)


def test_a_polygon_says_what_numpy_says_and_loses_its_last_corner(desk, clinic):
    page, viewport = desk
    stage.roll(page, viewport, 23)
    stage.shown(page, 23)
    page.keyboard.press("g")
    for corner in ((70, 70), (180, 90), (150, 128), (190, 190), (20, 20)):
        page.mouse.click(*at(viewport, *corner))
    page.keyboard.press("Backspace")  # the last was a slip
    page.mouse.click(*at(viewport, 80, 170))
    page.mouse.click(*at(viewport, 71, 70))  # on the first: closed
    stage.until(lambda: clinic.viewer.measurements)
    [kept] = clinic.viewer.measurements
    assert len(kept["points"]) == 5
    inside = mask(Shape.POLYGON, kept["points"], stage.ROWS, stage.ROWS)
    truth = statistics(clinic.frame(23, 0).values, inside)
    text = label(page, "polygon").text_content()
    covered = area(Shape.POLYGON, kept["points"], 1.5, 1.5)
    assert numbers(text)[0] == pytest.approx(covered / 100, abs=0.006)  # cm²
    shown = numbers(text[text.index("Mean") :])
    assert shown[:4] == pytest.approx([truth.mean, truth.sd, truth.min, truth.max], abs=0.06)
    draw(page, viewport, kept["points"][0], (200, 130))  # across the others
    expect(label(page, "polygon")).to_have_text("The outline crosses itself: no area")


def test_a_known_object_calibrates_what_is_drawn_until_that_is_taken_back(desk, clinic):
    page, viewport = desk
    clinic.change(reader="Dr Ito")
    stage.heard(page, clinic)
    page.keyboard.press("l")
    draw(page, viewport, (60, 60), (160, 60))
    expect(label(page, "length")).to_contain_text("Pixel Spacing")
    page.keyboard.press("n")
    draw(page, viewport, (60, 200), (110, 200))
    asked = page.get_by_role("form", name="Calibrate on a known object")
    expect(asked).to_contain_text("true to scale")  # a warning: CT brings its own
    asked.get_by_label("Length in mm").fill("25")
    asked.get_by_role("button", name="Calibrate anyway").click()
    by_hand = "Calibrated by Dr Ito on 25 mm, in place of Pixel Spacing"
    expect(label(page, "length")).to_contain_text(by_hand)
    stage.until(lambda: len(clinic.viewer.measurements) == 2)
    line, known = clinic.viewer.measurements
    truth = length(line["points"], 1, 1) / length(known["points"], 1, 1) * 25
    assert numbers(label(page, "length").text_content())[0] == pytest.approx(truth, abs=0.06)
    assert (known["known_mm"], known["scope"], known["by"]) == (25, "image", "Dr Ito")
    expect(page.locator(".scale")).to_contain_text(by_hand)
    assert clinic.viewer.profile.dimension_values("distance")[-1] == pytest.approx(truth)
    page.keyboard.press("Control+z")
    expect(label(page, "length")).not_to_contain_text("Calibrated")
    expect(label(page, "calibration")).to_have_count(0)


def test_on_ultrasound_a_calibration_stays_within_its_region(desk, clinic):
    page, viewport = desk
    echo = ultrasound(frames=1, rows=120, columns=160)
    echo.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1 = 79  # the left half
    clinic.pictures[2000] = stage.described(echo)
    half = {"id": "9", "label": "Half", "modality": "US", "frames": [{"id": 2000}]}
    clinic.change(series=[*stage.series(), half])
    page.get_by_role("button", name="US Half").click()
    expect(stage.canvas(page)).to_have_attribute("data-key", "2000/0")
    page.keyboard.press("n")
    box = viewport.bounding_box()
    scale = min(box["width"] / 160, box["height"] / 120)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for start, end, said in ((-20, 20, "within one region"), (-60, -20, "own scale")):
        page.mouse.move(middle[0] + start * scale, middle[1])
        page.mouse.down()
        page.mouse.move(middle[0] + end * scale, middle[1], steps=4)
        page.mouse.up()
        asked = page.get_by_role("form", name="Calibrate on a known object")
        expect(asked).to_contain_text(said)
        expect(asked.get_by_label("Length in mm")).to_have_count(int(said == "own scale"))
        asked.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="CT Phantom").click()
    clinic.change(series=stage.series())
    stage.shown(page, 0)


def edges(page):
    return [
        page.locator(f".overlay .{side}").text_content()
        for side in ("left", "right", "top", "bottom")
    ]


def colour_at(page, x, y):
    """What the screen shows at a spot of the pane, in CSS pixels."""
    box = page.get_by_role("application").bounding_box()
    spot = {"x": round(box["x"] + x), "y": round(box["y"] + y), "width": 1, "height": 1}
    screen = Image.open(BytesIO(page.screenshot(clip=spot))).convert("RGB")
    return list(screen.getpixel((0, 0)))


def test_a_turned_picture_keeps_its_letters_and_measurements_and_reset_restores_it(desk, clinic):
    page, viewport = desk
    stage.roll(page, viewport, 23)
    stage.shown(page, 23)
    page.keyboard.press("l")
    draw(page, viewport, (128, 128), (128, 60))  # towards A
    stage.until(lambda: clinic.viewer.measurements)
    text = label(page, "length").text_content()
    assert edges(page) == ["R", "L", "A", "P"]
    page.keyboard.press("Shift+R")  # clockwise: A comes to the right
    expect(page.locator(".overlay .right")).to_have_text("A")
    assert edges(page) == ["P", "A", "R", "L"]
    expect(label(page, "length")).to_have_text(text)
    head, tail = (
        page.locator(".shapes [data-kind=length] path").last.get_attribute("d")[1:].split("L")
    )
    (x1, y1), (x2, y2) = (map(float, end.split()) for end in (head, tail))
    assert (x2 > x1 + 50, y2) == (True, pytest.approx(y1, abs=0.01))
    page.keyboard.press("u")  # left and right of the screen change places
    expect(page.locator(".overlay .right")).to_have_text("P")
    assert edges(page) == ["A", "P", "R", "L"]
    page.keyboard.press("Shift+U")
    expect(page.locator(".overlay .top")).to_have_text("L")
    stage.until(lambda: clinic.viewer.rotation == 270 and not clinic.viewer.mirrored)
    # What lies under the cursor is still told of the right pixel.
    frame, box = clinic.frame(23, 0), viewport.bounding_box()
    scale = min(box["width"], box["height"]) / stage.ROWS
    here = [insert for insert in stage.INSERTS if abs(insert.center_mm[2]) < 10]
    x_mm, y_mm = max(here, key=lambda insert: insert.hu).center_mm[:2]
    spot = box["width"] / 2 + y_mm / 1.5 * scale, box["height"] / 2 - x_mm / 1.5 * scale
    page.mouse.move(box["x"] + spot[0], box["y"] + spot[1])
    row, column = int(stage.ROWS / 2 + y_mm / 1.5), int(stage.ROWS / 2 + x_mm / 1.5)
    value = f"{frame.values[row, column]:.0f} HU"
    expect(page.locator(".overlay .values")).to_contain_text(value)
    assert colour_at(page, *spot) == [255, 255, 255]
    page.keyboard.press("r")
    expect(page.locator(".overlay .top")).to_have_text("A")
    assert edges(page) == ["R", "L", "A", "P"]


def test_a_zoomed_and_moved_picture_lies_where_its_values_are_told(desk, clinic):
    page, viewport = desk
    stage.roll(page, viewport, 23)
    stage.shown(page, 23)
    page.mouse.move(*at(viewport, 178, 151))  # the edge of the bone
    page.keyboard.down("Control")
    page.mouse.wheel(0, -1000)  # so near that each pixel is seen as it is
    page.keyboard.up("Control")
    stage.drag(page, viewport, 37, -21, button="middle")
    values, told = page.locator(".overlay .values"), set()
    box = viewport.bounding_box()
    before = values.inner_text()
    for x, y in ((0.3, 0.4), (0.5, 0.5), (0.7, 0.3), (0.4, 0.7)):
        spot = x * box["width"], y * box["height"]
        page.mouse.move(box["x"] + spot[0], box["y"] + spot[1])
        expect(values).not_to_have_text(before)
        before = values.inner_text()
        column, row, value = map(int, re.match(r"x (\d+)\s+y (\d+)\s+(-?\d+)", before).groups())
        assert value == clinic.frame(23, 0).values[row, column]
        assert colour_at(page, *spot) == pytest.approx([stage.grey(value, 50, 400)] * 3, abs=1)
        told.add(value)
    assert len(told) > 1


def test_a_colour_map_paints_the_palettes_own_colours_beside_a_bar_of_values(desk, clinic):
    page, viewport = desk
    stage.roll(page, viewport, 23)
    stage.shown(page, 23)
    page.get_by_role("button", name="Turn and colour").click()
    page.get_by_label("Colours").select_option("Hot Iron")
    stage.until(lambda: clinic.viewer.colour_map == "Hot Iron")
    clinic.change(window_center=40.0, window_width=401.0)
    expect(page.locator(".colours .most")).to_have_text("241 HU")
    expect(page.locator(".colours .least")).to_have_text("-161")
    box = viewport.bounding_box()
    middle = colour_at(page, box["width"] / 2, box["height"] / 2)
    row = stage.ROWS // 2
    level = stage.grey(float(clinic.frame(23, 0).values[row, row]), 40, 401)
    expected = PALETTES["Hot Iron"][level]
    assert middle == [int(expected[i : i + 2], 16) for i in (1, 3, 5)]
    page.get_by_role("button", name="Close turn and colour").click()
    page.keyboard.press("r")
    expect(page.locator(".colours")).to_be_hidden()


def test_the_loupe_shows_each_pixel_as_it_is_while_the_key_is_held(desk, clinic):
    page, viewport = desk
    stage.roll(page, viewport, 23)
    stage.shown(page, 23)
    loupe = page.locator(".loupe")
    page.mouse.move(*at(viewport, 178.5, 151.5))  # amid the bone of 20 pixels across
    page.keyboard.down("q")
    expect(loupe).to_be_visible()
    times = int(loupe.get_attribute("data-times"))
    centre, edge = loupe.evaluate(
        """(canvas, times) => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const middle = Math.floor(canvas.height / 2);
            const grey = (x, y) => data[4 * (y * canvas.width + x)];
            const below = middle + 6; // beside the strokes that aim at the middle
            const line = Array.from({length: canvas.width}, (_, x) => grey(x, below));
            const runs = [];
            line.forEach((value, x) => {
                if (value === line[x - 1]) runs[runs.length - 1] += 1;
                else runs.push(1);
            });
            return [grey(Math.floor(canvas.width / 2), middle), runs.slice(1, -1)];
        }""",
        times,
    )
    assert centre == stage.grey(float(clinic.frame(23, 0).values[151, 178]), 50, 400)
    assert edge  # the bone itself, between what is beside it
    assert [run for run in edge if run % times] == []  # no pixel is blurred into the next
    assert loupe.bounding_box()["width"] < 250
    page.keyboard.up("q")
    expect(loupe).to_be_hidden()
    page.get_by_role("button", name="Magnifier").click()
    page.mouse.move(*at(viewport, 100, 100))
    page.mouse.down()
    expect(loupe).to_be_visible()
    page.mouse.up()
    expect(loupe).to_be_hidden()


def test_a_shape_is_placed_and_bent_point_by_point_without_a_mouse(desk, clinic):
    page, _ = desk
    for key in ("l", "Enter"):
        page.keyboard.press(key)
    stage.until(lambda: clinic.viewer.measurements)
    first, second = clinic.viewer.measurements[0]["points"]
    for key in (
        "Shift+R",
        "/",
        "Shift+ArrowRight",
    ):  # turned: right on the screen is up in the image
        page.keyboard.press(key)
    stage.until(lambda: clinic.viewer.measurements[0]["points"] != [first, second])
    assert clinic.viewer.measurements[0]["points"] == [[first[0], first[1] - 1], second]
    for key in ("/", "/", "Shift+ArrowDown"):  # past the last point: the whole shape
        page.keyboard.press(key)
    stage.until(lambda: clinic.viewer.measurements[0]["points"][1] != second)
    moved = [[first[0] + 1, first[1] - 1], [second[0] + 1, second[1]]]
    assert clinic.viewer.measurements[0]["points"] == moved


def test_a_reader_chooses_keys_presets_and_ways_and_is_told_of_conflicts(desk, clinic):
    page, viewport = desk
    page.get_by_role("button", name="Settings of the viewer").click()
    dialog = page.get_by_role("dialog", name="Settings of the viewer")
    caps = dialog.locator(".cap:not([aria-label$='another key'])").all_text_contents()
    assert len(caps) > 60
    assert sorted(set(caps)) == sorted(caps)  # no two actions have one key by default
    dialog.get_by_role("button", name="Length: L").click()
    page.keyboard.press("a")
    expect(dialog.get_by_role("alert")).to_contain_text("A belongs to “Angle”")
    page.keyboard.press("a")  # so be it
    expect(dialog.get_by_role("button", name="Length: A", exact=True)).to_be_visible()
    dialog.get_by_role("tab", name="Presets").click()
    dialog.get_by_role("button", name="Add a preset").click()
    page.keyboard.type("Nodule")
    dialog.get_by_label("Level of preset 1").fill("-610")
    dialog.get_by_label("Width of preset 1").fill("1210")
    dialog.get_by_role("tab", name="Behaviour").click()
    ends = dialog.locator(".setting").evaluate_all(
        "(rows) => rows.map((row) => [row, row.firstElementChild])"
        ".map((pair) => pair.map((one) => Math.round(one.getBoundingClientRect().right)).join())"
    )
    assert len(ends) == 7
    assert len(set(ends)) == 1  # one below the other, each value at the same edge
    dialog.get_by_label("Wheel towards you").select_option("up")
    dialog.get_by_role("button", name="Save", exact=True).click()
    stage.until(lambda: clinic.viewer.preferences)
    kept = Preferences.of(clinic.viewer.preferences)  # as the account would keep it
    assert kept.keys == {"length": ("a",), "angle": ()}
    assert kept.presets == (Preset("Nodule", -610.0, 1210.0, "CT"),)
    assert kept.behaviour.wheel == "up"

    page.keyboard.press("a")
    stage.until(lambda: clinic.viewer.tool == "length")
    page.keyboard.press("?")
    helped = page.get_by_role("dialog", name="Keyboard and mouse")
    expect(helped.locator("dt:has(+ dd:text-is('Length'))")).to_have_text("A")
    expect(helped.get_by_text("Angle", exact=True)).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("3")  # after the two of the image
    stage.until(lambda: clinic.viewer.window_width == 1210)
    expect(page.get_by_label("Window preset").locator("option:checked")).to_contain_text("Nodule")
    page.keyboard.press("End")
    stage.shown(page, stage.SLICES - 1)
    stage.roll(page, viewport, 1)  # towards the reader: back
    stage.shown(page, stage.SLICES - 2)

    page.get_by_role("button", name="Settings of the viewer").click()
    dialog.get_by_role("button", name="Reset to defaults").click()
    dialog.get_by_role("button", name="Save", exact=True).click()
    stage.until(lambda: clinic.viewer.preferences["keys"] == {})
    page.keyboard.press("l")
    page.keyboard.press("a")
    stage.until(lambda: clinic.viewer.tool == "angle")


def test_of_the_panels_one_is_open_and_leaving_it_goes_back_to_the_picture(desk, clinic):
    page, viewport = desk
    clinic.change(offers=[{"id": "film", "label": "Film…", "hint": ""}])
    panels = {
        "Measure": page.get_by_role("dialog", name="Measurements"),
        "Turn and colour": page.get_by_role("dialog", name="Turn and colour"),
        "Layout": page.get_by_role("dialog", name="Layout"),
        "Save and hand out": page.get_by_role("menu", name="Save and hand out"),
    }
    for name in [*panels, "Layout"]:
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        for each, panel in panels.items():
            expect(panel).to_be_visible(visible=each == name)
        expect(button).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("button", name="1 row, 1 column")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panels["Layout"]).to_be_hidden()
    expect(viewport).to_be_focused()

    page.get_by_role("button", name="Save and hand out").click()
    expect(page.get_by_role("menuitem", name="Film…")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Save and hand out")).to_be_focused()
    page.keyboard.press("Enter")
    page.mouse.click(*at(viewport, 128, 128))
    expect(panels["Save and hand out"]).to_be_hidden()

    page.get_by_role("button", name="Measure", exact=True).click()
    page.keyboard.press("l")
    page.mouse.click(*at(viewport, 60, 60))  # one works beside it
    expect(panels["Measure"]).to_be_visible()
    page.get_by_role("button", name="Close measurements").click()
    expect(viewport).to_be_focused()
