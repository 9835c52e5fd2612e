"""Sections of a volume in a real browser: the same numbers as NumPy's."""

import base64
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from clinic_panel.components.viewer import viewer as viewer_module
from clinic_panel.imaging.grid import Grid, grid_of, sections_of
from clinic_panel.imaging.measure import Shape, area, length, mask, statistics
from clinic_panel.imaging.phantom import ct_phantom
from clinic_panel.services.markup import Drawn
from tests.integration import test_viewer_browser as stage
from tests.integration.test_viewer_browser import Clinic

browser, page = stage.browser, stage.page

SCRIPT = "".join(
    Path(viewer_module.__file__).with_name(part).read_text(encoding="utf-8")
    for part in ("projection.js", "reduction.js", "block.js", "volume.js")
)
# Columns, rows and slices all differ, so that a mixed up axis cannot go unseen.
SIZE = (14, 11, 9)
CUT = """
({grid, slices, cuts, factors}) => {
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
  const text = (array) => {
    const all = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let out = "";
    for (const one of all) out += String.fromCharCode(one);
    return btoa(out);
  };
  const volume = new Volume(grid, factors);
  const stored = (data) => new Int16Array(bytes(data));
  slices.forEach(({info, data}, z) => {
    if (data) volume.put(z, {info, pixels: stored(data)});
  });
  return cuts.map(({section, layers, mode}) => {
    const {info, pixels, gaps, missing} = volume.cut(grid.sections[section], layers, mode);
    return {info, gaps, missing, pixels: pixels && text(pixels)};
  });
}
"""
AXES = {
    "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),
}
PROJECT = {"max": np.max, "min": np.min, "mean": np.mean}


def grid_of_axes(axes: Any, spacing: tuple[float, float, float]) -> Grid:
    return Grid(SIZE, spacing, (-3.0, 4.0, 5.0), axes, "Pixel Spacing", sections_of(axes))


@pytest.fixture(scope="module")
def sheet(browser: Browser) -> Page:
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT)
    return page


def cut(
    sheet: Page,
    grid: Grid,
    values: Any,
    cuts: list[Any],
    scales: Any = None,
    absent: Any = (),
    factors: tuple[int, int, int] = (1, 1, 1),
    **more: Any,
) -> list[dict[str, Any]]:
    """Cut sections, each named by section, layers, mode, from int16 values (z, y, x)."""
    info = {"rows": SIZE[1], "columns": SIZE[0], "format": "int16", "unit": "HU"} | more
    slices = [
        {
            "info": info | {"slope": slope, "intercept": intercept},
            "data": "" if z in absent else base64.b64encode(values[z].tobytes()).decode(),
        }
        for z, (slope, intercept) in enumerate(scales or [(1.0, 0.0)] * SIZE[2])
    ]
    asked = [dict(zip(("section", "layers", "mode"), one, strict=True)) for one in cuts]
    found = sheet.evaluate(
        CUT,
        json.loads(
            json.dumps(
                {"grid": grid.as_dict(), "slices": slices, "cuts": asked, "factors": factors}
            )
        ),
    )
    for one in found:
        if one["pixels"] is not None:
            shape = one["info"]["rows"], one["info"]["columns"]
            raw = base64.b64decode(one["pixels"])
            one["pixels"] = np.frombuffer(raw, one["info"]["format"]).reshape(shape)
    return found


