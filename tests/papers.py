"""Objects that are no images, as small as the standard lets them be."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    generate_uid,
)


def made(sop_class_uid: str, modality: str) -> Dataset:
    """An object with identifiers and nothing else."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class_uid
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SpecificCharacterSet, ds.Modality = "ISO_IR 192", modality
    ds.PatientName, ds.PatientID = "Muster^Maria", "P-1"
    return ds


def written(ds: Dataset) -> bytes:
    """The object as a file."""
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def code(value: str, scheme: str, meaning: str) -> Sequence:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def content(kind: str, name: str, relation: str = "CONTAINS", **values: object) -> Dataset:
    """One content item."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    if name:
        item.ConceptNameCodeSequence = code("121071", "DCM", name)
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def number(name: str, value: str, unit: str, meaning: str) -> Dataset:
    """A measured number."""
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = code(unit, "UCUM", meaning)
    return content("NUM", name, MeasuredValueSequence=Sequence([measured]))


def image(uid: str, relation: str = "CONTAINS", frames: list[int] | None = None) -> Dataset:
    """A reference to an image."""
    place = Dataset()
    place.ReferencedSOPClassUID, place.ReferencedSOPInstanceUID = CTImageStorage, uid
    if frames:
        place.ReferencedFrameNumber = frames
    return content("IMAGE", "", relation, ReferencedSOPSequence=Sequence([place]))


def report(of: Dataset, text: str) -> Dataset:
    """A report on an image, which says a text, a code and a number."""
    ds = made(BasicTextSRStorage, "SR")
    ds.ContentDate, ds.ContentTime = "20260316", "101500"
    ds.CompletionFlag, ds.VerificationFlag = "PARTIAL", "UNVERIFIED"
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = code("126000", "DCM", "Imaging Report")
    finding = content(
        "CODE",
        "Finding",
        ConceptCodeSequence=code("39607008", "SCT", "Lung"),
        ContentSequence=Sequence([image(of.SOPInstanceUID, "INFERRED FROM")]),
    )
    section = content(
        "CONTAINER",
        "Findings",
        ContentSequence=Sequence(
            [
                content("TEXT", "Description", TextValue=text),
                finding,
                number("Diameter", "12.5", "mm", "millimeter"),
            ]
        ),
    )
    observer = content("PNAME", "Observer", "HAS OBS CONTEXT", PersonName="Doe^Jane")
    ds.ContentSequence = Sequence([observer, section])
    return ds


def key_images(of: Dataset, title: str) -> Dataset:
    """A key object selection of one image, and of one that nobody sent."""
    ds = made(KeyObjectSelectionDocumentStorage, "KO")
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = code("113018", "DCM", title)
    ds.ContentSequence = Sequence([image(of.SOPInstanceUID), image(generate_uid())])
    return ds


def presentation(of: Dataset, text: str, **values: object) -> Dataset:
    """A presentation state of one image: window, area, graphics, a text and a shutter."""
    ds = made(GrayscaleSoftcopyPresentationStateStorage, "PR")
    ds.ContentLabel, ds.ContentDescription = "LIVER", "Look here"
    ds.ContentCreatorName, ds.PresentationCreationDate = "Doe^Jane", "20260316"
    place = Dataset()
    place.ReferencedSOPClassUID, place.ReferencedSOPInstanceUID = of.SOPClassUID, of.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = of.SeriesInstanceUID
    series.ReferencedImageSequence = Sequence([place])
    ds.ReferencedSeriesSequence = Sequence([series])
    window = Dataset()
    window.WindowCenter, window.WindowWidth = "40", "300"
    ds.SoftcopyVOILUTSequence = Sequence([window])
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = (
        [33, 17],
        [96, 80],
    )
    area.PresentationSizeMode = "SCALE TO FIT"
    ds.DisplayedAreaSelectionSequence = Sequence([area])
    ds.GraphicAnnotationSequence = Sequence([annotation(place, text)])
    ds.ShutterShape = "RECTANGULAR"
    ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = "41", "88"
    ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = "21", "76"
    ds.PresentationLUTShape = "IDENTITY"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def annotation(place: Dataset, text: str) -> Dataset:
    """A circle, a line in shares of the view, and a text that points to a place."""
    note = Dataset()
    note.ReferencedImageSequence, note.GraphicLayer = Sequence([place]), "LAYER"
    graphics = []
    for shape, units, points in (
        ("CIRCLE", "PIXEL", [64, 48, 72, 48]),
        ("POLYLINE", "DISPLAY", [0, 0, 1, 1]),
    ):
        item = Dataset()
        item.GraphicType, item.GraphicAnnotationUnits, item.GraphicDimensions = shape, units, 2
        item.NumberOfGraphicPoints, item.GraphicData = len(points) // 2, points
        item.GraphicFilled = "N"
        graphics.append(item)
    note.GraphicObjectSequence = Sequence(graphics)
    words = Dataset()
    words.UnformattedTextValue = text
    words.AnchorPoint, words.AnchorPointAnnotationUnits = [64, 48], "PIXEL"
    words.AnchorPointVisibility = "Y"
    words.BoundingBoxAnnotationUnits = "PIXEL"
    words.BoundingBoxTopLeftHandCorner = [70, 60]
    words.BoundingBoxBottomRightHandCorner = [90, 70]
    note.TextObjectSequence = Sequence([words])
    return note


PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R
/Resources<</Font<</F 5 0 R>>>>>>endobj
4 0 obj<</Length 44>>stream
BT /F 24 Tf 40 100 Td (Dear colleague) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
%%EOF"""


def pdf(data: bytes = PDF, title: str = "A letter") -> Dataset:
    """A PDF in DICOM."""
    ds = made(EncapsulatedPDFStorage, "DOC")
    ds.DocumentTitle, ds.MIMETypeOfEncapsulatedDocument = title, "application/pdf"
    ds.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    ds.EncapsulatedDocumentLength = len(data)
    return ds
