"""What the page *Devices* says: statuses, keys, endings, and nothing about a patient."""

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from clinic_panel.components.flights import copied, words, worklist
from clinic_panel.components.flights.detail import content
from clinic_panel.components.flights.statuses import meaning
from clinic_panel.components.flights.table import line
from clinic_panel.components.flights.verdicts import verdict
from clinic_panel.models.flight import Ending, Service
from clinic_panel.services.flight import asked_keys
from clinic_panel.services.flight_view import Candidate, FlightDetail, FlightRow, RequestRow
from listener.notes import Request, asked_of

AT = datetime(2026, 3, 16, 13, 0, tzinfo=UTC)
KEYS = (
    {"keyword": "ScheduledStationAETitle", "is_step": True, "value": "CT2"},
    {"keyword": "ScheduledProcedureStepStartDate", "is_step": True, "value": "20260316-20260318"},
    {"keyword": "PatientName", "is_step": False, "how": "pattern", "like": [1]},
    {"keyword": "StudyInstanceUID", "is_step": False},
)


@pytest.fixture
def ctx():
    settings = SimpleNamespace(ae_title="CLINIC", dicom_host="10.0.0.5", dicom_port=11112)
    return SimpleNamespace(
        settings=settings,
        zone=ZoneInfo("Europe/Berlin"),
        clock=lambda: AT,
        today=lambda: AT.date(),
    )


def flight(**values):
    return FlightRow(
        **{
            "id": 7,
            "started_at": AT,
            "ended_at": AT,
            "calling_ae_title": "CT_0NE",
            "called_ae_title": "CLINIC",
            "address": "10.0.0.7",
            "implementation": "SCANNER_1",
            "ending": Ending.RELEASED,
            "reason": "",
            "requests": {"C-STORE": 2},
            "failures": 0,
            "instances": 2,
            "received_bytes": 1_050_000,
            "contexts_accepted": 1,
            "contexts_offered": 2,
            "worklist_answers": None,
        }
        | values
    )


def candidate(excluded_by="", has="", **values):
    base = {"appointment_id": 1, "display_name": "Ivanova, Anna", "room_name": "CT room"}
    base |= {"start_at": AT, "status": "booked", "excluded_by": excluded_by, "has": has}
    return Candidate(**base | values)


def query(*candidates, **values):
    return RequestRow(
        **{
            "id": 3,
            "at": AT,
            "service": Service.WORKLIST,
            "sop_class_uid": "1.2.840.10008.5.1.4.31",
            "duration_ms": 12,
            "received_bytes": 200,
            "answers": sum(not one.excluded_by for one in candidates),
            "statuses": {"0000": 1},
            "comment": "",
            "keys": KEYS,
            "character_set": "ISO_IR 192",
            "considered": len(candidates),
            "candidates": candidates,
        }
        | values
    )


@pytest.mark.parametrize(
    ("service", "status", "tone", "said"),
    [
        (Service.STORE, "0000", "green", "Success"),
        (Service.STORE, "A700", "red", "disk space"),
        (Service.STORE, "A7FF", "red", "disk space"),
        (Service.STORE, "C0DE", "red", "cannot be read"),
        (Service.STORE, "B007", "amber", "does not fit its class"),
        (Service.MOVE, "A801", "red", "destination"),
        (Service.GET, "B000", "amber", "could not be delivered"),
        (Service.MPPS, "0110", "red", "completed or discontinued"),
        (Service.ECHO, "0110", "red", "could not process"),
        (Service.FIND, "B123", "amber", "warning"),
        (Service.OTHER, "4711", "red", "the device's own"),
    ],
)
def test_a_status_is_said_in_words(service, status, tone, said):
    assert meaning(service, status).tone == tone
    assert said in meaning(service, status).text


@pytest.mark.parametrize(
    ("keyword", "text", "said"),
    [
        ("ScheduledProcedureStepStartDate", "20260316", "2026-03-16"),
        ("StudyDate", "20260316-20260316", "2026-03-16"),
        ("StudyDate", "-2026.03.18", "until 2026-03-18"),
        ("StudyTime", "0800-", "from 08:00"),
        ("StudyTime", "080005.25", "08:00:05"),
        ("StudyDate", "soon", "soon"),
        ("Modality", "CT\\MR", "CT or MR"),
    ],
)
def test_values_are_written_as_people_write_them(keyword, text, said):
    assert words.value(keyword, text) == said


