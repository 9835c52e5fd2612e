"""A report as a PDF: values in, bytes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

from clinic_panel.documents import text
from clinic_panel.documents.press import JPEG_SIGNATURE, PNG_SIGNATURE, Press

# Widths in em of the running header's type, generous: a header that is reserved too tall leaves
# white, one too short would lie over the findings.
_NAME_LINE_EM = 40.0
_FACT_LINE_EM = 27.0  # what labels, gaps and a wrapped identifier leave
_CLINIC_LINE_EM = 45.0
_NAME_LINE_MM = 5.2
_FACT_LINE_MM = 4.4
_CLINIC_LINE_MM = 3.6
_HEADER_BASE_MM = 27.0


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whose paper it is."""

    name: str
    address: str = ""
    phone: str = ""
    logo: bytes = b""  # PNG or JPEG; anything else is left out


@dataclass(frozen=True, slots=True, repr=False)
class Section:
    """One heading and what is said under it; blank sections are not printed."""

    heading: str
    text: str
    emphasised: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class KeyImage:
    """One picture the reader chose, already windowed."""

    png: bytes
    caption: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class ReportContent:
    """Everything a printed report says, as plain values; safe to send to a worker."""

    letterhead: Letterhead
    patient_names: tuple[str, ...]  # alphabetic, ideographic, phonetic: readable, blanks left out
    patient_id: str
    patient_birth_date: date | None
    patient_sex: str
    patient_age: str
    study_date: date | None
    study_description: str
    modality: str
    accession_number: str
    referring_physician_name: str
    sections: tuple[Section, ...]
    key_images: tuple[KeyImage, ...] = ()
    signed_by: str = ""
    signed_role: str = ""
    signed_at: datetime | None = None
    version: int = 0
    final: bool = False
    language: str = "en"
    content_hash: str = ""
    zone: str = "UTC"


def render(content: ReportContent) -> bytes:
    """Return the report as a tagged PDF/UA-1 file on A4, every font embedded.

    The same content, fonts and WeasyPrint give the same bytes. Nothing is fetched: pictures come
    from the content, and every other address is refused.

    Parameters
    ----------
    content
        What to print. Text is text: markup, addresses and control characters in it are inert.

    Raises
    ------
    ValueError
        ``signed_at`` has no zone.
    """
    if content.signed_at is not None and content.signed_at.tzinfo is None:
        raise ValueError("signed_at needs a zone")
    return _printer().print(content)


class _Printer:
    """The press of reports, and its templates; built once a process."""

    def __init__(self) -> None:
        self._press = Press("report.css", blocks=text.blocks, day=_day)
        self._template = self._press.template("report.html.j2")
        self._paper = self._press.template("paper.svg.j2")

    def print(self, content: ReportContent) -> bytes:
        pictures, images, logo = _pictures(content)
        pictures["memory:paper"] = self._paper.render(final=content.final).encode()
        html = self._template.render(
            report=content,
            images=images,
            logo=logo,
            name_language=text.language_of(" ".join(content.patient_names), content.language),
            signed_at=_moment(content),
            header_mm=_header_mm(content),
            columns=_columns(len(images)),
        )
        return self._press.print(html, pictures, pdf_variant="pdf/ua-1")


@cache
def _printer() -> _Printer:
    return _Printer()


@dataclass(frozen=True, slots=True)
class _Picture:
    """A key image as the template sees it; without an address when it can't be shown."""

    address: str
    caption: str


def _pictures(content: ReportContent) -> tuple[dict[str, bytes], list[_Picture], str]:
    """Return bytes by address, the key images, and the logo's address (empty: none)."""
    found: dict[str, bytes] = {}
    images = []
    for number, image in enumerate(content.key_images):
        address = ""
        if image.png.startswith(PNG_SIGNATURE):  # never SVG, which could name other files
            address = f"memory:key-image-{number}"
            found[address] = image.png
        images.append(_Picture(address, image.caption))
    logo = ""
    if content.letterhead.logo.startswith((PNG_SIGNATURE, JPEG_SIGNATURE)):
        logo = "memory:logo"
        found[logo] = content.letterhead.logo
    return found, images, logo


def _columns(images: int) -> int:
    return {0: 1, 1: 1, 2: 2, 4: 2}.get(images, 3)


def _header_mm(content: ReportContent) -> int:
    """Return the height to keep free for the running header, by the lines its text may take."""
    facts = text.width_em(content.patient_id + content.patient_sex + content.patient_age)
    height = _HEADER_BASE_MM
    height += _CLINIC_LINE_MM * (text.width_em(content.letterhead.name) // _CLINIC_LINE_EM)
    height += _FACT_LINE_MM * (facts // _FACT_LINE_EM)
    height += _NAME_LINE_MM * _lines(content.patient_names)
    return round(height)


def _lines(names: tuple[str, ...]) -> int:
    """Return how many lines the names may take: each is kept together as long as it fits one."""
    lines, used = 1, 0.0
    for name in names:
        width = text.width_em(name) + 1.5
        if used and used + width > _NAME_LINE_EM:
            lines, used = lines + 1, 0.0
        used += width
        lines += int(used // _NAME_LINE_EM)
        used %= _NAME_LINE_EM
    return lines


def _day(value: date | None) -> str:
    """Write a date nobody reads the wrong way round: 03 Apr 2026."""
    if value is None:
        return "unknown"
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{value.day:02d} {months[value.month - 1]} {value.year:04d}"


def _moment(content: ReportContent) -> str:
    if content.signed_at is None:
        return ""
    local = content.signed_at.astimezone(ZoneInfo(content.zone))
    return f"{_day(local.date())}, {local:%H:%M} ({content.zone})"
