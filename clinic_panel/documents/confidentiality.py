"""What the Basic Application Level Confidentiality Profile does to each attribute (PS3.15 E.2).

Table E.1-1 comes from the package ``dicom-anonymizer``, edition 2026c. Its own engine is not used:
it leaves sequences as they are and draws its UIDs by chance. What the table does not name is kept
only where it cannot speak of a person: numbers, codes of the standard, how the image was made.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Final

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag, Tag

EDITION: Final = "2026c"


class Act(StrEnum):
    """What becomes of an element."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    SHIFT = "shift"
    NEW_UID = "new uid"
    DESCEND = "descend"


# The strictest that always conforms: the table leaves the choice to the type in each IOD.
_OF_TABLE: Final = {
    "X_TAGS": Act.REMOVE,
    "Z_TAGS": Act.EMPTY,
    "X_Z_TAGS": Act.EMPTY,
    "D_TAGS": Act.DUMMY,
    "Z_D_TAGS": Act.DUMMY,
    "X_D_TAGS": Act.DUMMY,
    "X_Z_D_TAGS": Act.DUMMY,
    "U_TAGS": Act.NEW_UID,
    "X_Z_U_STAR_TAGS": Act.DESCEND,
}
_MAY_GO: Final = ("X_D_TAGS", "X_Z_D_TAGS")  # a sequence needs no dummy items here

TEMPORAL: Final = frozenset({"DA", "DT", "TM"})
# Of the person, of a place or of one device: not shifted by the option, as the table has it.
_NO_EVENTS: Final = frozenset(
    {
        "PatientBirthDate",
        "PatientBirthTime",
        "GPSTimeStamp",
        "GPSDateStamp",
        "DateOfManufacture",
        "DateOfInstallation",
    }
)
# Text that says how an image was made, and the codes of code sequences (PS3.3 8.8).
_TECHNICAL: Final = frozenset(
    {
        *("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"),
        *("LongCodeValue", "Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
        *("SequenceName", "PulseSequenceName", "ImagedNucleus", "ReceiveCoilName"),
        *("TransmitCoilName", "MultiCoilElementName", "StackID", "AcquisitionMode"),
        *("FilterType", "CollimatorGridName", "ConvolutionKernel", "ImageFilter", "PlateType"),
        *("PhosphorType", "TriggerSourceOrType", "CardiacFramingType", "Radiopharmaceutical"),
        *("EnergyWindowName", "OpticalPathIdentifier", "ReferencedOpticalPathIdentifier"),
        *("ContrastBolusRoute", "RadiopharmaceuticalRoute", "RescaleType", "ModalityLUTType"),
        *("AttenuationCorrectionMethod", "ReconstructionMethod", "ScatterCorrectionMethod"),
        *("DetectorLinesOfResponseUsed", "TypeOfFilters"),
        *("AlgorithmName", "AlgorithmVersion", "SegmentAlgorithmName"),
    }
)
_EMPTIED: Final = frozenset({"PositionReferenceIndicator"})  # Type 2, where a dummy would be wrong
_BINARY: Final = frozenset(
    {
        *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
        *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
        *(f"{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue", "Alpha")),
        *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue", "Alpha")),
        *("LUTData", "BlendingLookupTableData", "ICCProfile", "VectorGridData"),
        *("PointCoordinatesData", "DoublePointCoordinatesData", "VectorCoordinateData"),
        *("LongPrimitivePointIndexList", "LongTrianglePointIndexList", "LongEdgePointIndexList"),
        *("LongVertexPointIndexList", "TrackPointIndexList", "FloatingPointValues"),
        *("RecommendedDisplayCIELabValueList", "SpectroscopyData", "WaveformData"),
        *("ChannelMinimumValue", "ChannelMaximumValue", "WaveformPaddingValue"),
        *("FirstOrderPhaseCorrectionAngle", "TwoDimensionalToThreeDimensionalMapData"),
        *("VerticesOfThePolygonalOutline", "FilterLookupTableData"),
    }
)
# UIDs of what things are, not of which one: whose registry they come from does not matter.
CLASS_UIDS: Final = frozenset(
    {
        *("SOPClassUID", "RelatedGeneralSOPClassUID", "OriginalSpecializedSOPClassUID"),
        *("SOPClassesInStudy", "CodingSchemeUID", "ContextUID", "MappingResourceUID"),
        *("ReferencedSOPClassUID", "StoredInstanceTransferSyntaxUID", "SOPClassesSupported"),
        *("AvailableTransferSyntaxUID", "PertinentSOPClassesInStudy"),
        *("PertinentSOPClassesInSeries",),
    }
)
_NUMBERS: Final = frozenset(
    {"AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"}
)
_TEXT: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_KINDS: Final = {
    **dict.fromkeys(_NUMBERS, "number"),
    **dict.fromkeys(_TEXT, "text"),
    **dict.fromkeys(TEMPORAL, "moment"),
    **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), "bytes"),
}
# Registries whose codes and their meanings are the same everywhere (PS3.16 8).
SCHEMES: Final = frozenset(
    {
        *("SCT", "SRT", "SNM3", "DCM", "UCUM", "LN", "RADLEX", "FMA", "NEU", "UMLS", "MDC"),
        *("IHERADTF", "NCIt", "BI", "ACR", "ISO3166_1", "I10", "I9C", "99SDM", "SCPECG"),
    }
)


