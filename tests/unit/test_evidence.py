"""Evidence documents of real images, as other programs read them."""

from __future__ import annotations

import io
import subprocess
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom.ko
import highdicom.sr
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.sr.codedict import codes
from pydicom.uid import (
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
)

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.evidence.build import build
from clinic_panel.evidence.order import (
    SOP_CLASSES,
    DocumentKind,
    DocumentOrder,
    Identity,
    KeyTitle,
    Mark,
    Origin,
    Seen,
)
from clinic_panel.imaging.calibration import Known
from clinic_panel.imaging.cut import Cut
from clinic_panel.imaging.figures import lines_of, read_shape
from clinic_panel.imaging.measure import Shape, area, length, mask, statistics
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.presentation import read_presentation
from clinic_panel.imaging.subtraction import Wish, read_seen
from tests.pictures import angiogram
from tests.unit.test_millimetres import region

CT, MR = Path(get_testdata_file("CT_small.dcm")), Path(get_testdata_file("MR_small_bigendian.dcm"))
COLOUR = Path(get_testdata_file("examples_rgb_color.dcm"))
PALETTE = Path(get_testdata_file("examples_palette.dcm"))
ORIGIN = Origin(
    observer="Dr Jané Öst",
    institution="Imaging clinic",
    device_uid="2.25.7",
    software_version="1.0",
    at=datetime(2026, 3, 16, 22, 30, 5, 123456, tzinfo=UTC),
    zone="Asia/Tokyo",
)
BOX = ((10.25, 12.0), (40.5, 30.0))
POINTS = {
    Shape.LENGTH: BOX,
    Shape.ANGLE: (*BOX, (50.0, 60.0)),
    Shape.RECTANGLE: BOX,
    Shape.ELLIPSE: ((10.0, 12.0), (30.5, 60.0)),
    Shape.ARROW: BOX,
    Shape.BIDIRECTIONAL: ((20.0, 20.0), (24.0, 20.0), (22.0, 10.0), (22.0, 40.0)),
    Shape.COBB: ((10.0, 10.0), (60.0, 20.0), (10.0, 50.0), (60.0, 30.0)),
    Shape.POLYGON: ((10.0, 10.0), (60.0, 20.0), (30.0, 50.0)),
}


def marks(path, frame=0):
    return tuple(
        Mark(kind, path, frame, points, "Läsion" if kind is Shape.ARROW else "", f"2.25.1{place}")
        for place, (kind, points) in enumerate(POINTS.items())
    )


def ordered(kind, path, frame=0, **more):
    values = {
        "marks": () if kind is DocumentKind.KEY_OBJECTS else marks(path, frame),
        "seen": (Seen(path, frame, 40.0, 400.0),),
    } | more
    return DocumentOrder(kind, Identity("2.25.21", "2.25.22", 3), ORIGIN, **values)


def objects(order):
    return [dcmread(io.BytesIO(part10)) for part10 in build(order)]


def complaints(part10, tmp_path):
    """The errors that dciodvfy finds which are not the source image's own."""
    file = tmp_path / "object.dcm"
    file.write_bytes(part10)
    told = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
    return [line for line in (told.stderr + told.stdout).splitlines() if line.startswith("Error")]


@pytest.fixture(scope="module")
def two_frames(tmp_path_factory):
    dataset = dcmread(get_testdata_file("SC_rgb_rle_2frame.dcm"))
    dataset.SOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    path = tmp_path_factory.mktemp("evidence") / "two.dcm"
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    "path", [CT, MR, COLOUR, PALETTE, None], ids=lambda path: path and path.stem
)
@pytest.mark.parametrize("kind", DocumentKind)
def test_each_document_is_what_its_iod_asks_for(kind, path, two_frames, tmp_path):
    order = ordered(kind, path or two_frames, frame=0 if path else 1)
    path = path or two_frames
    made = build(order)
    assert made == build(order)
    [document] = objects(order)
    source = dcmread(path)
    assert complaints(made[0], tmp_path) == []
    assert document.SOPClassUID in SOP_CLASSES[kind]  # as the conformance statement says
    assert document.StudyInstanceUID == source.StudyInstanceUID
    assert document.PatientName == source.PatientName
    assert document.Manufacturer == "Clinic Panel"
    assert (document.InstanceCreationDate, document.InstanceCreationTime) == ("20260317", "073005")


