"""What modalities say of performed steps in tests, and the images that they announce."""

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage

from clinic_panel.models.patient import Patient
from clinic_panel.services import dicom, performed
from clinic_panel.services.performed import Message
from tests.integration.peer import STATION
from tests.integration.test_listener import received


def item(**values):
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def begun(*bookings, **values):
    """The attribute list of an N-CREATE for bookings; without one, of an unscheduled step."""
    data = item(
        SpecificCharacterSet="ISO_IR 192",
        ScheduledStepAttributesSequence=[
            item(
                StudyInstanceUID=booking.study_instance_uid,
                ReferencedStudySequence=[],
                AccessionNumber=booking.accession_number,
                RequestedProcedureID=booking.requested_procedure_id,
                RequestedProcedureDescription="CT chest",
                ScheduledProcedureStepID=booking.scheduled_procedure_step_id,
                ScheduledProcedureStepDescription="CT chest",
                ScheduledProtocolCodeSequence=[],
            )
            for booking in bookings
        ],
        PatientName="",
        PatientID="",
        PatientBirthDate="",
        PatientSex="",
        ReferencedPatientSequence=[],
        PerformedProcedureStepID="PPS1",
        PerformedStationAETitle=STATION,
        PerformedStationName="",
        PerformedLocation="",
        PerformedProcedureStepStartDate="20260316",
        PerformedProcedureStepStartTime="140000",
        PerformedProcedureStepStatus="IN PROGRESS",
        PerformedProcedureStepDescription="",
        PerformedProcedureTypeDescription="",
        ProcedureCodeSequence=[],
        PerformedProcedureStepEndDate="",
        PerformedProcedureStepEndTime="",
        PerformedProcedureStepDiscontinuationReasonCodeSequence=[],
        Modality="CT",
        StudyID="",
        PerformedProtocolCodeSequence=[],
        PerformedSeriesSequence=[],
    )
    for keyword, value in values.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    return data


def series(uids=(), others=(), **values):
    """An item of the performed series sequence."""
    return item(
        **{
            "PerformingPhysicianName": "",
            "ProtocolName": "Chest routine",
            "OperatorsName": "Röntgen^Wilhelm",
            "SeriesInstanceUID": generate_uid(),
            "SeriesDescription": "Axial",
            "RetrieveAETitle": "",
            "ReferencedImageSequence": [reference(uid) for uid in uids],
            "ReferencedNonImageCompositeSOPInstanceSequence": [reference(uid) for uid in others],
        }
        | values
    )


def reference(uid):
    return item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=uid)


def ended(*made, status="COMPLETED", **values):
    """The modification list of a last N-SET."""
    data = item(
        SpecificCharacterSet="ISO_IR 192",
        PerformedProcedureStepStatus=status,
        PerformedProcedureStepEndDate="20260316",
        PerformedProcedureStepEndTime="141500.5",
        PerformedSeriesSequence=list(made),
    )
    for keyword, value in values.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    return data


def person(ctx, booking):
    with ctx.read() as session:
        return session.get_one(Patient, booking.patient_pk)


def tell(ctx, uid, data):
    return performed.update(ctx, Message(uid, encode(data, False, True), ExplicitVRLittleEndian))


def start(ctx, data, uid):
    return performed.begin(ctx, Message(uid, encode(data, False, True), ExplicitVRLittleEndian))


class Made:
    """A CT series of one booking: what the modality announces, and the images it sends."""

    def __init__(self, ctx, booking, count=3, series_uid="1.2.3"):
        self.ctx, self.series_uid = ctx, series_uid
        who = person(ctx, booking)
        self.images = [
            received(
                ctx,
                dcmread(get_testdata_file("CT_small.dcm")),
                StudyInstanceUID=booking.study_instance_uid,
                SeriesInstanceUID=series_uid,
                PatientID=who.patient_id,
                PatientName=who.patient_name,
            )
            for _ in range(count)
        ]

    @property
    def series(self):
        return self.announced(len(self.images))

    def announced(self, count):
        """The series with its first images."""
        uids = [image.uid for image in self.images[:count]]
        return series(uids, SeriesInstanceUID=self.series_uid)

    def arrive(self, *images):
        dicom.index_batch(self.ctx, [self.images[n] for n in images])
