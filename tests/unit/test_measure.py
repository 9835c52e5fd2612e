"""What shapes measure, against arithmetic done the slow way."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinic_panel.imaging.measure import Shape, length, mask, profile, statistics

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
