"""Several panes in a real browser: each its own series and place, one set of tools and marks."""

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from clinic_panel.components.viewer.study import planes_of
from clinic_panel.imaging.phantom import ct_phantom
from clinic_panel.services.viewing import FrameView
from tests.integration import test_viewer_browser as stage

browser, page = stage.browser, stage.page
made = stage.clinic
CORONAL, PRIOR = 2000, 3000  # first instance of each stack
STEP_MM = 3.0  # between the coronal slices


@pytest.fixture(scope="module")
def clinic(made: Any) -> Any:
    more(made)
    return made


def more(clinic: Any) -> None:
    """Add a coronal stack in the frame of reference of the first, and one of another."""
    datasets = list(ct_phantom(slices=12, rows=stage.ROWS, noise_hu=0))
    for number, ds in enumerate(datasets):
        clinic.pictures[PRIOR + number] = stage.described(ds)
    for number, ds in enumerate(datasets):
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        ds.ImagePositionPatient = [-192, -18 + STEP_MM * number, 192]
        clinic.pictures[CORONAL + number] = stage.described(ds)


def stacks(clinic: Any) -> list[dict[str, Any]]:
    def stack(name: str, label: str, first: int, count: int, uid: str) -> dict[str, Any]:
        numbers = range(first, first + count)
        frames = [FrameView(n, 0, clinic.pictures[n].frame_traits(0)) for n in numbers]
        where = {"frame_of_reference": uid, "planes": planes_of(frames)}
        entries = [{"id": n} for n in numbers]
        one = {"id": name, "label": label, "modality": "CT", "thumbnail_url": "", "study": "7"}
        return one | where | {"frames": entries}

    prior = stack("prior", "Phantom", PRIOR, 12, "1.2.2") | {"study": "5"}
    return [
        stack("axial", "Axial", 0, stage.SLICES, "1.2.1"),
        stack("coronal", "Coronal", CORONAL, 12, "1.2.1"),
        prior,
    ]


STUDIES = [
    {"id": "7", "date": "2026-03-16", "label": "CT Abdomen", "is_prior": False, "is_open": True},
    {
        "id": "5",
        "date": "2024-02-01",
        "label": "CT Abdomen",
        "is_prior": True,
        "is_open": True,
        "banner": stage.BANNER | {"study_date": "2024-02-01", "prior": "2024-02-01"},
    },
    {"id": "3", "date": "2019-05-09", "label": "CR Chest", "is_prior": True, "is_open": False},
]
SHOT = {"studies": STUDIES, "banner": stage.BANNER}
# Which of the texts on a pane stand on each other.
COVERED = """(port, names) => {
  const said = names.map((name) => [name, port.querySelector(name)]);
  const boxes = said.filter(([, node]) => node.textContent).map(([name, node]) => {
    const text = document.createRange();
    text.selectNodeContents(node);
    const [a, b] = [node.getBoundingClientRect(), text.getBoundingClientRect()];
    const [left, top] = [Math.max(a.left, b.left), Math.max(a.top, b.top)];
    const [right, bottom] = [Math.min(a.right, b.right), Math.min(a.bottom, b.bottom)];
    return {name, left, top, right, bottom}; // of a box, the part that is written on
  });
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  return boxes.flatMap((a, i) => (
    boxes.slice(i + 1).filter((b) => meet(a, b)).map((b) => `${a.name} and ${b.name}`)
  ));
}"""


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

    clinic.change(layout=[3, 3])  # in small panes nothing of what is written covers anything else
    expect(two.locator(".port")).to_have_count(9)
    expect(pane(two, 1).locator(".place")).to_contain_text(" / ")
    texts = [".banner", ".notice", ".place", ".values", ".top", ".bottom", ".left", ".right"]
    assert pane(two, 1).evaluate(COVERED, texts) == []

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


@pytest.fixture
def three(page: Page, clinic: Any) -> Page:
    clinic.options = SHOT | {"layout": [1, 3], "series": stacks(clinic)}
    clinic.options["panes"] = ["axial", "coronal", "prior"]
    page.goto(f"{clinic.origin}/study")
    for number, key in enumerate(("0/0", f"{CORONAL}/0", f"{PRIOR}/0")):
        shows(page, number, key)
    return page


