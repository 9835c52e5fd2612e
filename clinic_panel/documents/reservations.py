"""Which objects a de-identified copy leaves out, because identity may stand where no rule looks."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID, KeyObjectSelectionDocumentStorage

from clinic_panel.documents.identity import texts

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."


class Reason(StrEnum):
    """Why an object is left out: one sentence for a screen."""

    DOCUMENT = "Embedded documents are left out: their pages may name the patient."
    REPORT = "Reports are left out: their text may name the patient."
    OPAQUE = "Raw and private data are left out: nobody can tell what is in them."
    VOICE = "Voice recordings are left out: a voice is known."
    VIDEO = "Videos are left out: what is drawn into them cannot be checked here."
    DECLARED = "The device says that it wrote an identity into the image."
    ULTRASOUND = "Ultrasound images usually have the patient's name in the picture."
    CAPTURE = "Screen captures usually have the patient's name in the picture."
    PHOTOGRAPH = "Photographs may show the patient, or a label with the name."
    LABEL = "Pictures of a slide's label show whose it is."
    DAMAGED = "The object is damaged."
    UNCHECKED = "The image is compressed in a way that may hide text beside the pixels."
    TOO_LARGE = "The object is too large to be cleaned here."


_BY_CLASS: Final = {
    "66": Reason.OPAQUE,
    "9.4.1": Reason.VOICE,
    "9.4.2": Reason.VOICE,
    "77.1.1.1": Reason.VIDEO,
    "77.1.2.1": Reason.VIDEO,
    "77.1.4.1": Reason.VIDEO,
}
_BY_FAMILY: Final = {"88.": Reason.REPORT, "104.": Reason.DOCUMENT}
_STATES: Final = frozenset({"11.1", "11.2", "11.3", "11.4", "11.5"})  # graphics that are understood
# What a person may look at and then let through.
_TO_LOOK_AT: Final = {
    **dict.fromkeys(("6", "6.1", "6.2", "3", "3.1"), Reason.ULTRASOUND),
    **dict.fromkeys(("7", "7.1", "7.2", "7.3", "7.4"), Reason.CAPTURE),
    **dict.fromkeys(("77.1.1", "77.1.2", "77.1.3", "77.1.4"), Reason.PHOTOGRAPH),
}
_CAPTURED: Final = frozenset({"SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN", "SC"})
_CAPTURE_MODALITIES: Final = frozenset({"SC", "OT", "DOC", "SMR"})
_SLIDE_LABELS: Final = frozenset({"LABEL", "OVERVIEW"})


def unfit(ds: Dataset) -> Reason | None:
    """Return why an object is never handed out, whatever a person says; or None."""
    sop_class = UID(str(ds.get("SOPClassUID", "")))
    if not sop_class.startswith(_STORAGE):
        return Reason.OPAQUE
    if sop_class == KeyObjectSelectionDocumentStorage:
        return None
    rest = sop_class.removeprefix(_STORAGE)
    if rest.startswith("11.") and rest not in _STATES:
        return Reason.OPAQUE
    if "EncapsulatedDocument" in ds:
        return Reason.DOCUMENT
    family = next((why for start, why in _BY_FAMILY.items() if rest.startswith(start)), None)
    return _BY_CLASS.get(rest, family)


def to_look_at(ds: Dataset) -> Reason | None:
    """Return why a person has to look at an image before it is handed out; or None."""
    if not any(word in ds for word in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        return None
    if _said(ds, "BurnedInAnnotation") == ["YES"]:
        return Reason.DECLARED
    kind = set(_said(ds, "ImageType"))
    if kind & _SLIDE_LABELS or _said(ds, "SpecimenLabelInImage") == ["YES"]:
        return Reason.LABEL
    modality = set(_said(ds, "Modality"))
    if modality & {"US", "IVUS"}:
        return Reason.ULTRASOUND
    if kind & _CAPTURED or modality & _CAPTURE_MODALITIES or any(_said(ds, "ConversionType")):
        return Reason.CAPTURE
    return _TO_LOOK_AT.get(str(ds.get("SOPClassUID", "")).removeprefix(_STORAGE))


def _said(ds: Dataset, keyword: str) -> list[str]:
    return [text.strip().upper() for text in texts(ds.get(keyword))]