def act_on(tag: BaseTag, vr: str) -> Act:
    """Return what becomes of an element of this tag and VR, at any depth.

    Private attributes, curves, overlays, group lengths, retired and unknown attributes that are no
    numbers, and values of unknown VR go; so does what the table does not name and whose VR is not
    of the standard's kind: a number's place may hold a name, and a name's place a number.
    """
    group = tag.group
    if tag.is_private or tag.element == 0 or group < 8 or group >> 8 in (0x50, 0x60):
        return Act.REMOVE
    if not dictionary_has_tag(tag):
        return Act.REMOVE
    said = _table().get(int(tag))
    if said is not None:
        return _said_of(tag, vr, *said)
    if not _is_of_its_kind(tag, vr):
        return Act.REMOVE
    if vr == "SQ":
        return Act.DESCEND
    if vr == "UI":
        return Act.KEEP if int(tag) in _tags(CLASS_UIDS) else Act.NEW_UID
    if vr in _NUMBERS or vr == "CS":
        return Act.KEEP
    if vr in _TEXT:
        if int(tag) in _tags(_EMPTIED):
            return Act.EMPTY
        return Act.KEEP if int(tag) in _tags(_TECHNICAL) else Act.DUMMY
    return Act.KEEP if int(tag) in _tags(_BINARY) else Act.REMOVE


def _is_of_its_kind(tag: BaseTag, vr: str) -> bool:
    """Whether a VR is one that the standard has for an attribute, or much like it."""
    written, standard = (
        {_KINDS.get(one, one) for one in text.split(" or ")} for text in (vr, dictionary_VR(tag))
    )
    return not written.isdisjoint(standard)


def _said_of(tag: BaseTag, vr: str, column: str, act: Act) -> Act:
    if vr == "UN":
        return Act.REMOVE
    if vr in TEMPORAL and _is_of_its_kind(tag, vr) and int(tag) not in _tags(_NO_EVENTS):
        return Act.SHIFT
    if vr == "SQ" and act is Act.DUMMY:
        return Act.REMOVE if column in _MAY_GO else Act.EMPTY
    return act


def basic_act(tag: BaseTag) -> Act:
    """Return what the profile does without the option on dates, for one that cannot be read."""
    return _table()[int(tag)][1] if int(tag) in _table() else Act.REMOVE


@cache
def _table() -> dict[int, tuple[str, Act]]:
    """Column and act by tag, for attributes that stand alone; repeating groups go whole."""
    columns = dicom_anonymization_database_selector(f"dicomfields_{EDITION}")
    return {
        int(Tag(tag)): (column, act)
        for column, act in _OF_TABLE.items()
        for tag in columns[column]
        if len(tag) == 2
    }


@cache
def _tags(keywords: frozenset[str]) -> frozenset[int]:
    return frozenset(tag for word in keywords if (tag := tag_for_keyword(word)) is not None)
