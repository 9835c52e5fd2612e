"""Modality Performed Procedure Step over real sockets, with pynetdicom as the modality."""

import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import date, time, timedelta
from functools import partial
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom.dimse_primitives import N_CREATE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
)
from sqlalchemy import select, update

from clinic_panel.errors import Conflict, Forbidden, Invalid
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import OVERDUE, QUIET, Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.performed import (
    AnnouncedObject,
    PerformedProcedureStep,
    PerformedSeries,
    PerformedStatus,
    PerformedStepMessage,
    PerformedStepRequest,
)
from clinic_panel.models.user import Role
from clinic_panel.services import dicom, matching, workflow
from clinic_panel.services.performed_attributes import Reason, StepRefused
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, associated
from tests.integration.steps import Made, begun, ended, item, person, series, start, tell
from tests.integration.test_listener_worklist import ask as worklist_ask

MPPS, RETRIEVE = ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve
S = AppointmentStatus
SQLITE = pytest.mark.parametrize("database", ["sqlite"])


@pytest.fixture
def node(ctx):
    factories.room(ctx, station_ae_title=STATION)
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def scanner(node):
    """An association of a modality that reports its steps."""
    with associated(node, (MPPS, [ExplicitVRLittleEndian])) as association:
        yield association


def create(association, data, uid):
    status, _ = association.send_n_create(deepcopy(data), MPPS, uid)
    return status


def change(association, data, uid):
    status, _ = association.send_n_set(deepcopy(data), MPPS, uid)
    return status


def rows(ctx, model):
    with ctx.read() as session:
        return session.scalars(select(model).order_by(model.id)).all()


def visit(ctx, booking):
    with ctx.read() as session:
        return session.get_one(Appointment, booking.id)


def test_a_step_is_kept_with_all_that_was_said_and_drives_its_visit(scanner, ctx):
    booking = factories.appointment(ctx, status=S.ARRIVED)
    uid, made = generate_uid(), [generate_uid() for _ in range(3)]
    first = begun(booking, PatientName="Müller^Ève^Maria", TimezoneOffsetFromUTC="+0100")
    assert create(scanner, first, uid).Status == 0x0000
    assert (visit(ctx, booking).status, visit(ctx, booking).exam_status) == (
        S.IMAGES_ARRIVING,
        PerformedStatus.IN_PROGRESS,
    )
    progress = item(PerformedProcedureStepDescription="Second pass")
    assert change(scanner, progress, uid).Status == 0x0000
    assert change(scanner, ended(series(made[:2], made[2:])), uid).Status == 0x0000

    [step] = rows(ctx, PerformedProcedureStep)
    assert step.sop_instance_uid == uid
    assert step.performed_procedure_step_status is PerformedStatus.COMPLETED
    assert step.performed_procedure_step_start_date == date(2026, 3, 16)
    assert step.performed_procedure_step_end_time == time(14, 15, 0, 500_000)
    assert step.performed_procedure_step_description == "Second pass"
    assert (step.patient_name, step.timezone_offset_from_utc) == ("Müller^Ève^Maria", "+0100")
    assert (step.patient_pk, step.source_ae_title) == (booking.patient_pk, STATION)
    assert (step.number_announced, step.number_missing) == (3, 3)
    [request] = rows(ctx, PerformedStepRequest)
    assert request.appointment_pk == booking.id
    assert request.scheduled_procedure_step_id == booking.scheduled_procedure_step_id
    [kept] = rows(ctx, PerformedSeries)
    assert (kept.protocol_name, kept.operators_name) == ("Chest routine", "Röntgen^Wilhelm")
    assert [(o.sop_instance_uid, o.is_image) for o in rows(ctx, AnnouncedObject)] == [
        (made[0], True),
        (made[1], True),
        (made[2], False),
    ]
    messages = rows(ctx, PerformedStepMessage)
    assert [m.source_ae_title for m in messages] == [STATION] * 3
    assert messages[0].attributes == encode(first, False, True), "as received"
    entries = [e for e in rows(ctx, AuditEntry) if e.subject_type == step.__tablename__]
    assert [e.action for e in entries] == [Action.BEGIN, Action.CHANGE, Action.COMPLETE]
    assert {e.patient_pk for e in entries} == {booking.patient_pk}
    assert entries[-1].detail["missing"] == 3
    assert visit(ctx, booking).exam_status is PerformedStatus.COMPLETED