def expected(grid: Grid, values: Any, section: int, layers: Any, mode: str) -> Any:
    """NumPy's own section: gathered, turned, and interpolated where slices lie far apart."""
    asked = grid.sections[section]
    axis = 2 - asked.normal  # arrays are (z, y, x)
    kept = np.take(values, range(layers[0], layers[1] + 1), axis=axis)
    flat = np.floor(PROJECT[mode](kept.astype(np.float64), axis=axis) + 0.5)
    if asked.across > asked.down:  # what remains stands in the order z, y, x
        flat = flat.T
    flat = flat[:: -1 if asked.down_reversed else 1, :: -1 if asked.across_reversed else 1]
    if asked.normal == 2:
        return flat
    along, other = (0, asked.across) if asked.down == 2 else (1, asked.down)
    ratio = grid.spacing[2] / grid.spacing[other]
    if ratio <= 1:
        return flat
    slices = len(values)
    count = round(slices * ratio)
    place = np.clip((np.arange(count) + 0.5) * slices / count - 0.5, 0, slices - 1)
    near = np.minimum(place.astype(int), slices - 2)
    weight = np.expand_dims(place - near, 1 - along)
    low, high = np.take(flat, near, axis=along), np.take(flat, near + 1, axis=along)
    return low + (high - low) * weight


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_sections_and_slabs_are_numpys(sheet, axes):
    values = np.random.default_rng(7).integers(-1024, 3071, SIZE[::-1]).astype("<i2")
    isotropic = grid_of_axes(axes, (0.8, 0.8, 0.8))
    thick = grid_of_axes(axes, (0.8, 0.8, 2.1))
    cuts = []
    for section in range(3):
        last = SIZE[isotropic.sections[section].normal] - 1
        cuts += [(section, layer, "max") for layer in ((0, 0), (3, 3), (last, last))]
        cuts += [(section, layer, mode) for layer in ((1, 5), (0, last)) for mode in PROJECT]

    for one, found in zip(cuts, cut(sheet, isotropic, values, cuts), strict=True):
        wanted = expected(isotropic, values, *one)
        np.testing.assert_array_equal(found["pixels"], wanted, err_msg=str(one))
    for one, found in zip(cuts, cut(sheet, thick, values, cuts), strict=True):
        wanted = expected(thick, values, *one)
        # Half a unit of rounding, and the interpolation's weight of 14 bits.
        np.testing.assert_allclose(found["pixels"], wanted, rtol=0, atol=0.7, err_msg=str(one))


def test_a_section_knows_its_millimetres_its_letters_and_its_place(sheet):
    grid = grid_of_axes(AXES["axial"], (0.8, 0.9, 2.1))
    values = np.zeros(SIZE[::-1], "<i2")

    axial, coronal = cut(sheet, grid, values, [(0, (4, 4), "max"), (1, (2, 2), "max")])

    assert axial["info"]["spacing"] == pytest.approx([0.9, 0.8])
    assert axial["info"]["position"] == pytest.approx([-3, 4, 5 + 4 * 2.1])
    rows = coronal["info"]["rows"]
    assert rows == round(9 * 2.1 / 0.8)
    assert coronal["info"]["spacing"] == pytest.approx([9 * 2.1 / rows, 0.8])
    assert coronal["info"]["spacing_source"] == "Pixel Spacing, resampled; slices 2.1 mm apart"
    assert coronal["info"]["edges"] == ["R", "L", "H", "F"]
    assert coronal["info"]["orientation"] == [1, 0, 0, 0, 0, -1]
    # The outer edge of the last slice is half a slice beyond its centre, at the top.
    top = 5 + 8 * 2.1 + 1.05
    half = coronal["info"]["spacing"][0] / 2
    assert coronal["info"]["position"] == pytest.approx([-3, 4 + 2 * 0.9, top - half])


def test_slices_scaled_each_in_its_own_way_meet_in_their_unit(sheet):
    values = np.random.default_rng(8).integers(0, 32767, SIZE[::-1]).astype("<i2")
    scales = [(0.5 + 0.25 * z, 3.0 - z) for z in range(SIZE[2])]
    grid = grid_of_axes(AXES["axial"], (2.0, 2.0, 2.0))
    true = np.stack(
        [plane * slope + base for plane, (slope, base) in zip(values, scales, strict=True)]
    )

    for one in ((0, (3, 3), "max"), (1, (2, 6), "max"), (2, (0, 13), "mean")):
        [found] = cut(sheet, grid, values, [one], scales)
        seen = found["pixels"] * found["info"]["slope"] + found["info"]["intercept"]
        asked = grid.sections[one[0]]
        kept = np.take(true, range(one[1][0], one[1][1] + 1), axis=2 - asked.normal)
        flat = PROJECT[one[2]](kept, axis=2 - asked.normal)
        flat = flat[:: -1 if asked.down_reversed else 1]
        np.testing.assert_allclose(seen, flat, atol=np.ptp(flat) / 65535)


