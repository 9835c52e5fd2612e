"""Where each millimetre comes from, one case a source, and what a line across ultrasound says."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from clinic_panel.imaging.calibration import OUTSIDE, UNSCALED, Known
from clinic_panel.imaging.figures import Quantity, lines_of, read_shape
from clinic_panel.imaging.geometry import SpacingSource
from clinic_panel.imaging.measure import Shape
from clinic_panel.imaging.pixels import read_frame
from tests.pictures import made

ULTRASOUND = SpacingSource.ULTRASOUND.value
CM, SECONDS, HERTZ, CM_S, NOTHING = 3, 4, 5, 7, 0
LOW = 1


def item(**attributes: object) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def groups(**sequences: Dataset) -> list[Dataset]:
    return [item(**{keyword: [one] for keyword, one in sequences.items()})]


def measures(*spacing: float) -> dict[str, Dataset]:
    return {"PixelMeasuresSequence": item(PixelSpacing=list(spacing))}


def region(
    box: tuple[int, int, int, int],
    units: tuple[int, int],
    deltas: tuple[float, float],
    flags: int = 0,
) -> Dataset:
    names = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    corners = {f"RegionLocation{name}": at for name, at in zip(names, box, strict=True)}
    return item(
        RegionFlags=flags,
        PhysicalUnitsXDirection=units[0],
        PhysicalUnitsYDirection=units[1],
        PhysicalDeltaX=deltas[0],
        PhysicalDeltaY=deltas[1],
        **corners,
    )


DX, DETECTOR, SMALLER = {"Modality": "DX"}, {"ImagerPixelSpacing": [0.2, 0.1]}, [0.15, 0.15]
PROPERTIES = {"FramePixelDataPropertiesSequence": item(ImagerPixelSpacing=[0.2, 0.1])}
IN_BEAM = {"ProjectionPixelCalibrationSequence": item(ObjectPixelSpacingInCenterOfBeam=[0.25, 0.5])}
CASES = [
    ({"PixelSpacing": [0.7, 0.5]}, (0.7, 0.5), SpacingSource.PIXEL_SPACING),
    (DX | {"PixelSpacing": SMALLER}, (0.15, 0.15), SpacingSource.UNSTATED),
    (DX | DETECTOR | {"PixelSpacing": SMALLER}, (0.15, 0.15), SpacingSource.PIXEL_SPACING),
    (
        {"Modality": "MG", "SharedFunctionalGroupsSequence": groups(**measures(0.1, 0.1))},
        (0.1, 0.1),
        SpacingSource.PIXEL_SPACING,  # of tomosynthesis
    ),
    (
        {"Modality": "XA", "PixelSpacing": SMALLER, "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        (0.15, 0.15),
        SpacingSource.PIXEL_SPACING,  # of a rotational scan
    ),
    (
        DX | {"PixelSpacing": SMALLER, "PixelSpacingCalibrationType": "GEOMETRY"},
        (0.15, 0.15),
        SpacingSource.GEOMETRY,
    ),
    (
        DX | DETECTOR | {"PixelSpacing": SMALLER, "PixelSpacingCalibrationType": "FIDUCIAL"},
        (0.15, 0.15),
        SpacingSource.FIDUCIAL,
    ),
    (DX | DETECTOR, (0.2, 0.1), SpacingSource.IMAGER),
    (DX | DETECTOR | {"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), SpacingSource.IMAGER),
    (
        DX | DETECTOR | {"EstimatedRadiographicMagnificationFactor": 2},
        (0.1, 0.05),
        SpacingSource.IMAGER_CORRECTED,
    ),
    (
        DX
        | DETECTOR
        | {"PixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25},
        (0.16, 0.08),
        SpacingSource.IMAGER_CORRECTED,
    ),
    (
        DX | DETECTOR | {"EstimatedRadiographicMagnificationFactor": 0},
        (0.2, 0.1),
        SpacingSource.IMAGER,
    ),
    (
        DX | DETECTOR | {"EstimatedRadiographicMagnificationFactor": -1.5},
        (0.2, 0.1),
        SpacingSource.IMAGER,
    ),
    ({"NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), SpacingSource.NOMINAL_SCANNED),
    (
        {"SharedFunctionalGroupsSequence": groups(**measures(0.4, 0.6))},
        (0.4, 0.6),
        SpacingSource.PIXEL_SPACING,
    ),
    (
        {
            "SharedFunctionalGroupsSequence": groups(**measures(0.4, 0.6)),
            "PerFrameFunctionalGroupsSequence": groups(**measures(0.9, 0.8)),
        },
        (0.9, 0.8),
        SpacingSource.PIXEL_SPACING,
    ),
    (
        {"Modality": "XA", "PerFrameFunctionalGroupsSequence": groups(**PROPERTIES)},
        (0.2, 0.1),
        SpacingSource.IMAGER,
    ),
    (
        {"Modality": "XA", "PerFrameFunctionalGroupsSequence": groups(**PROPERTIES, **IN_BEAM)},
        (0.25, 0.5),
        SpacingSource.IN_BEAM,
    ),
    (
        {"SequenceOfUltrasoundRegions": [region((0, 0, 9, 9), (CM, CM), (0.02, -0.03))]},
        (0.3, 0.2),
        SpacingSource.ULTRASOUND,
    ),
    (
        {
            "SequenceOfUltrasoundRegions": [
                region((0, 0, 4, 9), (CM, CM), (0.02, 0.02)),
                region((5, 0, 9, 9), (CM, CM), (0.05, 0.05)),
            ]
        },
        None,
        SpacingSource.NONE,
    ),
    ({"PixelAspectRatio": [2, 1]}, None, SpacingSource.NONE),
    ({"PixelSpacing": [0, 0]}, None, SpacingSource.NONE),
    ({"PixelSpacing": [0.5, -0.5]}, None, SpacingSource.NONE),
    ({"PixelSpacing": [1e30, 1e30]}, None, SpacingSource.NONE),
    ({}, None, SpacingSource.NONE),
]


@pytest.mark.parametrize(("attributes", "spacing", "source"), CASES)
def test_millimetres_name_their_source(attributes, spacing, source):
    info = read_frame(made(np.zeros((10, 10), "<u2"), stored=16, **attributes)).info
    assert info.spacing == (None if spacing is None else pytest.approx(spacing))
    assert info.spacing_source == source.value
    aspect = 2 if "PixelAspectRatio" in attributes else spacing[0] / spacing[1] if spacing else 1
    assert info.aspect == pytest.approx(aspect)


def test_each_frame_has_the_spacing_of_its_own():
    frames = [item(PixelMeasuresSequence=[item(PixelSpacing=[n, n])]) for n in (0.5, 0.7)]
    part10 = made(np.zeros((2, 4, 4), "<u2"), stored=16, PerFrameFunctionalGroupsSequence=frames)
    assert [read_frame(part10, n).info.spacing for n in range(2)] == [(0.5, 0.5), (0.7, 0.7)]


# The screen of a scanner: tissue at the left with a colour box in it, M-mode at the upper right,
# Doppler below it, and a spectrum, a scale without units in a corner of the tissue.
SCREEN = [
    region((0, 0, 99, 199), (CM, CM), (0.02, 0.02), LOW),
    region((20, 40, 59, 79), (CM, CM), (0.02, 0.02)),
    region((80, 180, 99, 199), (NOTHING, NOTHING), (0, 0)),
    region((100, 0, 199, 99), (SECONDS, CM), (0.005, 0.02)),
    region((100, 100, 199, 149), (SECONDS, CM_S), (0.005, -1.5)),
    region((100, 150, 199, 199), (NOTHING, HERTZ), (0, 40)),
]


def echo(**more: object):
    pixels = np.zeros((200, 200), "<u2")
    return read_frame(made(pixels, stored=16, SequenceOfUltrasoundRegions=SCREEN, **more))


LINES = [
    (Shape.LENGTH, ((10, 10), (10, 110)), ["20.0 mm", ULTRASOUND]),
    (Shape.LENGTH, ((10, 10), (60, 10)), ["10.0 mm", ULTRASOUND]),
    (Shape.LENGTH, ((30, 50), (30, 150)), ["20.0 mm", ULTRASOUND]),  # out of the colour box
    (Shape.LENGTH, ((90, 10), (110, 10)), ["20.0 px", OUTSIDE]),  # from tissue into M-mode
    (Shape.LENGTH, ((70, 150), (90, 190)), ["44.7 px", OUTSIDE]),  # under what lies over it
    (Shape.LENGTH, ((85, 185), (95, 185)), ["10.0 px", UNSCALED]),
    (Shape.LENGTH, ((110, 10), (150, 60)), ["0.200 s across", "1.00 cm down", ULTRASOUND]),
    (Shape.LENGTH, ((110, 110), (150, 130)), ["0.200 s across", "30.00 cm/s down", ULTRASOUND]),
    (Shape.LENGTH, ((110, 160), (150, 190)), ["1200 Hz down", ULTRASOUND]),
    (Shape.LENGTH, ((150, 90), (150, 110)), ["20.0 px", OUTSIDE]),  # from M-mode into Doppler
    (
        Shape.BIDIRECTIONAL,
        ((110, 10), (110, 50), (105, 20), (115, 20)),
        ["40.0 × 10.0 px", "Region of s across and cm down: pixels only"],
    ),
    (
        Shape.ANGLE,
        ((110, 10), (110, 50), (150, 50)),
        ["90.0°", "Region of s across and cm down: pixels only"],
    ),
    (Shape.ANGLE, ((10, 10), (10, 50), (50, 50)), ["90.0°"]),
]


@pytest.mark.parametrize(("kind", "points", "expected"), LINES)
def test_a_line_on_ultrasound_says_what_its_region_shows(kind, points, expected):
    assert lines_of(read_shape(kind, points, echo())) == expected


def test_one_pixel_spacing_does_not_stand_above_the_regions():
    frame = echo(PixelSpacing=[0.5, 0.5])
    inside = read_shape(Shape.LENGTH, ((10, 10), (60, 10)), frame)
    across = read_shape(Shape.LENGTH, ((90, 10), (110, 10)), frame)
    assert lines_of(inside) == ["10.0 mm", ULTRASOUND]
    assert lines_of(across) == ["20.0 px", OUTSIDE]


def test_a_calibration_by_hand_makes_no_lengths_of_time():
    frame = echo()
    doppler = Known(((110, 110), (150, 110)), 10.0)
    said = lines_of(read_shape(Shape.LENGTH, doppler.points, frame, doppler))
    assert said == ["0.200 s across", "0.000 cm/s down", ULTRASOUND]
    tissue = Known(((10, 10), (60, 10)), 25.0, "Dr Ito")
    said = lines_of(read_shape(Shape.LENGTH, tissue.points, frame, tissue))
    assert said == ["25.0 mm", f"Calibrated by Dr Ito on 25 mm, in place of {ULTRASOUND}"]


def tinted():
    """The upper half in colours, the lower grey."""
    array = np.full((20, 20), 100, "<u2")
    array[:10], array[15:] = 3000, 900
    descriptor = {
        f"{one}PaletteColorLookupTableDescriptor": [2, 2999, 8] for one in ("Red", "Green", "Blue")
    }
    data = {f"{one}PaletteColorLookupTableData": b"\x01\x02" for one in ("Red", "Green", "Blue")}
    return read_frame(made(array, stored=16, PixelPresentation="COLOR", **descriptor, **data))


def test_a_colour_is_no_value_of_a_region():
    box = ((0, 0), (20, 20))
    found = {one.quantity: one.value for one in read_shape(Shape.RECTANGLE, box, tinted()).figures}
    assert (found[Quantity.MIN], found[Quantity.MAX]) == (100, 900)
    assert found[Quantity.MEAN] == 500
