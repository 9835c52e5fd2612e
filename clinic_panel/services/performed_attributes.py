"""What a modality may and must say of a performed step, and why it is refused (PS3.4 F.7.2).

One table drives the checks of ``services.performed_reading`` and the conformance statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydicom.datadict import dictionary_VR, tag_for_keyword

from clinic_panel.errors import ClinicError

STATUS = "PerformedProcedureStepStatus"
REQUESTS = "ScheduledStepAttributesSequence"
SERIES = "PerformedSeriesSequence"
IMAGES = "ReferencedImageSequence"
OTHERS = "ReferencedNonImageCompositeSOPInstanceSequence"
REASON = "PerformedProcedureStepDiscontinuationReasonCodeSequence"


class Reason(StrEnum):
    """Why a request is refused; the listener knows the status of each (PS3.7 C, PS3.4 F.7.2)."""

    NO_SUCH_ATTRIBUTE = "attribute not allowed"
    INVALID_VALUE = "invalid value"
    MISSING_ATTRIBUTE = "missing attribute"
    MISSING_VALUE = "missing value"
    DUPLICATE = "duplicate instance"
    UNKNOWN = "no such instance"
    INVALID_INSTANCE = "invalid instance identifier"
    FINAL = "no longer updated"
    TOO_MUCH = "more than is kept"
    NOT_UNDERSTOOD = "not understood"


class StepRefused(ClinicError):
    """A request that is not carried out; ``keyword`` names the attribute at fault, if one is.

    ``value`` is what the peer sent there: for its answer alone, never for a message or a log.
    """

    default = "The performed procedure step was refused."

    def __init__(
        self, reason: Reason, keyword: str = "", message: str = "", value: str = ""
    ) -> None:
        self.reason, self.keyword, self.value = reason, keyword, value
        super().__init__(message or f"{reason.value}: {keyword}".strip(": "))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute with the types required of it (PS3.4 Table F.7.2-1).

    ``create`` and ``update`` are the types in N-CREATE and N-SET, an empty ``update`` is not
    allowed there; ``final`` is the type once the step is COMPLETED or DISCONTINUED, where it
    differs. Type 2 attributes that are left out are taken as empty: modalities do leave them out.
    """

    keyword: str
    create: str
    update: str
    final: str = ""
    items: tuple[Attribute, ...] = ()

    @property
    def tag(self) -> int:
        """Its tag."""
        return tag_for_keyword(self.keyword) or 0

    @property
    def vr(self) -> str:
        """Its value representation."""
        return dictionary_VR(self.tag)


_REFERENCE = (
    Attribute("ReferencedSOPClassUID", "1", "1"),
    Attribute("ReferencedSOPInstanceUID", "1", "1"),
)
_CODE = (
    Attribute("CodeValue", "1C", "1C"),
    Attribute("CodingSchemeDesignator", "1C", "1C"),
    Attribute("CodeMeaning", "1C", "1C"),
)
_REQUEST = (
    Attribute("StudyInstanceUID", "1", ""),
    Attribute("ReferencedStudySequence", "2", "", items=_REFERENCE),
    Attribute("AccessionNumber", "2", ""),
    Attribute("RequestedProcedureID", "2", ""),
    Attribute("RequestedProcedureDescription", "2", ""),
    Attribute("ScheduledProcedureStepID", "2", ""),
    Attribute("ScheduledProcedureStepDescription", "2", ""),
    Attribute("ScheduledProtocolCodeSequence", "2", "", items=_CODE),
)
_SERIES = (
    Attribute("PerformingPhysicianName", "2", "2"),
    Attribute("ProtocolName", "1", "1"),
    Attribute("OperatorsName", "2", "2"),
    Attribute("SeriesInstanceUID", "1", "1"),
    Attribute("SeriesDescription", "2", "2"),
    Attribute("RetrieveAETitle", "2", "2"),
    Attribute(IMAGES, "2", "2", items=_REFERENCE),
    Attribute(OTHERS, "2", "2", items=_REFERENCE),
)
ATTRIBUTES = (
    Attribute("SpecificCharacterSet", "1C", "1C"),
    Attribute("TimezoneOffsetFromUTC", "3", "3"),
    Attribute(REQUESTS, "1", "", items=_REQUEST),
    Attribute("PatientName", "2", ""),
    Attribute("PatientID", "2", ""),
    Attribute("IssuerOfPatientID", "3", ""),
    Attribute("PatientBirthDate", "2", ""),
    Attribute("PatientSex", "2", ""),
    Attribute("ReferencedPatientSequence", "2", "", items=_REFERENCE),
    Attribute("AdmissionID", "3", ""),
    Attribute("PerformedProcedureStepID", "1", ""),
    Attribute("PerformedStationAETitle", "1", ""),
    Attribute("PerformedStationName", "2", ""),
    Attribute("PerformedLocation", "2", ""),
    Attribute("PerformedProcedureStepStartDate", "1", ""),
    Attribute("PerformedProcedureStepStartTime", "1", ""),
    Attribute(STATUS, "1", "3"),
    Attribute("PerformedProcedureStepDescription", "2", "3"),
    Attribute("PerformedProcedureTypeDescription", "2", "3"),
    Attribute("ProcedureCodeSequence", "2", "3", items=_CODE),
    Attribute("PerformedProcedureStepEndDate", "2", "3", final="1"),
    Attribute("PerformedProcedureStepEndTime", "2", "3", final="1"),
    Attribute("CommentsOnThePerformedProcedureStep", "3", "3"),
    Attribute(REASON, "2", "3", items=_CODE),
    Attribute("Modality", "1", ""),
    Attribute("StudyID", "2", ""),
    Attribute("PerformedProtocolCodeSequence", "2", "3", items=_CODE),
    Attribute(SERIES, "2", "3", final="1", items=_SERIES),
)
