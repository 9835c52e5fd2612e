"""What the index needs of an object: patient, study, series and instance, cleaned and clipped."""

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from pydicom.charset import decode_bytes

from clinic_panel.errors import NotUnderstood
from clinic_panel.imaging.charset import python_encoding
from clinic_panel.imaging.elements import Buffer, CutShort, Elements, decimals, plain
from clinic_panel.imaging.opened import Opened, open_data_set

_LAST_TAG: Final = 0x00280011
_PREFIX_BYTES: Final = 64 * 2**10
_HEADER_LIMIT_BYTES: Final = 64 * 2**20
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_DATE: Final = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")
_TIME: Final = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
_OFFSET: Final = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
# Invisible marks that turn text round: a name must read on screen as it is stored.
TURNING: Final = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_TEXT: Final[dict[str, tuple[int, int]]] = {  # keyword: tag, length of the VR (PS3.5 6.2)
    "PatientID": (0x00100020, 64),
    "IssuerOfPatientID": (0x00100021, 64),
    "PatientSex": (0x00100040, 16),
    "AccessionNumber": (0x00080050, 16),
    "StudyID": (0x00200010, 16),
    "StudyDescription": (0x00081030, 64),
    "Modality": (0x00080060, 16),
    "SeriesDescription": (0x0008103E, 64),
    "BodyPartExamined": (0x00180015, 16),
}
_NAMES: Final = {"PatientName": 0x00100010, "ReferringPhysicianName": 0x00080090}
_UIDS: Final = {
    "SOPClassUID": 0x00080016,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
}
# What the objects of a series have in common: read once, and recognised by its bytes.
_SHARED: Final = (
    *(tag for tag, _ in _TEXT.values()),
    *_NAMES.values(),
    *_UIDS.values(),
    *(0x00080005, 0x00080020, 0x00080030, 0x00080201, 0x00100030, 0x00200011),
)
_WANTED: Final = frozenset({*_SHARED, 0x00080018, 0x00200013, 0x00280008, 0x00280010, 0x00280011})
_REMEMBERED: Final = 64  # series


@dataclass(frozen=True, slots=True)
class Header:
    """The indexed attributes under their DICOM keywords; text is clean and fits its VR."""

    SOPInstanceUID: str
    SOPClassUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    TransferSyntaxUID: str
    PatientID: str = ""
    IssuerOfPatientID: str = ""
    PatientName: str = ""
    PatientBirthDate: date | None = None
    PatientSex: str = ""
    AccessionNumber: str = ""
    StudyID: str = ""
    StudyDate: date | None = None
    StudyTime: time | None = None
    StudyDescription: str = ""
    ReferringPhysicianName: str = ""
    Modality: str = ""
    SeriesNumber: int | None = None
    SeriesDescription: str = ""
    BodyPartExamined: str = ""
    InstanceNumber: int | None = None
    NumberOfFrames: int = 1
    Rows: int | None = None
    Columns: int | None = None
    TimezoneOffsetFromUTC: str = ""


def read_header(
    source: Buffer | Path, *, transfer_syntax_uid: str | None = None, partial: bool = False
) -> Header:
    """Read what the index needs, without decoding or copying what follows.

    Parameters
    ----------
    source
        A DICOM file as bytes or as a path; or, with ``transfer_syntax_uid``, the data set alone as
        it comes in a C-STORE request.
    transfer_syntax_uid
        As negotiated for the presentation context.
    partial
        The bytes are only the first of the object (16 KiB are enough for most): running out of
        them raises ``CutShort``, so that the caller can come again with more.

    Returns
    -------
    Header
        Dates and numbers that do not parse are None; an absent number of frames is 1.

    Raises
    ------
    NotUnderstood
        No DICOM object, or one without a valid SOP Instance, Study or Series Instance UID.
    """
    if isinstance(source, Path):
        return _read_path(source, transfer_syntax_uid)
    opened = open_data_set(
        source, transfer_syntax_uid=transfer_syntax_uid, keep_bytes=_HEADER_LIMIT_BYTES
    )
    end = len(opened.buffer)
    found = Elements(
        opened.buffer, opened.start, end, opened.syntax, wanted=_WANTED, last_tag=_LAST_TAG
    )
    if partial and found.end >= end:
        raise CutShort  # the next element might still be one of ours
    return _build(found, opened)


def _read_path(path: Path, transfer_syntax_uid: str | None) -> Header:
    with path.open("rb") as file:
        prefix = file.read(_PREFIX_BYTES)
        try:
            return read_header(prefix, transfer_syntax_uid=transfer_syntax_uid, partial=True)
        except NotUnderstood:
            # A prefix of a deflated object or one with a long private header says nothing yet.
            whole = prefix + file.read(_HEADER_LIMIT_BYTES - len(prefix))
    return read_header(whole, transfer_syntax_uid=transfer_syntax_uid)


