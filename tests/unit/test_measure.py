"""What shapes measure, against arithmetic done the slow way."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinic_panel.imaging.calibration import Known, pixel_size
from clinic_panel.imaging.frame import FrameInfo
from clinic_panel.imaging.measure import (
    Shape,
    angle,
    area,
    axes,
    crosses_itself,
    length,
    mask,
    profile,
    statistics,
)
from clinic_panel.imaging.regions import Region

corner = st.floats(-3, 15, allow_nan=False)


@pytest.mark.parametrize("shape", [Shape.RECTANGLE, Shape.ELLIPSE])
@given(x1=corner, y1=corner, x2=corner, y2=corner)
@example(x1=0.0, y1=0.0, x2=1.0, y2=1.6e-261)
def test_a_region_holds_the_pixels_whose_centres_lie_in_it(shape, x1, y1, x2, y2):
    inside = mask(shape, [(x1, y1), (x2, y2)], 9, 12)

    cx, cy, rx, ry = (x1 + x2) / 2, (y1 + y2) / 2, abs(x2 - x1) / 2, abs(y2 - y1) / 2
    for row in range(9):
        for column in range(12):
            across, down = abs(column + 0.5 - cx), abs(row + 0.5 - cy)
            if shape is Shape.RECTANGLE:
                expected = across <= rx and down <= ry
            else:
                x, y = (across / rx, down / ry) if rx and ry else (math.inf, math.inf)
                expected = x * x + y * y <= 1
            assert inside[row, column] == expected


def test_statistics_are_those_of_the_chosen_values():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    inside = mask(Shape.RECTANGLE, [(1, 1), (3, 3)], 3, 4)
    found = statistics(values, inside)
    assert found is not None
    assert (found.count, found.min, found.max, found.mean) == (4, 5, 10, 7.5)
    assert found.sd == pytest.approx(math.sqrt((2.5**2 + 1.5**2) / 2))
    assert statistics(values, np.zeros((3, 4), bool)) is None


def test_a_line_holds_no_pixels():
    with pytest.raises(ValueError, match="no pixels"):
        mask(Shape.LENGTH, [(0, 0), (1, 1)], 3, 3)


def test_pixels_that_are_not_square_count_as_what_they_are():
    assert length([(0, 0), (3, 4)], 2.0, 0.5) == pytest.approx(math.hypot(1.5, 8))


def test_a_profile_follows_a_ramp():
    ramp = np.tile(np.arange(20, dtype=np.float32), (10, 1))
    along, values = profile(ramp, [(2.5, 5.5), (12.5, 5.5)])
    assert along[-1] == 10
    assert values == pytest.approx(np.linspace(2, 12, len(values)))


@given(
    turns=st.lists(st.floats(0, 2 * math.pi), min_size=3, max_size=9, unique=True),
    radius=st.floats(0.5, 9),
)
def test_a_convex_outline_holds_the_centres_on_the_inner_side_of_all_its_edges(turns, radius):
    points = [(6 + radius * math.cos(t), 5 + radius * math.sin(t)) for t in sorted(turns)]
    inside = mask(Shape.POLYGON, points, 9, 12)
    for row in range(9):
        for column in range(12):
            sides = [
                (x2 - x1) * (row + 0.5 - y1) - (y2 - y1) * (column + 0.5 - x1)
                for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True)
            ]
            if min(map(abs, sides)) > 1e-6:  # on an edge either answer is true
                assert inside[row, column] == all(side > 0 for side in sides)


def test_an_outline_with_a_bay_leaves_the_bay_out():
    points = [(1, 1), (9, 1), (9, 7), (7, 7), (7, 3), (3, 3), (3, 7), (1, 7)]
    inside = mask(Shape.POLYGON, points, 9, 12)
    assert inside.sum() == area(Shape.POLYGON, points, 1, 1) == 8 * 6 - 4 * 4
    assert not inside[5, 5]
    assert inside[5, 1]
    assert inside[5, 8]


def test_an_outline_that_crosses_itself_has_no_area():
    bow = [(0, 0), (4, 4), (4, 0), (0, 4)]
    assert crosses_itself(bow)
    assert area(Shape.POLYGON, bow, 1, 1) is None
    touching = [(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)]
    assert crosses_itself(touching)
    assert not crosses_itself([(0, 0), (4, 0), (4, 4), (0, 4)])
    assert not crosses_itself([(0, 0), (4, 0), (0, 4)])


def test_two_lines_are_as_steep_to_each_other_however_they_were_drawn():
    upper, lower = [(0, 0), (10, 2)], [(0, 10), (10, 5)]
    truth = math.degrees(math.atan(0.2) + math.atan(0.5))
    for points in (upper + lower, upper[::-1] + lower, lower + upper[::-1]):
        assert angle(Shape.COBB, points, 1, 1) == pytest.approx(truth)
    squeezed = [(x, y / 2) for x, y in upper + lower]
    assert angle(Shape.COBB, squeezed, 1.0, 0.5) == pytest.approx(truth)
    assert angle(Shape.ANGLE, [(5, 0), (0, 0), (-5, 5)], 1, 1) == pytest.approx(135)


def test_the_longer_axis_comes_first():
    assert axes([(0, 0), (3, 0), (1, -4), (1, 4)], 0.5, 2.0) == (6, 4)


HALVES = (
    Region(left=0, top=0, right=50, bottom=100, row_mm=0.1, column_mm=0.1),
    Region(left=50, top=0, right=100, bottom=100, row_mm=0.3, column_mm=0.3),
)
BALL = Known(((10, 10), (10, 60)), 25.0, "Dr Ito")


def test_a_known_object_says_what_a_pixel_is_and_who_said_so():
    bare = FrameInfo(100, 100, "uint16", aspect=0.5, spacing_source="No calibration: pixels only")
    size = pixel_size(bare, BALL.points, BALL)
    assert length(BALL.points, size.row_mm, size.column_mm) == pytest.approx(25)
    assert size.row_mm == pytest.approx(size.column_mm * 0.5)
    assert size.source == "Calibrated by Dr Ito on 25 mm"
    assert pixel_size(bare, BALL.points).row_mm is None


def test_a_calibration_in_place_of_the_scanners_says_so():
    ct = FrameInfo(100, 100, "int16", spacing=(0.7, 0.7), spacing_source="Pixel Spacing")
    assert pixel_size(ct, BALL.points, BALL).source.endswith("on 25 mm, in place of Pixel Spacing")
    assert pixel_size(ct, BALL.points).source == "Pixel Spacing"


def test_on_ultrasound_a_calibration_speaks_for_its_own_region():
    echo = FrameInfo(100, 100, "rgb8", regions=HALVES)
    left, right, both = [(5, 5), (45, 5)], [(55, 5), (95, 5)], [(5, 5), (95, 5)]
    assert pixel_size(echo, left, BALL).row_mm == pytest.approx(0.5)
    assert pixel_size(echo, right, BALL).row_mm == pytest.approx(0.3)
    assert pixel_size(echo, both, BALL).row_mm is None
