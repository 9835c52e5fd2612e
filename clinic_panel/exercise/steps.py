"""Modality Performed Procedure Step (PS3.4 F.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
)

from clinic_panel.exercise.bench import SUCCESS, Bench, Came, accepts, statuses
from clinic_panel.exercise.lines import Line
from clinic_panel.exercise.specimens import DESCRIPTION, PATIENT_ID, PATIENT_NAME, STUDY_UID

MPPS, CREATE, CHANGE = "MPPS", "F.7.2.1", "F.7.2.2"
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
RETRIEVE = "F.8.2.1"
INVALID, PROCESSING, DUPLICATE, UNKNOWN = 0x0106, 0x0110, 0x0111, 0x0112
MISSING, EMPTY = 0x0120, 0x0121
TODAY = "today"
STARTED, DONE, STOPPED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"


def steps(bench: Bench, now: datetime) -> Iterator[Line]:
    """Report steps nobody scheduled, of the test patient; those begun are discontinued."""
    classes = (ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve)
    with bench.associated(*((uid, NATIVE) for uid in classes)) as association:
        if not accepts(association, ModalityPerformedProcedureStep):
            yield bench.not_offered(MPPS, "F.7", "performed steps")
            return
        reporter = _Reporter(association, bench.target.ae_title, now)
        uid = generate_uid()
        begin, change = partial(reporter.create, uid), partial(reporter.change, uid)
        other = generate_uid()
        undated = partial(reporter.create, other, STARTED)
        for asked, section, expected, act in (
            ("begin a step", CREATE, SUCCESS, partial(begin, STARTED)),
            ("begin it again", CREATE, DUPLICATE, partial(begin, STARTED)),
            ("begin one as completed", CREATE, INVALID, partial(reporter.create, other, DONE)),
            ("begin one without a start date", CREATE, MISSING, partial(undated, None)),
            ("begin one with an empty start date", CREATE, EMPTY, partial(undated, "")),
            ("discontinue it", CHANGE, SUCCESS, partial(change, STOPPED)),
            ("change it once more", CHANGE, PROCESSING, partial(change, DONE)),
            ("change one nobody began", CHANGE, UNKNOWN, partial(reporter.change, other, STOPPED)),
        ):
            yield bench.check(
                MPPS, asked, section, f"0x{expected:04X}", partial(_judged, act, expected)
            )
        if not accepts(association, ModalityPerformedProcedureStepRetrieve):
            yield bench.not_offered(MPPS, RETRIEVE, "give it back")
            return
        yield bench.check(
            MPPS,
            "give it back",
            RETRIEVE,
            "as discontinued, 0x0000",
            lambda: _given_back(association, uid),
        )


def _judged(act: Callable[[], Dataset], expected: int) -> Came:
    return statuses(act(), expected)


def _given_back(association: Association, uid: str) -> Came:
    answer, step = association.send_n_get([], ModalityPerformedProcedureStepRetrieve, uid)
    came = statuses(answer, SUCCESS)
    said = str(step.get("PerformedProcedureStepStatus", "")) if step is not None else ""
    return Came(f"{said.lower() or 'nothing'}, {came.text}", came.is_expected and said == STOPPED)


class _Reporter:
    """Sends the messages of one modality."""

    def __init__(self, association: Association, ae_title: str, now: datetime) -> None:
        self.association, self.ae_title, self.now = association, ae_title, now

    def create(self, uid: str, status: str, start_date: str | None = TODAY) -> Dataset:
        """Send N-CREATE (PS3.4 Table F.7.2-1); without a start date where that is None."""
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName, ds.PatientID = PATIENT_NAME, PATIENT_ID
        ds.PatientBirthDate, ds.PatientSex = "", "O"
        ds.PerformedProcedureStepID, ds.PerformedStationAETitle = "CHECK", self.ae_title
        ds.PerformedStationName = ds.PerformedLocation = ""
        if start_date is not None:
            ds.PerformedProcedureStepStartDate = (
                f"{self.now:%Y%m%d}" if start_date == TODAY else start_date
            )
        ds.PerformedProcedureStepStartTime = f"{self.now:%H%M%S}"
        ds.PerformedProcedureStepStatus = status
        ds.PerformedProcedureStepDescription = DESCRIPTION
        ds.PerformedProcedureTypeDescription = ""
        ds.PerformedProcedureStepEndDate = ds.PerformedProcedureStepEndTime = ""
        ds.Modality, ds.StudyID = "OT", "CHECK"
        ds.ProcedureCodeSequence = Sequence()
        ds.ReferencedPatientSequence = Sequence()
        ds.PerformedProtocolCodeSequence = Sequence()
        ds.PerformedSeriesSequence = Sequence()
        step = Dataset()
        step.StudyInstanceUID, step.AccessionNumber = STUDY_UID, ""
        step.ReferencedStudySequence = Sequence()
        step.RequestedProcedureID = step.RequestedProcedureDescription = ""
        step.ScheduledProcedureStepID = step.ScheduledProcedureStepDescription = ""
        step.ScheduledProtocolCodeSequence = Sequence()
        ds.ScheduledStepAttributesSequence = Sequence([step])
        answer, _ = self.association.send_n_create(ds, ModalityPerformedProcedureStep, uid)
        return answer

    def change(self, uid: str, status: str) -> Dataset:
        """Send N-SET (PS3.4 Table F.7.2-1), with a series that had no images."""
        ds = Dataset()
        ds.PerformedProcedureStepStatus = status
        ds.PerformedProcedureStepEndDate = f"{self.now:%Y%m%d}"
        ds.PerformedProcedureStepEndTime = f"{self.now:%H%M%S}"
        series = Dataset()
        series.SeriesInstanceUID, series.ProtocolName = generate_uid(), "CHECK"
        series.PerformingPhysicianName = series.OperatorsName = ""
        series.SeriesDescription, series.RetrieveAETitle = DESCRIPTION, ""
        series.ReferencedImageSequence = Sequence()
        series.ReferencedNonImageCompositeSOPInstanceSequence = Sequence()
        ds.PerformedSeriesSequence = Sequence([series])
        answer, _ = self.association.send_n_set(ds, ModalityPerformedProcedureStep, uid)
        return answer
