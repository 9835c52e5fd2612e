"""Modality Worklist over real sockets, with DCMTK's findscu and pynetdicom as modalities."""

import contextlib
import socket
import subprocess
from datetime import UTC, date, datetime, timedelta

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import PersonName
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind
from sqlalchemy import event

from clinic_panel.imaging.matching import value_matches
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.flight import RequestRecord
from clinic_panel.services import workflow, worklist
from clinic_panel.services.workflow import Booking
from clinic_panel.services.worklist_keys import WorklistQuery
from listener import answers
from listener.server import Node
from listener.short_way import EventDrivenDUL
from tests import factories
from tests.conftest import free_port
from tests.integration.peer import PATIENCE_S, STATION, associated, wait_for
from tests.integration.test_listener_query import NAMES

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
        "ct": factories.appointment(
            ctx,
            patient=ando,
            room=ct,
            start_at=AFTERNOON,
            scheduled_performing_physician_name="House^Gregory",
        ),
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
    node.audits.flush()
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
        ({"ScheduledPerformingPhysicianName": "house*"}, {}, ["ct"]),
        ({"ScheduledPerformingPhysicianName": "Wilson*"}, {}, []),
        ({}, {"PatientName": "muller*"}, ["mr", "tomorrow"]),
        ({}, {"PatientName": "MÜLLER^EVE"}, ["mr", "tomorrow"]),
        ({}, {"PatientName": "*eve"}, ["mr", "tomorrow"]),
        ({}, {"PatientName": "?uller*"}, ["mr", "tomorrow"]),
        ({}, {"PatientName": "山田*"}, ["ct"]),
        ({"Modality": "CT"}, {"PatientName": "yamada*", "PatientID": "P-1"}, ["ct"]),
        ({}, {"PatientName": "やまだ^たろう"}, ["ct"]),
        ({}, {"PatientName": "Yamada^Tarou=山田^太郎"}, ["ct"]),
        ({}, {"PatientName": "yamada*==やまだ^*"}, ["ct"]),
        ({}, {"PatientName": "*=山田*=*"}, ["ct"]),
        ({}, {"PatientName": "Suzuki*=山田*"}, []),
        ({}, {"PatientName": ["Suzuki^*", "muller^*"]}, ["mr", "tomorrow"]),
        ({}, {"PatientID": ["P-1", "P-2"]}, ["ct", "mr", "tomorrow"]),
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
@pytest.mark.parametrize("names", [["mr"], ["ct", "tomorrow"], ["tomorrow", "mr", "gone"]])
def test_each_accession_number_asked_for_is_found(node, bookings, names):
    asked = [bookings[name].accession_number for name in names]
    found = accessions(node, query(AccessionNumber=asked))
    assert sorted(found) == sorted(set(asked) - {bookings["gone"].accession_number})


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_in_a_set_that_nobody_declared_is_read(node, ctx, bookings, encoding):
    identifier = query(PatientName=PersonName("Müller^*".encode(encoding)))
    del identifier.SpecificCharacterSet
    assert sorted(accessions(node, identifier)) == sorted(
        bookings[name].accession_number for name in ("mr", "tomorrow")
    )
    node.recorder.flush()
    with ctx.read() as session:
        [kept] = session.query(RequestRecord)
        # Explained as it was answered.
        assert sorted(kept.fates[""]) == sorted(bookings[name].id for name in ("mr", "tomorrow"))


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
    subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)

    assert len(list(tmp_path.glob("rsp*.dcm"))) == 1


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize(
    ("keys", "starts_with"),
    [
        ({"PatientName": "Müller^*"}, "patient"),
        ({"PatientID": "P-2"}, "patient"),
        ({"PatientName": "M*"}, "room"),
        ({"PatientName": "*ller*"}, "room"),
        ({}, "room"),
    ],
)
def test_a_stations_patient_is_looked_up_by_whichever_tells_more(ctx, bookings, keys, starts_with):
    engine, asked = ctx.sessions.kw["bind"], []
    asking = WorklistQuery(query({"ScheduledStationAETitle": STATION}, **keys))
    with contextlib.ExitStack() as stack:
        heard = ("before_cursor_execute", lambda *given: asked.append(given[2:4]))
        event.listen(engine, *heard)
        stack.callback(event.remove, engine, *heard)
        steps = worklist.scheduled_steps(ctx, asking, lambda _: None).steps
    [(statement, values)] = [given for given in asked if "FROM appointment" in given[0]]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()

    expected = ["tomorrow"] if keys else ["ct", "tomorrow"]
    assert [step.appointment_id for step in steps] == [bookings[name].id for name in expected]
    assert any(f"ix_appointment_{starts_with}_pk" in step.detail for step in plan)


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_query_can_be_cancelled(node, bookings, monkeypatch):
    send = EventDrivenDUL.send_encoded

    def send_and_wait(dul, pdus):
        sent = send(dul, pdus)
        wait_for(lambda: dul.assoc.dimse.cancel_req)
        return sent

    monkeypatch.setattr(answers, "_BATCH_BYTES", 1)
    monkeypatch.setattr(EventDrivenDUL, "send_encoded", send_and_wait)
    context = (ModalityWorklistInformationFind, [ImplicitVRLittleEndian])
    with associated(node, context) as association:
        statuses = []
        found = association.send_c_find(query(), ModalityWorklistInformationFind, msg_id=5)
        for status, _ in found:
            statuses.append(status.Status)
            association.send_c_cancel(5, query_model=ModalityWorklistInformationFind)
    assert statuses == [0xFF00, 0xFE00]


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_peer_that_takes_only_short_pdus_gets_its_answers(node, bookings):
    entity = AE(STATION)
    entity.maximum_pdu_size = 256
    entity.add_requested_context(ModalityWorklistInformationFind, [ExplicitVRLittleEndian])
    longest = []
    note = [(evt.EVT_DATA_RECV, lambda event: longest.append(len(event.data)))]
    association = entity.associate(
        "127.0.0.1", node.port, ae_title="CLINIC", max_pdu=256, evt_handlers=note
    )
    longest.clear()
    found = list(association.send_c_find(query(), ModalityWorklistInformationFind))
    association.release()
    assert [status.Status for status, _ in found] == [0xFF00] * 3 + [0x0000]
    assert {str(data.PatientName)[:6] for _, data in found[:3]} == {"Yamada", "Müller"}
    assert max(longest) <= 256 + 6


