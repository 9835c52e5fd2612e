"""Whose an object is, as far as it says so itself: what must not stand anywhere else in it.

The profile says which attributes go; people write a name into others too. Words of every person's
name and every identifier that an object holds are looked for in all that would stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

_WORD: Final = re.compile(r"[^\W_]+")
_LEAST_WORD: Final = 3
_LEAST_IDENTIFIER: Final = 4
_LEAST_IN_BYTES: Final = 5
_NUMBER: Final = re.compile(r"\d{5,}")
_SHORT_NUMBER: Final = 6  # longer ones do not occur in codes by chance
_NO_NAMES: Final = frozenset({"anonymized", "anonymous", "none", "unknown", "prof", "the"})
_IDENTIFIERS: Final = frozenset(
    tag
    for keyword in (
        *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID"),
        *("IssuerOfPatientID", "MedicalRecordLocator", "PatientBirthDate", "PatientAddress"),
        *("PatientTelephoneNumbers", "MilitaryRank", "ServiceEpisodeID", "RequestedProcedureID"),
        *("ScheduledProcedureStepID", "PerformedProcedureStepID", "InstitutionName"),
        *("InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
        *("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"),
        *("DeviceSerialNumber", "InsurancePlanIdentification", "ClinicalTrialSubjectID"),
    )
    if (tag := tag_for_keyword(keyword)) is not None
)


@dataclass(slots=True)
class Identity:
    """Words of names and identifiers, folded; ``words`` match whole words, the others anywhere."""

    words: set[str] = field(default_factory=set, repr=False)
    identifiers: set[str] = field(default_factory=set, repr=False)

    def learn_name(self, name: str) -> None:
        """Remember the words of a person's name."""
        for word in _WORD.findall(name.casefold()):
            least = _LEAST_WORD if word.isascii() else 2
            if len(word) >= least and word not in _NO_NAMES and not word.isdigit():
                self.words.add(word)

    def learn_identifier(self, text: str) -> None:
        """Remember an identifier, address or date of birth."""
        folded = text.strip(" \0").casefold()
        if len(folded) >= _LEAST_IDENTIFIER and folded not in _NO_NAMES:
            self.identifiers.add(folded)
            self.identifiers.update(_NUMBER.findall(folded))  # it may stand without its letters

    def learn(self, element: DataElement) -> None:
        """Remember what an element says, if it is a name or an identifier."""
        if element.VR == "PN":
            for name in texts(element.value):
                self.learn_name(name)
        elif int(element.tag) in _IDENTIFIERS:
            for text in texts(element.value):
                self.learn_identifier(text)

    def is_in(self, text: str) -> bool:
        """Whether a text names the person."""
        folded = text.casefold()
        if any(_stands_in(identifier, folded) for identifier in self.identifiers):
            return True
        return not self.words.isdisjoint(_WORD.findall(folded))

    def is_number(self, text: str) -> bool:
        """Whether a number is one of the identifiers, and no small one that chance might bring."""
        return len(text) >= _LEAST_IN_BYTES and text in self.identifiers

    def is_in_bytes(self, data: bytes) -> bool:
        """Whether some bytes name the person; words that chance might write do not count."""
        folded = data.lower()
        return any(
            word.encode(encoding) in folded
            for word in (*self.words, *self.identifiers)
            if len(word) >= _LEAST_IN_BYTES
            for encoding in ("utf-8", "utf-16-le", "utf-16-be")
        )


def _stands_in(identifier: str, text: str) -> bool:
    """Whether a text holds an identifier; a short number only as a number of its own."""
    if identifier not in text:
        return False
    if not identifier.isdigit() or len(identifier) > _SHORT_NUMBER:
        return True
    return re.search(rf"(?<![^\W_]){identifier}(?![^\W_])", text) is not None


def texts(value: object) -> list[str]:
    """Return the values of an element as texts."""
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, MultiValue | list) else [str(value)]


def identity_of(elements: Iterable[DataElement], known: Iterable[str] = ()) -> Identity:
    """Gather whose an object is from its elements, and from what is ``known`` of the person."""
    identity = Identity()
    for text in known:
        identity.learn_name(text)
        identity.learn_identifier(text)
    for element in elements:
        identity.learn(element)
    return identity


def every_element(ds: Dataset) -> Iterator[DataElement]:
    """Yield the elements of a data set and of all its sequences, each once it can be read."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from every_element(item)
        else:
            yield element
