"""Presentation states: turns, areas, layers, colours, compound graphics and tables of grey."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from clinic_panel.imaging import presentation
from clinic_panel.imaging.annotations import cielab
from clinic_panel.imaging.displayed import Area, Turn
from clinic_panel.imaging.lut import curve_of
from clinic_panel.imaging.presentation import Shown, read_presentation, read_shown
from clinic_panel.imaging.structured import Reference
from tests import papers

CT = papers.made("1.2.840.10008.5.1.4.1.1.2", "CT")
THIS = Reference(CT.SOPClassUID, CT.SOPInstanceUID)
AREA = Area(32, 16, 96, 80)  # of papers.presentation
SHARE = st.floats(0, 1)


def said_of(ds: Dataset, **shown):
    state = read_presentation(papers.written(ds))
    return presentation.as_dict(state, Shown(THIS, 0, 128, 128, **shown)), state


def drawn(**values) -> Dataset:
    """A state with the graphics of one item, and nothing else drawn."""
    ds = papers.presentation(CT, "x")
    [note] = ds.GraphicAnnotationSequence
    del note.TextObjectSequence, note.GraphicObjectSequence
    for keyword, value in values.items():
        setattr(note, keyword, value)
    return ds


def line(points, units="PIXEL", **values) -> Dataset:
    item = Dataset()
    item.GraphicType, item.GraphicAnnotationUnits, item.GraphicDimensions = "POLYLINE", units, 2
    item.NumberOfGraphicPoints, item.GraphicData, item.GraphicFilled = len(points) // 2, points, "N"
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def compound(kind: str, points, units="PIXEL", **values) -> Dataset:
    item = Dataset()
    item.CompoundGraphicInstanceID, item.CompoundGraphicType = 7, kind
    item.CompoundGraphicUnits, item.GraphicDimensions = units, 2
    item.NumberOfGraphicPoints, item.GraphicData = len(points) // 2, points
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def turned(turn: Turn, x: float, y: float) -> tuple[float, float]:
    """Where a share of an image stands on the screen: first turned clockwise, then flipped."""
    for _ in range(turn.quarters):
        x, y = 1 - y, x
    return (1 - x, y) if turn.flipped else (x, y)


@given(SHARE, SHARE, st.integers(0, 3), st.booleans())
def test_a_share_of_the_turned_view_is_led_back_to_the_image(x, y, quarters, flipped):
    turn = Turn(quarters, flipped)
    assert turn.original(*turned(turn, x, y)) == pytest.approx((x, y))


@pytest.mark.parametrize(
    ("rotation", "flip", "at"),
    [
        (0, "N", (32, 16)),  # the view's top left is the area's
        (90, "N", (32, 80)),  # turned clockwise, its bottom left comes up
        (180, "N", (96, 80)),
        (270, "N", (96, 16)),
        (0, "Y", (96, 16)),
        (90, "Y", (32, 16)),
    ],
)
def test_what_is_drawn_in_shares_of_the_view_stands_where_the_view_is_turned_to(rotation, flip, at):
    ds = drawn(GraphicObjectSequence=Sequence([line([0, 0, 0.5, 0.5], "DISPLAY")]))
    ds.ImageRotation, ds.ImageHorizontalFlip = rotation, flip
    said, _ = said_of(ds)
    assert said["graphics"][0]["points"] == [pytest.approx(at), pytest.approx((64, 48))]


def test_without_an_area_shares_are_of_the_whole_image():
    ds = drawn(GraphicObjectSequence=Sequence([line([0, 0, 0.5, 1], "DISPLAY")]))
    del ds.DisplayedAreaSelectionSequence
    said, _ = said_of(ds)
    assert said["area"] is None
    assert said["graphics"][0]["points"] == [(0, 0), (64, 128)]


def test_an_area_says_how_large_it_is_to_be():
    ds = papers.presentation(CT, "x")
    [area] = ds.DisplayedAreaSelectionSequence
    area.PresentationSizeMode, area.PresentationPixelSpacing = "TRUE SIZE", ["0.5", "0.25"]
    # Once turned, the corner at the top left of the screen is another one of the image.
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = (
        [96, 17],
        [33, 80],
    )
    found = said_of(ds)[0]["area"]
    assert found["corners"] == [[32, 16], [96, 80]]
    assert (found["mode"], found["spacing"], found["aspect"]) == ("TRUE SIZE", (0.5, 0.25), 2)

    area.PresentationSizeMode, area.PresentationPixelMagnificationRatio = "MAGNIFY", 2.5
    del area.PresentationPixelSpacing
    area.PresentationPixelAspectRatio = ["3", "2"]
    found = said_of(ds)[0]["area"]
    assert (found["mode"], found["magnification"], found["aspect"]) == ("MAGNIFY", 2.5, 1.5)

    area.PresentationSizeMode, area.PresentationPixelMagnificationRatio = "NONSENSE", -1.0
    found = said_of(ds)[0]["area"]
    assert (found["mode"], found["magnification"]) == ("SCALE TO FIT", None)


@pytest.mark.parametrize(
    ("encoded", "rgb"),
    [  # L*, a*, b* relative to D50, as sRGB
        ((0xFFFF, 0x8080, 0x8080), (255, 255, 255)),
        ((0, 0x8080, 0x8080), (0, 0, 0)),
        ((0x8000, 0x8080, 0x8080), (119, 119, 119)),
        ((35599, 53604, 50844), (255, 0, 0)),
    ],
)
def test_a_colour_of_the_standard_is_the_screens(encoded, rgb):
    text = cielab(encoded)
    assert tuple(bytes.fromhex(text[1:])) == pytest.approx(rgb, abs=8)  # bytes of Lab
    assert cielab(()) == ""


def layer(name: str, order: int, **values) -> Dataset:
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder = name, order
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def test_layers_give_their_colour_and_the_order_of_drawing_and_styles_stand_above():
    ds = drawn(GraphicObjectSequence=Sequence([line([1, 1, 2, 2])]), GraphicLayer="TOP")
    style = Dataset()
    style.PatternOnColorCIELabValue = [35599, 53604, 50844]
    style.LineThickness, style.LineDashingStyle = 3.0, "DASHED"
    below = drawn(GraphicObjectSequence=Sequence([line([3, 3, 4, 4])]), GraphicLayer="LOW")
    own = line([5, 5, 6, 6], LineStyleSequence=Sequence([style]))
    below.GraphicAnnotationSequence[0].GraphicObjectSequence.append(own)
    ds.GraphicAnnotationSequence.append(below.GraphicAnnotationSequence[0])
    ds.GraphicLayerSequence = Sequence(
        [
            layer("TOP", 2, GraphicLayerRecommendedDisplayCIELabValue=[0xFFFF, 0x8080, 0x8080]),
            layer("LOW", 1, GraphicLayerRecommendedDisplayGrayscaleValue=0x80FF),
        ]
    )
    said, state = said_of(ds)
    assert [one["points"][0] for one in said["graphics"]] == [(3, 3), (5, 5), (1, 1)]
    colours = [one["style"]["colour"] for one in said["graphics"]]
    assert colours[0] == "#808080"
    assert colours[2] in ("#ffffff", "#feffff", "#fefffe")
    assert (said["graphics"][1]["style"]["width"], said["graphics"][1]["style"]["dashed"]) == (
        3,
        True,
    )
    assert state.left_out == ()


def shapes(said):
    return [
        (one["shape"], [pytest.approx(point) for point in one["points"]])
        for one in said["graphics"]
    ]


def test_a_rectangle_and_an_ellipse_are_turned_about_their_point():
    box = compound("RECTANGLE", [10, 20, 30, 40], RotationAngle=90.0, RotationPoint=[10, 20])
    ring = compound("ELLIPSE", [10, 20, 30, 40], CompoundGraphicInstanceID=8)
    said, _ = said_of(drawn(CompoundGraphicSequence=Sequence([box, ring])))
    # Counterclockwise by a quarter: what ran to the right runs up.
    corners = [(10, 20), (10, 0), (30, 0), (30, 20), (10, 20)]
    assert shapes(said) == [
        ("polyline", corners),
        ("ellipse", [(10, 30), (30, 30), (20, 20), (20, 40)]),
    ]


def test_a_cut_line_crosses_the_view_leaves_a_gap_and_shows_where_one_looks():
    cut = compound("CUTLINE", [40, 50, 80, 50], RotationPoint=[60, 50], GapLength=0.25)
    said, _ = said_of(drawn(CompoundGraphicSequence=Sequence([cut])))
    found = [one["points"] for one in said["graphics"]]
    assert found[0][0][0] < -1_000
    assert found[0][1] == pytest.approx((52, 50))  # a gap of a quarter of the 64 columns
    assert found[1][0] == pytest.approx((68, 50))
    assert found[1][1][0] > 1_000
    tips = [points[1] for points in found[2:]]
    assert tips == [pytest.approx(tip) for tip in [(50, 50), (50, 50), (70, 50), (70, 50)]]
    assert found[2][0] == pytest.approx((50, 50 + 0.08 * 64))  # from the right of the line


def test_a_ruler_has_its_ticks_and_their_texts():
    ticks = []
    for share, text in ((0.0, "0"), (0.5, "5 cm"), (1.5, "beyond")):
        tick = Dataset()
        tick.TickPosition, tick.TickLabel = share, text
        ticks.append(tick)
    ruler = compound(
        "RULER",
        [0, 0, 0.5, 0],
        "DISPLAY",
        ShowTickLabel="Y",
        TickAlignment="TOP",
        TickLabelAlignment="BOTTOM",
        MajorTicksSequence=Sequence(ticks),
    )
    said, _ = said_of(drawn(CompoundGraphicSequence=Sequence([ruler])))
    half = 0.015 * 64
    assert shapes(said) == [
        ("polyline", [(32, 16), (64, 16)]),
        ("polyline", [(32, 16 - 2 * half), (32, 16)]),
        ("polyline", [(48, 16 - 2 * half), (48, 16)]),
    ]
    texts = [(one["text"], one["anchor"]) for one in said["labels"]]
    assert texts == [
        ("0", pytest.approx((32, 16 + 4 * half))),
        ("5 cm", pytest.approx((48, 16 + 4 * half))),
    ]


def test_what_stands_for_a_compound_graphic_is_drawn_only_where_that_is_not():
    stand_in = line([1, 1, 2, 2], CompoundGraphicInstanceID=7)
    alone = line([3, 3, 4, 4])
    for kind, expected in (("RECTANGLE", [(0, 0), (3, 3)]), ("CROSSHAIR", [(1, 1), (3, 3)])):
        item = compound(kind, [0, 0, 9, 9])
        ds = drawn(
            CompoundGraphicSequence=Sequence([item]),
            GraphicObjectSequence=Sequence([stand_in, alone]),
        )
        said, state = said_of(ds)
        assert sorted(one["points"][0] for one in said["graphics"]) == expected
        assert state.left_out == ()


def test_a_compound_graphic_that_nothing_stands_for_is_said_to_be_missing():
    _, state = said_of(drawn(CompoundGraphicSequence=Sequence([compound("ARROW", [0, 0, 9, 9])])))
    assert state.left_out == ("a compound graphic (ARROW)",)
    hostile = compound("Z" * 16, [0, 0, 9, 9])
    _, state = said_of(drawn(CompoundGraphicSequence=Sequence([hostile])))
    assert state.left_out == ("a compound graphic",)


def test_a_shutter_has_the_brightness_that_the_state_says():
    ds = papers.presentation(CT, "x", ShutterPresentationValue=0x40FF)
    assert said_of(ds)[0]["shutters"][0]["colour"] == "#404040"
    assert said_of(papers.presentation(CT, "x"))[0]["shutters"][0]["colour"] == ""


def table(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return item


def test_tables_of_grey_come_with_the_state():
    ds = papers.presentation(CT, "x")
    [voi] = ds.SoftcopyVOILUTSequence
    del voi.WindowCenter, voi.WindowWidth
    voi.VOILUTSequence = Sequence([table(100, 8, [0, 255, 128, 64])])
    ds.ModalityLUTSequence = Sequence([table(5, 16, [1000, 2000, 3000])])
    ds.PresentationLUTSequence = Sequence([table(0, 8, [255] * 128 + [0] * 128)])
    del ds.PresentationLUTShape
    said, state = said_of(ds)
    tones = said["tones"]
    assert (tones["window"], tones["function"]) == ([102, 4], "TABLE")
    assert list(curve_of(base64.b64decode(tones["curve"]))) == [0, 255, 128, 64]
    assert said["modality"]["first"] == 5
    assert np.frombuffer(base64.b64decode(said["modality"]["entries"]), "<u2").tolist() == [
        *(1000, 2000, 3000),
    ]
    levels = base64.b64decode(tones["levels"])
    assert (len(levels), set(levels[:128]), set(levels[128:])) == (256, {255}, {0})
    assert state.left_out == ()


def test_a_window_keeps_its_function_and_a_rescale_its_numbers():
    ds = papers.presentation(CT, "x", RescaleSlope="2", RescaleIntercept="-1024")
    ds.SoftcopyVOILUTSequence[0].VOILUTFunction = "SIGMOID"
    said, _ = said_of(ds)
    assert said["tones"]["function"] == "SIGMOID"
    assert said["modality"] == {"slope": 2, "intercept": -1024}
    # Pixels that passed the image's own table are no stored values any more.
    assert said_of(ds, has_modality_table=True)[0]["modality"] is None


def test_an_image_says_what_a_state_needs_to_know_of_it():
    image = papers.made("1.2.840.10008.5.1.4.1.1.2", "CT")
    image.Rows, image.Columns = 20, 30
    assert read_shown(papers.written(image), THIS, 3) == Shown(THIS, 3, 30, 20)
    image.ModalityLUTSequence = Sequence([table(0, 16, [1, 2])])
    assert read_shown(papers.written(image), THIS, 0).has_modality_table


@given(
    st.integers(0, 3), st.booleans(), *(st.integers(0, 60) for _ in range(2)), st.integers(1, 60)
)
def test_an_area_that_is_written_is_read_back_the_way_it_was_seen(quarters, mirrored, x, y, size):
    turn = Turn.of_view(quarters * 90, mirrored)
    area = Area(x, y, x + size, y + 2 * size)
    ds = papers.presentation(CT, "x")
    ds.ImageRotation, ds.ImageHorizontalFlip = turn.quarters * 90, "Y" if turn.flipped else "N"
    [item] = ds.DisplayedAreaSelectionSequence
    corners = area.corners(turn)
    item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner = map(
        list, corners
    )
    said, _ = said_of(ds)
    assert said["area"]["corners"] == [[x, y], [x + size, y + 2 * size]]
    # What comes to the top left of the screen is the pixel that the first corner names.
    left, top = area.place(turn, (0, 0))
    assert corners[0] == (left + (left == x), top + (top == y))
    back = said["rotation"] // 90
    camera = (4 - back) % 4 if said["flipped"] else back  # as the viewer sets its camera
    assert (camera, said["flipped"]) == (quarters, mirrored)


def slide(organization: str, *places: tuple[int, int]) -> Dataset:
    """An image of tiles of 30 x 20, over 100 x 50."""
    ds = papers.made("1.2.840.10008.5.1.4.1.1.77.1.6", "SM")
    ds.Columns, ds.Rows, ds.DimensionOrganizationType = 30, 20, organization
    ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows = 100, 50
    groups = []
    for column, row in places:
        place, group = Dataset(), Dataset()
        place.ColumnPositionInTotalImagePixelMatrix = column
        place.RowPositionInTotalImagePixelMatrix = row
        group.PlanePositionSlideSequence = Sequence([place])
        groups.append(group)
    if groups:
        ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return ds


@pytest.mark.parametrize(
    ("image", "frame", "origin"),
    [
        (slide("TILED_FULL"), 5, (30.0, 20.0)),
        (slide("TILED_FULL"), 12 + 3, (90.0, 0.0)),  # four tiles across, in the second plane
        (slide("TILED_SPARSE", (1, 1), (61, 21)), 1, (60.0, 20.0)),
        (slide("TILED_SPARSE"), 1, (0.0, 0.0)),
        (CT, 0, (0.0, 0.0)),
    ],
)
def test_a_tile_knows_where_it_lies_in_the_whole(image, frame, origin):
    assert read_shown(papers.written(image), THIS, frame).origin == origin


def test_what_is_drawn_on_a_whole_slide_stands_on_the_tiles_that_it_touches():
    ds = drawn(GraphicObjectSequence=Sequence([line([70, 30, 80, 60], units="MATRIX")]))
    words = Dataset()
    words.UnformattedTextValue = "here"
    words.AnchorPoint, words.AnchorPointAnnotationUnits = [75, 35], "MATRIX"
    words.AnchorPointVisibility = "Y"
    ds.GraphicAnnotationSequence[0].TextObjectSequence = Sequence([words])
    ds.DisplayedAreaSelectionSequence[0].PixelOriginInterpretation = "VOLUME"
    said, state = said_of(ds, origin=(60.0, 20.0))
    assert state.left_out == ()
    assert said["graphics"][0]["points"] == [(10, 10), (20, 40)]
    assert said["labels"][0]["anchor"] == (15, 15)
    assert said["area"]["corners"] == [[32 - 60, 16 - 20], [96 - 60, 80 - 20]]
    around = line([75, 35, 75, 55], units="MATRIX", GraphicType="CIRCLE")
    ds.GraphicAnnotationSequence[0].GraphicObjectSequence.append(around)
    beside, _ = said_of(ds, origin=(90.0, 20.0))
    assert [one["shape"] for one in beside["graphics"]] == ["circle"]
    elsewhere, _ = said_of(ds, origin=(150.0, 0.0))
    assert elsewhere["graphics"] == elsewhere["labels"] == []
    flat, _ = said_of(ds)  # of an image without tiles, the matrix is the image
    assert flat["graphics"][0]["points"] == [(70, 30), (80, 60)]
