"""A report as a PDF: values in, bytes out.

WeasyPrint takes most of a second to import, so it is loaded when the first report is rendered and
only in the process that renders.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clinic_panel.documents import text

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

# Widths in em of the running header's type, generous: a header that is reserved too tall leaves
# white, one too short would lie over the findings.
_NAME_LINE_EM = 40.0
_FACT_LINE_EM = 27.0  # what labels, gaps and a wrapped identifier leave
_CLINIC_LINE_EM = 45.0
_NAME_LINE_MM = 5.2
_FACT_LINE_MM = 4.4
_CLINIC_LINE_MM = 3.6
_HEADER_BASE_MM = 27.0

PRINTING = threading.Lock()  # Pango's font map is shared by whoever renders


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
    """The template, style and fonts of this process; built once, used by one thread at a time."""

    def __init__(self) -> None:
        from weasyprint import CSS
        from weasyprint.text.fonts import FontConfiguration

        environment = ImmutableSandboxedEnvironment(
            loader=PackageLoader("clinic_panel.documents", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            plain=text.plain,
            direction=text.direction,
            blocks=text.blocks,
            day=_day,
        )
        self._template = environment.get_template("report.html.j2")
        self._paper = environment.get_template("paper.svg.j2")
        # What is the same for every report is parsed once; that is half the time of a short one.
        self._fonts = FontConfiguration()
        self._fetcher = fetcher()
        style = files("clinic_panel.documents").joinpath("templates/report.css")
        self._style = CSS(
            string=style.read_text(encoding="utf-8"),
            font_config=self._fonts,
            url_fetcher=self._fetcher,
        )

    def print(self, content: ReportContent) -> bytes:
        from weasyprint import HTML
        from weasyprint.urls import FatalURLFetchingError

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
        with PRINTING:
            self._fetcher.pictures = pictures
            try:
                pdf: bytes = HTML(string=html, url_fetcher=self._fetcher).write_pdf(
                    stylesheets=[self._style], font_config=self._fonts, pdf_variant="pdf/ua-1"
                )
            except FatalURLFetchingError:
                # Its message quotes the address.
                raise ValueError("a report asked for an address outside itself") from None
            finally:
                self._fetcher.pictures = {}
        return pdf


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


def fetcher() -> Any:
    """Return what WeasyPrint asks for bytes: ``pictures``, or a refusal that fails the report."""
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class InMemory(URLFetcher):
        def __init__(self) -> None:
            super().__init__(
                allowed_protocols=("memory",), allow_redirects=False, fail_on_errors=True
            )
            self.pictures: dict[str, bytes] = {}

        def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:
            if url not in self.pictures:
                raise ValueError("outside the report")
            data = self.pictures[url]
            return URLFetcherResponse(url, data, {"Content-Type": _media_type(data)})

    return InMemory()


def _media_type(data: bytes) -> str:
    if data.startswith(PNG_SIGNATURE):
        return "image/png"
    return "image/jpeg" if data.startswith(JPEG_SIGNATURE) else "image/svg+xml"


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