def test_what_lies_outside_the_picture_takes_no_part_in_a_slab(sheet):
    values = np.random.default_rng(10).integers(-1000, 3000, SIZE[::-1]).astype("<i2")
    values[np.random.default_rng(11).random(values.shape) < 0.4] = -2000
    values[:, 3, 2] = -2000
    grid = grid_of_axes(AXES["axial"], (2.0, 2.0, 2.0))
    inside = np.where(values == -2000, np.nan, values.astype(float))
    cuts = [(0, (2, 7), mode) for mode in PROJECT]

    plain = cut(sheet, grid, values, cuts, padding=[-2000, -2000])
    scaled = cut(sheet, grid, values, cuts, [(1.0 + z, 0.0) for z in range(9)], padding=[-2000] * 2)

    inside_scaled = inside * np.arange(1, 10)[:, None, None]
    for kept, found in ((inside, plain), (inside_scaled, scaled)):
        for (_, layers, mode), one in zip(cuts, found, strict=True):
            layer = kept[layers[0] : layers[1] + 1]
            count = np.isfinite(layer).sum(axis=0)
            if mode == "mean":
                wanted = np.full(count.shape, np.nan)
                np.divide(np.nansum(layer, axis=0), count, out=wanted, where=count > 0)
            else:
                edge = -np.inf if mode == "max" else np.inf
                wanted = PROJECT[mode](np.nan_to_num(layer, nan=edge), axis=0)
            low, high = one["info"]["padding"]
            none = (one["pixels"] >= low) & (one["pixels"] <= high)
            seen = one["pixels"] * one["info"]["slope"] + one["info"]["intercept"]
            assert none[3, 2]
            assert (none == ~np.isfinite(wanted)).all()
            np.testing.assert_allclose(seen[~none], wanted[~none], rtol=0, atol=0.51)


