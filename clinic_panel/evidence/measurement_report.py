"""A reader's measurements as a structured report (PS3.16 TID 1500)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from clinic_panel.evidence import concepts
from clinic_panel.evidence.equipment import common, observers
from clinic_panel.evidence.order import DocumentOrder, Mark
from clinic_panel.evidence.outlines import Graphic, line, outline, outlines
from clinic_panel.evidence.sections import OnSection
from clinic_panel.evidence.sources import Sources, frame_numbers
from clinic_panel.imaging.figures import Figure, Reading, long_axis_first, read_shape
from clinic_panel.imaging.measure import Shape

SERIES_NUMBER = 9901
DIGITS = 10  # of a value: more than any screen shows, fewer than a decimal string takes


def build(order: DocumentOrder, sources: Sources) -> Dataset:
    """Return the report of all marks of an order, in their order.

    What lies on sections is placed in the patient, which takes a SOP class of its own.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image is damaged, or cannot be decoded for its values.
    """
    groups = [_group(mark, place, sources) for place, mark in enumerate(order.marks, start=1)]
    images = [sources.header(mark.path) for mark in order.marks]
    modalities = {str(image.get("Modality", "")) for image in images}
    content = hd.MeasurementReport(
        observation_context=hd.ObservationContext(**observers(order.origin)),
        procedure_reported=[concepts.procedure_of(one) for one in sorted(modalities)],
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    is_spatial = any(mark.section is not None for mark in order.marks)
    return (hd.Comprehensive3DSR if is_spatial else hd.ComprehensiveSR)(
        evidence=images,
        content=content,
        series_number=SERIES_NUMBER,
        series_description="Measurements",
        is_complete=True,
        is_final=True,
        previous_versions=_previous(order, images[0]),
        **common(order),
    )


def _previous(order: DocumentOrder, image: Dataset) -> list[Dataset] | None:
    identity = order.identity
    if identity.predecessor_uids is None:
        return None
    previous = Dataset()
    previous.SOPClassUID = identity.predecessor_class_uid
    previous.StudyInstanceUID = image.StudyInstanceUID
    previous.SeriesInstanceUID, previous.SOPInstanceUID = identity.predecessor_uids
    return [previous]


class _OnImage:
    """One shape on an image: what it says, and its graphics on that."""

    words = ""

    def __init__(self, mark: Mark, sources: Sources) -> None:
        header = sources.header(mark.path)
        self._mark, self.frame = mark, sources.frame(mark.path, mark.frame)
        self._image = hd.SourceImageForRegion(
            header.SOPClassUID, header.SOPInstanceUID, frame_numbers(header, [mark.frame])
        )

    def read(self) -> Reading:
        mark = self._mark
        return read_shape(mark.kind, mark.points, self.frame, mark.known)

    def region(self, graphic: Graphic) -> hd.ImageRegion:
        return hd.ImageRegion(*graphic, self._image)

    def coordinates(self, graphics: Sequence[Graphic]) -> list[Any]:
        return [hd.CoordinatesForMeasurement(kind, data, self._image) for kind, data in graphics]


def _group(mark: Mark, place: int, sources: Sources) -> Any:
    """Return the measurement group of one mark: of a region (TID 1410) or of others (TID 1501)."""
    here: _OnImage | OnSection
    here = (
        _OnImage(mark, sources) if mark.section is None else OnSection(mark, mark.section, sources)
    )
    reading = here.read()
    tracking = hd.TrackingIdentifier(mark.tracking_uid, f"{mark.kind.value.capitalize()} {place}")
    modality = str(sources.header(mark.path).get("Modality", ""))
    words = " · ".join(filter(None, (mark.text, reading.problem, here.words)))
    if mark.kind.is_region:
        group = hd.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_region=here.region(outline(mark.kind, mark.points)),
            measurements=[_number(one, modality, reading.source) for one in reading.figures],
        )
        return _with_words(group, words)
    lines = outlines(mark.kind, mark.points)
    if mark.kind is Shape.BIDIRECTIONAL:
        long, short = long_axis_first(mark.points, here.frame, mark.known)
        by_figure = [[line(long)], [line(short)]]
    else:
        by_figure = [lines] * len(reading.figures)
    numbers = [
        _number(figure, modality, reading.source, here.coordinates(own))
        for figure, own in zip(reading.figures, by_figure, strict=True)
        if concepts.has_name(figure)
    ]
    group = hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking, measurements=numbers or None
    )
    if numbers:
        return _with_words(group, words)
    return _with_words(group, words or "Marked, without words", here.coordinates(lines))


def _number(
    figure: Figure, modality: str, source: str, where: Sequence[Any] = ()
) -> hd.Measurement:
    name, derivation = concepts.name_of(figure, modality)
    number = hd.Measurement(
        name=name,
        value=float(f"{figure.value:.{DIGITS}g}"),
        unit=concepts.unit_of(figure),
        derivation=derivation,
        referenced_coordinates=where or None,
    )
    if source and not figure.quantity.is_of_pixels:
        # TID 300 is extensible and has no row for it: what a millimetre rests on.
        said = hd.TextContentItem(
            concepts.CALIBRATION, source, hd.RelationshipTypeValues.HAS_PROPERTIES
        )
        if "ContentSequence" not in number[0]:
            number[0].ContentSequence = hd.ContentSequence()
        number[0].ContentSequence.append(said)
    return number


def _with_words(group: Any, words: str, where: Sequence[Any] = ()) -> Any:
    if words:
        said = hd.TextContentItem(concepts.COMMENT, words, hd.RelationshipTypeValues.CONTAINS)
        if where:
            said.ContentSequence = hd.ContentSequence(where)
        group[0].ContentSequence.append(said)
    return group
