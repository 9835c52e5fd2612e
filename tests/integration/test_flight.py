"""The flight recorder: what is kept of associations, what is explained, what is never kept."""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityWorklistInformationFind,
    MRImageStorage,
    Verification,
)
from sqlalchemy import event, select

from clinic_panel.errors import Forbidden, NotFound, Unavailable
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.flight import AssociationRecord, Ending, RequestRecord, Service
from clinic_panel.models.user import Role
from clinic_panel.services import flight, flight_replay, flight_view, peers
from clinic_panel.services.day import HIDDEN_NAME
from clinic_panel.services.peers import PeerForm
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, RawPeer, associated, store_as, wait_for
from tests.integration.test_listener_worklist import AFTERNOON, ask, query

DAY = AFTERNOON.date()
WORKLIST = (ModalityWorklistInformationFind, [ImplicitVRLittleEndian])


@pytest.fixture
def node(ctx):
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def rooms(ctx):
    ct = factories.room(ctx, station_ae_title=STATION, room_name="CT room", modality="CT")
    us = factories.room(ctx, station_ae_title="US_ONE", room_name="US room", modality="US")
    return ct, us


@pytest.fixture
def bookings(ctx, rooms):
    ct, us = rooms
    ivanova = factories.patient(ctx, patient_id="P-77", patient_name="Ivanova^Anna")
    return {
        "ct": factories.appointment(ctx, patient=ivanova, room=ct, start_at=AFTERNOON),
        "us": factories.appointment(ctx, patient=ivanova, room=us, start_at=AFTERNOON),
        "over": factories.appointment(
            ctx,
            room=ct,
            start_at=AFTERNOON.replace(hour=8),
            status=AppointmentStatus.REPORTED,
        ),
    }


@pytest.fixture
def tech(as_role):
    return as_role(Role.TECHNOLOGIST)


def flown(node, ctx, count=1):
    """The associations of the day once they are over and written, the newest first."""

    def written():
        node.recorder.flush()
        return flight_view.flights_on(ctx, DAY)

    wait_for(lambda: len(rows := written()) >= count and all(row.ended_at for row in rows))
    rows = written()
    assert len(rows) == count
    return rows


def asked_today(**keys):
    return query(
        {
            "ScheduledStationAETitle": STATION,
            "ScheduledProcedureStepStartDate": "20260316",
            "Modality": "CT",
        },
        **keys,
    )


def test_a_query_is_kept_with_the_key_that_left_each_booking_out(node, ctx, tech, bookings):
    answers, _ = ask(node, asked_today(PatientName="ivan*"))

    [row] = flown(node, tech)
    assert (row.calling_ae_title, row.called_ae_title, row.address) == (
        STATION,
        "CLINIC",
        "127.0.0.1",
    )
    assert (row.ending, row.requests, row.worklist_answers) == (Ending.RELEASED, {"Worklist": 1}, 1)
    assert not row.is_in_trouble
    detail = flight_view.flight(tech, row.id)
    [request] = detail.requests
    assert (request.service, request.answers, request.statuses) == (
        Service.WORKLIST,
        len(answers),
        {"0000": 1},
    )
    assert {one.appointment_id: one.excluded_by for one in request.candidates} == {
        bookings["ct"].id: "",
        bookings["us"].id: "ScheduledStationAETitle",
        bookings["over"].id: "status",
    }
    by_id = {one.appointment_id: one for one in request.candidates}
    assert by_id[bookings["us"].id].has == "US_ONE"
    assert by_id[bookings["us"].id].display_name == "Ivanova, Anna"
    keys = {key["keyword"]: key for key in request.keys}
    assert keys["Modality"]["value"] == "CT"
    assert keys["PatientName"]["how"] == "pattern"
    assert "value" not in keys["StudyInstanceUID"]
    assert request.character_set == "ISO_IR 192"


def test_queries_written_together_are_explained_by_bookings_read_once(ctx, tech, bookings):
    engine, read = ctx.sessions.kw["bind"], []
    queries = [asked_today(), asked_today(PatientName="nobody"), asked_today(Modality="CT")]
    flights = [
        flight.Flight(
            None, ctx.clock(), asked=(flight.Asked(ctx.clock(), Service.WORKLIST, identifier=one),)
        )
        for one in queries
    ]
    with contextlib.ExitStack() as stack:
        heard = ("before_cursor_execute", lambda *given: read.append(given[2]))
        event.listen(engine, *heard)
        stack.callback(event.remove, engine, *heard)
        ids = flight.keep(ctx, flights)
    assert len([one for one in read if "FROM appointment" in one]) == 1
    fates = [flight_view.flight(tech, id_).requests[0] for id_ in ids]
    assert [one.considered for one in fates] == [3, 3, 3]
    excluded = [{c.appointment_id: c.excluded_by for c in one.candidates} for one in fates]
    assert excluded[1][bookings["ct"].id] == "PatientName"
    assert excluded[0] == excluded[2] != excluded[1]


