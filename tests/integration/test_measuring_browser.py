"""Measuring in a real browser, by hand and by key, against NumPy on the phantom."""

import re

import pytest
from playwright.sync_api import expect

from clinic_panel.imaging.measure import Shape, length, mask, statistics
from clinic_panel.imaging.phantom import INSERTS
from tests.integration import test_viewer_browser as stage

browser, clinic, page, viewport = stage.browser, stage.clinic, stage.page, stage.viewport


def at(viewport, x, y):
    """Where a point of the fitted image (256 x 256) is on screen."""
    box = viewport.bounding_box()
    scale = min(box["width"], box["height"]) / stage.ROWS
    left = box["x"] + (box["width"] - stage.ROWS * scale) / 2
    top = box["y"] + (box["height"] - stage.ROWS * scale) / 2
    return left + x * scale, top + y * scale


def draw(page, viewport, start, end):
    page.mouse.move(*at(viewport, *start))
    page.mouse.down()
    page.mouse.move(*at(viewport, *end), steps=5)
    page.mouse.up()


def label(page, kind):
    return page.locator(f".shapes [data-kind={kind}] text")


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_an_ellipse_says_what_numpy_says_of_the_phantom(page, viewport, clinic):
    stage.roll(page, viewport, 23)
    stage.shown(page, 23)
    bone = max(INSERTS, key=lambda insert: insert.hu)
    mm = 384 / stage.ROWS  # the phantom's field of view over its pixels
    cx, cy = (stage.ROWS / 2 + coordinate / mm for coordinate in bone.center_mm[:2])
    page.keyboard.press("e")
    draw(page, viewport, (cx - 6.3, cy - 6.3), (cx + 6.3, cy + 6.3))

    stage.until(lambda: clinic.viewer.measurements)
    [kept] = clinic.viewer.measurements
    frame = clinic.frame(23, 0)
    inside = mask(Shape.ELLIPSE, kept["points"], stage.ROWS, stage.ROWS)
    truth = statistics(frame.values, inside)
    text = label(page, "ellipse").text_content()
    shown = numbers(text[text.index("Mean") :])
    assert shown[:4] == pytest.approx([truth.mean, truth.sd, truth.min, truth.max], abs=0.06)
    assert "HU" in text
    assert "Pixel Spacing" in text
    assert kept["instance_id"] == 23
    stage.until(lambda: clinic.viewer.selected_measurement == kept["id"])
    assert clinic.viewer.histogram.dimension_values("pixels").sum() == truth.count


def test_a_length_is_honest_millimetres_and_can_be_moved_undone_and_removed(page, viewport, clinic):
    page.keyboard.press("l")
    draw(page, viewport, (60, 80), (160, 80))
    stage.until(lambda: clinic.viewer.measurements)
    [kept] = clinic.viewer.measurements
    info = clinic.frame(0, 0).info
    truth = length(kept["points"], *info.spacing)
    assert truth == pytest.approx(150, abs=2)
    text = label(page, "length").text_content()
    assert numbers(text)[0] == pytest.approx(truth, abs=0.06)
    assert "mm" in text
    assert "Pixel Spacing" in text

    draw(page, viewport, kept["points"][1], (160, 180))  # its end, by the handle
    stage.until(lambda: clinic.viewer.measurements[0]["points"][1][1] > 150)
    page.keyboard.press("Control+z")
    stage.until(lambda: clinic.viewer.measurements == [kept])
    page.keyboard.press("Control+y")
    stage.until(lambda: clinic.viewer.measurements != [kept])
    page.mouse.click(*at(viewport, 160, 180))
    page.keyboard.press("Delete")
    expect(label(page, "length")).to_have_count(0)
    stage.until(lambda: clinic.viewer.measurements == [])


def test_an_angle_takes_three_points(page, viewport, clinic):
    page.keyboard.press("a")
    draw(page, viewport, (60, 60), (60, 160))
    page.mouse.move(*at(viewport, 160, 160), steps=3)
    page.mouse.down()
    page.mouse.up()
    expect(label(page, "angle")).to_have_text("90.0°")


