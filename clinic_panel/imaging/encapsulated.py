"""Documents wrapped in DICOM: a PDF and its title (PS3.3 A.45)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.header import encodings_of
from clinic_panel.imaging.opened import opened_elements
from clinic_panel.imaging.structured import Words

MOST_BYTES: Final = 256 * 2**20
_HEAD_BYTES: Final = 1024  # within which a PDF says that it is one (ISO 32000-1, Annex H)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A document as it was wrapped."""

    title: str = field(repr=False)
    data: bytes = field(repr=False)


def read_pdf(source: Path | bytes) -> Wrapped:
    """Take the PDF out of an object.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    NotDisplayable
        It holds no PDF, or one larger than is handed out.
    """
    with opened_elements(source) as found:
        words = Words(found, encodings_of(found))
        element = found.found.get(0x00420011)
        if element is None or element.length <= 0:
            raise NotDisplayable("The object holds no document.")
        if element.length > MOST_BYTES:
            raise NotDisplayable("The document is too large to be shown.")
        data = found.raw(0x00420011) or b""
        said = next(iter(found.longs(0x00420015)), 0)
        if 0 < said < len(data):
            data = data[:said]  # without the byte that makes the length even
        if b"%PDF-" not in data[:_HEAD_BYTES]:
            raise NotDisplayable("The document is not the PDF that it is said to be.")
        return Wrapped(words.text(0x00420010), data)
