"""What the viewer paints and measures in a real browser, against the same done by Python."""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright
from pydicom.data import get_testdata_file

from clinic_panel.components.viewer import viewer as component
from clinic_panel.errors import ClinicError
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.calibration import Known
from clinic_panel.imaging.figures import lines_of, read_shape
from clinic_panel.imaging.frame import Frame, FrameInfo
from clinic_panel.imaging.measure import Shape
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.shutters import Shutter
from tests import hostile
from tests.unit import test_millimetres as echoes

from .test_viewer_browser import CHROMIUM, FLAGS

PARTS = ("frames.js", "planes.js", "painter.js", "calibration.js", "measure.js", "presented.js")
PAINT = """
([info, pixels, view]) => {
  const buffer = Uint8Array.from(atob(pixels), (one) => one.charCodeAt(0)).buffer;
  const frame = {...frameOf(info, buffer), key: String(performance.now())};
  const canvas = document.createElement("canvas");
  const painter = new Painter(canvas);
  painter.resize(info.columns, info.rows, 1);
  painter.draw(frame, {matrix: [1, 0, 0, 1, 0, 0], scale: 1, ...view});
  const {data} = canvas.getContext("2d").getImageData(0, 0, info.columns, info.rows);
  let text = "";
  for (let i = 0; i < data.length; i += 4) {
    text += String.fromCharCode(data[i], data[i + 1], data[i + 2]);
  }
  return btoa(text);
}
"""
SAY = """
([info, pixels, shapes]) => {
  const buffer = Uint8Array.from(atob(pixels), (one) => one.charCodeAt(0)).buffer;
  const frame = {...frameOf(info, buffer), key: "said"};
  return shapes.map(({known, ...one}) => linesOf(one, valuesOf(one, frame, known), info, known));
}
"""
BOTH_WAYS = """
([info, pixels, port]) => {
  const buffer = Uint8Array.from(atob(pixels), (one) => one.charCodeAt(0)).buffer;
  const frame = {...frameOf(info, buffer), key: "seen"};
  const {window_center: center, window_width: width} = info;
  const view = {matrix: [0, 1.5, -1.5, 0, 260, -20], scale: 1.5, center, width, invert: false};
  const painters = [false, true].map((plain) => {
    const painter = new Painter(document.createElement("canvas"));
    painter.resize(...port, 1);
    return [painter, plain];
  });
  return [false, true, false].map((graphics) => painters.map(([painter, plain]) => {
    painter.draw(frame, {...view, plain, graphics});
    const context = new OffscreenCanvas(...port).getContext("2d", {alpha: false});
    painter.copy(context, ...port);
    let seen = 0;
    for (const value of context.getImageData(0, 0, ...port).data) seen = (31 * seen + value) | 0;
    return [painter.canvas.width, painter.canvas.height, seen];
  }));
}
"""
AMBER = (0xFF, 0xD6, 0x4F)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    sources = "\n".join(
        (Path(component.__file__).parent / part).read_text(encoding="utf-8") for part in PARTS
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page()
        opened.add_script_tag(content=sources)
        yield opened
        browser.close()


def painted(page: Page, frame: Frame, **view: object) -> np.ndarray:
    """What the browser shows of a frame, pixel for pixel, as (rows, columns, 3) of RGB."""
    info = frame.info
    opening = {"center": info.window_center, "width": info.window_width, "invert": False}
    pixels = b64encode(frame.body).decode()
    answer = page.evaluate(PAINT, [info.as_dict(), pixels, opening | view])
    return np.frombuffer(b64decode(answer), np.uint8).reshape(info.rows, info.columns, 3)


def drawn(frame: Frame, **view: object) -> np.ndarray:
    """What Python draws of it, in the image's own pixels."""
    image = thumbnail.draw(frame, **view)
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        *(("CT_small.dcm", 0), ("MR_small.dcm", 0), ("rtdose.dcm", 7), ("JPGExtended.dcm", 0)),
        *(("SC_rgb_small_odd.dcm", 0), ("examples_overlay.dcm", 0), ("liver_1frame.dcm", 0)),
    ],
)
def test_the_browser_shows_what_python_draws(page, name, frame):
    shown = read_frame(describe(Path(get_testdata_file(name))), frame)
    colour = shown.info.format == "rgb8"  # turned round by the browser alone
    for inverted in (False,) if colour else (False, True):
        found = painted(page, shown, invert=inverted).astype(int)
        difference = found - drawn(shown, inverted=inverted)
        assert np.abs(difference).max() <= 1  # double against single precision
        assert (difference != 0).mean() < 0.02


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", "TABLE"])
@pytest.mark.parametrize("width", [1.0, 2.0, 1000.0])
def test_every_curve_of_a_window_is_the_same_in_both(page, function, width):
    shown = read_frame(describe(Path(get_testdata_file("CT_small.dcm"))))
    runs = bytes([0, 0, 0, 40, 2, 0, 255, 1, 1, 90, 0, 0])  # one, three, 258 and one of a level
    curve = b64encode(runs).decode() if function == "TABLE" else ""
    shown = replace(shown, info=replace(shown.info, voi_function=function, voi_curve=curve))
    window = {"center": 23.0, "width": width}
    found = painted(page, shown, **window).astype(int)
    expected = drawn(shown, window_center=23.0, window_width=width)
    assert np.abs(found - expected).max() <= 1


