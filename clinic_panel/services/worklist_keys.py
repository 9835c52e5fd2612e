"""What a worklist query may ask, how each key matches, and what is answered (PS3.4 K.6).

One table drives matching, the answers and the conformance statement. Values in, values out: the
bookings come from ``services.worklist``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from clinic_panel.imaging import charset
from clinic_panel.imaging.matching import days, is_universal, plain, string, text_of, value_matches

STEP_SEQUENCE = "ScheduledProcedureStepSequence"
START_DATE, START_TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"
CHARACTER_SET = "SpecificCharacterSet"
PENDING, PENDING_UNSUPPORTED = 0xFF00, 0xFF01
CODING_SCHEME = "99CLINIC"
# Said of the whole query or answer: never compared with a stored value.
NEVER_MATCHED = frozenset({CHARACTER_SET, "TimezoneOffsetFromUTC"})
NOT_SCHEDULED = "status"  # excludes what no key excludes: the visit is over or called off


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One scheduled procedure step; ``start_at`` in the clinic's zone."""

    appointment_id: int
    status: str
    start_at: datetime
    station_ae_title: str
    station_name: str
    modality: str
    scheduled_procedure_step_id: str
    requested_procedure_id: str
    requested_procedure_description: str
    procedure_code_value: str
    priority: str
    reason_for_the_requested_procedure: str
    study_instance_uid: str
    accession_number: str
    referring_physician_name: str
    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: date | None
    patient_sex: str
    allergies: str


type Value = str | list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute of the model: its return type (PS3.4 Table K.6-1) and where it comes from.

    Without a source it is answered empty: Type 2, and the desk does not ask for it.
    """

    keyword: str
    return_type: str
    source: Callable[[ScheduledStep], Value] | None = None

    @property
    def vr(self) -> str:
        """Value representation."""
        return dictionary_VR(tag_for_keyword(self.keyword) or 0)

    @property
    def is_matched(self) -> bool:
        """Whether a value in the query narrows the answers."""
        return self.source is not None


def _code(step: ScheduledStep) -> Value:
    return [
        {
            "CodeValue": step.procedure_code_value,
            "CodingSchemeDesignator": CODING_SCHEME,
            "CodeMeaning": step.requested_procedure_description,
        }
    ]


STEP_KEYS: tuple[Key, ...] = (
    Key("ScheduledStationAETitle", "1", lambda step: step.station_ae_title),
    Key(START_DATE, "1", lambda step: f"{step.start_at:%Y%m%d}"),
    Key(START_TIME, "1", lambda step: f"{step.start_at:%H%M%S}"),
    Key("Modality", "1", lambda step: step.modality),
    Key("ScheduledPerformingPhysicianName", "2", lambda _: ""),
    Key("ScheduledProcedureStepDescription", "1C", lambda s: s.requested_procedure_description),
    Key("ScheduledProtocolCodeSequence", "1C", _code),
    Key("ScheduledStationName", "2", lambda step: step.station_name[:16]),
    Key("ScheduledProcedureStepLocation", "2", lambda step: step.station_name[:16]),
    Key("PreMedication", "2C"),
    Key("ScheduledProcedureStepID", "1", lambda step: step.scheduled_procedure_step_id),
    Key("RequestedContrastAgent", "2C"),
    Key(
        "ScheduledProcedureStepStatus",
        "3",
        lambda step: "ARRIVED" if step.status == "arrived" else "SCHEDULED",
    ),
    Key("CommentsOnTheScheduledProcedureStep", "3"),
)
KEYS: tuple[Key, ...] = (
    Key("RequestedProcedureID", "1", lambda step: step.requested_procedure_id),
    Key("RequestedProcedureDescription", "1C", lambda s: s.requested_procedure_description),
    Key("RequestedProcedureCodeSequence", "1C", _code),
    Key("StudyInstanceUID", "1", lambda step: step.study_instance_uid),
    Key("ReferencedStudySequence", "2"),
    Key("RequestedProcedurePriority", "2", lambda step: step.priority),
    Key("PatientTransportArrangements", "2"),
    Key("ReasonForTheRequestedProcedure", "3", lambda s: s.reason_for_the_requested_procedure),
    Key("RequestedProcedureComments", "3"),
    Key("AccessionNumber", "2", lambda step: step.accession_number),
    Key("RequestingPhysician", "2", lambda step: step.referring_physician_name),
    Key("ReferringPhysicianName", "2", lambda step: step.referring_physician_name),
    Key("AdmissionID", "2"),
    Key("CurrentPatientLocation", "2"),
    Key("ReferencedPatientSequence", "2"),
    Key("PatientName", "1", lambda step: step.patient_name),
    Key("PatientID", "1", lambda step: step.patient_id),
    Key("IssuerOfPatientID", "3", lambda step: step.issuer_of_patient_id),
    Key("PatientBirthDate", "2", lambda step: _day(step.patient_birth_date)),
    Key("PatientSex", "2", lambda step: step.patient_sex),
    Key("PatientWeight", "2"),
    Key("PatientSize", "3"),
    Key("ConfidentialityConstraintOnPatientDataDescription", "2"),
    Key("PatientState", "2"),
    Key("PregnancyStatus", "2"),
    Key("MedicalAlerts", "2"),
    Key("Allergies", "2", lambda step: step.allergies),
    Key("SpecialNeeds", "2"),
    Key("PatientComments", "3"),
)
_STEP, _TOP = ({key.keyword: key for key in table} for table in (STEP_KEYS, KEYS))


def _day(day: date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""


@dataclass(frozen=True, slots=True)
class StepFilter:
    """What the database narrows down; empty means everything. Finer matching is the query's."""

    first_day: date | None = None
    last_day: date | None = None
    station_ae_titles: Collection[str] = ()
    modalities: Collection[str] = ()
    patient_id: str = ""
    accession_number: str = ""
    study_instance_uids: Collection[str] = ()
    patient_name: str = ""  # a pattern, as asked