def numbers_of(group):
    return {
        (one.derivation or one.name).meaning: (one.value, one.unit.value)
        for one in group.get_measurements()
    }


def test_the_report_says_in_codes_what_the_viewer_says_in_words():
    [document] = objects(ordered(DocumentKind.MEASUREMENTS, CT))
    report = highdicom.sr.ComprehensiveSR.from_dataset(document).content
    assert report[0].name == codes.DCM.ImagingMeasurementReport
    [who] = report.get_observer_contexts(codes.DCM.Person)
    assert str(who.observer_identifying_attributes.name) == "Dr Jané Öst^"

    frame = read_frame(CT)
    rectangle, ellipse, polygon = report.get_planar_roi_measurement_groups()
    inside = mask(Shape.ELLIPSE, POINTS[Shape.ELLIPSE], 128, 128)
    truth = statistics(frame.values, inside)
    found = numbers_of(ellipse)
    assert found["Mean"] == (pytest.approx(truth.mean), "[hnsf'U]")
    assert found["Standard Deviation"][0] == pytest.approx(truth.sd)
    assert (found["Minimum"][0], found["Maximum"][0]) == (truth.min, truth.max)
    row, column = frame.info.spacing
    assert found["Area"] == (pytest.approx(np.pi / 4 * 20.5 * column * 48 * row), "mm2")
    assert ellipse.roi.graphic_type.value == "ELLIPSE"
    across = np.ptp(ellipse.roi.value, axis=0)  # ends of the axes, the long one first
    assert tuple(across) == (20.5, 48.0)
    assert np.ptp(ellipse.roi.value[:2], axis=0)[1] == 48.0
    assert rectangle.tracking_uid == "2.25.12"

    assert polygon.roi.value[0].tolist() == polygon.roi.value[-1].tolist()
    line, _, arrow, both, cobb = report.get_image_measurement_groups()
    long, short = both.get_measurements()
    assert (long.name.meaning, short.name.meaning) == ("Long axis", "Short axis")
    assert long.value == pytest.approx(30 * row)
    assert long.referenced_coordinates[0].value.tolist() == [[22, 10], [22, 40]]
    [measured] = cobb.get_measurements()
    assert (measured.name.meaning, measured.unit.value) == ("Cobb angle", "deg")
    assert len(measured.referenced_coordinates) == 2
    assert numbers_of(line)["Length"] == (pytest.approx(length(BOX, row, column)), "mm")
    [measured] = line.get_measurements()
    [where] = measured.referenced_coordinates
    assert where.value.tolist() == [[10.25, 12.0], [40.5, 30.0]]
    assert "Pixel Spacing" in texts(measured[0], "Calibration Method")
    assert texts(arrow[0], "Comment") == ["Läsion"]


