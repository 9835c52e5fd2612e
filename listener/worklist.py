"""Modality Worklist: from an identifier to the steps that match it (PS3.4 K, C.2.2.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from clinic_panel.imaging.matching import days, is_universal, plain, string, text_of, value_matches
from clinic_panel.services.worklist import ScheduledStep, StepFilter

STEP_SEQUENCE = "ScheduledProcedureStepSequence"
PENDING, PENDING_UNSUPPORTED, CANCELLED = 0xFF00, 0xFF01, 0xFE00
CODING_SCHEME = "99CLINIC"
_NEVER_MATCHED = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC"})
_STEP_KEYS = frozenset(
    {
        "ScheduledStationAETitle",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "Modality",
        "ScheduledPerformingPhysicianName",
        "ScheduledProcedureStepDescription",
        "ScheduledStationName",
        "ScheduledProcedureStepLocation",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepStatus",
    }
)
_KEYS = frozenset(
    {
        "RequestedProcedureID",
        "RequestedProcedureDescription",
        "RequestedProcedurePriority",
        "ReasonForTheRequestedProcedure",
        "StudyInstanceUID",
        "AccessionNumber",
        "RequestingPhysician",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "Allergies",
    }
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What to answer: a status for each pending response, and whether a key went unmatched."""

    identifier: Dataset
    status: int

    def of(self, steps: list[ScheduledStep]) -> Iterator[Dataset]:
        """Yield one response identifier for each step that matches, with the keys asked for."""
        for step in steps:
            answer = step_data_set(step)
            if matches(self.identifier, answer):
                yield _asked(self.identifier, answer)


def prepare(identifier: Dataset) -> tuple[StepFilter, Answers]:
    """Read a C-FIND identifier: what the database can narrow down, and how to match the rest."""
    wanted = _item(identifier)
    first, last = days(text_of(wanted, "ScheduledProcedureStepStartDate"))
    narrowed = StepFilter(
        first_day=first,
        last_day=last,
        station_ae_titles=plain(wanted, "ScheduledStationAETitle"),
        modalities=plain(wanted, "Modality"),
        patient_id=next(iter(plain(identifier, "PatientID")), ""),
        accession_number=next(iter(plain(identifier, "AccessionNumber")), ""),
    )
    is_supported = _supports(_KEYS, identifier) and _supports(_STEP_KEYS, wanted)
    return narrowed, Answers(identifier, PENDING if is_supported else PENDING_UNSUPPORTED)


def _supports(keys: frozenset[str], asked: Dataset) -> bool:
    """Whether every key with a value is one that we match (else: FF01)."""
    return all(
        element.keyword in keys
        for element in asked
        if not is_universal(element.value)
        and element.keyword not in _NEVER_MATCHED
        and element.VR != "SQ"
    )


def matches(asked: Dataset, answer: Dataset) -> bool:
    """Whether a step's attributes fit all the keys, those inside its sequence included."""
    return _level_matches(asked, answer, _KEYS) and _level_matches(
        _item(asked), _item(answer), _STEP_KEYS
    )


def _level_matches(asked: Dataset, answer: Dataset, keys: frozenset[str]) -> bool:
    for element in asked:
        if (
            element.VR == "SQ"
            or is_universal(element.value)
            or element.keyword in _NEVER_MATCHED
            or element.keyword not in keys
        ):
            continue
        if not value_matches(element, string(answer[element.keyword].value)):
            return False
    return True


def _asked(asked: Dataset, answer: Dataset) -> Dataset:
    """Keep of the answer what was asked for; what we do not have comes back empty."""
    kept = Dataset()
    kept.SpecificCharacterSet = "ISO_IR 192"
    for element in asked:
        if element.keyword == "SpecificCharacterSet" or element.tag.element == 0:
            continue
        if element.keyword in answer and element.VR == "SQ" and element.value:
            items = answer[element.keyword].value
            value = DicomSequence([_asked_item(element.value[0], item) for item in items])
            kept.add_new(element.tag, "SQ", value)
        elif element.keyword in answer:
            kept[element.tag] = answer[element.keyword]
        else:
            kept.add_new(element.tag, element.VR, DicomSequence() if element.VR == "SQ" else "")
    return kept


def _asked_item(asked: Dataset, answer: Dataset) -> Dataset:
    if not len(asked):
        return answer
    kept = _asked(asked, answer)
    del kept.SpecificCharacterSet  # declared once, for the whole response
    return kept


def step_data_set(step: ScheduledStep) -> Dataset:
    """Return all attributes we know of a step (PS3.4 Table K.6-1, types 1 and 2)."""
    code = Dataset()
    code.CodeValue = step.procedure_code_value
    code.CodingSchemeDesignator = CODING_SCHEME
    code.CodeMeaning = step.requested_procedure_description
    item = Dataset()
    item.ScheduledStationAETitle = step.station_ae_title
    item.ScheduledProcedureStepStartDate = step.start_at.strftime("%Y%m%d")
    item.ScheduledProcedureStepStartTime = step.start_at.strftime("%H%M%S")
    item.Modality = step.modality
    item.ScheduledPerformingPhysicianName = ""
    item.ScheduledProcedureStepDescription = step.requested_procedure_description
    item.ScheduledProtocolCodeSequence = [code]
    item.ScheduledStationName = step.station_name[:16]
    item.ScheduledProcedureStepLocation = step.station_name[:16]
    item.ScheduledProcedureStepID = step.scheduled_procedure_step_id
    item.ScheduledProcedureStepStatus = "ARRIVED" if step.status == "arrived" else "SCHEDULED"
    item.CommentsOnTheScheduledProcedureStep = ""
    answer = Dataset()
    answer.ScheduledProcedureStepSequence = [item]
    answer.RequestedProcedureID = step.requested_procedure_id
    answer.RequestedProcedureDescription = step.requested_procedure_description
    answer.RequestedProcedureCodeSequence = [code]
    answer.RequestedProcedurePriority = step.priority
    answer.ReasonForTheRequestedProcedure = step.reason_for_the_requested_procedure
    answer.StudyInstanceUID = step.study_instance_uid
    answer.ReferencedStudySequence = []
    answer.AccessionNumber = step.accession_number
    answer.RequestingPhysician = step.referring_physician_name
    answer.ReferringPhysicianName = step.referring_physician_name
    answer.PatientName = step.patient_name
    answer.PatientID = step.patient_id
    answer.IssuerOfPatientID = step.issuer_of_patient_id
    birth = step.patient_birth_date
    answer.PatientBirthDate = f"{birth:%Y%m%d}" if birth else ""
    answer.PatientSex = step.patient_sex
    answer.Allergies = step.allergies
    for keyword in _EMPTY:
        setattr(answer, keyword, [] if keyword.endswith("Sequence") else None)
    return answer


# Type 2 of Table K.6-1: returned without a value, since the desk does not ask for them.
_EMPTY = (
    "AdmissionID",
    "CurrentPatientLocation",
    "ReferencedPatientSequence",
    "PatientWeight",
    "ConfidentialityConstraintOnPatientDataDescription",
    "PatientState",
    "PregnancyStatus",
    "MedicalAlerts",
    "SpecialNeeds",
    "PatientTransportArrangements",
)


def _item(data: Dataset) -> Dataset:
    """The one item of the Scheduled Procedure Step Sequence, or an empty one."""
    items = data.get(STEP_SEQUENCE)
    return items[0] if items else Dataset()