def test_without_calibration_there_are_pixels_and_on_a_clip_its_own_region(page, viewport, clinic):
    page.get_by_role("button", name="US Cine").click()
    expect(stage.canvas(page)).to_have_attribute("data-key", f"{stage.CLIP}/0")
    page.keyboard.press("b")
    page.keyboard.press("Enter")  # without a mouse: in the middle
    stage.until(lambda: clinic.viewer.measurements)
    text = label(page, "rectangle").text_content()
    assert "Ultrasound region calibration" in text
    before = clinic.viewer.measurements[0]["points"]
    page.keyboard.press("Shift+ArrowRight")
    stage.until(lambda: clinic.viewer.measurements[0]["points"][0][0] == before[0][0] + 1)
    # Partly outside the region nothing is known in millimetres.
    for _ in range(100):
        page.keyboard.press("Shift+ArrowLeft")
    expect(label(page, "rectangle")).to_contain_text("pixels only")
    expect(label(page, "rectangle")).to_contain_text("px²")


def test_the_list_leads_back_to_the_image_and_words_are_text(page, viewport, clinic):
    stage.roll(page, viewport, 5)
    stage.shown(page, 5)
    page.keyboard.press("t")
    draw(page, viewport, (100, 100), (130, 130))
    words = page.get_by_role("textbox", name="Text of the shape")
    words.fill("<b>Look</b> here")
    words.press("Enter")
    expect(label(page, "arrow")).to_have_text("<b>Look</b> here")
    stage.roll(page, viewport, -5)
    stage.shown(page, 0)
    expect(label(page, "arrow")).to_have_count(0)
    page.get_by_role("button", name="Measure", exact=True).click()
    page.get_by_role("button", name="Go to <b>Look</b> here, image 6").click()
    stage.shown(page, 5)
    expect(label(page, "arrow")).to_be_visible()
    page.get_by_role("button", name="Delete <b>Look</b> here").hover()
    page.mouse.down()
    clinic.change(series=stage.series()[:2])  # images come and go while the button is pressed
    stage.heard(page, clinic)
    page.mouse.up()
    expect(page.get_by_text("Nothing measured yet")).to_be_visible()


def test_what_python_brings_joins_what_is_drawn_meanwhile(page, clinic):
    late, server = [], []

    def between(socket):
        server.append(socket.connect_to_server())
        socket.on_message(lambda word: late.append(word) if held else server[-1].send(word))

    held = False
    page.route_web_socket("**/ws", between)
    clinic.options = {"measurements": []}
    viewport = stage.opened(page, clinic)
    stage.until(lambda: page.title() is not None and clinic.viewer.window_width > 0)
    held = True  # on a slow line the page's words are on their way for long
    page.keyboard.press("l")
    draw(page, viewport, (60, 80), (160, 80))
    expect(label(page, "length")).to_have_count(1)
    shape = {"instance_id": 0, "frame": 0, "text": "", "points": [[10, 10], [20, 20]]}
    brought = shape | {"id": "x", "kind": "rectangle"}
    clinic.bring(brought)
    expect(label(page, "rectangle")).to_have_count(1)
    expect(label(page, "length")).to_have_count(1)
    assert clinic.viewer.is_behind
    held = False
    for word in late:
        server[-1].send(word)
    stage.until(lambda: page.title() is not None and not clinic.viewer.is_behind)
    assert [one["kind"] for one in clinic.viewer.measurements] == ["length", "rectangle"]
    page.keyboard.press("Control+z")
    stage.until(lambda: page.title() is not None and clinic.viewer.measurements == [brought])
    clinic.bring(gone=["x"])
    expect(label(page, "rectangle")).to_have_count(0)


def test_python_can_draw_too(page, viewport, clinic):
    shape = {"id": "x", "kind": "length", "instance_id": 0, "frame": 0, "text": ""}
    clinic.change(measurements=[shape | {"points": [[10, 10], [20, 10]]}])
    expect(label(page, "length")).to_contain_text("mm")
    stage.until(lambda: clinic.viewer.index == 0)
    profile = clinic.viewer.profile
    assert profile.dimension_values("distance")[-1] == pytest.approx(15.0)
