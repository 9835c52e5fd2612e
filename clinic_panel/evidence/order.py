"""What a worker needs to build an evidence document: plain values, nothing to look up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from pydicom.uid import (
    UID,
    ColorSoftcopyPresentationStateStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
)

from clinic_panel.imaging.calibration import Known
from clinic_panel.imaging.cut import Cut
from clinic_panel.imaging.measure import Point, Shape


class DocumentKind(StrEnum):
    """What is said of a study, each in an object of its own."""

    MEASUREMENTS = "measurements"  # TID 1500 structured report
    PRESENTATION = "presentation"  # softcopy presentation state
    KEY_OBJECTS = "key objects"  # key object selection, TID 2010


SOP_CLASSES: Final[dict[DocumentKind, tuple[UID, ...]]] = {
    DocumentKind.MEASUREMENTS: (ComprehensiveSRStorage, Comprehensive3DSRStorage),
    DocumentKind.PRESENTATION: (
        GrayscaleSoftcopyPresentationStateStorage,
        ColorSoftcopyPresentationStateStorage,
    ),
    DocumentKind.KEY_OBJECTS: (KeyObjectSelectionDocumentStorage,),
}


class KeyTitle(StrEnum):
    """Why images were chosen (CID 7010)."""

    OF_INTEREST = "Of Interest"
    FOR_REFERRING_PROVIDER = "For Referring Provider"
    FOR_CONFERENCE = "For Conference"
    FOR_SURGERY = "For Surgery"
    FOR_TEACHING = "For Teaching"


@dataclass(frozen=True, slots=True, repr=False)
class Mark:
    """One shape that was drawn, and the UID it is followed by from document to document.

    One on a ``section`` of a volume has its points there; ``slices`` are all images of its series.
    """

    kind: Shape
    path: Path
    frame: int  # zero-based
    points: tuple[Point, ...]
    text: str
    tracking_uid: str
    known: Known | None = None  # the calibration by hand that holds for it
    section: Cut | None = None
    slices: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """One image and how it was looked at; without a window, with its own."""

    path: Path
    frame: int  # zero-based
    window_center: float | None = None
    window_width: float | None = None
    invert: bool = False
    rotation: int = 0  # degrees clockwise, after it was mirrored
    mirrored: bool = False
    area: tuple[float, float, float, float] | None = None  # left, top, right, bottom; None for all
    mask: str | None = None  # what is subtracted (``imaging.subtraction.Wish``); None as it says


@dataclass(frozen=True, slots=True, repr=False)
class Origin:
    """Who says it, where, when and by what equipment."""

    observer: str
    institution: str
    device_uid: str
    software_version: str
    at: datetime  # aware
    zone: str

    @property
    def local(self) -> datetime:
        """The moment on the clinic's clock, without a zone, as DICOM dates and times have it."""
        return self.at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of a document, and what it replaces, if it does."""

    series_instance_uid: str
    sop_instance_uid: str
    number: int
    predecessor_uids: tuple[str, str] | None = None  # of series and instance
    predecessor_class_uid: str = ComprehensiveSRStorage


@dataclass(frozen=True, slots=True, repr=False)
class DocumentOrder:
    """One document to build."""

    kind: DocumentKind
    identity: Identity
    origin: Origin
    marks: tuple[Mark, ...] = ()
    seen: tuple[Seen, ...] = ()
    title: KeyTitle = KeyTitle.OF_INTEREST