BAD_CREATES = [
    ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
    ({"PerformedProcedureStepStatus": "STARTED"}, 0x0106),
    ({"PerformedProcedureStepStatus": None}, 0x0120),
    ({"PerformedProcedureStepStatus": ""}, 0x0121),
    ({"PerformedProcedureStepID": None}, 0x0120),
    ({"PerformedProcedureStepID": ""}, 0x0121),
    ({"PerformedStationAETitle": None}, 0x0120),
    ({"PerformedStationAETitle": ""}, 0x0121),
    ({"PerformedProcedureStepStartDate": ""}, 0x0121),
    ({"PerformedProcedureStepStartTime": None}, 0x0120),
    ({"Modality": None}, 0x0120),
    ({"Modality": ""}, 0x0121),
    ({"ScheduledStepAttributesSequence": None}, 0x0120),
    ({"ScheduledStepAttributesSequence": [item(AccessionNumber="A1")]}, 0x0120),
    ({"ScheduledStepAttributesSequence": [item(StudyInstanceUID="")]}, 0x0121),
    ({"PerformedSeriesSequence": [series(ProtocolName="")]}, 0x0121),
    ({"PerformedSeriesSequence": [item(ProtocolName="P")]}, 0x0120),
    # Several faults: that it is not in progress comes first.
    ({"PerformedProcedureStepStatus": "DISCONTINUED", "Modality": None}, 0x0106),
]
GOOD_CREATES = [
    {"ScheduledStepAttributesSequence": []},
    {"ScheduledStepAttributesSequence": [Dataset()]},
    {"ScheduledStepAttributesSequence": [item(StudyInstanceUID="1.2.3")]},
    {"PatientName": None, "PerformedSeriesSequence": None, "StudyID": None},  # type 2 left out
    {"CommentsOnThePerformedProcedureStep": "x" * 1000, "PatientName": "=".join(["N" * 64] * 3)},
]


@SQLITE
def test_creates_are_answered_with_the_status_of_their_fault_and_keep_nothing(scanner, ctx):
    for values, status in BAD_CREATES:
        answer = create(scanner, begun(**values), generate_uid())
        assert answer.Status == status, values
        assert len(answer.ErrorComment) <= 64
    assert rows(ctx, PerformedProcedureStep) == []
    assert create(scanner, begun(**BAD_CREATES[4][0]), generate_uid()).ErrorComment == (
        "missing attribute: PerformedProcedureStepID"
    )
    for values in GOOD_CREATES:
        assert create(scanner, begun(**values), generate_uid()).Status == 0x0000, values
    assert len(rows(ctx, PerformedProcedureStep)) == len(GOOD_CREATES)


@SQLITE
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_invalid_status_comes_back_as_an_attribute_list(node, ctx, syntax):
    with associated(node, (MPPS, [syntax])) as scanner:
        request = N_CREATE()
        request.MessageID, request.AffectedSOPClassUID = 5, MPPS
        request.AffectedSOPInstanceUID = generate_uid()
        data = encode(
            begun(PerformedProcedureStepStatus="COMPLETED"),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
        )
        answer = ask(scanner, request, data)
        assert answer.Status == 0x0106
        fault = item(PerformedProcedureStepStatus="COMPLETED")
        assert answer.AttributeList.getvalue() == encode(
            fault, syntax.is_implicit_VR, syntax.is_little_endian
        )
        booking = factories.appointment(ctx)
        assert create(scanner, begun(booking), generate_uid()).Status == 0x0000
    assert visit(ctx, booking).exam_status is PerformedStatus.IN_PROGRESS


def ask(association, request, data):
    """Send a request with these bytes, whatever they are; return the answer."""
    request.AttributeList = BytesIO(data) if data else None
    [context] = association.accepted_contexts
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    return answer


BAD_SETS = [
    ({"PatientID": "P1"}, 0x0105),
    ({"PerformedStationAETitle": STATION}, 0x0105),
    ({"ScheduledStepAttributesSequence": []}, 0x0105),
    ({"Modality": "MR"}, 0x0105),
    ({"PerformedProcedureStepStatus": "ABORTED"}, 0x0106),
    ({"PerformedProcedureStepStatus": ""}, 0x0121),
    ({"PerformedSeriesSequence": None}, 0x0120),
    ({"PerformedSeriesSequence": []}, 0x0121),
    ({"PerformedSeriesSequence": [series(SeriesInstanceUID="")]}, 0x0121),
    ({"PerformedSeriesSequence": [item(SeriesInstanceUID="1.2")]}, 0x0120),
    ({"PerformedSeriesSequence": [series(ReferencedImageSequence=[Dataset()])]}, 0x0120),
    ({"PerformedProcedureStepEndDate": None}, 0x0120),
    ({"PerformedProcedureStepEndDate": ""}, 0x0121),
    ({"PerformedProcedureStepEndTime": None}, 0x0120),
    ({"PerformedProcedureStepEndTime": ""}, 0x0121),
]


