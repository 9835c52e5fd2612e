"""Objects that name one person wherever a file can hold a name, a number or a day."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO

from pydicom import DataElement, Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

NAME, ID, ACCESSION = "Quellmaltz^Hieronymus", "PID-7741953", "ACC8830127"
DAY, TIME, BORN = "20260316", "113751", "19330717"
UID = "1.2.840.113619.2.7741953.20260316"
NUMBER = 7741953
# In any case: a coded string is written in capitals.
PLANTED = ("quellmaltz", "hieronymus", "7741953", "8830127", DAY, BORN, "113751", "musterklinik")
INSTITUTION = "Musterklinik Nord"
_BY_VR = {
    **dict.fromkeys(("LO", "LT", "ST", "UC", "UT"), f"seen by {NAME} {ID} {DAY}"),
    **{"PN": NAME, "SH": "Quellmaltz", "AE": "QUELLMALTZ", "CS": "QUELLMALTZ", "DA": DAY},
    **{"TM": TIME, "DT": DAY + TIME, "IS": str(NUMBER), "DS": str(NUMBER), "UI": UID},
    **{"UR": f"http://pacs/{ID}", "AS": "093Y", "UL": NUMBER, "SL": NUMBER, "UV": NUMBER},
    **dict.fromkeys(("OB", "OW", "UN", "OB or OW"), b"Hieronymus Quellmaltz "),
    **dict.fromkeys(("OF", "OL"), b"Hieronymus Quellmaltz   "),
    **dict.fromkeys(("OD", "OV"), b"Hieronymus Quellmaltz   "),
}
# What an image is unreadable without, and what says that it is one.
_SPARED = frozenset(
    {
        *("SpecificCharacterSet", "SOPClassUID", "Modality", "PhotometricInterpretation"),
        *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "EncapsulatedDocument"),
        *("BurnedInAnnotation", "ConversionType", "NumberOfFrames", "SpecimenLabelInImage"),
        *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "OffendingElement"),
        *("PixelDataProviderURL", "PixelRepresentation", "ContentSequence"),
    }
)


def everywhere(ds: Dataset) -> Dataset:
    """Write the person into every attribute that the standard knows and whose VR can hold it."""
    for number, (vr, _, _, _, keyword) in DicomDictionary.items():
        group = number >> 16
        if keyword in _SPARED or group in (0, 2, 4) or group >> 8 == 0x7F or not keyword:
            continue
        if vr in _BY_VR:
            ds.add(DataElement(number, "OB" if vr == "OB or OW" else vr, _BY_VR[vr]))
    return identified(ds)


def identified(ds: Dataset) -> Dataset:
    """Write the person where a scanner writes them, and into a coded string."""
    ds.PatientName, ds.PatientID, ds.AccessionNumber = NAME, ID, ACCESSION
    ds.PatientBirthDate, ds.StudyDate, ds.StudyTime = BORN, DAY, TIME
    ds.InstitutionName = INSTITUTION
    ds.ImageType = ["ORIGINAL", "PRIMARY", "QUELLMALTZ"]
    return ds


def item() -> Dataset:
    """Return an item with a name in text, in a private block and in a code."""
    ds = Dataset()
    ds.PatientName, ds.ImageComments, ds.SeriesDate = NAME, f"of {NAME}", DAY
    ds.ReferencedSOPInstanceUID = UID
    ds.private_block(0x0011, "ACME QUELLMALTZ", create=True).add_new(1, "LO", NAME)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99LOCAL", NAME
    shared = Dataset()
    shared.CodeValue, shared.CodingSchemeDesignator = "T-1", "SRT"
    shared.CodeMeaning = f"Lung of {NAME}"
    ds.AnatomicRegionSequence = Sequence([code, shared])
    return ds


def nested(depth: int, inside: Dataset | None = None) -> Dataset:
    """Return an item that lies so deep in sequences which all stay."""
    ds = inside or item()
    for number in range(depth):
        outer = item()
        keyword = ("SourceImageSequence", "SharedFunctionalGroupsSequence")[number % 2]
        setattr(outer, keyword, Sequence([ds]))
        ds = outer
    return ds


def unknown_sequence() -> bytes:
    """Return a sequence as a peer that does not know it hands it on: UN, Implicit VR."""
    value = f"of {NAME} ".encode()
    element = struct.pack("<HHL", 0x0020, 0x4000, len(value)) + value
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(element)) + element


def ct(plant: Callable[[Dataset], Dataset] = everywhere) -> Dataset:
    """Return a CT image that names the person in every way a data set can."""
    ds = plant(dcmread(get_testdata_file("CT_small.dcm")))
    ds.SOPInstanceUID = ds.StudyInstanceUID = ds.SeriesInstanceUID = UID
    ds.file_meta.MediaStorageSOPInstanceUID = UID
    for group in (0x6000, 0x6002, 0x5000):
        ds.add_new(Tag(group, 0x0010), "US", 16)
        ds.add_new(Tag(group, 0x0022), "LO", NAME)
        ds.add_new(Tag(group, 0x3000), "OW", f"{NAME} ".encode())
    block = ds.private_block(0x0009, "ACME", create=True)
    block.add_new(1, "LO", NAME)
    block.add_new(2, "SQ", Sequence([item()]))
    block.add_new(3, "UN", f"{ID} {NAME} ".encode())
    ds.SourceImageSequence = Sequence([nested(3)])
    unknown = unknown_sequence()
    tag = Tag("DerivationCodeSequence")
    ds[tag] = RawDataElement(tag, "UN", len(unknown), unknown, 0, False, True)
    ds.add_new(Tag(0x0018, 0x9999), "UN", f"{NAME} ".encode())
    ds.add_new(Tag(0xFFFC, 0xFFFC), "OB", f"{NAME} ".encode())
    return ds


def part10(ds: Dataset) -> bytes:
    """Return a file that names the person in its preamble and file meta information, too."""
    ds.preamble = f"{NAME} {ID} {DAY}".encode().ljust(128, b" ")
    ds.file_meta.SourceApplicationEntityTitle = "QUELLMALTZ"
    ds.file_meta.PrivateInformationCreatorUID = UID
    ds.file_meta.PrivateInformation = f"{NAME} ".encode()
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def found_in(data: bytes) -> set[str]:
    """Return which of the planted words stand in some bytes, in any usual encoding."""
    found = set()
    plain = (data, data.replace(b"\0", b""))
    for word in PLANTED:
        if any(word.encode() in each.lower() for each in plain):
            found.add(word)
    for kind in ("<L", ">L", "<Q", "<d"):
        if struct.pack(kind, NUMBER) in data:
            found.add(kind)
    return found
