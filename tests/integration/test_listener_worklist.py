"""Modality Worklist over real sockets, with DCMTK's findscu and pynetdicom as modalities."""

import subprocess
from datetime import UTC, date, datetime

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import ModalityWorklistInformationFind

from clinic_panel.imaging.matching import value_matches
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, associated

# 13:00 UTC on 16 March is 14:00 in the clinic's zone, Europe/Berlin.
AFTERNOON = datetime(2026, 3, 16, 13, 0, tzinfo=UTC)


@pytest.fixture
def node(ctx):
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def bookings(ctx):
    ct = factories.room(ctx, station_ae_title=STATION, room_name="CT room", modality="CT")
    mr = factories.room(ctx, station_ae_title="MR_ONE", room_name="MR room", modality="MR")
    ando = factories.patient(
        ctx,
        patient_id="P-1",
        patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
        patient_birth_date=date(1980, 5, 6),
        patient_sex="M",
    )
    muller = factories.patient(ctx, patient_id="P-2", patient_name="Müller^Ève")
    return {
        "ct": factories.appointment(ctx, patient=ando, room=ct, start_at=AFTERNOON),
        "mr": factories.appointment(ctx, patient=muller, room=mr, start_at=AFTERNOON),
        "tomorrow": factories.appointment(
            ctx, patient=muller, room=ct, start_at=AFTERNOON.replace(day=17)
        ),
        "gone": factories.appointment(
            ctx,
            patient=muller,
            room=ct,
            start_at=AFTERNOON.replace(hour=8),
            status=AppointmentStatus.REPORTED,
        ),
    }


def query(step=(), **keys):
    """An identifier as scanners send it: the step's keys inside the sequence."""
    item = Dataset()
    for keyword in (
        "ScheduledStationAETitle",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "Modality",
        "ScheduledPerformingPhysicianName",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepDescription",
    ):
        setattr(item, keyword, "")
    for keyword, value in dict(step).items():
        setattr(item, keyword, value)
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.ScheduledProcedureStepSequence = [item]
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID"):
        setattr(identifier, keyword, "")
    identifier.RequestedProcedureID = identifier.PatientWeight = None
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def ask(node, identifier, **options):
    """All the pending answers, and the statuses."""
    context = (ModalityWorklistInformationFind, [ImplicitVRLittleEndian])
    with associated(node, context, **options) as association:
        answers = list(association.send_c_find(identifier, ModalityWorklistInformationFind))
    return [data for _, data in answers if data is not None], [s.Status for s, _ in answers]


def accessions(node, identifier):
    return [answer.AccessionNumber for answer in ask(node, identifier)[0]]