@SQLITE
@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_sets_are_answered_with_the_status_of_their_fault_and_change_nothing(scanner, ctx, status):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    create(scanner, begun(booking), uid)
    for values, code in BAD_SETS:
        values = {"PerformedProcedureStepStatus": status} | values
        assert change(scanner, ended(series(), **values), uid).Status == code, values
    [step] = rows(ctx, PerformedProcedureStep)
    assert step.performed_procedure_step_status is PerformedStatus.IN_PROGRESS
    assert (len(rows(ctx, PerformedStepMessage)), rows(ctx, PerformedSeries)) == (1, [])

    assert change(scanner, ended(series(), status=status), generate_uid()).Status == 0x0112
    assert change(scanner, ended(series(), status=status), uid).Status == 0x0000
    for late in (ended(series(), status=status), item(PatientID="P1")):
        answer = change(scanner, late, uid)
        assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)
        assert answer.ErrorComment == "Performed Procedure Step Object may no longer be updated"


def test_what_was_said_in_between_counts_at_the_end(scanner, ctx):
    uid = generate_uid()
    create(scanner, begun(), uid)
    early = item(PerformedSeriesSequence=[series()], PerformedProcedureStepEndDate="20260316")
    assert change(scanner, early, uid).Status == 0x0000
    last = item(PerformedProcedureStepStatus="COMPLETED", PerformedProcedureStepEndTime="1415")
    assert change(scanner, last, uid).Status == 0x0000


def test_an_instance_is_created_once_however_often_it_is_asked_for(scanner, ctx):
    booking, uid = factories.appointment(ctx), generate_uid()
    assert create(scanner, begun(booking), uid).Status == 0x0000
    again = create(scanner, begun(booking), uid)
    other = create(scanner, begun(booking, PerformedProcedureStepID="PPS2"), uid)
    assert (again.Status, other.Status) == (0x0111, 0x0111)
    assert again.ErrorComment == "The step is known already, as it is here."
    [step] = rows(ctx, PerformedProcedureStep)
    assert step.performed_procedure_step_id == "PPS1"


def test_an_instance_without_an_identifier_gets_one(scanner, ctx):
    request = N_CREATE()
    request.MessageID, request.AffectedSOPClassUID = 5, MPPS
    answer = ask(scanner, request, encode(begun(), False, True))
    assert answer.Status == 0x0000
    [step] = rows(ctx, PerformedProcedureStep)
    assert answer.AffectedSOPInstanceUID == step.sop_instance_uid
    assert change(scanner, ended(series()), step.sop_instance_uid).Status == 0x0000


@SQLITE
def test_hostile_bytes_are_answered_and_kept_out(scanner, ctx):
    request = N_CREATE()
    request.MessageID, request.AffectedSOPClassUID = 5, MPPS
    request.AffectedSOPInstanceUID = generate_uid()
    whole = encode(begun(PerformedSeriesSequence=[series(["1.2"])]), False, True)
    deep = b"\x40\x00\x40\x03SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000
    for data, status in [
        (b"", 0x0120),
        (b"\0" * 64, 0x0120),
        (whole[:-7], 0x0110),
        (deep, 0x0110),
        (whole.replace(b"20260316", b"2026XX16"), 0x0106),
        (whole.replace(b"140000", b"250000"), 0x0106),
        (whole.replace(b"1.2\0", b"1.A\0"), 0x0106),
        (whole.replace(STATION.encode() + b" " * (len(STATION) % 2), b"CT\\ONE"), 0x0106),
    ]:
        assert ask(scanner, request, data).Status == status, data[:40]
    assert rows(ctx, PerformedProcedureStep) == []


