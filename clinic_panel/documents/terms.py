"""What a person's objects are de-identified with, alike for all, and what is said of it."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence

from clinic_panel.documents.confidentiality import EDITION

METHOD: Final = (f"PS3.15 E.1-1 {EDITION} Basic Profile", "All other free text removed")
PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
BASIC_PROFILE: Final = "113100"
CLEAN_PIXELS: Final = "113101"
CLEAN_GRAPHICS: Final = "113103"
CLEAN_STRUCTURE: Final = "113104"
MODIFIED_DATES: Final = "113107"
_MEANINGS: Final = {  # PS3.16 CID 7050
    BASIC_PROFILE: "Basic Application Confidentiality Profile",
    CLEAN_PIXELS: "Clean Pixel Data Option",
    CLEAN_GRAPHICS: "Clean Graphics Option",
    CLEAN_STRUCTURE: "Clean Structured Content Option",
    MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
}


@dataclass(frozen=True, slots=True, repr=False)
class Terms:
    """How objects of one person are de-identified: alike wherever the key is the same.

    Parameters
    ----------
    key
        Secret of the clinic for this purpose: new UIDs come from it.
    subject
        Whom the objects are of: decides by how much dates move.
    case
        What stands for the person's name and ID.
    known
        Names and identifiers that are known of the person, beside those in the objects.
    """

    key: bytes
    subject: str
    case: str
    known: tuple[str, ...] = ()

    def new_uid(self, original: str) -> str:
        """Return the UID that stands for another: below 2.25, from 128 bits (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._digest('uid', original)[:16])}"

    @property
    def offset(self) -> timedelta:
        """By how much moments move: one to ten years back, and some hours."""
        digest = self._digest("offset", self.subject)
        days = 365 + int.from_bytes(digest[:8]) % 3285
        return timedelta(days=-days, seconds=int.from_bytes(digest[8:16]) % 86_400)

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{kind}:{value}".encode(), "sha256")


def state(ds: Dataset, options: Iterable[str], *, pixels_clean: bool) -> None:
    """Write into a data set what was done to it (PS3.3 C.7.1.1, C.7.6.1).

    Parameters
    ----------
    options
        Codes of the options that its content called for.
    pixels_clean
        Whether somebody made sure that no identity is drawn into the image.
    """
    done = {BASIC_PROFILE, MODIFIED_DATES, *options}
    if pixels_clean and any(keyword in ds for keyword in PIXELS):
        done.add(CLEAN_PIXELS)
        ds.BurnedInAnnotation = "NO"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = list(METHOD)
    ds.DeidentificationMethodCodeSequence = Sequence(_code(value) for value in sorted(done))
    ds.LongitudinalTemporalInformationModified = "MODIFIED"


def _code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = value, "DCM"
    item.CodeMeaning = _MEANINGS[value]
    return item