def test_a_step_comes_with_all_that_was_asked(node, ctx, bookings):
    [answer], statuses = ask(node, query({"ScheduledStationAETitle": STATION}, PatientID="P-1"))

    booking = bookings["ct"]
    assert statuses == [0xFF00, 0x0000]
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert str(answer.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert answer.StudyInstanceUID == booking.study_instance_uid
    assert answer.AccessionNumber == booking.accession_number
    assert answer.PatientWeight is None
    assert "QueryRetrieveLevel" not in answer
    [step] = answer.ScheduledProcedureStepSequence
    assert step.ScheduledStationAETitle == STATION
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == (
        "20260316",
        "140000",
    )
    assert step.ScheduledProcedureStepID == booking.scheduled_procedure_step_id
    with ctx.read() as session:
        entries = session.query(AuditEntry).filter_by(action=Action.SEARCH).all()
    assert [entry.detail["found"] for entry in entries] == [1]


@pytest.mark.parametrize(
    ("step", "keys", "expected"),
    [
        ({}, {}, ["ct", "mr", "tomorrow"]),
        ({"Modality": "MR"}, {}, ["mr"]),
        ({"Modality": "US"}, {}, []),
        ({"ScheduledStationAETitle": "CT*"}, {}, ["ct", "tomorrow"]),
        ({"ScheduledStationAETitle": "?T_ONE"}, {}, ["ct", "tomorrow"]),
        ({"ScheduledProcedureStepStartDate": "20260316"}, {}, ["ct", "mr"]),
        ({"ScheduledProcedureStepStartDate": "20260317-"}, {}, ["tomorrow"]),
        ({"ScheduledProcedureStepStartDate": "-20260316"}, {}, ["ct", "mr"]),
        ({"ScheduledProcedureStepStartDate": "20260301-20260331"}, {}, ["ct", "mr", "tomorrow"]),
        ({"ScheduledProcedureStepStartTime": "1400-1430"}, {}, ["ct", "mr", "tomorrow"]),
        ({"ScheduledProcedureStepStartTime": "14"}, {}, ["ct", "mr", "tomorrow"]),
        ({"ScheduledProcedureStepStartTime": "-1359"}, {}, []),
        ({"ScheduledPerformingPhysicianName": "House*"}, {}, []),
        ({}, {"PatientName": "muller*"}, ["mr", "tomorrow"]),
        ({}, {"PatientName": "MÜLLER^EVE"}, ["mr", "tomorrow"]),
        ({}, {"PatientName": "山田*"}, ["ct"]),
        ({}, {"PatientName": "やまだ^たろう"}, ["ct"]),
        ({}, {"PatientName": "Mull"}, []),
        ({}, {"PatientID": "P-?"}, ["ct", "mr", "tomorrow"]),
        ({}, {"PatientID": "p-1"}, []),
        ({"Modality": "CT"}, {"PatientID": "P-2"}, ["tomorrow"]),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"])
def test_keys_match_inside_and_outside_the_step(node, bookings, step, keys, expected):
    found = accessions(node, query(step, **keys))
    assert sorted(found) == sorted(bookings[name].accession_number for name in expected)


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_key_we_do_not_match_is_told(node, bookings):
    identifier = query(PatientWeight="70")
    _, statuses = ask(node, identifier)
    assert statuses == [0xFF01] * 3 + [0x0000]


@pytest.mark.parametrize("database", ["sqlite"])
def test_an_empty_sequence_returns_the_whole_step(node, bookings):
    identifier = query(PatientID="P-1")
    identifier.ScheduledProcedureStepSequence = []
    [answer], _ = ask(node, identifier)
    assert answer.ScheduledProcedureStepSequence[0].Modality == "CT"


@pytest.mark.parametrize("database", ["sqlite"])
def test_findscu_sees_its_worklist(node, bookings, tmp_path):
    command = ["findscu", "-W", "-aet", STATION, "-aec", "CLINIC"]
    command += ["-k", "ScheduledProcedureStepSequence[0].Modality=MR", "-k", "PatientName"]
    command += ["-k", "StudyInstanceUID", "127.0.0.1", str(node.port), "-X", "-od", tmp_path]
    subprocess.run(command, check=True, timeout=60, capture_output=True)

    assert len(list(tmp_path.glob("rsp*.dcm"))) == 1


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_query_can_be_cancelled(node, ctx):
    room = factories.room(ctx, station_ae_title=STATION)
    patient = factories.patient(ctx)
    for hour in range(4, 20):
        for minute in (0, 20, 40):
            start = AFTERNOON.replace(hour=hour, minute=minute)
            factories.appointment(ctx, patient=patient, room=room, start_at=start)
    context = (ModalityWorklistInformationFind, [ImplicitVRLittleEndian])
    with associated(node, context) as association:
        statuses = []
        answers = association.send_c_find(query(), ModalityWorklistInformationFind, msg_id=5)
        for status, _ in answers:
            statuses.append(status.Status)
            if len(statuses) == 1:
                association.send_c_cancel(5, query_model=ModalityWorklistInformationFind)
    assert statuses[-1] in (0xFE00, 0x0000)  # all may have left before the request came
    assert set(statuses[:-1]) == {0xFF00}


def test_an_empty_stored_value_fails_a_key_with_a_value():
    asked = Dataset()
    asked.PatientID = "F"
    assert not value_matches(asked["PatientID"], "")