@SQLITE
def test_a_step_is_given_back_as_its_messages_left_it(node, ctx):
    booking, uid = factories.appointment(ctx), generate_uid()
    start(ctx, begun(booking, PatientName="Müller^Ève^Maria"), uid)
    tell(ctx, uid, ended(series(["1.2.3"]), PerformedProcedureStepDescription="All well"))
    with associated(node, (RETRIEVE, [ImplicitVRLittleEndian])) as viewer:
        status, whole = viewer.send_n_get([], RETRIEVE, uid)
        assert (status.Status, whole.PatientName) == (0x0000, "Müller^Ève^Maria")
        assert whole.PerformedProcedureStepStatus == "COMPLETED"
        assert whole.PerformedSeriesSequence[0].OperatorsName == "Röntgen^Wilhelm"
        tags = [0x00400254, 0x00400280]  # description, and comments that never came
        status, some = viewer.send_n_get(tags, RETRIEVE, uid)
        assert (status.Status, some.PerformedProcedureStepDescription) == (0x0001, "All well")
        assert {element.keyword for element in some} == {
            "SpecificCharacterSet",
            "PerformedProcedureStepDescription",
        }
        assert viewer.send_n_get([], RETRIEVE, generate_uid())[0].Status == 0x0112
    entries = [e for e in rows(ctx, AuditEntry) if e.action == Action.VIEW]
    assert [e.patient_pk for e in entries] == [booking.patient_pk] * 2


@SQLITE
def test_an_examination_of_thousands_of_images_is_announced_in_one_message(scanner, ctx):
    booking, uid = factories.appointment(ctx), generate_uid()
    create(scanner, begun(booking), uid)
    made = [series([f"1.2.{10**50}.{n}.{m}" for m in range(2_500)]) for n in range(4)]
    assert change(scanner, ended(*made), uid).Status == 0x0000
    shown = line(ctx, booking)
    assert (shown.announced, shown.missing) == (10_000, 10_000)
    kept = rows(ctx, PerformedStepMessage)[-1].attributes
    assert len(kept) > 1 << 20


def test_steps_survive_a_restart(node, ctx):
    booking, uid = factories.appointment(ctx), generate_uid()
    with associated(node, (MPPS, [ExplicitVRLittleEndian])) as scanner:
        create(scanner, begun(booking), uid)
    node.stop()
    again = Node(ctx)
    again.start()
    try:
        with associated(again, (MPPS, [ExplicitVRLittleEndian])) as scanner:
            assert create(scanner, begun(booking), uid).Status == 0x0111
            assert change(scanner, ended(series()), uid).Status == 0x0000
    finally:
        again.stop()


def test_a_step_answers_only_the_bookings_that_it_names(scanner, ctx):
    one, two, three = (factories.appointment(ctx, status=S.ARRIVED) for _ in range(3))
    who = person(ctx, one)

    def joined(data):
        uid = generate_uid()
        assert create(scanner, data, uid).Status == 0x0000
        with ctx.read() as session:
            [step] = session.scalars(select(PerformedProcedureStep).filter_by(sop_instance_uid=uid))
            return [request.appointment_pk for request in step.requests]

    assert joined(begun(one, PatientID=who.patient_id)) == [one.id]
    assert joined(begun(one, two)) == [one.id, two.id], "one step for two bookings"
    unscheduled = begun(PatientID=who.patient_id)
    unscheduled.ScheduledStepAttributesSequence = [item(StudyInstanceUID=generate_uid())]
    assert joined(unscheduled) == [None], "never by the patient alone"
    assert joined(begun(three, PatientID="SOMEBODY")) == [None], "of somebody else"
    wrong_step = begun(three)
    wrong_step.ScheduledStepAttributesSequence[0].ScheduledProcedureStepID = "S999"
    assert joined(wrong_step) == [None]
    own_study = begun(three)
    own_study.ScheduledStepAttributesSequence[0].StudyInstanceUID = generate_uid()
    assert joined(own_study) == [three.id], "by step and accession number"
    assert {visit(ctx, booking).status for booking in (one, two)} == {S.IMAGES_ARRIVING}


def line(ctx, booking):
    return next(r for r in workflow.appointments_on(ctx, date(2026, 3, 16)) if r.id == booking.id)


def settle(ctx, clock, **later):
    clock.advance(**later)
    [study] = rows(ctx, Study)
    assert dicom.settle_study(ctx, study.id)