def line(page: Page, number: int) -> list[float]:
    """The reference line of a pane in image coordinates: x1, y1, x2, y2."""
    found = (
        pane(page, number)
        .locator(".guide line")
        .last.evaluate(
            """line => {
            const port = line.closest(".port").getBoundingClientRect();
            const scale = Math.min(port.width, port.height) / 256;
            const [left, top] = [(port.width - 256 * scale) / 2, (port.height - 256 * scale) / 2];
            return ["x1", "y1", "x2", "y2"].map((name, i) =>
                (Number(line.getAttribute(name)) - (i % 2 ? top : left)) / scale);
        }"""
        )
    )
    return [float(value) for value in found]


def heights(series: dict[str, Any], axis: int) -> np.ndarray:
    return np.array(series["planes"]["positions"])[:, axis]


def test_the_active_image_is_a_line_in_those_of_its_frame_of_reference(three, clinic):
    axial, coronal, _ = stacks(clinic)
    roll(three, 0, 7)
    shows(three, 0, "7/0")
    expect(pane(three, 1).locator(".guide")).to_be_visible()
    expect(pane(three, 2).locator(".guide")).to_be_hidden()  # another day, another frame
    row = (192 - heights(axial, 2)[7]) / 1.5 + 0.5
    assert line(three, 1)[1::2] == pytest.approx([row, row], abs=0.2)
    pane(three, 1).click(position={"x": 30, "y": 200})
    expect(pane(three, 0).locator(".guide")).to_be_visible()
    row = (heights(coronal, 1)[0] - heights(axial, 1)[7]) / 1.5 + 0.5
    assert line(three, 0)[1::2] == pytest.approx([row, row], abs=0.2)
    expect(pane(three, 1).locator(".guide")).to_be_hidden()


def test_scrolling_together_goes_by_position(three, clinic):
    axial, _, prior = stacks(clinic)
    clinic.change(panes=["axial", "prior", "coronal"])
    shows(three, 1, f"{PRIOR}/0")
    roll(three, 1, 2)
    shows(three, 1, f"{PRIOR + 2}/0")
    roll(three, 0, 4)
    shows(three, 0, "4/0")
    three.keyboard.press("Shift+J")
    stage.until(lambda: clinic.viewer.scroll_together)
    roll(three, 0, 10)
    shows(three, 0, "14/0")
    # Linked by hand at 4 and 2: from there on as many millimetres as the axial stack went.
    want = heights(prior, 2)[2] + heights(axial, 2)[14] - heights(axial, 2)[4]
    shows(three, 1, f"{PRIOR + int(np.argmin(abs(heights(prior, 2) - want)))}/0")
    shows(three, 2, f"{CORONAL}/0")  # not parallel: it stays


def test_a_layout_is_chosen_and_filled_by_key_and_by_drag(three, clinic):
    three.keyboard.press("0")
    expect(three.get_by_role("button", name="1 row, 3 columns")).to_be_focused()
    three.keyboard.press("ArrowDown")
    three.keyboard.press("ArrowLeft")
    three.keyboard.press("Enter")
    expect(three.locator(".port")).to_have_count(4)
    expect(pane(three, 3).get_by_role("alert")).to_contain_text("Choose a series for this place.")
    three.get_by_role("button", name="CT Coronal").drag_to(pane(three, 3))
    shows(three, 3, f"{CORONAL}/0")
    stage.until(lambda: clinic.viewer.panes == ["axial", "coronal", "prior", "coronal"])
    three.keyboard.press(">")  # round to the first
    three.get_by_role("button", name="CT Phantom").click()
    shows(three, 0, f"{PRIOR}/0")
    pane(three, 0).dblclick(position={"x": 60, "y": 60})
    expect(three.locator(".port:visible")).to_have_count(1)
    expect(three.locator(".port:visible .prior")).to_have_text("PRIOR 2024-02-01")
    three.keyboard.press("Shift+X")
    expect(three.locator(".port:visible")).to_have_count(4)


def test_a_prior_says_so_and_one_that_is_not_open_is_asked_for(three, clinic):
    expect(pane(three, 2).locator(".prior")).to_have_text("PRIOR 2024-02-01")
    expect(pane(three, 2).locator(".banner")).to_contain_text("Study 2024-02-01")
    expect(pane(three, 0).locator(".prior")).to_be_hidden()
    asked: list[dict[str, Any]] = []
    clinic.viewer.on_msg(lambda event: asked.append(event.data))
    three.get_by_role("button", name="Open prior of 2019-05-09, CR Chest").click()
    stage.until(lambda: {"wall": "study", "id": "3"} in asked)


