"""What a worklist query may ask, how each key matches, and what is answered (PS3.4 K.6).

One table drives matching, the answers and the conformance statement. Values in, values out: the
bookings come from ``services.worklist``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from pydicom.dataset import Dataset

from clinic_panel.imaging import charset
from clinic_panel.imaging.encoding import Template
from clinic_panel.imaging.identifiers import Asked, Key, date_text, time_text
from clinic_panel.imaging.matching import days, is_universal, plain, text_of, values
from clinic_panel.models.performed import PerformedStatus

STEP_SEQUENCE = "ScheduledProcedureStepSequence"
START_DATE, START_TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"
CODING_SCHEME = "99CLINIC"
NOT_SCHEDULED = "status"  # excludes what no key excludes: the visit is over or called off


class ScheduledStep(NamedTuple):
    """One scheduled procedure step; ``start_at`` and ``end_at`` in the clinic's zone.

    A tuple, because hundreds are made for a query: it costs a third of a frozen dataclass.
    """

    appointment_id: int
    status: str
    start_at: datetime
    end_at: datetime
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
    scheduled_performing_physician_name: str
    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: date | None
    patient_sex: str
    allergies: str
    patient_comments: str
    exam_status: str = ""  # what the modality says of it, once it says anything


_CODE: tuple[Key[ScheduledStep], ...] = (
    Key("CodeValue", "1", lambda step: step.procedure_code_value),
    Key("CodingSchemeDesignator", "1", lambda _: CODING_SCHEME),
    Key("CodeMeaning", "1", lambda step: step.requested_procedure_description),
)
STEP_KEYS: tuple[Key[ScheduledStep], ...] = (
    Key("ScheduledStationAETitle", "1", lambda step: step.station_ae_title),
    Key(START_DATE, "1", lambda step: date_text(step.start_at)),
    Key(START_TIME, "1", lambda step: time_text(step.start_at)),
    Key("Modality", "1", lambda step: step.modality),
    Key(
        "ScheduledPerformingPhysicianName",
        "2",
        lambda step: step.scheduled_performing_physician_name,
    ),
    Key("ScheduledProcedureStepDescription", "1C", lambda s: s.requested_procedure_description),
    Key("ScheduledProtocolCodeSequence", "1C", item=_CODE),
    Key("ScheduledStationName", "2", lambda step: step.station_name[:16]),
    Key("ScheduledProcedureStepLocation", "2", lambda step: step.station_name[:16]),
    Key("PreMedication", "2C"),
    Key("ScheduledProcedureStepID", "1", lambda step: step.scheduled_procedure_step_id),
    Key("RequestedContrastAgent", "2C"),
    Key(
        "ScheduledProcedureStepStatus",
        "3",
        lambda step: _progress(step),
    ),
    Key("ScheduledProcedureStepEndDate", "3", lambda step: date_text(step.end_at)),
    Key("ScheduledProcedureStepEndTime", "3", lambda step: time_text(step.end_at)),
    Key("CommentsOnTheScheduledProcedureStep", "3"),
)
KEYS: tuple[Key[ScheduledStep], ...] = (
    Key("RequestedProcedureID", "1", lambda step: step.requested_procedure_id),
    Key("RequestedProcedureDescription", "1C", lambda s: s.requested_procedure_description),
    Key("RequestedProcedureCodeSequence", "1C", item=_CODE),
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
    Key("PatientBirthDate", "2", lambda step: date_text(step.patient_birth_date)),
    Key("PatientSex", "2", lambda step: step.patient_sex),
    Key("PatientWeight", "2"),
    Key("PatientSize", "3"),
    Key("ConfidentialityConstraintOnPatientDataDescription", "2"),
    Key("PatientState", "2"),
    Key("PregnancyStatus", "2"),
    Key("MedicalAlerts", "2"),
    Key("Allergies", "2", lambda step: step.allergies),
    Key("SpecialNeeds", "2"),
    Key("PatientComments", "3", lambda step: step.patient_comments),
)


def _progress(step: ScheduledStep) -> str:
    """Scheduled Procedure Step Status, of the terms that PS3.3 C.4.10 defines."""
    if step.exam_status == PerformedStatus.IN_PROGRESS or step.status == "images arriving":
        return "STARTED"
    return "ARRIVED" if step.status == "arrived" else "SCHEDULED"


_TABLE = (Key(STEP_SEQUENCE, "1", item=STEP_KEYS), *KEYS)


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
        # Two ranges together mean one moment (PS3.4 Table K.6-1).
        self._asked = Asked(identifier, _TABLE, as_one=(START_DATE, START_TIME))
        self.step = self._asked.inside(STEP_SEQUENCE).data
        self.pending_status = self._asked.pending_status

    @property
    def narrowed(self) -> StepFilter:
        """What the database may leave out before the keys are compared."""
        names = values(self.identifier.get("PatientName"))
        patient_ids = plain(self.identifier, "PatientID")
        accessions = plain(self.identifier, "AccessionNumber")
        first, last = days(text_of(self.step, START_DATE))
        return StepFilter(
            first_day=first,
            last_day=last,
            station_ae_titles=plain(self.step, "ScheduledStationAETitle"),
            modalities=plain(self.step, "Modality"),
            patient_id=patient_ids[0] if len(patient_ids) == 1 else "",
            accession_number=accessions[0] if len(accessions) == 1 else "",
            study_instance_uids=plain(self.identifier, "StudyInstanceUID"),
            patient_name="" if len(names) > 1 or is_universal(names) else names[0],
        )

    def excluded_by(self, step: ScheduledStep) -> str:
        """Return the keyword that keeps a step out of the answers; empty when it fits."""
        return self._asked.excluded_by(step)

    def template(self, *, explicit: bool) -> Template[ScheduledStep]:
        """Return what encodes the answers: the keys asked for, in a character set that fits."""
        return Template(
            tuple(self._asked.fields()),
            explicit=explicit,
            character_sets=charset.declared(self.identifier),
        )