def test_a_completed_step_is_read_at_once_when_its_last_image_comes(ctx, clock):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    made = Made(ctx, booking)
    start(ctx, begun(booking), uid)
    made.arrive(0)
    settle(ctx, clock, seconds=5)
    assert visit(ctx, booking).status is S.IMAGES_ARRIVING, "the modality goes on"

    tell(ctx, uid, ended(made.series))
    shown = line(ctx, booking)
    assert (shown.exam_status, shown.announced, shown.missing) == (PerformedStatus.COMPLETED, 3, 2)
    made.arrive(1)
    settle(ctx, clock, seconds=5)
    assert line(ctx, booking).missing == 1
    assert visit(ctx, booking).status is S.IMAGES_ARRIVING, "one is missing"
    made.arrive(2)
    assert (line(ctx, booking).missing, visit(ctx, booking).status) == (0, S.TO_READ)


def test_a_step_whose_images_came_before_is_read_at_once(ctx, clock):
    booking, uid = factories.appointment(ctx, status=S.BOOKED), generate_uid()
    made = Made(ctx, booking)
    start(ctx, begun(booking), uid)
    made.arrive(0, 1, 2)
    tell(ctx, uid, ended(made.series, status="DISCONTINUED"))
    assert (line(ctx, booking).missing, visit(ctx, booking).status) == (0, S.TO_READ)
    assert visit(ctx, booking).exam_status is PerformedStatus.DISCONTINUED


@SQLITE
@pytest.mark.parametrize("last", [None, "COMPLETED"])
def test_a_modality_that_owes_something_is_waited_for_but_not_for_ever(ctx, clock, last):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    made = Made(ctx, booking)
    start(ctx, begun(booking), uid)
    made.arrive(0)
    if last:
        tell(ctx, uid, ended(made.series, status=last))
    settle(ctx, clock, minutes=1)
    assert visit(ctx, booking).status is S.IMAGES_ARRIVING
    [job] = session_jobs(ctx)
    assert job.not_before_at == clock() + OVERDUE - timedelta(minutes=1)
    settle(ctx, clock, minutes=14)
    assert visit(ctx, booking).status is S.TO_READ
    assert line(ctx, booking).missing == (2 if last else 0)


def session_jobs(ctx):
    with ctx.read() as session:
        return session.scalars(select(Job).filter_by(kind=JobKind.SETTLE_STUDY)).all()


def test_a_step_broken_off_before_any_image_leaves_the_visit_as_it_was(ctx):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    with ctx.begin() as session:
        session.get_one(Appointment, booking.id).checked_in_at = ctx.clock()
    start(ctx, begun(booking), uid)
    reason = item(
        CodeValue="110514",
        CodingSchemeDesignator="DCM",
        CodeMeaning="Incorrect worklist entry selected",
    )
    code = {"PerformedProcedureStepDiscontinuationReasonCodeSequence": [reason]}
    tell(ctx, uid, ended(series(), status="DISCONTINUED", **code))
    shown = line(ctx, booking)
    assert (shown.status, shown.exam_status) == (S.ARRIVED, PerformedStatus.DISCONTINUED)
    assert shown.discontinuation == "Incorrect worklist entry selected"
    workflow.cancel(ctx, booking.id, "Patient unwell")
    again = generate_uid()
    start(ctx, begun(booking), again)
    assert line(ctx, booking).exam_status is PerformedStatus.IN_PROGRESS, "taken up again"
    with pytest.raises(Conflict):
        workflow.cancel(ctx, booking.id, "Too late")


SILENT = "The device did not report the end"


def test_what_a_dead_device_left_open_is_ended_at_the_desk_and_its_late_end_still_taken(
    scanner, ctx, as_role
):
    """Whatever the desk did meanwhile stands; what the device said is kept as it said it."""
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    with ctx.begin() as session:
        session.get_one(Appointment, booking.id).checked_in_at = ctx.clock()
    desk = as_role(Role.TECHNOLOGIST)
    with pytest.raises(Conflict):
        workflow.end_exam(desk, booking.id, SILENT)
    assert create(scanner, begun(booking), uid).Status == 0x0000
    with pytest.raises(Invalid):
        workflow.end_exam(desk, booking.id, " ")
    with pytest.raises(Forbidden):
        workflow.end_exam(as_role(Role.CLINICIAN), booking.id, SILENT)

    shown = workflow.end_exam(desk, booking.id, SILENT)
    assert (shown.status, shown.exam_status) == (S.ARRIVED, PerformedStatus.DISCONTINUED)
    assert shown.discontinuation == SILENT
    with pytest.raises(Conflict):
        workflow.end_exam(desk, booking.id, SILENT)
    [step] = rows(ctx, PerformedProcedureStep)
    assert step.performed_procedure_step_status is PerformedStatus.IN_PROGRESS, "as received"
    assert len(rows(ctx, PerformedStepMessage)) == 1
    entries = [e for e in rows(ctx, AuditEntry) if e.action is Action.DISCONTINUE]
    assert [(e.username, e.subject_id, e.patient_pk) for e in entries] == [
        (desk.actor.username, booking.id, booking.patient_pk)
    ]
    assert SILENT not in str(entries[0].detail)

    workflow.cancel(desk, booking.id, "Device not available")
    assert change(scanner, item(PerformedProcedureStepDescription="x"), uid).Status == 0x0000
    assert change(scanner, ended(series([generate_uid()])), uid).Status == 0x0000
    assert visit(ctx, booking).status is S.CANCELLED
    [step] = rows(ctx, PerformedProcedureStep)
    assert step.performed_procedure_step_status is PerformedStatus.COMPLETED