def _build(found: Elements, opened: Opened) -> Header:
    shared = _shared(tuple(map(found.raw, _SHARED)))
    instance_uid = _uid(found.raw(0x00080018))
    if not (instance_uid and shared["StudyInstanceUID"] and shared["SeriesInstanceUID"]):
        raise NotUnderstood("The object lacks a valid instance, series or study identifier.")
    frames = _integer(found.numbers(0x00280008))
    own = {
        "SOPInstanceUID": instance_uid,
        "SOPClassUID": shared["SOPClassUID"] or opened.sop_class_uid[:64],
        "TransferSyntaxUID": opened.transfer_syntax_uid[:64],
        "InstanceNumber": _integer(found.numbers(0x00200013)),
        "NumberOfFrames": frames if frames and frames > 0 else 1,
        "Rows": _extent(found, 0x00280010),
        "Columns": _extent(found, 0x00280011),
    }
    return Header(**{**shared, **own})


@functools.lru_cache(maxsize=_REMEMBERED)
def _shared(values: tuple[bytes | None, ...]) -> Mapping[str, Any]:
    raw = dict(zip(_SHARED, values, strict=True))
    encodings = _encodings(plain(raw[0x00080005]))
    texts = {
        keyword: clean(decode(raw[tag], encodings))[:length].rstrip()
        for keyword, (tag, length) in _TEXT.items()
    }
    offset = plain(raw[0x00080201])
    return {
        **texts,
        **{keyword: _name(raw[tag], encodings) for keyword, tag in _NAMES.items()},
        **{keyword: _uid(raw[tag]) for keyword, tag in _UIDS.items()},
        "SeriesNumber": _integer(decimals(raw[0x00200011])),
        "PatientBirthDate": parse_date(plain(raw[0x00100030])),
        "StudyDate": parse_date(plain(raw[0x00080020])),
        "StudyTime": parse_time(plain(raw[0x00080030])),
        "TimezoneOffsetFromUTC": offset if _OFFSET.fullmatch(offset) else "",
    }


def encodings_of(found: Elements) -> list[str]:
    """Python's names of the character sets in Specific Character Set (PS3.3 C.12.1.1.2)."""
    return _encodings(found.text(0x00080005))


def _encodings(declared: str) -> list[str]:
    terms = [term.strip() for term in declared.split("\\")]
    known = [python_encoding[term] for term in terms if term in python_encoding]
    return known if known and any(terms) else []


def decode(value: bytes | None, encodings: list[str]) -> str:
    """Decode a text value; bytes that do not fit become replacement characters."""
    if not value:
        return ""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if b"\x1b" not in value or not encodings:
        if not encodings or encodings[0] == python_encoding["ISO_IR 6"]:
            # Nothing (or the default) was declared: UTF-8 proves itself, Latin-1 takes anything.
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return value.decode("latin-1")
        return value.decode(encodings[0], "replace")
    parts = re.split(rb"([\\^=])", value)  # code extensions end at delimiters (PS3.5 6.1.2.5.3)
    try:
        return decode_bytes(value, encodings, {0x5C, 0x5E, 0x3D})
    except (UnicodeError, LookupError, UserWarning):
        return "".join(part.decode("latin-1") for part in parts)


def clean(text: str) -> str:
    """Text without control characters, marks that turn it round, and padding."""
    if text.isascii() and text.isprintable():
        return text.strip(" ")
    return "".join(
        char for char in text if unicodedata.category(char) != "Cc" and char not in TURNING
    ).strip(" ")


def _name(value: bytes | None, encodings: list[str]) -> str:
    """Up to three component groups of 64 characters each (PS3.5 6.2.1)."""
    text = clean(decode(value, encodings))
    return "=".join(group[:64].rstrip(" ") for group in text.split("=")[:3]).rstrip("=")


def _uid(value: bytes | None) -> str:
    text = plain(value)
    return text if len(text) <= 64 and _UID.fullmatch(text) else ""


def _integer(numbers: tuple[float, ...]) -> int | None:
    if not numbers or not numbers[0].is_integer() or abs(numbers[0]) >= 2**31:
        return None
    return int(numbers[0])


def _extent(found: Elements, tag: int) -> int | None:
    """Rows or columns; a wrong VR can hold more than the index and any picture can."""
    extent = found.integer(tag)
    return extent if extent is None or extent < 2**31 else None


def parse_date(text: str) -> date | None:
    """A DA value (or the old form with points) as a date, None if it is none."""
    found = _DATE.fullmatch(text.strip())
    try:
        return date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        return None


def parse_time(text: str) -> time | None:
    """A TM value as a naive time of day, None if it is none."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    hours, minutes, seconds, fraction = found.groups(default="0")
    try:  # a leap second is written 60 (PS3.5 6.2)
        second = min(int(seconds), 59)
        return time(int(hours), int(minutes), second, int(fraction.ljust(6, "0")))
    except ValueError:
        return None
