"""Read and check what a modality says of a performed step. Values in, values out.

The bytes are hostile: they are read by position, within bounds, and never by a parser that recurses
as the sender likes. The rows are made by ``services.performed``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from clinic_panel.errors import NotUnderstood
from clinic_panel.imaging.elements import Elements
from clinic_panel.imaging.header import clean, decode, encodings_of, parse_date, parse_time
from clinic_panel.imaging.opened import open_data_set
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.services.performed_attributes import (
    ATTRIBUTES,
    IMAGES,
    OTHERS,
    REASON,
    REQUESTS,
    SERIES,
    STATUS,
    Attribute,
    Reason,
    StepRefused,
)

MOST_REQUESTS = 100  # scheduled steps that one performed step answers
MOST_SERIES = 2_000
MOST_OBJECTS = 20_000
_LENGTH = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 194, "UC": 64}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
# What becomes a column of the step; the rest is kept in the message alone.
_COLUMNS = {
    "TimezoneOffsetFromUTC": "timezone_offset_from_utc",
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "PatientBirthDate": "patient_birth_date",
    "PatientSex": "patient_sex",
    "PerformedProcedureStepID": "performed_procedure_step_id",
    "PerformedStationAETitle": "performed_station_ae_title",
    "PerformedStationName": "performed_station_name",
    "PerformedLocation": "performed_location",
    "PerformedProcedureStepStartDate": "performed_procedure_step_start_date",
    "PerformedProcedureStepStartTime": "performed_procedure_step_start_time",
    "PerformedProcedureStepDescription": "performed_procedure_step_description",
    "PerformedProcedureStepEndDate": "performed_procedure_step_end_date",
    "PerformedProcedureStepEndTime": "performed_procedure_step_end_time",
    "Modality": "modality",
    "StudyID": "study_id",
}


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A scheduled step that is answered; of an unscheduled one only the study is known."""

    study_instance_uid: str
    accession_number: str
    requested_procedure_id: str
    scheduled_procedure_step_id: str


@dataclass(frozen=True, slots=True, repr=False)
class Announced:
    """An object that the modality made."""

    sop_class_uid: str
    sop_instance_uid: str
    is_image: bool