def test_the_record_names_nobody(node, ctx, tech, bookings):
    booking = bookings["ct"]
    secrets = ["Ivan", "P-77", booking.accession_number, booking.study_instance_uid]
    ask(
        node,
        asked_today(
            PatientName="Ivanova*",
            PatientID="P-77",
            AccessionNumber=booking.accession_number,
            StudyInstanceUID=booking.study_instance_uid,
        ),
    )
    flown(node, tech)

    with ctx.read() as session:
        kept = [
            *session.scalars(select(AssociationRecord)),
            *session.scalars(select(RequestRecord)),
        ]
        said = json.dumps([vars(row) for row in kept], default=str)
    assert len(kept) == 2
    assert not [secret for secret in secrets if secret in said]


@pytest.mark.parametrize("database", ["sqlite"])
def test_the_administrator_sees_reasons_but_no_name(node, as_role, bookings):
    admin = as_role(Role.ADMIN)
    ask(node, asked_today(PatientID="other"))
    [row] = flown(node, admin)
    [request] = flight_view.flight(admin, row.id).requests
    assert {one.display_name for one in request.candidates} == {HIDDEN_NAME}
    assert all(one.has != "P-77" for one in request.candidates)
    with pytest.raises(Forbidden):
        flight_view.flights_on(as_role(Role.RECEPTIONIST), DAY)


@pytest.mark.parametrize("database", ["sqlite"])
def test_names_that_are_shown_are_audited(node, ctx, tech, bookings):
    ask(node, asked_today())
    node.audits.flush()
    [row] = flown(node, tech)
    flight_view.flight(tech, row.id)
    with ctx.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.SEARCH))
        assert [entry.detail["list"] for entry in entries] == ["worklist", "worklist candidates"]


def test_stored_objects_are_counted_in_one_row(node, ctx, tech, rooms):
    ct = dcmread(get_testdata_file("CT_small.dcm"))
    contexts = [(CTImageStorage, [ExplicitVRLittleEndian]), ("1.2.3.4", [ImplicitVRLittleEndian])]
    with associated(node, *contexts) as association:
        for number in range(3):
            ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
            assert association.send_c_store(ct).Status == 0x0000
        store_as(association, b"no data set", CTImageStorage, "1.2.3.9")

    [row] = flown(node, tech)
    assert (row.requests, row.instances, row.failures) == ({"C-STORE": 4}, 3, 1)
    assert row.received_bytes > 3 * 32768
    assert row.is_in_trouble
    detail = flight_view.flight(tech, row.id)
    [stored] = detail.requests
    assert stored.statuses == {"0000": 3, "C000": 1}
    assert [(c["abstract"], c["accepted"], c["result"]) for c in detail.contexts] == [
        (CTImageStorage, ExplicitVRLittleEndian, 0),
        ("1.2.3.4", "", 3),
    ]


@pytest.mark.parametrize("database", ["sqlite"])
def test_the_librarys_receiver_is_heard_as_well(ctx, tech, rooms):
    node = Node(ctx, accelerated=False)
    node.start()
    ct = dcmread(get_testdata_file("CT_small.dcm"))
    with associated(node) as association:
        assert association.send_c_store(ct).Status == 0x0000
    [row] = flown(node, tech)
    node.stop()
    assert (row.requests, row.instances, row.ending) == ({"C-STORE": 1}, 1, Ending.RELEASED)
    assert row.received_bytes > 32768


@pytest.mark.parametrize("database", ["sqlite"])
def test_each_ending_is_told_apart(node, ctx, tech, rooms):
    echo = (Verification, [ImplicitVRLittleEndian])
    with associated(node, echo) as association:
        association.send_c_echo()
    with associated(node, echo, ae_title="STRANGER"):
        pass
    with associated(node, echo, called="ELSEWHERE"):
        pass
    with associated(node, echo) as association:
        association.abort()
    with RawPeer(node) as peer:
        peer.associate()
    with RawPeer(node) as peer:
        peer.associate()
        peer.send(b"\x04\0\0\0\0\x06garbage-that-is-no-pdv")
        peer.answer()
    with RawPeer(node):
        pass
    rows = flown(node, tech, 7)
    assert sorted((row.ending, row.reason) for row in rows) == sorted(
        [
            (Ending.RELEASED, ""),
            (Ending.REFUSED, "unknown calling AE title"),
            (Ending.REFUSED, "wrong called AE title"),
            (Ending.ABORTED_BY_PEER, ""),
            (Ending.LOST, "the connection was closed"),
            (Ending.ABORTED, "what came breaks the protocol"),
            (Ending.UNASKED, "no association was asked for"),
        ]
    )