def test_a_booking_is_on_the_scanner_at_once(node, ctx, tmp_path):
    booking = Booking(
        patient_pk=factories.patient(ctx).id,
        procedure_pk=factories.procedure(ctx).id,
        room_pk=factories.room(ctx, station_ae_title=STATION).id,
        start_at=AFTERNOON,
        scheduled_performing_physician_name="House^Gregory",
    )
    row = workflow.book(ctx, booking)
    command = ["findscu", "-W", "-aet", STATION, "-aec", "CLINIC", "-k", "AccessionNumber"]
    step = "ScheduledProcedureStepSequence[0]."
    command += ["-k", f"{step}ScheduledStationAETitle={STATION}"]
    command += ["-k", f"{step}ScheduledProcedureStepStartDate=20260316"]
    command += ["-k", f"{step}ScheduledPerformingPhysicianName"]
    command += ["127.0.0.1", str(node.port), "-X", "-od", tmp_path]
    subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)

    [path] = tmp_path.glob("rsp*.dcm")
    answer = dcmread(path, force=True)
    assert answer.AccessionNumber == row.accession_number
    [step] = answer.ScheduledProcedureStepSequence
    assert step.ScheduledPerformingPhysicianName == "House^Gregory"


@pytest.mark.parametrize("database", ["sqlite"])
def test_names_come_in_the_set_that_the_scanner_declared(node, ctx):
    """At the top and inside the step, with code extensions and without."""
    room = factories.room(ctx, station_ae_title=STATION)
    for number, name in enumerate(NAMES.values()):
        factories.appointment(
            ctx,
            patient=factories.patient(ctx, patient_id=f"N{number}", patient_name=name),
            room=room,
            start_at=AFTERNOON + number * timedelta(minutes=20),
            scheduled_performing_physician_name=name,
        )
    for number, (declared, name) in enumerate(NAMES.items()):
        key = {"ScheduledPerformingPhysicianName": name}
        asked = query(key, PatientName=name, PatientID=f"N{number}")
        asked.SpecificCharacterSet = declared.split("\\")
        [answer], _ = ask(node, asked)
        assert answer.SpecificCharacterSet == asked.SpecificCharacterSet
        [step] = answer.ScheduledProcedureStepSequence
        assert [str(answer.PatientName), str(step.ScheduledPerformingPhysicianName)] == [name, name]