class WorklistQuery:
    """One C-FIND identifier: which steps fit, why another does not, what is answered."""

    def __init__(self, identifier: Dataset) -> None:
        """Read it.

        Raises
        ------
        Exception
            Whatever a value that breaks its VR makes pydicom raise.
        """
        self.identifier = identifier
        self.step = _item(identifier)
        self._top_keys = list(_asked(identifier, _TOP))
        self._step_keys = list(_asked(self.step, _STEP))
        self._code_keys = [
            *_asked_codes(identifier, _TOP),
            *_asked_codes(self.step, _STEP),
        ]
        self._period = _period(self.step)
        self._character_sets = charset.declared(identifier)

    @property
    def pending_status(self) -> int:
        """Status of each answer: whether every key with a value is one that we match."""
        supported = _supports(self.identifier, _TOP) and _supports(self.step, _STEP)
        return PENDING if supported else PENDING_UNSUPPORTED

    @property
    def narrowed(self) -> StepFilter:
        """What the database may leave out before the keys are compared."""
        first, last = days(text_of(self.step, START_DATE))
        return StepFilter(
            first_day=first,
            last_day=last,
            station_ae_titles=plain(self.step, "ScheduledStationAETitle"),
            modalities=plain(self.step, "Modality"),
            patient_id=next(iter(plain(self.identifier, "PatientID")), ""),
            accession_number=next(iter(plain(self.identifier, "AccessionNumber")), ""),
            study_instance_uids=plain(self.identifier, "StudyInstanceUID"),
            patient_name=text_of(self.identifier, "PatientName").strip("*"),
        )

    def excluded_by(self, step: ScheduledStep) -> str:
        """Return the keyword that keeps a step out of the answers; empty when it fits."""
        for element in self._step_keys:
            if self._period is not None and element.keyword in (START_DATE, START_TIME):
                continue
            if not value_matches(element, _text(_STEP[element.keyword], step)):
                return element.keyword
        if self._period is not None and (keyword := self._outside(step)):
            return keyword
        for element in self._top_keys:
            if not value_matches(element, _text(_TOP[element.keyword], step)):
                return element.keyword
        for keyword, element, source in self._code_keys:
            items = source(step)
            if not isinstance(items, list) or not any(
                value_matches(element, item.get(element.keyword, "")) for item in items
            ):
                return keyword
        return ""

    def _outside(self, step: ScheduledStep) -> str:
        """Compare date and time as one moment, as two ranges together mean (PS3.4 Table K.6-1)."""
        first, last = self._period or ("", "~")
        moment = f"{step.start_at:%Y%m%d%H%M%S}"
        if first <= moment <= last:
            return ""
        return START_TIME if first[:8] <= moment[:8] <= last[:8] else START_DATE

    def answer(self, step: ScheduledStep) -> Dataset:
        """Return the response identifier: the keys asked for, in a character set that fits."""
        answer = _returned(self.identifier, _TOP, step)
        if STEP_SEQUENCE in self.identifier:
            asked = self.step if len(self.step) else _whole_step()
            answer.add_new(
                tag_for_keyword(STEP_SEQUENCE), "SQ", DicomSequence([_returned(asked, _STEP, step)])
            )
        name = charset.fitting(self._character_sets, _texts(answer))
        if name:
            answer.SpecificCharacterSet = name
        return answer