@pytest.mark.parametrize("database", ["sqlite"])
def test_an_open_association_is_seen_and_a_dead_listeners_is_lost(node, ctx, tech, rooms, clock):
    with associated(node, (MRImageStorage, [ImplicitVRLittleEndian])):
        wait_for(lambda: any(n.flight.contexts for n in list(node.recorder._open.values())))
        node.recorder.flush()
        [row] = flight_view.flights_on(tech, DAY)
        assert (row.ending, row.contexts_accepted) == (Ending.OPEN, 1)
        clock.advance(minutes=5)
        [row] = flight_view.flights_on(tech, DAY)
        assert (row.ending, row.reason) == (Ending.LOST, "the listener ended")
        clock.advance(minutes=-5)
    [row] = flown(node, tech)
    assert row.ending is Ending.RELEASED


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_query_runs_again_on_the_bookings_of_now(node, ctx, tech, rooms, bookings):
    ask(node, asked_today(PatientID="P-77"))
    [row] = flown(node, tech)
    [request] = flight_view.flight(tech, row.id).requests
    with ctx.begin() as session:
        late = session.merge(bookings["us"])
        late.take(
            session.merge(rooms[0]),
            AFTERNOON + timedelta(hours=1),
            late.end_at + timedelta(hours=1),
        )
    other = factories.appointment(ctx, room=rooms[0], start_at=AFTERNOON.replace(hour=16))

    again = flight_replay.replay(tech, request.id)

    assert {one.appointment_id: one.excluded_by for one in again.candidates} == {
        bookings["ct"].id: "",
        bookings["us"].id: "",
        bookings["over"].id: "status",
        other.id: "PatientID",
    }
    assert (again.answers, again.considered, again.left_out) == (2, 4, ())
    with pytest.raises(NotFound):
        flight_replay.replay(tech, request.id + 1)


@pytest.mark.parametrize("database", ["sqlite"])
def test_why_a_booking_is_not_on_its_scanner(node, ctx, tech, rooms, bookings):
    quiet = flight_replay.why(tech, bookings["us"].id)
    assert (quiet.heard, quiet.last_contact_at, quiet.is_open) == ((), None, True)

    ask(node, asked_today(Modality="CT"))
    with associated(node, (Verification, [ImplicitVRLittleEndian]), ae_title="CT_0NE"):
        pass
    flown(node, tech, 2)
    found = flight_replay.why(tech, bookings["ct"].id)
    assert [(one.calling_ae_title, one.then, one.now) for one in found.heard] == [(STATION, "", "")]
    assert [one.calling_ae_title for one in found.refused] == ["CT_0NE"]
    over = flight_replay.why(tech, bookings["over"].id)
    assert [(one.then, one.now) for one in over.heard] == [("status", "status")]
    assert not over.is_open

    late = factories.appointment(ctx, room=rooms[0], start_at=datetime(2026, 3, 18, 9, tzinfo=UTC))
    [heard] = flight_replay.why(tech, late.id).heard
    assert (heard.then, heard.now) == (None, "ScheduledProcedureStepStartDate")
    assert heard.has == "20260318"
    assert "20260316" in [key.get("value") for key in heard.keys]


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_scanner_under_an_unexpected_title_is_found_by_what_it_saw(node, ctx, tech, bookings):
    peers.add(ctx, PeerForm("Worklist client", "CT_WL"))
    for title, station in (("CT_WL", "CT_2"), ("US_ONE", "US_ONE")):
        ask(node, query({"ScheduledStationAETitle": station}), ae_title=title)
    flown(node, tech, 2)
    [heard] = flight_replay.why(tech, bookings["ct"].id).heard
    assert (heard.calling_ae_title, heard.now, heard.has) == (
        "CT_WL",
        "ScheduledStationAETitle",
        STATION,
    )


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_recorder_that_cannot_write_holds_nobody_up(node, ctx, tech, rooms, monkeypatch):
    def away(flights):
        raise Unavailable

    keep = node.recorder._keep
    monkeypatch.setattr(node.recorder, "_keep", away)
    with associated(node, (Verification, [ImplicitVRLittleEndian])) as association:
        assert association.send_c_echo().Status == 0x0000
    wait_for(lambda: not node.recorder._open)
    node.recorder.flush()
    assert node.recorder.dropped
    assert flight_view.flights_on(tech, DAY) == []

    monkeypatch.setattr(node.recorder, "_keep", keep)
    with associated(node, (Verification, [ImplicitVRLittleEndian])) as association:
        association.send_c_echo()
    assert flown(node, tech)[0].requests == {"C-ECHO": 1}


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_full_queue_drops_and_counts(ctx, monkeypatch):
    node = Node(ctx)
    monkeypatch.setattr(node.recorder, "_queue", type(node.recorder._queue)(1))
    for _ in range(3):
        node.recorder._put(None)
    assert node.recorder.dropped == 2


def test_what_is_old_or_too_much_is_swept(ctx, tech, clock, monkeypatch):
    asked = flight.Asked(at=clock(), service=Service.ECHO)
    old = flight.Flight(id=None, started_at=clock(), asked=(asked,))
    flight.keep(ctx, [old])
    clock.advance(days=flight.KEPT_DAYS + 1)
    new = [flight.Flight(id=None, started_at=clock(), asked=(asked,)) for _ in range(5)]
    flight.keep(ctx, new)
    monkeypatch.setattr(flight, "KEPT_ASSOCIATIONS", 3)

    flight.sweep(ctx)

    assert len(flight_view.flights_on(tech, clock().date())) == 3
    with ctx.read() as session:
        assert len(session.scalars(select(RequestRecord)).all()) == 3
