"""Sections of a volume in a real browser: the same numbers as NumPy's."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from clinic_panel.components.viewer import viewer as viewer_module
from clinic_panel.imaging.grid import Grid, sections_of
from tests.integration.test_viewer_browser import browser  # noqa: F401 - shared fixture

SCRIPT = Path(viewer_module.__file__).with_name("volume.js").read_text(encoding="utf-8")
# Columns, rows and slices all differ, so that a mixed up axis cannot go unseen.
SIZE = (14, 11, 9)
CUT = """
({grid, slices, cuts}) => {
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
  const text = (array) => {
    const all = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let out = "";
    for (const one of all) out += String.fromCharCode(one);
    return btoa(out);
  };
  const volume = new Volume(grid);
  const stored = (data) => new Int16Array(bytes(data));
  slices.forEach(({info, data}, z) => data && volume.put(z, {info, pixels: stored(data)}));
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
def sheet(browser: Browser) -> Page:  # noqa: F811
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT)
    return page


def cut(
    sheet: Page, grid: Grid, values: Any, cuts: list[Any], scales: Any = None, absent: Any = ()
) -> list[dict[str, Any]]:
    """Cut sections, each named by section, layers, mode, from int16 values (z, y, x)."""
    info = {"rows": SIZE[1], "columns": SIZE[0], "format": "int16", "unit": "HU"}
    slices = [
        {
            "info": info | {"slope": slope, "intercept": intercept},
            "data": "" if z in absent else base64.b64encode(values[z].tobytes()).decode(),
        }
        for z, (slope, intercept) in enumerate(scales or [(1.0, 0.0)] * SIZE[2])
    ]
    asked = [dict(zip(("section", "layers", "mode"), one, strict=True)) for one in cuts]
    found = sheet.evaluate(
        CUT, json.loads(json.dumps({"grid": grid.as_dict(), "slices": slices, "cuts": asked}))
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
    count = round(SIZE[2] * ratio)
    place = np.clip((np.arange(count) + 0.5) * SIZE[2] / count - 0.5, 0, SIZE[2] - 1)
    near = np.minimum(place.astype(int), SIZE[2] - 2)
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
    assert axial["info"]["position"] == pytest.approx([-3, 4, 5])
    rows = coronal["info"]["rows"]
    assert rows == round(9 * 2.1 / 0.8)
    assert coronal["info"]["spacing"] == pytest.approx([9 * 2.1 / rows, 0.8])
    assert coronal["info"]["spacing_source"] == "Pixel Spacing, slice positions"
    assert coronal["info"]["edges"] == ["R", "L", "H", "F"]
    assert coronal["info"]["orientation"] == [1, 0, 0, 0, 0, -1]
    # The outer edge of the last slice is half a slice beyond its centre, at the top.
    top = 5 + 8 * 2.1 + 1.05
    half = coronal["info"]["spacing"][0] / 2
    assert coronal["info"]["position"] == pytest.approx([-3, 4, top - half])


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