@dataclass(frozen=True, slots=True, repr=False)
class SeriesMade:
    """A series that the modality made; ``values`` by column."""

    series_instance_uid: str
    values: dict[str, str]
    objects: tuple[Announced, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """One request's attributes: ``values`` by column, and which keywords came at all."""

    present: frozenset[str]
    status: PerformedStatus | None
    values: dict[str, Any]
    requests: tuple[Request, ...] = ()
    series: tuple[SeriesMade, ...] | None = field(default=None)  # None: nothing said of them


def read_create(data: bytes, transfer_syntax_uid: str) -> Said:
    """Read and check the attribute list of N-CREATE.

    Raises
    ------
    StepRefused
        The first fault; that the status is not IN PROGRESS comes before all others.
    """
    reader = _Reader.open(data, transfer_syntax_uid)
    if reader.has_value(STATUS) and reader.text(STATUS) != PerformedStatus.IN_PROGRESS:
        raise StepRefused(Reason.INVALID_VALUE, STATUS, value=reader.text(STATUS))
    for attribute in ATTRIBUTES:
        # Some modalities send no item at all for a step that was not scheduled.
        is_unscheduled = attribute.keyword == REQUESTS and REQUESTS in reader
        reader.check(attribute, attribute.create if not is_unscheduled else "2")
    return _said(reader)


def read_update(data: bytes, transfer_syntax_uid: str) -> Said:
    """Read and check the modification list of N-SET.

    Raises
    ------
    StepRefused
        The first fault.
    """
    reader = _Reader.open(data, transfer_syntax_uid)
    for attribute in ATTRIBUTES:
        if not attribute.update and attribute.keyword in reader:
            raise StepRefused(Reason.NO_SUCH_ATTRIBUTE, attribute.keyword)
    if STATUS in reader:
        if not reader.has_value(STATUS):
            raise StepRefused(Reason.MISSING_VALUE, STATUS)
        if reader.text(STATUS) not in frozenset(PerformedStatus):
            raise StepRefused(Reason.INVALID_VALUE, STATUS, value=reader.text(STATUS))
    for attribute in ATTRIBUTES:
        reader.check(attribute, attribute.update)
    return _said(reader)


def _said(reader: _Reader) -> Said:
    values = {
        column: reader.value(keyword) for keyword, column in _COLUMNS.items() if keyword in reader
    }
    if REASON in reader:
        values |= _reason(reader)
    return Said(
        present=frozenset(one.keyword for one in ATTRIBUTES if one.keyword in reader),
        status=PerformedStatus(reader.text(STATUS)) if STATUS in reader else None,
        values=values,
        requests=_requests(reader),
        series=_series(reader) if SERIES in reader else None,
    )


def _reason(reader: _Reader) -> dict[str, str]:
    code = next(reader.items(REASON), None)
    value = meaning = scheme = ""
    if code is not None:
        value = code.text("CodeValue") or code.text("LongCodeValue") or code.text("URNCodeValue")
        scheme, meaning = code.text("CodingSchemeDesignator"), code.text("CodeMeaning")
    return {
        "discontinuation_code_value": value[:64],
        "discontinuation_coding_scheme": scheme,
        "discontinuation_code_meaning": meaning,
    }


def _requests(reader: _Reader) -> tuple[Request, ...]:
    found = [
        Request(
            study_instance_uid=item.text("StudyInstanceUID"),
            accession_number=item.text("AccessionNumber"),
            requested_procedure_id=item.text("RequestedProcedureID"),
            scheduled_procedure_step_id=item.text("ScheduledProcedureStepID"),
        )
        for item in reader.items(REQUESTS)
    ]
    if len(found) > MOST_REQUESTS:
        raise StepRefused(Reason.TOO_MUCH, REQUESTS)
    return tuple(dict.fromkeys(found))


def _series(reader: _Reader) -> tuple[SeriesMade, ...]:
    found: dict[str, SeriesMade] = {}
    seen: set[str] = set()
    for item in reader.items(SERIES):
        uid = item.text("SeriesInstanceUID")
        objects = [one for one in _objects(item) if one.sop_instance_uid not in seen]
        seen.update(one.sop_instance_uid for one in objects)
        before = found[uid].objects if uid in found else ()
        values = {
            "protocol_name": item.text("ProtocolName"),
            "series_description": item.text("SeriesDescription"),
            "operators_name": item.text("OperatorsName"),
            "performing_physician_name": item.text("PerformingPhysicianName"),
            "retrieve_ae_title": item.text("RetrieveAETitle"),
        }
        found[uid] = SeriesMade(uid, values, (*before, *objects))
        if len(found) > MOST_SERIES or len(seen) > MOST_OBJECTS:
            raise StepRefused(Reason.TOO_MUCH, SERIES)
    return tuple(found.values())


def _objects(series: _Reader) -> Iterator[Announced]:
    named: dict[str, Announced] = {}
    for keyword in (IMAGES, OTHERS):
        for item in series.items(keyword):
            uid = item.text("ReferencedSOPInstanceUID")
            named[uid] = Announced(item.text("ReferencedSOPClassUID"), uid, keyword == IMAGES)
    yield from named.values()


class _Reader:
    """A data set or an item: values by keyword, cleaned and clipped to what a column holds."""

    def __init__(self, found: Elements, encodings: list[str]) -> None:
        self._found, self._encodings = found, encodings

    @classmethod
    def open(cls, data: bytes, transfer_syntax_uid: str) -> _Reader:
        """Find the elements.

        Raises
        ------
        StepRefused
            These bytes are no data set.
        """
        try:
            opened = open_data_set(data, transfer_syntax_uid=transfer_syntax_uid)
            found = Elements(opened.buffer, opened.start, len(opened.buffer), opened.syntax)
        except NotUnderstood:
            raise StepRefused(Reason.NOT_UNDERSTOOD) from None
        return cls(found, encodings_of(found))

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self._found

    def items(self, keyword: str) -> Iterator[_Reader]:
        """The items of a sequence.

        Raises
        ------
        StepRefused
            The sequence is damaged.
        """
        try:
            for item in self._found.items(_tag(keyword)):
                yield _Reader(item, encodings_of(item) or self._encodings)
        except NotUnderstood:
            raise StepRefused(Reason.NOT_UNDERSTOOD, keyword) from None

    def has_value(self, keyword: str) -> bool:
        """Whether there is more than the attribute itself."""
        if dictionary_VR(_tag(keyword)) == "SQ":
            return next(self.items(keyword), None) is not None
        return bool((self._found.raw(_tag(keyword)) or b"").strip(b" \0"))

    def text(self, keyword: str) -> str:
        """The value as text that fits its column."""
        vr = dictionary_VR(_tag(keyword))
        if vr == "UI":
            return self._found.text(_tag(keyword))
        text = clean(decode(self._found.raw(_tag(keyword)), self._encodings).rstrip("\0"))
        return text[: _LENGTH.get(vr, 64)].rstrip()

    def value(self, keyword: str) -> str | date | time | None:
        """The value as its column takes it."""
        match dictionary_VR(_tag(keyword)):
            case "DA":
                return parse_date(self._found.text(_tag(keyword)))
            case "TM":
                return parse_time(self._found.text(_tag(keyword)))
        return self.text(keyword)

    def check(self, attribute: Attribute, required: str) -> None:
        """Hold an attribute against the type required of it.

        Raises
        ------
        StepRefused
            It is missing, empty or invalid, or something in its items is.
        """
        keyword = attribute.keyword
        if required == "1" and keyword not in self:
            raise StepRefused(Reason.MISSING_ATTRIBUTE, keyword)
        if not self.has_value(keyword):
            if required == "1":
                raise StepRefused(Reason.MISSING_VALUE, keyword)
            return
        if attribute.vr != "SQ":
            if not self._is_valid(keyword, attribute.vr):
                raise StepRefused(Reason.INVALID_VALUE, keyword, value=self.text(keyword))
            return
        for item in self.items(keyword):
            if keyword == REQUESTS and item.is_empty:
                continue
            for inner in attribute.items:
                item.check(inner, inner.create)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing."""
        return not self._found.found

    def _is_valid(self, keyword: str, vr: str) -> bool:
        if vr in ("DA", "TM"):
            return self.value(keyword) is not None
        if vr == "UI":
            return is_uid(self._found.text(_tag(keyword)))
        if vr == "AE":
            return _AE_TITLE.fullmatch(self._found.text(_tag(keyword))) is not None
        return True


def is_uid(text: str) -> bool:
    """Whether a UID has no more than 64 digits and dots; leading zeros are known to occur."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0
