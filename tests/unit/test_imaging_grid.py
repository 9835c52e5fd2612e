"""Which stacks are volumes, and how their sections lie to the patient."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmwrite

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.geometry import orientation_letters
from clinic_panel.imaging.grid import Slice, grid_of, sections_of
from clinic_panel.imaging.phantom import ct_phantom
from clinic_panel.imaging.picture import describe

STRAIGHT = {
    "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),
    "axial, from head to feet, prone": ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
}
EXPECTED = {
    "Axial": ("R", "L", "A", "P"),
    "Coronal": ("R", "L", "H", "F"),
    "Sagittal": ("A", "P", "H", "F"),
}


def part10(ds) -> bytes:
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def stack(count: int = 8, change=lambda number, ds: None) -> list[Slice]:
    slices = []
    for number, ds in enumerate(ct_phantom(slices=count, rows=16)):
        change(number, ds)
        slices.append((describe(part10(ds)), 0))
    return slices


def moved(shift):
    """Shift each slice by the millimetres (x, y, z) that ``shift`` gives for its number."""

    def change(number, ds):
        place = np.asarray(ds.ImagePositionPatient, float) + shift(number)
        ds.ImagePositionPatient = [f"{value:.4f}" for value in place]

    return change


def test_the_grid_of_the_phantom_is_where_its_slices_say():
    grid = grid_of(stack())

    assert grid.size == (16, 16, 8)
    assert grid.spacing == (24.0, 24.0, 1.5)
    assert grid.axes == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert grid.affine @ [15, 15, 7, 1] == pytest.approx([180, 180, 5.25, 1])
    assert [(one.name, one.normal) for one in grid.sections] == [
        ("Axial", 2),
        ("Coronal", 1),
        ("Sagittal", 0),
    ]


@pytest.mark.parametrize("axes", STRAIGHT.values(), ids=STRAIGHT)
def test_whatever_way_it_was_taken_a_section_is_seen_as_readers_expect(axes):
    for section in sections_of(axes):
        across = np.multiply(axes[section.across], -1 if section.across_reversed else 1)
        down = np.multiply(axes[section.down], -1 if section.down_reversed else 1)
        assert section.edges == EXPECTED[section.name], section.name
        assert orientation_letters([*across, *down]) == section.edges
        assert section.tilt_degrees == 0


def test_an_oblique_stack_says_how_far_it_leans_and_keeps_its_letters():
    tilt = np.radians(20)
    axes = ((1, 0, 0), (0, np.cos(tilt), np.sin(tilt)), (0, -np.sin(tilt), np.cos(tilt)))

    axial, coronal, sagittal = sections_of(axes)

    assert (axial.tilt_degrees, coronal.tilt_degrees, sagittal.tilt_degrees) == (20, 20, 0)
    assert axial.edges == ("R", "L", "AF", "PH")
    assert coronal.edges == ("R", "L", "HA", "FP")
    assert sagittal.edges == ("AF", "PH", "HA", "FP")


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_no_turn_of_the_stack_mirrors_the_patient_or_loses_a_plane(quaternion):
    w, x, y, z = np.asarray(quaternion) / np.linalg.norm(quaternion)
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
            [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
            [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    sections = sections_of([tuple(axis) for axis in axes])

    assert {section.normal for section in sections} == {0, 1, 2}
    # From the feet, from the front, and from the patient's left.
    into = {"Axial": (0, 0, 1), "Coronal": (0, 1, 0), "Sagittal": (-1, 0, 0)}
    for section in sections:
        across = axes[section.across] * (-1 if section.across_reversed else 1)
        down = axes[section.down] * (-1 if section.down_reversed else 1)
        assert {section.across, section.down, section.normal} == {0, 1, 2}
        assert np.cross(across, down) @ into[section.name] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved(lambda n: (0, 0, 1.5 * (n > 3))), "gaps between its slices: 1 is missing"),
        (moved(lambda n: (0, 0, 4.5 * (n > 3))), "gaps between its slices: 3 are missing"),
        (moved(lambda n: (0, 0, 0.6 * (n > 3))), "not evenly spaced"),
        (moved(lambda n: (0, 0, 0.06 * n * n / 2)), "not evenly spaced"),
        (moved(lambda n: (0, 0, -1.5 * (n > 3))), "several slices at the same position"),
        (moved(lambda n: (0, 0.2 * n, 0)), "as by a tilted gantry"),
        (moved(lambda n: (0, 3 * (n == 4), 0)), "shifted against each other"),
        (lambda n, ds: n == 2 and delattr(ds, "ImagePositionPatient"), "without a position"),
        (lambda n, ds: n == 2 and setattr(ds, "PixelSpacing", [12, 12]), "different pixel spacing"),
        (lambda n, ds: delattr(ds, "PixelSpacing"), "no pixel spacing"),
        (
            lambda n, ds: setattr(ds, "ImagerPixelSpacing", ds.PixelSpacing),
            "not that in the patient",
        ),
        (
            lambda n, ds: n == 2 and setattr(ds, "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
            "different orientation",
        ),
    ],
)
def test_what_is_no_volume_says_why(change, message):
    with pytest.raises(NotDisplayable, match=message):
        grid_of(stack(change=change))