def averaged(values: Any, factors: tuple[int, int, int]) -> Any:
    """NumPy's own means of blocks of (x, y, z), of what has a value; the last may be a part."""
    by = factors[::-1]
    room = [(0, -count % each) for count, each in zip(values.shape, by, strict=True)]
    whole = np.pad(values.astype(float), room, constant_values=np.nan)
    shape = [one for size, n in zip(whole.shape, by, strict=True) for one in (size // n, n)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a block of nothing has no mean
        return np.nanmean(whole.reshape(shape), axis=(1, 3, 5))


def test_a_volume_too_large_is_averaged_where_its_voxels_are_finest(sheet):
    choose = "([grid, mb, each]) => factorsFor(grid, mb * 2 ** 20, each)"
    grid = grid_of_axes(AXES["axial"], (0.7, 0.7, 0.5)).as_dict()

    def chosen(size: tuple[int, int, int], mb: float, each: int = 2) -> list[int]:
        return sheet.evaluate(choose, [json.loads(json.dumps(grid | {"size": size})), mb, each])

    assert chosen((512, 512, 300), 256) == [1, 1, 1]
    assert chosen((512, 512, 1000), 256) == [1, 1, 2]  # 0.7 x 0.7 x 1 mm
    assert chosen((512, 512, 2000), 256) == [2, 2, 1]  # 1.4 x 1.4 x 0.5 mm: every slice for itself
    assert chosen((512, 512, 2000), 256, 4) == [2, 2, 2]
    assert chosen((512, 512, 2000), 0.01) == [16, 16, 400]  # as far as it goes


@pytest.mark.parametrize("factors", [(2, 2, 1), (1, 1, 2), (3, 3, 4)])
def test_an_averaged_volume_holds_numpys_means_in_true_millimetres(sheet, factors):
    values = np.random.default_rng(9).integers(-1000, 3000, SIZE[::-1]).astype("<i2")
    values[np.random.default_rng(12).random(values.shape) < 0.3] = -2000
    values[:4, :3, :3] = -2000
    grid = grid_of_axes(AXES["axial"], (2.0, 2.0, 2.0))
    inside = np.where(values == -2000, np.nan, values.astype(float))
    scales = [(1.0 + z, -z) for z in range(SIZE[2])]
    scaled = inside * np.arange(1, 10)[:, None, None] - np.arange(9)[:, None, None]
    axial = [(0, (z, z), "max") for z in range(-(-SIZE[2] // factors[2]))]

    plain = cut(sheet, grid, values, axial, factors=factors, padding=[-2000, -2000])
    mixed = cut(sheet, grid, values, axial, scales, factors=factors, padding=[-2000, -2000])

    for found, truth, error in ((plain, inside, 0.5001), (mixed, scaled, 1.0)):
        means = averaged(truth, factors)
        for one, wanted in zip(found, means, strict=True):
            info, pixels = one["info"], one["pixels"]
            low, high = info["padding"]
            none = (pixels >= low) & (pixels <= high)
            seen = pixels * info["slope"] + info["intercept"]
            assert (none == np.isnan(wanted)).all()
            np.testing.assert_allclose(seen[~none], wanted[~none], rtol=1e-6, atol=error)
    spacing = [2.0 * factors[1], 2.0 * factors[0]]
    assert plain[0]["info"]["spacing"] == spacing
    # The first voxel's centre: the middle of what meets in it.
    middle = [(n - 1) * 2.0 / 2 for n in factors]
    assert plain[0]["info"]["position"] == pytest.approx(np.add([-3, 4, 5], middle))
    source = "Pixel Spacing, resampled" if factors[0] > 1 else "Pixel Spacing"
    assert plain[0]["info"]["spacing_source"] == source
    assert plain[0]["info"]["changed"] == "Values averaged {} × {} × {}".format(*factors)


def test_what_has_not_come_is_left_out_and_said(sheet):
    values = np.full(SIZE[::-1], 50, "<i2")
    grid = grid_of_axes(AXES["axial"], (1.0, 1.0, 2.0))
    asked = [(0, (2, 2), "max"), (0, (1, 4), "min"), (1, (5, 5), "max")]

    absent, slab, coronal = cut(sheet, grid, values, asked, absent={2, 3})

    assert absent["pixels"] is None
    assert (slab["missing"], int(slab["pixels"].min())) == (2, 50)
    # Feet are below: slices 2 and 3 of 9 are rows 10 to 13 of 18, and half touch their neighbours.
    assert coronal["gaps"] == [[9, 15]]
    assert set(np.flatnonzero((coronal["pixels"] != 50).any(axis=1))) <= set(range(9, 15))


# -- in the viewer -----------------------------------------------------------------------------

COUNT = 20
THICK = 100  # where the numbers of the thick slices begin


@pytest.fixture(scope="module")
def volume() -> list[Any]:
    """A phantom of 32 x 32 x 20 voxels of 12 x 12 x 1.5 mm."""
    return list(ct_phantom(slices=COUNT, rows=32, noise_hu=30))


@pytest.fixture(scope="module")
def thick() -> list[Any]:
    """The same 24 mm apart, twice its pixels: sections are filled in between."""
    slices = list(ct_phantom(slices=COUNT, rows=32, noise_hu=30))
    for ds in slices:
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, z * 16]
    return slices


@pytest.fixture(scope="module")
def clinic(volume: list[Any], thick: list[Any]) -> Iterator[Clinic]:
    made = Clinic()
    for first, slices in ((0, volume), (THICK, thick)):
        for number, ds in enumerate(slices, first):
            made.pictures[number] = stage.described(ds)
    with stage.served(made):
        yield made


def offered(clinic: Clinic, *, count: int = COUNT, first: int = 0, **options: Any) -> Grid:
    numbers = range(first, first + count)
    grid = grid_of([(clinic.pictures[number], 0) for number in numbers])
    stack = [{"id": number} for number in numbers]
    ct = {"id": "1", "label": "Phantom", "modality": "CT", "thumbnail_url": ""}
    scout = {"id": "2", "label": "Scout", "modality": "CT", "thumbnail_url": "", "grid": None}
    clinic.options = options | {
        "series": [
            ct | {"frames": stack, "grid": grid.as_dict()},
            scout | {"frames": stack[:1], "no_volume": "A volume needs at least two slices."},
        ]
    }
    return grid


def section(page: Page, name: str) -> Locator:
    return page.locator(f".port[data-section={name}]")


def standing(page: Page) -> list[int]:
    """Zero-based place of the sagittal, coronal and axial sections."""
    return [
        int(section(page, name).locator("canvas").get_attribute("data-shown") or -1)
        for name in ("Sagittal", "Coronal", "Axial")
    ]


def whole(page: Page) -> None:
    """Wait until every slice is in the volume and painted."""
    expect(page.locator(".mpr .port")).to_have_count(3)
    expect(page.locator(".mpr .progress:not([hidden])")).to_have_count(0)
    expect(page.locator(".mpr .place", has_text="slices here")).to_have_count(0)


def spot(
    page: Page, name: str, across: float, down: float, height_mm: float = 30
) -> tuple[float, float]:
    """Screen coordinates of a fraction of a fitted section's picture."""
    found = section(page, name).evaluate(
        """(port, deep) => {
            const box = port.getBoundingClientRect(), {width, height} = box;
            const [columns, rows] = port.dataset.section === "Axial" ? [384, 384] : [384, deep];
            const scale = Math.min(width / columns, height / rows);
            return [box.x + width / 2, box.y + height / 2, columns * scale, rows * scale];
        }""",
        height_mm,
    )
    return found[0] + (across - 0.5) * found[2], found[1] + (down - 0.5) * found[3]


def test_the_cross_hair_leads_all_sections_to_the_voxel_under_the_hand(page, clinic, volume):
    offered(clinic)
    stage.opened(page, clinic)
    page.keyboard.press("v")
    whole(page)
    stage.until(lambda: standing(page) == [16, 16, 10])
    x, y = spot(page, "Axial", 16.5 / 32, 16.5 / 32)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(*spot(page, "Axial", 10.5 / 32, 13.5 / 32), steps=3)
    page.mouse.up()
    expect(section(page, "Coronal").locator("canvas")).to_have_attribute("data-shown", "13")
    page.mouse.click(*spot(page, "Sagittal", 20.5 / 32, 0.27))
    expect(section(page, "Coronal").locator("canvas")).to_have_attribute("data-shown", "20")

    stage.until(
        lambda: standing(page) == [10, 20, 14]
    )  # a quarter down from the head: slice 14 of 20
    page.mouse.move(*spot(page, "Coronal", 10.5 / 32, 0.27))
    stored = int(volume[14].pixel_array[20, 10])
    expect(section(page, "Coronal").locator(".values")).to_contain_text(f"{stored} HU")
    stage.until(lambda: clinic.viewer.cross_hair == pytest.approx([-66, 54, 6.75]))
    stands = (True, 14, "cross")  # each of these comes by itself
    stage.until(lambda: (clinic.viewer.mpr, clinic.viewer.index, clinic.viewer.tool) == stands)
    page.keyboard.press("Shift+x")  # one section alone, and all again
    expect(section(page, "Axial")).to_be_hidden()
    page.keyboard.press("Shift+x")
    expect(section(page, "Axial")).to_be_visible()
    for name, letters in (("Axial", "RLAP"), ("Coronal", "RLHF"), ("Sagittal", "APHF")):
        here = section(page, name).locator(".overlay")
        seen = [
            here.locator(f".{side}").inner_text() for side in ("left", "right", "top", "bottom")
        ]
        assert "".join(seen) == letters
        expect(here.locator(".banner")).to_contain_text("ID P-1")
        expect(here.locator(".notice")).to_have_text("Not for primary diagnosis")


def test_keys_wheel_and_slab_work_and_leaving_keeps_the_place(page, clinic, volume):
    offered(clinic)
    stage.opened(page, clinic)
    page.get_by_role("button", name="Sections").click()
    whole(page)
    section(page, "Axial").focus()
    for key in ("ArrowDown", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    expect(section(page, "Axial").locator("canvas")).to_have_attribute("data-shown", "12")
    section(page, "Coronal").hover()
    page.mouse.wheel(0, -100)
    expect(section(page, "Coronal").locator("canvas")).to_have_attribute("data-shown", "14")
    stage.until(lambda: standing(page) == [15, 14, 12])
    for name in "sca":  # from section to section, and the cross-hair in each
        for key in (name, "ArrowLeft", "ArrowUp"):
            page.keyboard.press(f"Shift+{key}")
    stage.until(lambda: standing(page) == [13, 12, 14])
    page.keyboard.press(".")
    expect(page.get_by_text("choose a slab first")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press(".")
    expect(section(page, "Axial").locator(".section-name")).to_contain_text("MIP 12.0 mm")

    page.get_by_label("What a section shows").select_option("max")
    page.get_by_label("Thickness of the slab").fill("7.5")
    page.keyboard.press("Enter")
    expect(section(page, "Axial").locator(".section-name")).to_contain_text("MIP 7.5 mm")
    page.mouse.move(*spot(page, "Axial", 5.5 / 32, 9.5 / 32))
    stack = np.stack([ds.pixel_array for ds in volume])
    most = int(stack[12:17, 9, 5].max())
    expect(section(page, "Axial").locator(".values")).to_contain_text(f"{most} HU")
    stage.until(lambda: (clinic.viewer.slab_mode, clinic.viewer.slab_mm) == ("max", 7.5))

    page.get_by_role("button", name="Sections").click()
    stage.shown(page, 14)
    expect(page.locator(".port")).to_have_count(1)
    stage.until(lambda: not clinic.viewer.mpr and clinic.viewer.tool == "window")


def test_python_opens_moves_and_is_told_why_not(page, clinic):
    offered(clinic, count=COUNT - 4, mpr=True, cross_hair=[-66.0, 54.0, 6.75])
    page.goto(f"{clinic.origin}/study")
    whole(page)
    expect(section(page, "Axial").locator(".place")).to_contain_text("15 / 16 · H 6.8 mm")
    stage.until(lambda: standing(page) == [10, 20, 14])
    offered(clinic)
    clinic.change(**clinic.options)  # the last slices arrive
    expect(section(page, "Axial").locator(".place")).to_contain_text("15 / 20 · H 6.8 mm")
    whole(page)
    clinic.change(cross_hair=[6.0, 6.0, 0.75], slab_mode="mean", slab_mm=1000.0)
    expect(section(page, "Coronal").locator(".section-name")).to_contain_text("Mean 384.0 mm")
    expect(section(page, "Axial").locator("canvas")).to_have_attribute("data-shown", "10")
    page.get_by_role("navigation", name="Series").get_by_role("button").nth(1).click()
    expect(page.locator(".port")).to_have_count(1)
    button = page.get_by_role("button", name="Sections")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_attribute("title", "No sections. A volume needs at least two slices.")
    stage.until(lambda: clinic.viewer.selected_series == "2")
    clinic.change(mpr=True)
    expect(page.get_by_text("A volume needs at least two slices.")).to_be_visible()
    stage.until(lambda: not clinic.viewer.mpr)


def test_slices_still_missing_are_said_hatched_and_asked_for_again(page, clinic):
    offered(clinic, mpr=True)
    held: list[Route] = []
    damaged: list[dict[str, Any]] = []

    def answer(route: Route) -> None:
        if damaged:
            route.fulfill(**damaged[0])
        else:
            held.append(route)

    page.route("**/frames/3/0", answer)
    page.goto(f"{clinic.origin}/study")
    coronal = section(page, "Coronal")
    expect(coronal.locator(".place")).to_contain_text("19 of 20 slices here")
    damaged.append({"status": 503, "json": {"detail": "The archive is busy."}})
    for route in held:
        route.fulfill(**damaged[0])
    expect(coronal.locator(".place")).to_contain_text("1 slice cannot be shown")
    x, y = spot(page, "Coronal", 0.5, 16.5 / 20)
    hatched = coronal.locator("canvas").evaluate(
        """(canvas, [x, y]) => {
            const box = canvas.getBoundingClientRect(), k = canvas.width / box.width;
            const pen = canvas.getContext("2d");
            const at = pen.getImageData((x - box.x) * k - 8, (y - box.y) * k, 16, 1);
            return new Set(at.data).size;
        }""",
        [x, y],
    )
    assert hatched > 2  # neither one grey nor black alone
    page.unroute("**/frames/3/0")
    coronal.focus()
    page.keyboard.press("ArrowDown")
    expect(coronal.locator(".place")).not_to_contain_text("slice")
    whole(page)


def test_on_a_phone_a_finger_leads_the_cross_hair(browser, clinic):
    offered(clinic, mpr=True)
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(f"{clinic.origin}/study")
    whole(page)
    for name in ("Axial", "Coronal", "Sagittal"):
        box = section(page, name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    touch = context.new_cdp_session(page)
    for kind, across in (("touchStart", 16.5), ("touchMove", 12.5), ("touchMove", 8.5)):
        x, y = spot(page, "Axial", across / 32, 20.5 / 32)
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(section(page, "Sagittal").locator("canvas")).to_have_attribute("data-shown", "8")
    stage.until(lambda: standing(page) == [8, 20, 10])
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("button", name="Length", exact=True).click()
    for kind, across in (("touchStart", 4.0), ("touchMove", 20.0), ("touchMove", 24.0)):
        x, y = spot(page, "Axial", across / 32, 8 / 32)
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    stage.until(lambda: clinic.viewer.measurements)
    [line] = clinic.viewer.measurements
    assert length(line["points"], 12, 12) == pytest.approx(240, abs=3)
    assert (line["section"]["name"], line["instance_id"]) == ("Axial", 10)
    context.close()


def on_coronal(page: Page, *ends: tuple[float, float]) -> None:
    """Draw from one fraction of the thick slices' coronal section to another."""
    for step, (across, down) in enumerate(ends):
        page.mouse.move(*spot(page, "Coronal", across, down, COUNT * 24), steps=1 + 3 * step)
        if not step:
            page.mouse.down()
    page.mouse.up()


def figures(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_a_shape_on_a_section_says_what_numpy_says_and_is_found_again(page, clinic, thick):
    grid = offered(clinic, first=THICK, mpr=True, measurements=[])
    page.goto(f"{clinic.origin}/study")
    whole(page)
    coronal = section(page, "Coronal")
    drawn = coronal.locator(".shapes")
    coronal.focus()
    page.keyboard.press("e")
    on_coronal(page, (0.3, 0.3), (0.7, 0.62))
    stage.until(lambda: clinic.viewer.measurements)
    [kept] = clinic.viewer.measurements
    values = np.stack([ds.pixel_array for ds in thick]).astype(float)
    values += float(thick[0].RescaleIntercept)
    picture = expected(grid, values, 1, (16, 16), "max")
    truth = statistics(picture, mask(Shape.ELLIPSE, kept["points"], *picture.shape))
    text = drawn.locator("[data-kind=ellipse] text").text_content()
    covered = area(Shape.ELLIPSE, kept["points"], 12, 12)
    assert figures(text)[0] == pytest.approx(covered / 100, abs=0.006)  # cm²
    said = figures(text[text.index("Mean") :])
    assert said[:4] == pytest.approx([truth.mean, truth.sd, truth.min, truth.max], abs=1)
    assert "Values interpolated between slices" in text
    assert text.endswith("Pixel Spacing, resampled; slices 24 mm apart")
    assert kept["section"] == {
        "name": "Coronal",
        "position": pytest.approx([-186, 6, 9.5 * 24 + 6]),
        "orientation": [1, 0, 0, 0, 0, -1],
        "spacing": [12, 12],
        "slab_mode": "slice",
        "slab_mm": 12,
    }
    assert Drawn.of(kept).as_dict() == kept

    page.keyboard.press("l")
    on_coronal(page, (0.2, 0.1), (0.2, 0.9))  # from head to feet: slice distances
    stage.until(lambda: len(clinic.viewer.measurements) == 2)
    line = clinic.viewer.measurements[1]
    said_mm = figures(drawn.locator("[data-kind=length] text").text_content())[0]
    assert said_mm == pytest.approx(0.8 * COUNT * 24, abs=2)
    assert said_mm == pytest.approx(length(line["points"], 12, 12), abs=0.06)
    page.keyboard.press("Control+z")
    expect(drawn).to_have_attribute("data-count", "1")
    page.keyboard.press("Control+y")
    expect(drawn).to_have_attribute("data-count", "2")
    page.keyboard.press("ArrowDown")  # another plane
    expect(drawn).to_have_attribute("data-count", "0")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("j")  # MIP about it
    page.get_by_label("Thickness of the slab").fill("24")
    page.keyboard.press("Enter")
    expect(drawn.locator("[data-kind=ellipse] text")).to_contain_text("MIP of 24.0 mm")
    coronal.focus()
    page.keyboard.press("v")
    stage.shown(page, 10)
    expect(page.locator(".shapes")).to_have_attribute("data-count", "0")  # on no image
    page.keyboard.press("m")
    page.get_by_role("button", name="Go to Ellipse, coronal P 6.0 mm").click()
    expect(drawn).to_have_attribute("data-count", "2")
    expect(coronal.locator(".section-name")).to_have_text("Coronal")
    expect(drawn.locator(".chosen")).to_have_attribute("data-kind", "ellipse")

    # Into less room, on another day: averaged, and still the same millimetres in the same place.
    offered(clinic, first=THICK, mpr=True, volume_mb=0.02, measurements=[kept, line])
    page.goto(f"{clinic.origin}/study")
    whole(page)
    expect(coronal.locator(".place")).to_contain_text("2 × 2 × 1 averaged for display")
    expect(drawn.locator("[data-kind=ellipse] text")).to_contain_text("Values averaged 2 × 2 × 1")
    assert figures(drawn.locator("[data-kind=length] text").text_content())[0] == said_mm
    page.mouse.move(*spot(page, "Axial", 5 / 32, 9 / 32))
    mean = int(np.floor(values[10, 8:10, 4:6].mean() + 0.5))
    expect(section(page, "Axial").locator(".values")).to_contain_text(f"{mean} HU")