def _asked(asked: Dataset, keys: dict[str, Key]) -> Iterator[DataElement]:
    """Keys with a value, in the order of the table: the first that fails is what is told."""
    for key in keys.values():
        if key.is_matched and key.vr != "SQ" and key.keyword in asked:
            element = asked[key.keyword]
            if not is_universal(element.value):
                yield element


def _asked_codes(
    asked: Dataset, keys: dict[str, Key]
) -> Iterator[tuple[str, DataElement, Callable[[ScheduledStep], Value]]]:
    """Keys inside the item of a code sequence (PS3.4 C.2.2.2.6)."""
    for element in asked:
        key = keys.get(element.keyword)
        if key is None or key.source is None or element.VR != "SQ" or not element.value:
            continue
        for inner in element.value[0]:
            if not is_universal(inner.value) and inner.VR != "SQ":
                yield element.keyword, inner, key.source


def _supports(asked: Dataset, keys: dict[str, Key]) -> bool:
    return all(
        element.keyword in keys and keys[element.keyword].is_matched
        for element in asked
        if element.VR != "SQ"
        and element.keyword not in NEVER_MATCHED
        and not is_universal(element.value)
    )


def _period(step: Dataset) -> tuple[str, str] | None:
    """The moments two ranges stand for together; None when they are matched one by one."""
    dates, times = text_of(step, START_DATE), text_of(step, START_TIME)
    if "-" not in dates or "-" not in times:
        return None
    first_day, _, last_day = dates.replace(".", "").partition("-")
    first_time, _, last_time = times.replace(":", "").partition("-")
    first = first_day + (first_time.partition(".")[0] + "000000")[:6] if first_day else ""
    last_time = last_time.partition(".")[0]
    last = last_day + last_time + "235959"[len(last_time) :] if last_day else "~"
    return first, last


def _text(key: Key, step: ScheduledStep) -> str:
    value = key.source(step) if key.source else ""
    return value if isinstance(value, str) else ""


def _returned(asked: Dataset, keys: dict[str, Key], step: ScheduledStep) -> Dataset:
    """Keep of a step what was asked for; what we do not have comes back empty."""
    kept = Dataset()
    for element in asked:
        keyword = element.keyword
        if keyword in (CHARACTER_SET, STEP_SEQUENCE) or element.tag.element == 0:
            continue
        key = keys.get(keyword)
        value = key.source(step) if key is not None and key.source is not None else ""
        if element.VR == "SQ":
            items = value if isinstance(value, list) else []
            kept.add_new(element.tag, "SQ", DicomSequence(_items(element, items)))
        else:
            kept.add_new(element.tag, key.vr if key else element.VR, value or None)
    return kept


def _items(element: DataElement, items: list[dict[str, str]]) -> Iterator[Dataset]:
    asked = [inner.keyword for inner in element.value[0]] if element.value else []
    for item in items:
        data = Dataset()
        for keyword, value in item.items():
            if not asked or keyword in asked:
                setattr(data, keyword, value)
        yield data


@lru_cache
def _whole_step() -> Dataset:
    """What an empty item, or no item, asks for: everything (PS3.4 C.2.2.2.6)."""
    everything = Dataset()
    for key in STEP_KEYS:
        everything.add_new(tag_for_keyword(key.keyword), key.vr, [] if key.vr == "SQ" else None)
    return everything


def _texts(answer: Dataset) -> Iterator[str]:
    for element in answer:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.value:
            yield string(element.value)


def _item(data: Dataset) -> Dataset:
    """The one item of the Scheduled Procedure Step Sequence, or an empty one."""
    items = data.get(STEP_SEQUENCE)
    return items[0] if items else Dataset()