def texts(item, meaning):
    return [
        one.TextValue
        for one in item.get("ContentSequence", [])
        if one.ValueType == "TEXT" and one.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def test_extents_on_ultrasound_and_activity_have_codes_and_units_of_their_own(tmp_path):
    dataset = dcmread(CT)
    dataset.SequenceOfUltrasoundRegions = [
        region((0, 0, 127, 63), (4, 7), (0.005, -1.5)),  # time across, velocity down
        region((0, 64, 127, 127), (4, 5), (0.005, 40.0)),  # time across, frequency down
    ]
    dataset.Modality, dataset.Units = "PT", "BQML"
    dataset.save_as(tmp_path / "doppler.dcm")
    path = tmp_path / "doppler.dcm"
    lines = [
        Mark(Shape.LENGTH, path, 0, ((10.0, y), (50.0, y + 20.0)), "", f"2.25.{place + 7}")
        for place, y in enumerate((10.0, 70.0))
    ]
    box = Mark(Shape.RECTANGLE, path, 0, ((70.0, 5.0), (90.0, 25.0)), "", "2.25.9")
    [document] = objects(ordered(DocumentKind.MEASUREMENTS, path, marks=(*lines, box)))
    report = highdicom.sr.ComprehensiveSR.from_dataset(document).content
    doppler, spectrum = map(numbers_of, report.get_image_measurement_groups())
    assert doppler == {
        "Duration (attribute)": (pytest.approx(0.2), "s"),
        "Flow Velocity": (pytest.approx(30), "cm/s"),
    }
    assert spectrum == {"Duration (attribute)": (pytest.approx(0.2), "s")}  # hertz have no concept
    [activity] = report.get_planar_roi_measurement_groups()
    assert numbers_of(activity)["Mean"][1] == "Bq/ml"
    assert numbers_of(activity)["Area"][1] == "{pixels2}"


def test_without_a_calibration_pixels_are_counted_and_it_says_so(tmp_path):
    dataset = dcmread(CT)
    del dataset.PixelSpacing
    path = tmp_path / "uncalibrated.dcm"
    dataset.save_as(path)
    [document] = objects(ordered(DocumentKind.MEASUREMENTS, path))
    report = highdicom.sr.ComprehensiveSR.from_dataset(document).content
    line = report.get_image_measurement_groups()[0]
    assert numbers_of(line)["Length"] == (pytest.approx(length(BOX, 1, 1)), "{pixels}")
    [measured] = line.get_measurements()
    assert texts(measured[0], "Calibration Method") == ["No calibration: pixels only"]
    _, ellipse, _ = report.get_planar_roi_measurement_groups()
    assert numbers_of(ellipse)["Area"][1] == "{pixels2}"


def test_millimetres_of_a_readers_own_calibration_say_whose_they_are():
    known = Known(((0.0, 0.0), (50.0, 0.0)), 100.0, "Dr Öst")
    drawn = (replace(marks(CT)[0], known=known),)
    [document] = objects(ordered(DocumentKind.MEASUREMENTS, CT, marks=drawn))
    [line] = highdicom.sr.ComprehensiveSR.from_dataset(
        document
    ).content.get_image_measurement_groups()
    [measured] = line.get_measurements()
    assert measured.value == pytest.approx(length(BOX, 2, 2))
    [source] = texts(measured[0], "Calibration Method")
    assert source == "Calibrated by Dr Öst on 100 mm, in place of Pixel Spacing"


def test_every_shape_but_a_calibration_is_tried_here():
    assert set(POINTS) == set(Shape) - {Shape.CALIBRATION}


def test_a_later_report_names_the_one_before():
    order = ordered(DocumentKind.MEASUREMENTS, CT)
    later = replace(
        order, identity=replace(order.identity, predecessor_uids=("2.25.21", "2.25.20"))
    )
    [document] = objects(later)
    [study] = document.PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    [before] = series.ReferencedSOPSequence
    assert before.ReferencedSOPInstanceUID == "2.25.20"
    assert series.SeriesInstanceUID == "2.25.21"


def test_key_objects_name_their_frames_and_why(two_frames):
    order = ordered(
        DocumentKind.KEY_OBJECTS,
        two_frames,
        seen=(Seen(two_frames, 1),),
        title=KeyTitle.FOR_REFERRING_PROVIDER,
    )
    [document] = objects(order)
    read = highdicom.ko.KeyObjectSelectionDocument.from_dataset(document)
    assert read.content[0].name == codes.DCM.ForReferringProvider
    [reference] = read.content.get_references()
    [image] = reference.ReferencedSOPSequence
    assert image.ReferencedFrameNumber == 2
    source = dcmread(two_frames)
    assert read.resolve_reference(image.ReferencedSOPInstanceUID)[0] == source.StudyInstanceUID


def test_a_presentation_shows_the_window_and_what_was_drawn():
    [document] = objects(ordered(DocumentKind.PRESENTATION, CT))
    [window] = document.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (40, 400)
    assert (document.RescaleIntercept, document.RescaleSlope) == (-1024, 1)
    assert document.PresentationLUTShape == "IDENTITY"
    assert len(document.GraphicAnnotationSequence) == len(POINTS)
    line = document.GraphicAnnotationSequence[0]
    assert line.GraphicObjectSequence[0].GraphicData == [10.25, 12.0, 40.5, 30.0]
    said = line.TextObjectSequence[0].UnformattedTextValue
    lines = lines_of(read_shape(Shape.LENGTH, BOX, read_frame(CT)))
    assert said.splitlines() == lines
    assert lines[-1] == "Pixel Spacing"


def test_images_that_are_shown_differently_need_a_presentation_each(tmp_path):
    other = dcmread(CT)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "2.25.99"
    other.PhotometricInterpretation = "MONOCHROME1"
    path = tmp_path / "inverse.dcm"
    other.save_as(path)
    order = ordered(DocumentKind.PRESENTATION, CT, seen=(Seen(CT, 0), Seen(path, 0)))
    first, second = objects(order)
    assert (first.PresentationLUTShape, second.PresentationLUTShape) == ("IDENTITY", "INVERSE")
    assert first.SOPInstanceUID == "2.25.22" != second.SOPInstanceUID
    assert "GraphicAnnotationSequence" not in second
    turned = replace(order, seen=(Seen(CT, 0, invert=True), Seen(path, 0)))
    [both] = objects(turned)
    assert both.PresentationLUTShape == "INVERSE"
    [images] = both.ReferencedSeriesSequence
    assert len(images.ReferencedImageSequence) == 2


def test_a_presentation_says_which_part_of_an_image_was_seen_and_which_way_round(tmp_path):
    other = dcmread(CT)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "2.25.98"
    path = tmp_path / "other.dcm"
    other.save_as(path)
    stands = {"rotation": 90, "mirrored": False}
    seen = (
        Seen(CT, 0, 40.0, 400.0, area=(10.2, 20.0, 50.7, 61.0), **stands),
        Seen(path, 0, **stands),
    )
    order = ordered(DocumentKind.PRESENTATION, CT, seen=seen, marks=())
    [document] = objects(order)
    assert complaints(build(order)[0], tmp_path) == []
    assert (document.ImageRotation, document.ImageHorizontalFlip) == (90, "N")
    part, whole = document.DisplayedAreaSelectionSequence
    # Turned clockwise, the bottom left of the image comes to the top left of the screen.
    assert part.DisplayedAreaTopLeftHandCorner == [11, 61]
    assert part.DisplayedAreaBottomRightHandCorner == [51, 21]
    assert whole.DisplayedAreaTopLeftHandCorner == [1, 128]
    references = [one.ReferencedImageSequence[0].ReferencedSOPInstanceUID for one in (part, whole)]
    assert references == [dcmread(CT).SOPInstanceUID, "2.25.98"]

    mirrored = replace(order, seen=(Seen(CT, 0), Seen(path, 0, mirrored=True)))
    assert [one.get("ImageHorizontalFlip") for one in objects(mirrored)] == [None, "Y"]
    [area] = objects(mirrored)[0].DisplayedAreaSelectionSequence
    assert area.DisplayedAreaTopLeftHandCorner == [1, 1]
    assert "ReferencedImageSequence" not in area


@pytest.mark.parametrize("relation", ["LOG", "LIN"])
def test_a_presentation_of_a_subtracted_run_subtracts_the_same(relation, tmp_path):
    path = tmp_path / "run.dcm"
    said = {"SOPClassUID": XRayAngiographicImageStorage, "PixelIntensityRelationship": relation}
    run = dcmread(io.BytesIO(angiogram(6, 32, **said)), force=True)
    run.file_meta.MediaStorageSOPClassUID = run.SOPClassUID
    run.file_meta.MediaStorageSOPInstanceUID = run.SOPInstanceUID
    run.save_as(path, enforce_file_format=True)
    picture = describe(path)
    seen = Seen(path, 4, None, None, mask="3")
    drawn = marks(path, 4)
    order = ordered(DocumentKind.PRESENTATION, path, 4, seen=(seen,), marks=drawn)
    assert complaints(build(order)[0], tmp_path) == []
    state = read_presentation(build(order)[0])
    assert state.left_out == ()

    def looked(wish):
        return read_seen(picture, 4, wish, lambda frame: read_frame(picture, frame))

    mine, again = looked(Wish("3")), looked(Wish(state=state.masking))
    assert again.info.masks == (3,)
    np.testing.assert_array_equal(again.values, mine.values)
    assert mine.values.any()
    [tone] = state.tones.windows
    window = mine.info.window_center, mine.info.window_width
    assert (tone.center, tone.width) == pytest.approx(window)
    # Values on it would be of what nobody sees.
    assert not any("Mean" in one.text for one in state.annotations.labels)
    native = ordered(DocumentKind.PRESENTATION, path, 4, seen=(replace(seen, mask="none"),))
    assert read_presentation(build(native)[0]).masking.items == ()


def test_a_shape_over_the_edge_is_drawn_up_to_it_and_measured_whole():
    over = (Mark(Shape.LENGTH, CT, 0, ((-5.0, 4.0), (140.0, 4.0)), "", "2.25.5"),)
    [document] = objects(ordered(DocumentKind.PRESENTATION, CT, marks=over))
    drawn = document.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert drawn.GraphicData == [0, 4, 128, 4]


def test_dcmtk_reads_report_and_key_objects(tmp_path):
    for kind, said in (
        (DocumentKind.MEASUREMENTS, "Imaging Measurement Report"),
        (DocumentKind.KEY_OBJECTS, "Of Interest"),
    ):
        file = tmp_path / "object.dcm"
        file.write_bytes(build(ordered(kind, CT))[0])
        told = subprocess.run(["dsrdump", "-q", file], capture_output=True, text=True, check=True)
        assert said in told.stdout


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "1970-99"),
        ("PatientSex", "X"),
        ("StudyTime", "noon"),
        ("StudyID", None),
    ],
)
def test_an_odd_header_does_not_keep_a_reader_from_saving(keyword, value, tmp_path):
    dataset = dcmread(CT)
    with warnings.catch_warnings(action="ignore"):
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
        path = tmp_path / "odd.dcm"
        dataset.save_as(path)
    assert len(build(ordered(DocumentKind.MEASUREMENTS, path))) == 1