def test_numbers_that_are_none_are_black(page):
    values = np.array([[np.nan, 0.25], [0.5, 0.75]], "<f4")
    info = FrameInfo(2, 2, "float32", window_center=0.5, window_width=0.5)
    info = replace(info, voi_function="LINEAR_EXACT")
    found = painted(page, Frame(info, values.tobytes()))[..., 0]
    assert found.tolist() == [[0, 0], [128, 255]]


def test_graphics_lie_over_the_picture_until_hidden(page):
    shown = read_frame(describe(Path(get_testdata_file("examples_overlay.dcm"))))
    plain, with_graphics = painted(page, shown), painted(page, shown, graphics=True)
    assert shown.graphics.any()
    assert (with_graphics[shown.graphics] == AMBER).all()
    np.testing.assert_array_equal(with_graphics[~shown.graphics], plain[~shown.graphics])


def test_a_canvas_that_is_the_image_shows_what_one_that_fills_the_port_shows(page):
    shown = read_frame(describe(Path(get_testdata_file("examples_overlay.dcm"))))
    info, pixels = shown.info, b64encode(shown.body).decode()
    image, port = [info.columns, info.rows], [info.columns + 90, info.rows + 10]
    plain, drawn_over, again = page.evaluate(BOTH_WAYS, [info.as_dict(), pixels, port])
    for size, ((*full, expected), (*found_size, found)) in (
        (image, plain),
        (port, drawn_over),
        (image, again),
    ):
        assert (full, found_size, found) == (port, size, expected)
    assert plain[0] == again[0] != drawn_over[0]
    [(_, (*size, _)), *_] = page.evaluate(BOTH_WAYS, [info.as_dict(), pixels, [200, 100]])
    assert size == [200, 100]  # the smaller of the two


def test_padding_is_black_whatever_the_window_and_polarity(page):
    shown = read_frame(describe(Path(get_testdata_file("CT_small.dcm"))))
    low = int(shown.stored.min())
    shown = replace(shown, info=replace(shown.info, padding=(low, low + 300)))
    outside = shown.stored <= low + 300
    assert 0.01 < outside.mean() < 0.99
    for view in ({"invert": True}, {"center": -3000}, {"center": -3000, "invert": True}):
        assert not painted(page, shown, **view)[outside].any()
    assert not drawn(shown, inverted=True)[outside].any()
    assert drawn(shown, inverted=True)[~outside].any()


