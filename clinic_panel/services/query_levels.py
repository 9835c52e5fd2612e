"""Levels and models of Query/Retrieve, and the key that names one entity of each (PS3.4 C.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_ROOT = "1.2.840.10008.5.1.4.1.2"  # PS3.4 C.6.1.3, C.6.2.3


class QueryLevel(StrEnum):
    """Value of Query/Retrieve Level (0008,0052), from the top down."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"

    @property
    def unique_key(self) -> str:
        """Keyword of the attribute that identifies one entity of this level."""
        return _UNIQUE_KEYS[self]


_UNIQUE_KEYS = {
    QueryLevel.PATIENT: "PatientID",
    QueryLevel.STUDY: "StudyInstanceUID",
    QueryLevel.SERIES: "SeriesInstanceUID",
    QueryLevel.IMAGE: "SOPInstanceUID",
}


@dataclass(frozen=True, slots=True)
class QueryModel:
    """One information model: its levels from the top down, and the SOP classes that use it."""

    name: str
    levels: tuple[QueryLevel, ...]
    find_sop_class_uid: str
    move_sop_class_uid: str
    get_sop_class_uid: str

    @property
    def sop_class_uids(self) -> tuple[str, str, str]:
        """Find, move and get."""
        return self.find_sop_class_uid, self.move_sop_class_uid, self.get_sop_class_uid

    def above(self, level: QueryLevel) -> tuple[QueryLevel, ...]:
        """Return the levels whose unique key must be given, from the top down (PS3.4 C.4.1.2.1).

        Raises
        ------
        ValueError
            The model has no such level.
        """
        return self.levels[: self.levels.index(level)]


PATIENT_ROOT = QueryModel(
    "Patient Root",
    (QueryLevel.PATIENT, QueryLevel.STUDY, QueryLevel.SERIES, QueryLevel.IMAGE),
    f"{_ROOT}.1.1",
    f"{_ROOT}.1.2",
    f"{_ROOT}.1.3",
)
# Attributes of the patient belong to its STUDY level (PS3.4 C.6.2.1).
STUDY_ROOT = QueryModel(
    "Study Root",
    (QueryLevel.STUDY, QueryLevel.SERIES, QueryLevel.IMAGE),
    f"{_ROOT}.2.1",
    f"{_ROOT}.2.2",
    f"{_ROOT}.2.3",
)
MODELS = (PATIENT_ROOT, STUDY_ROOT)
_BY_SOP_CLASS = {uid: model for model in MODELS for uid in model.sop_class_uids}


def model_of(sop_class_uid: str) -> QueryModel:
    """Return the information model of a Query/Retrieve SOP class.

    Raises
    ------
    KeyError
        It is no such class.
    """
    return _BY_SOP_CLASS[sop_class_uid]