def test_a_completed_examination_without_images_lets_its_visit_go_when_a_person_says_so(ctx):
    """A wrong entry closed at the scanner: the visit can be done again, or be cancelled."""
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    with ctx.begin() as session:
        session.get_one(Appointment, booking.id).checked_in_at = ctx.clock()
    start(ctx, begun(booking), uid)
    tell(ctx, uid, ended(series()))
    assert line(ctx, booking).exam_status is PerformedStatus.COMPLETED
    with pytest.raises(Conflict):
        workflow.cancel(ctx, booking.id, "Wrong entry")

    shown = workflow.end_exam(ctx, booking.id, "Wrong worklist entry")
    assert (shown.status, shown.exam_status) == (S.ARRIVED, PerformedStatus.DISCONTINUED)
    assert shown.discontinuation == "Wrong worklist entry"
    again = generate_uid()
    start(ctx, begun(booking), again)
    made = Made(ctx, booking)
    tell(ctx, again, ended(made.series))
    made.arrive(0)
    assert line(ctx, booking).exam_status is PerformedStatus.COMPLETED
    with pytest.raises(Conflict):
        workflow.end_exam(ctx, booking.id, "Wrong worklist entry")


def test_a_late_end_touches_no_visit_that_was_moved_or_begun_anew(ctx):
    booking, uid, again = factories.appointment(ctx), generate_uid(), generate_uid()
    start(ctx, begun(booking), uid)
    shown = workflow.end_exam(ctx, booking.id, SILENT)
    assert shown.status is S.BOOKED
    place = workflow.Place(shown.room_pk, shown.start_at + timedelta(days=1))
    workflow.move(ctx, shown.id, shown.version, place, confirmed=True)
    tell(ctx, uid, item(PerformedProcedureStepDescription="x"))
    assert (visit(ctx, booking).status, visit(ctx, booking).exam_status) == (S.BOOKED, None)
    start(ctx, begun(booking), again)
    tell(ctx, uid, ended(series([generate_uid()])))
    assert visit(ctx, booking).exam_status is PerformedStatus.IN_PROGRESS
    assert visit(ctx, booking).status is S.IMAGES_ARRIVING


def test_an_examination_ended_at_the_desk_goes_on_to_be_read_with_the_images_that_came(ctx, clock):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    made = Made(ctx, booking)
    start(ctx, begun(booking), uid)
    made.arrive(0, 1)
    settle(ctx, clock, seconds=5)
    shown = workflow.end_exam(ctx, booking.id, SILENT)
    assert (shown.status, shown.discontinuation) == (S.IMAGES_ARRIVING, SILENT)
    [job] = session_jobs(ctx)
    assert job.not_before_at == clock() + QUIET, "not when it would be overdue"
    settle(ctx, clock, seconds=5)
    assert visit(ctx, booking).status is S.TO_READ
    with pytest.raises(Conflict):
        workflow.end_exam(ctx, booking.id, SILENT)
    tell(ctx, uid, ended(made.series))
    shown = line(ctx, booking)
    assert (shown.status, shown.missing) == (S.TO_READ, 1)
    assert shown.exam_status is PerformedStatus.COMPLETED, "images prove what it says"


def test_late_messages_do_not_move_back_what_is_reported(ctx):
    booking, uid = factories.appointment(ctx, status=S.REPORTED), generate_uid()
    start(ctx, begun(booking), uid)
    assert visit(ctx, booking).status is S.REPORTED
    tell(ctx, uid, ended(series([generate_uid()]), status="DISCONTINUED"))
    assert visit(ctx, booking).status is S.REPORTED