def test_what_excluded_a_booking_is_a_sentence_with_both_values():
    assert worklist.reason("ScheduledStationAETitle", KEYS) == "The device asked for station CT2"
    assert worklist.own("ScheduledStationAETitle", "CT1") == "this booking is in CT1"
    assert "2026-03-16 to 2026-03-18" in worklist.reason("ScheduledProcedureStepStartDate", KEYS)
    assert worklist.reason("PatientName", KEYS) == "The device asked for a pattern as patient name"
    assert "Ivanova" not in worklist.own("PatientName", "Ivanova^Anna")
    assert worklist.own("status", "", "reported") == "this visit is reported"


@pytest.mark.parametrize(
    ("values", "label", "todo"),
    [
        ({"ending": Ending.REFUSED, "reason": "unknown calling AE title"}, "Refused", "Admin"),
        (
            {"ending": Ending.REFUSED, "reason": "wrong called AE title"},
            "Refused",
            "Set the called (remote) AE title at the device to CLINIC.",
        ),
        ({"contexts_accepted": 0}, "Nothing accepted", "switch on"),
        ({"failures": 1}, "1 failed", "status"),
        ({"ending": Ending.LOST, "reason": "the listener ended"}, "Connection lost", "network"),
        ({"ending": Ending.OPEN, "ended_at": None}, "Connected", ""),
        ({"requests": {"Worklist": 1}, "worklist_answers": 0}, "Empty worklist", "booking"),
        ({}, "In order", ""),
    ],
)
def test_an_association_is_judged_with_the_next_step(ctx, values, label, todo):
    found = verdict(flight(**values), "CLINIC")
    assert found.label == label
    assert todo in found.todo
    shown = line(ctx, flight(**values))
    assert shown["result"] == label
    assert (shown["trouble"] == "Trouble") == (found.tone in ("red", "amber") and label[:1] != "E")


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_words(ending):
    assert verdict(flight(ending=ending, reason="why"), "CLINIC").text.endswith(".")


def test_an_empty_worklist_names_the_key_that_emptied_it(ctx):
    row = flight(requests={"Worklist": 1}, worklist_answers=0)
    asked = query(
        candidate("ScheduledStationAETitle", "CT1"),
        candidate("ScheduledStationAETitle", "CT3"),
        candidate("status", status="reported"),
    )
    shown = content(ctx, FlightDetail(row, (), (asked,), 0), {})
    assert "asked for station CT2, which left out 2 of 3 bookings" in shown["verdict"]["text"]
    assert "worklist settings" in shown["verdict"]["todo"]


def test_what_is_copied_for_an_engineer_names_no_patient(ctx):
    context = {"abstract": "1.2.840.10008.1.1", "offered": ["1.2.840.10008.1.2"], "result": 3}
    found = FlightDetail(
        flight(), ({**context, "accepted": ""},), (query(candidate("PatientName", "Iv^An")),), 0
    )
    text = copied.text(ctx, found)
    assert "Verification SOP Class (1.2.840.10008.1.1): Not offered by this clinic" in text
    assert "ScheduledStationAETitle: CT2" in text
    assert "PatientName: a pattern" in text
    assert "0 answers of 1 bookings compared" in text
    assert not [secret for secret in ("Iv", "Anna", "Ivanova") if secret in text]


def test_a_transfer_says_where_to_and_how_many_and_not_whose(ctx):
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", "1.2.3.4"
    noted = Request(AT, 0.0, Service.MOVE, destination="WORK", answers=120)
    noted.identifier, noted.syntax = encode(identifier, True, True), ImplicitVRLittleEndian
    keys = tuple(asked_keys(asked_of(noted).identifier))
    assert {key["keyword"]: words.asked(key) for key in keys} == {
        "MoveDestination": "WORK",
        "QueryRetrieveLevel": "STUDY",
        "StudyInstanceUID": "one exact value",
    }
    moved = query(service=Service.MOVE, keys=keys, answers=120, statuses={"B000": 1})
    shown = str(content(ctx, FlightDetail(flight(), (), (moved,), 0), {}))
    assert "120 objects delivered" in shown
    assert "could not be delivered" in shown
    assert "1.2.3.4" not in shown