def test_an_image_of_a_private_kind_is_refused_in_a_sentence(tmp_path):
    dataset = dcmread(CT)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.3.4.5.6"
    path = tmp_path / "private.dcm"
    dataset.save_as(path)
    with pytest.raises(NotUnderstood, match="of a kind"):
        build(ordered(DocumentKind.MEASUREMENTS, path))


FOR = dcmread(CT).FrameOfReferenceUID
SLICES, STEP_MM = 9, 2.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Slices 2 mm apart whose values are known everywhere, one with padding, out of order."""
    folder, paths = tmp_path_factory.mktemp("stack"), []
    chance = np.random.default_rng(7)
    for place in chance.permutation(SLICES):
        ds = dcmread(CT)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.9{place}"
        ds.ImagePositionPatient = [-40.0, -60.0, 100.0 + STEP_MM * int(place)]
        ds.PixelSpacing, ds.PixelPaddingValue = [0.5, 0.5], -2000
        pixels = chance.integers(0, 2000, (128, 128)).astype("<i2")
        pixels[:, :20] = -2000 if place == 4 else 0
        ds.PixelData = pixels.tobytes()
        paths.append(folder / f"{place}.dcm")
        ds.save_as(paths[-1])
    return tuple(paths)


def volume_of(stack):
    """Values as (z, y, x), padding as NaN."""
    slices = sorted((dcmread(path) for path in stack), key=lambda ds: ds.ImagePositionPatient[2])
    values = np.stack([ds.pixel_array.astype(float) for ds in slices])
    values[values == -2000] = np.nan
    return values + float(slices[0].RescaleIntercept)


def on(name, stack, kind=Shape.RECTANGLE, points=((10.0, 10.0), (30.0, 30.0)), **more):
    """A shape on a section of the stack, as the viewer keeps it."""
    most = (SLICES - 1) * STEP_MM + 100
    cuts = {  # between slices there are as many rows as make the pixels square
        "Axial": Cut(name, (-40, -60, 110), (1, 0, 0, 0, 1, 0), (0.5, 0.5), "slice", 2.0),
        "Coronal": Cut(
            name, (-40, -30, most + 0.75), (1, 0, 0, 0, 0, -1), (0.5, 0.5), "slice", 0.5
        ),
        "Sagittal": Cut(name, (-20, -60, most + 0.75), (0, 1, 0, 0, 0, -1), (0.5, 0.5), "slice", 1),
    }
    return Mark(
        kind, stack[0], 0, points, "", "2.25.5", section=replace(cuts[name], **more), slices=stack
    )


def rows_between(values, each=4):
    """Rows from the topmost slice down, so many for each, as linear interpolation has them."""
    places = np.clip((np.arange(each * SLICES) + 0.5) / each - 0.5, 0, SLICES - 1)[::-1]
    low = np.floor(places).astype(int)
    share = (places - low)[:, None]
    high = np.minimum(low + 1, SLICES - 1)
    one, other = values[low], values[high]
    mixed = one * (1 - share) + other * share
    mixed = np.where(share == 0, one, mixed)
    return np.where(np.isnan(mixed), np.where(share < 0.5, one, other), mixed)


def spatial(*marks):
    order = ordered(DocumentKind.MEASUREMENTS, CT, marks=marks)
    return build(order)[0], highdicom.sr.Comprehensive3DSR.from_dataset(objects(order)[0]).content


TRUTHS = {
    "Axial": (lambda v: v[5], {}),
    "Axial slab": (lambda v: np.nanmin(v[4:7], axis=0), {"slab_mode": "min", "slab_mm": 6.0}),
    "Coronal": (lambda v: rows_between(v[:, 60]), {}),
    "Coronal slab": (
        lambda v: rows_between(np.nanmean(v[:, 58:63], axis=1)),
        {"slab_mode": "mean", "slab_mm": 2.5},
    ),
    "Sagittal": (lambda v: rows_between(v[:, :, 40]), {}),
}


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.parametrize("case", TRUTHS)
def test_what_a_section_shows_is_measured_as_numpy_does(case, stack, tmp_path):
    truth, more = TRUTHS[case]
    kinds = (Shape.RECTANGLE, Shape.ELLIPSE, Shape.POLYGON)
    box = ((8.25, 3.0), (44.0, 30.5))
    drawn = {kind: box if kind.takes(2) else (*box, (60.0, 12.0)) for kind in kinds}
    part10, report = spatial(
        *(on(case.split()[0], stack, kind, points, **more) for kind, points in drawn.items())
    )
    assert complaints(part10, tmp_path) == []
    picture = truth(volume_of(stack))
    groups = report.get_planar_roi_measurement_groups()
    for group, (kind, points) in zip(groups, drawn.items(), strict=True):
        inside = mask(kind, points, *picture.shape) & ~np.isnan(picture)
        expected = statistics(picture, inside)
        found = numbers_of(group)
        said = [found[name][0] for name in ("Mean", "Standard Deviation", "Minimum", "Maximum")]
        assert said == pytest.approx(
            [expected.mean, expected.sd, expected.min, expected.max], rel=1e-4, abs=1e-3
        )


REDUCED = {  # by two in the images; a name, the cut, what stands there at full resolution
    "Axial": ({"position": (-39.75, -59.75, 110)}, lambda v: v[5], (2, 2)),
    "Coronal": (
        {"position": (-39.75, -29.75, 116.5), "slab_mm": 1.0},
        lambda v: rows_between(v[:, 60], each=2),
        (2, 1),
    ),
    "Sagittal": (  # seen from the other side: its rows run from the last voxel to the first
        {
            "position": (-19.75, 3.25, 116.5),
            "orientation": (0, -1, 0, 0, 0, -1),
            "slab_mm": 1.0,
        },
        lambda v: rows_between(v[:, ::-1, 40], each=2),
        (2, 1),
    ),
}


@pytest.mark.parametrize("name", REDUCED)
def test_a_section_of_a_reduced_volume_is_measured_in_the_pixels_of_the_images(name, stack):
    more, truth, (nx, ny) = REDUCED[name]
    drawn = {
        Shape.RECTANGLE: ((4.25, 2.0), (22.75, 15.5)),
        Shape.POLYGON: ((4.25, 2.0), (22.75, 15.5), (30.0, 6.0)),
    }
    cut = {"spacing": (1, 1)} | more
    _, report = spatial(*(on(name, stack, kind, points, **cut) for kind, points in drawn.items()))
    picture = truth(volume_of(stack))
    groups = report.get_planar_roi_measurement_groups()
    for group, (kind, points) in zip(groups, drawn.items(), strict=True):
        fine = [(x * nx, y * ny) for x, y in points]
        inside = mask(kind, fine, *picture.shape) & ~np.isnan(picture)
        expected, found = statistics(picture, inside), numbers_of(group)
        said = [found[key][0] for key in ("Mean", "Standard Deviation", "Minimum", "Maximum")]
        assert said == pytest.approx(
            [expected.mean, expected.sd, expected.min, expected.max], rel=1e-4, abs=1e-3
        )
        assert found["Area"] == (pytest.approx(area(kind, points, 1, 1)), "mm2")
    [comment] = texts(groups[0][0], "Comment")
    assert ("of one layer where the mean of 2 was shown" in comment) is (name != "Axial")


def test_the_last_layer_of_a_reduced_volume_is_measured_where_few_slices_met(stack):
    # Four slices to a layer, nine slices: the last layer has but one, its middle lies outside.
    past = 100 + 9.5 * STEP_MM
    _, report = spatial(on("Axial", stack, position=(-40, -60, past), slab_mm=4 * STEP_MM))
    [group] = report.get_planar_roi_measurement_groups()
    inside = volume_of(stack)[8, 10:30, 10:30]
    assert numbers_of(group)["Mean"][0] == pytest.approx(inside.mean(), rel=1e-4)
    assert texts(group[0], "Comment") == ["Axial section"]


def test_slices_that_show_nothing_are_left_out_as_the_viewer_does(stack, tmp_path):
    imageless, damaged, absent = (tmp_path / name for name in ("imageless", "damaged", "absent"))
    dataset = dcmread(stack[0])
    del dataset.Rows
    dataset.save_as(imageless)
    damaged.write_bytes(b"no DICOM")
    mark = on("Coronal", stack)
    _, whole = spatial(mark)
    _, report = spatial(replace(mark, slices=(imageless, *stack, damaged, absent)))
    one, other = (each.get_planar_roi_measurement_groups()[0] for each in (whole, report))
    assert numbers_of(one) == numbers_of(other)


def test_a_shape_on_a_section_is_placed_in_the_patient(stack, tmp_path):
    region = on("Coronal", stack, slab_mode="max", slab_mm=2.5)
    long = on("Sagittal", stack, Shape.LENGTH, ((20.0, 2.0), (20.0, 34.0)))
    flat = Mark(Shape.LENGTH, stack[0], 0, BOX, "", "2.25.6")
    part10, report = spatial(region, long, flat)
    assert complaints(part10, tmp_path) == []
    [roi] = report.get_planar_roi_measurement_groups()
    assert roi.roi.frame_of_reference_uid == FOR
    corner = roi.roi.value[0]
    assert corner == pytest.approx([-40 + 9.5 * 0.5, -30, 116.75 - 9.5 * 0.5])
    one, other = report.get_image_measurement_groups()
    [through] = one.get_measurements()
    assert through.value == pytest.approx(16.0)  # from head to feet, over the slices
    [ends] = through.referenced_coordinates
    assert np.linalg.norm(np.subtract(*ends.value)) == pytest.approx(16.0)
    assert other.get_measurements()[0].referenced_coordinates[0].graphic_type.value == "POLYLINE"
    [covered, *_] = roi.get_measurements()
    assert texts(covered[0], "Calibration Method") == [
        "Pixel Spacing, resampled; slices 2 mm apart"
    ]
    said = "Coronal section; Values interpolated between slices, MIP of 2.5 mm"
    assert texts(roi[0], "Comment") == [said]


def test_a_section_that_is_none_is_refused_in_a_sentence(stack, tmp_path):
    elsewhere = on("Axial", stack, position=(-40, -60, 400))
    askew = on("Axial", stack, orientation=(0.8, 0.6, 0, -0.6, 0.8, 0))
    tiny = on("Axial", stack, spacing=(1e-6, 1e-6))
    lone = replace(on("Axial", stack), slices=stack[:1])
    for mark in (elsewhere, askew, tiny, lone):
        with pytest.raises(NotDisplayable):
            spatial(mark)
    placeless = dcmread(stack[0])
    del placeless.FrameOfReferenceUID
    placeless.save_as(tmp_path / "placeless.dcm")
    with pytest.raises(NotDisplayable, match="no frame of reference"):
        spatial(replace(on("Axial", stack), path=tmp_path / "placeless.dcm"))


def test_a_shape_beside_the_section_has_an_area_and_no_values(stack):
    _, report = spatial(on("Axial", stack, points=((-40.0, -40.0), (-20.0, -20.0))))
    [group] = report.get_planar_roi_measurement_groups()
    assert [number.name.meaning for number in group.get_measurements()] == ["Area"]