@pytest.mark.parametrize("database", ["sqlite"])
def test_more_steps_than_the_limit_are_no_success(node, bookings, monkeypatch):
    monkeypatch.setattr(worklist, "LIMIT", 2)
    answers, statuses = ask(node, query())
    assert statuses == [0xFF00, 0xFF00, 0xA700]
    assert len(answers) == 2


def worklist_file(folder, step):
    """What DCMTK's wlmscpfs answers from."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = ModalityWorklistInformationFind
    data.file_meta.MediaStorageSOPInstanceUID = data.StudyInstanceUID = step.study_instance_uid
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName, data.PatientID = step.patient_name, step.patient_id
    data.AccessionNumber = step.accession_number
    data.RequestedProcedureID = step.requested_procedure_id
    data.RequestedProcedureDescription = step.requested_procedure_description
    item = Dataset()
    item.Modality, item.ScheduledStationAETitle = step.modality, step.station_ae_title
    item.ScheduledProcedureStepStartDate = f"{step.start_at:%Y%m%d}"
    item.ScheduledProcedureStepStartTime = f"{step.start_at:%H%M%S}"
    item.ScheduledProcedureStepID = step.scheduled_procedure_step_id
    item.ScheduledProcedureStepDescription = step.requested_procedure_description
    item.ScheduledPerformingPhysicianName = step.scheduled_performing_physician_name
    data.ScheduledProcedureStepSequence = [item]
    data.save_as(folder / f"{step.appointment_id}.wl", enforce_file_format=True)


class Wlmscpfs:
    """DCMTK's worklist, serving a folder of files."""

    def __init__(self, folder):
        self.port = free_port()
        self._command = ["wlmscpfs", "--single-process", "-csk", "-dfp", folder, str(self.port)]

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        wait_for(self._listens)
        return self

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True


START, TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"
ALIKE = [
    ({}, {}),
    ({"Modality": "MR"}, {}),
    ({"ScheduledStationAETitle": STATION}, {}),
    ({START: "20260316"}, {}),
    ({START: "20260317-"}, {}),
    ({START: "-20260316"}, {}),
    ({START: "20260316-20260317", TIME: "0930-1430"}, {}),
    ({TIME: "0900-1330"}, {}),
    ({"ScheduledPerformingPhysicianName": "House*"}, {}),
    ({"ScheduledPerformingPhysicianName": "Wils?n^*"}, {}),
    ({}, {"PatientName": "Yamada*"}),
    ({}, {"PatientName": "Weber^Anna"}),
    ({}, {"PatientName": "Web*"}),
    ({}, {"PatientID": "P-1"}),
    ({"Modality": "CT", START: "20260317"}, {"PatientID": "P-3"}),
    ({"Modality": "US"}, {"PatientName": "*"}),
]


@pytest.mark.parametrize("database", ["sqlite"])
def test_dcmtk_finds_the_same_among_the_same(node, ctx, bookings, tmp_path):
    weber = factories.patient(ctx, patient_id="P-3", patient_name="Weber^Anna")
    for day, hour, physician in ((16, 8, "House^Gregory"), (17, 8, "Wilson^James"), (17, 13, "")):
        factories.appointment(
            ctx,
            patient=weber,
            start_at=AFTERNOON.replace(day=day, hour=hour),
            scheduled_performing_physician_name=physician,
        )
    folder = tmp_path / "CLINIC"
    folder.mkdir()
    (folder / "lockfile").touch()
    for step in worklist.scheduled_steps(ctx, WorklistQuery(Dataset())).steps:
        worklist_file(folder, step)
    with Wlmscpfs(tmp_path) as dcmtk:
        for step, keys in ALIKE:
            ours, theirs = (sorted(accessions(peer, query(step, **keys))) for peer in (node, dcmtk))
            assert ours == theirs, (step, keys)


def test_an_empty_stored_value_fails_a_key_with_a_value():
    asked = Dataset()
    asked.PatientID = "F"
    assert not value_matches(asked["PatientID"], "")
