"""What kind of thing an object is, by its SOP class (PS3.4 B.5, PS3.6 A)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from clinic_panel.imaging.legible import uid_name

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."


class Kind(StrEnum):
    """How an object is shown."""

    IMAGE = "image"
    PDF = "pdf"
    REPORT = "report"
    KEY_IMAGES = "key images"
    WAVEFORM = "waveform"
    PRESENTATION = "presentation"
    OTHER = "other"


WAVEFORM_CLASSES: Final = f"{_STORAGE}9."  # how their UIDs begin
# What is written about images, or derived from them, beside what a machine took.
WRITTEN: Final = frozenset({"SR", "KO", "PR", "DOC", "SEG", "REG"})
_KINDS: Final = {
    "104.1": Kind.PDF,
    "88.59": Kind.KEY_IMAGES,
    "11.1": Kind.PRESENTATION,
    "11.2": Kind.PRESENTATION,
    "11.5": Kind.PRESENTATION,
}
_FAMILIES: Final = {
    "88.": Kind.REPORT,
    "9.100.": Kind.OTHER,  # presentation states of waveforms
    "9.": Kind.WAVEFORM,
    "11.": Kind.OTHER,  # blending, volume rendering and other states that are not applied here
    "104.": Kind.OTHER,
}


def kind_of(sop_class_uid: str) -> Kind:
    """Return how objects of a class are shown; whatever may hold pixels is taken for an image."""
    if not sop_class_uid.startswith(_STORAGE):
        return Kind.IMAGE
    rest = sop_class_uid.removeprefix(_STORAGE)
    if rest in _KINDS:
        return _KINDS[rest]
    return next((kind for start, kind in _FAMILIES.items() if rest.startswith(start)), Kind.IMAGE)


def name_of(sop_class_uid: str) -> str:
    """Return what objects of a class are, in the words of the standard."""
    name = uid_name(sop_class_uid)
    return "Object of an unknown kind" if name == sop_class_uid else name.removesuffix(" Storage")


def taken(modalities_in_study: str) -> tuple[str, ...]:
    """Return the modalities of a study as people speak of it: a CT with a report on it is a CT.

    Parameters
    ----------
    modalities_in_study
        All of them, joined by a backslash, as the standard counts them and peers are told. Where
        there is nothing but what is written, that is what the study is.
    """
    names = [name for name in modalities_in_study.split("\\") if name]
    return tuple(name for name in names if name not in WRITTEN) or tuple(names)