@pytest.mark.parametrize("colour", [False, True])
def test_what_a_shutter_covers_is_covered_until_graphics_are_hidden(page, colour):
    name = "SC_rgb_rle.dcm" if colour else "CT_small.dcm"
    shown = read_frame(describe(Path(get_testdata_file(name))))
    size, aspect = shown.info.columns, 1.0 if colour else 2.0
    shutters = (
        Shutter("rectangle", ((0.1 * size, 0.1 * size), (0.8 * size, 0.9 * size))),
        Shutter("circle", ((size / 2, size / 2),), 0.4 * size),
        Shutter("polygon", ((0, 0), (size, 0), (0, size)), colour="#204060"),
    )
    shown = replace(shown, info=replace(shown.info, shutters=shutters, aspect=aspect))
    found, expected = painted(page, shown, graphics=True).astype(int), drawn(shown).astype(int)
    if not colour:  # Python draws grey pictures in grey
        found[(found == (0x20, 0x40, 0x60)).all(axis=2)] = 0x40
    different = (np.abs(found - expected) > 1).any(axis=2)
    assert different.mean() < 0.05  # the browser's edges are soft
    assert (found == 0).all(axis=2).mean() > 0.1
    plain = replace(shown, info=replace(shown.info, shutters=()))
    np.testing.assert_array_equal(painted(page, shown), painted(page, plain))


def test_equal_bits_of_a_state_are_one_picture_for_all_frames(page):
    bits = {"rows": 2, "columns": 8, "bits": b64encode(b"\x0f\xf0").decode(), "colour": ""}
    cover = bits | {"top": 0, "left": 0, "is_shutter": True}
    said = [
        {"bitmaps": [cover]},
        {"bitmaps": [cover | {"left": 5}, cover | {"is_shutter": False}]},
    ]
    found = page.evaluate(
        """said => {
          const {pictured} = Presented.prototype;
          const known = said.map(pictured, {pictures: new Map()});
          const [one, moved, plane] = known.flatMap((each) => each.bitmaps);
          const same = [moved, plane].map(({picture}) => picture === one.picture);
          return [...same, moved.left, "bits" in moved];
        }""",
        said,
    )
    assert found == [True, False, 5, False]


def test_values_that_stand_for_colours_are_painted_in_them(page):
    frame = echoes.tinted()
    grey, turned = painted(page, frame), painted(page, frame, invert=True)
    np.testing.assert_array_equal(grey, drawn(frame))
    np.testing.assert_array_equal(grey[frame.coloured], turned[frame.coloured])
    assert (grey[~frame.coloured] != turned[~frame.coloured]).any()


def test_the_browser_says_of_shapes_what_python_says(page):
    frame = echoes.echo()
    shapes = [{"kind": kind.value, "points": points} for kind, points, _ in echoes.LINES]
    cases = [(shape, None) for shape in shapes]
    for points in (((110, 110), (150, 110)), ((10, 10), (60, 10))):
        known = {
            "id": "k",
            "kind": "calibration",
            "points": points,
            "known_mm": 10.0,
            "by": "Dr Ito",
        }
        by_hand = Known(points, 10.0, "Dr Ito")
        cases.append(({"kind": "length", "points": points, "known": known}, by_hand))
    said = page.evaluate(
        SAY, [frame.info.as_dict(), b64encode(frame.body).decode(), [one for one, _ in cases]]
    )
    for (shape, known), lines in zip(cases, said, strict=True):
        expected = lines_of(read_shape(Shape(shape["kind"]), shape["points"], frame, known))
        assert lines == expected, shape
    tinted = echoes.tinted()
    box = {"kind": "rectangle", "points": ((0, 0), (20, 20))}
    [lines] = page.evaluate(SAY, [tinted.info.as_dict(), b64encode(tinted.body).decode(), [box]])
    assert lines == lines_of(read_shape(Shape.RECTANGLE, box["points"], tinted))


def test_frames_with_lying_headers_are_painted_without_an_error(page):
    chance, sources, count = random.Random(13), hostile.seeds(), 0
    while count < 40:
        try:
            frame = read_frame(hostile.damaged(sources[chance.randrange(len(sources))], chance))
        except ClinicError:
            continue
        json.dumps(frame.info.as_dict(), allow_nan=False)
        difference = painted(page, frame).astype(int) - drawn(frame)
        assert (np.abs(difference) > 1).mean() < 0.01
        count += 1