@pytest.mark.parametrize("meanwhile", ["series", "layout"])
def test_what_a_reader_does_while_the_prior_is_fetched_stands(page, clinic, meanwhile):
    clinic.options = SHOT | {"series": stacks(clinic), "prior": {"id": "5", "label": "2024"}}
    page.goto(f"{clinic.origin}/study")
    shows(page, 0, "0/0")
    asked: list[dict[str, Any]] = []
    clinic.viewer.on_msg(lambda event: asked.append(event.data))
    page.get_by_role("button", name="Prior beside").click()
    stage.until(lambda: {"wall": "prior", "series": "axial"} in asked)
    if meanwhile == "series":
        page.get_by_role("button", name="CT Coronal").click()
    else:
        page.keyboard.press("0")
        page.get_by_role("button", name="2 rows, 1 column").click()
    clinic.hang([1, 2], ["axial", "prior"])
    stage.heard(page, clinic)
    shape = [2, 1] if meanwhile == "layout" else [1, 2]
    stage.until(lambda: clinic.viewer.layout == shape)
    expect(page.locator(".port")).to_have_count(2)
    keys = {"series": (f"{CORONAL}/0", f"{PRIOR}/0"), "layout": ("0/0", f"{CORONAL}/0")}
    for number, key in enumerate(keys[meanwhile]):
        shows(page, number, key)


def test_a_phone_shows_one_pane(three, clinic):
    three.set_viewport_size({"width": 390, "height": 844})
    expect(three.locator(".port:visible")).to_have_count(1)
    three.get_by_role("button", name="CT Phantom").click()
    expect(three.locator(".port:visible .prior")).to_have_text("PRIOR 2024-02-01")
    assert three.evaluate("document.documentElement.scrollWidth") <= 390


def test_crossing_planes_are_those_of_numpy(page, clinic):
    """Of oblique images: each end of the line lies in both, on an edge of the other."""
    draw = np.random.default_rng(7)

    def image() -> dict[str, Any]:
        axes = np.linalg.qr(draw.normal(size=(3, 3)))[0].T
        return {
            "position": (draw.normal(size=3) * 40).tolist(),
            "orientation": axes[:2].ravel().tolist(),
            "rows": int(draw.integers(64, 300)),
            "columns": int(draw.integers(64, 300)),
            "spacing": draw.uniform(0.4, 2, size=2).tolist(),
        }

    pairs = [[image(), image()] for _ in range(200)]
    source = (stage.VIEWER / "geometry.js").read_text(encoding="utf-8")
    page.goto("about:blank")
    found = page.evaluate(
        f"pairs => {{ {source}; return pairs.map(([a, b]) => crossingOf(a, b)); }}", pairs
    )
    assert sum(ends is not None for ends in found) > 50
    for (one, other), ends in zip(pairs, found, strict=True):
        corners = world(other, [[0, 0], [1, 0], [1, 1], [0, 1]], share=True)
        normal = np.cross(one["orientation"][:3], one["orientation"][3:])
        sides = (corners - one["position"]) @ normal
        assert (ends is not None) == (sides.min() < 0 < sides.max())
        if ends is None:
            continue
        points = world(one, ends)
        across = np.cross(other["orientation"][:3], other["orientation"][3:])
        assert (points - other["position"]) @ across == pytest.approx([0, 0], abs=1e-6)
        x = (points - other["position"]) @ other["orientation"][:3] / other["spacing"][1] + 0.5
        y = (points - other["position"]) @ other["orientation"][3:] / other["spacing"][0] + 0.5
        for value, most in zip(
            np.stack([x, y]).T, [[other["columns"], other["rows"]]] * 2, strict=True
        ):
            off = [min(abs(v), abs(v - m)) for v, m in zip(value, most, strict=True)]
            assert min(off) == pytest.approx(0, abs=1e-6)


def world(image: dict[str, Any], points: Any, *, share: bool = False) -> np.ndarray:
    """Image coordinates, or shares of the image's size, in the patient's frame."""
    at = np.array(points, dtype=float)
    if share:
        at *= [image["columns"], image["rows"]]
    step = (at - 0.5) * [image["spacing"][1], image["spacing"][0]]
    return image["position"] + step @ np.array(image["orientation"]).reshape(2, 3)