def test_the_count_is_right_though_two_processes_did_not_see_each_other(ctx, clock):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    made = Made(ctx, booking)
    start(ctx, begun(booking), uid)
    made.arrive(0, 1, 2)
    tell(ctx, uid, ended(made.series))
    with ctx.begin() as session:  # as if the images had been committed a moment later
        session.execute(update(AnnouncedObject).values(is_missing=True))
        session.execute(update(PerformedProcedureStep).values(number_missing=3))
        session.get_one(Appointment, booking.id).status = S.IMAGES_ARRIVING
    settle(ctx, clock, seconds=2)
    assert (line(ctx, booking).missing, visit(ctx, booking).status) == (0, S.TO_READ)


def test_a_step_goes_with_its_study_when_that_is_linked_by_hand(ctx, clock):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()
    other = factories.appointment(ctx, status=S.ARRIVED)
    made = Made(ctx, booking)
    data = begun(other)
    data.ScheduledStepAttributesSequence = [item(StudyInstanceUID=booking.study_instance_uid)]
    data.PatientID = "SOMEBODY"
    start(ctx, data, uid)
    made.arrive(0)
    [study] = rows(ctx, Study)
    assert line(ctx, other).exam_status is None
    matching.unlink_study(ctx, study.id)
    matching.link_study(ctx, study.id, other.id)
    assert line(ctx, other).exam_status is PerformedStatus.IN_PROGRESS
    assert visit(ctx, other).status is S.IMAGES_ARRIVING
    matching.unlink_study(ctx, study.id)
    assert (line(ctx, other).exam_status, visit(ctx, other).status) == (None, S.BOOKED)


def test_images_and_messages_that_come_together_lose_nothing(ctx, clock):
    bookings = [factories.appointment(ctx, status=S.ARRIVED) for _ in range(4)]
    mades = [Made(ctx, booking, 12, f"1.2.{n}") for n, booking in enumerate(bookings)]
    uids = [generate_uid() for _ in bookings]
    ready = threading.Barrier(2 * len(bookings))

    def send(made):
        ready.wait()
        for n in range(12):
            made.arrive(n)

    def report(booking, made, uid):
        ready.wait()
        start(ctx, begun(booking), uid)
        for count in (4, 8, 12):
            said = item(PerformedSeriesSequence=[made.announced(count)])
            tell(ctx, uid, said if count < 12 else ended(made.series))

    with ThreadPoolExecutor(2 * len(bookings)) as modalities:
        work = [modalities.submit(send, made) for made in mades]
        work += map(partial(modalities.submit, report), bookings, mades, uids)
        for each in work:
            each.result()
    clock.advance(seconds=2)
    for study in rows(ctx, Study):
        assert dicom.settle_study(ctx, study.id)
    for booking in bookings:
        shown = line(ctx, booking)
        assert (shown.announced, shown.missing, shown.image_count) == (12, 0, 12)
        assert (shown.status, shown.exam_status) == (S.TO_READ, PerformedStatus.COMPLETED)


def test_of_two_who_create_one_instance_one_is_told(ctx):
    booking, uid = factories.appointment(ctx), generate_uid()

    def act(_):
        try:
            return start(ctx, begun(booking), uid).status
        except StepRefused as refused:
            return refused.reason

    with ThreadPoolExecutor(4) as modalities:
        told = list(modalities.map(act, range(4)))
    assert sorted(told) == sorted([PerformedStatus.IN_PROGRESS, *[Reason.DUPLICATE] * 3])


@SQLITE
def test_a_booking_leaves_the_worklist_when_its_step_is_completed(node, ctx):
    booking, uid = factories.appointment(ctx, status=S.ARRIVED), generate_uid()

    def statuses():
        answers, _ = worklist_query(node)
        steps = [answer.ScheduledProcedureStepSequence[0] for answer in answers]
        return [step.ScheduledProcedureStepStatus for step in steps]

    assert statuses() == ["ARRIVED"]
    start(ctx, begun(booking), uid)
    assert statuses() == ["STARTED"]
    tell(ctx, uid, ended(series(), status="COMPLETED"))
    assert statuses() == []


def worklist_query(node):
    step = item(ScheduledProcedureStepStatus="")
    return worklist_ask(node, item(ScheduledProcedureStepSequence=[step], PatientID=""))
