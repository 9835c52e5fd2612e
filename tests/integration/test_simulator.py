"""The simulated modality against the real listener: what was booked is what arrives."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydicom import dcmread
from pydicom.uid import JPEGBaseline8Bit
from sqlalchemy import select

from clinic_panel.config import Settings
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.patient import Patient
from clinic_panel.models.performed import PerformedProcedureStep, PerformedStatus
from clinic_panel.services import jobs, peers
from clinic_panel.services.peers import PeerForm
from clinic_panel.simulator.modality import Modality, simulate_modality
from clinic_panel.tasks.commitment import settle
from listener.server import Node
from tests import factories
from tests.conftest import free_port
from tests.integration.peer import wait_for

only_sqlite = pytest.mark.parametrize("database", ["sqlite"])
NAME = "Yamada^Taro=山田^太郎=やまだ^たろう"


@pytest.fixture
def ctx(ctx):
    """A clinic where it is about noon: a day that ends in the middle of a test would end that."""
    values = {name: getattr(ctx.settings, name) for name in Settings.names()}
    zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # whose signs are the other way round
    return replace(ctx, settings=Settings(**values | {"timezone": zone}))


@pytest.fixture
def node(ctx):
    peers.add(ctx, PeerForm("Simulated modality", "SIMULATOR"))
    started = Node(ctx)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def today(ctx, clock):
    """The simulator lives in real time: so does this clinic."""
    clock.at = datetime.now(ctx.zone).replace(microsecond=0)
    return clock.at


def room(ctx, station, modality):
    factories.patient(ctx)
    return factories.room(ctx, room_name=station, station_ae_title=station, modality=modality)


def book(ctx, today, where, *, arrived=True, minutes=0, **patient):
    procedure = factories.procedure(
        ctx, modality=where.modality, requested_procedure_description="Procedure as booked"
    )
    midnight = today.replace(hour=0, minute=0, second=0)
    start_at = midnight + timedelta(hours=9, minutes=minutes)
    return factories.appointment(
        ctx,
        room=where,
        procedure=procedure,
        patient=factories.patient(ctx, **patient),
        start_at=start_at,
        status=AppointmentStatus.ARRIVED if arrived else AppointmentStatus.BOOKED,
        checked_in_at=today if arrived else None,
    )


def modality(node, **values):
    base = {"port": node.port, "slices": 3, "zone": node.ctx.zone, "commitment_s": 0.0}
    return Modality(**base | values)


def studies(ctx):
    with ctx.read() as session:
        return session.scalars(select(Study).order_by(Study.id)).all()


@pytest.mark.parametrize(
    ("station", "kind", "sent"),
    [("CT1", "CT", 3), ("US1", "US", 2), ("MR1", "MR", 2), ("XR1", "DX", 1), ("OT1", "OT", 1)],
)
def test_images_of_every_kind_arrive_under_the_booking(ctx, node, today, station, kind, sent):
    visit = book(ctx, today, room(ctx, station, kind), patient_name=NAME, patient_sex="M")
    lines = []

    assert simulate_modality(modality(node), lines.append) == 0

    [study] = studies(ctx)
    with ctx.read() as session:
        person = session.get_one(Patient, visit.patient_pk)
        paths = [
            ctx.store.path(one.path)
            for series in session.get_one(Study, study.id).series
            for one in series.instances
        ]
        after = session.get_one(Appointment, visit.id)
        [step] = session.scalars(select(PerformedProcedureStep))
    assert (study.appointment_pk, study.patient_pk) == (visit.id, visit.patient_pk)
    assert (study.number_of_instances, study.source_ae_title) == (sent, station)
    assert study.study_instance_uid == visit.study_instance_uid
    assert study.study_date == today.date()
    assert (after.status, after.exam_status) == (
        AppointmentStatus.TO_READ,  # at once: all that was announced is here
        PerformedStatus.COMPLETED,
    )
    assert (step.number_announced, step.number_missing) == (sent, 0)
    assert (step.patient_pk, step.performed_station_ae_title) == (visit.patient_pk, station)
    for path in paths:
        ds = dcmread(path)
        assert str(ds.PatientName) == NAME
        assert ds.PatientID == person.patient_id
        assert ds.PatientSex == "M"
        assert ds.AccessionNumber == visit.accession_number
        assert ds.StudyDescription == "Procedure as booked"
        request = ds.RequestAttributesSequence[0]
        assert request.ScheduledProcedureStepID == visit.scheduled_procedure_step_id
        assert ds.TimezoneOffsetFromUTC == today.strftime("%z")
        assert ds.pixel_array.size
    assert [line.split()[:2] for line in lines[:6]] == [
        ["C-ECHO", "passed"],
        ["C-FIND", "passed"],
        ["N-CREATE", "passed"],
        ["C-STORE", "passed"],
        ["N-SET", "passed"],
        ["N-ACTION", "passed"],
    ]
    said = "\n".join(lines)
    for secret in (NAME, "Yamada", person.patient_id, visit.accession_number):
        assert secret not in said


@only_sqlite
def test_what_was_sent_is_known_to_be_safe(ctx, node, today):
    book(ctx, today, room(ctx, "CT1", "CT"))
    lines = []

    def told(line):
        lines.append(line)
        if line.startswith("C-STORE"):
            worker.start()

    worker = threading.Thread(target=check_when_asked, args=(ctx,))
    assert simulate_modality(modality(node, commitment_s=25.0), told) == 0
    worker.join()

    assert lines[5].startswith("N-EVENT  passed  3 images are safe")


def check_when_asked(ctx):
    """What the worker does once the request is there."""
    asked = []
    wait_for(
        lambda: asked.extend(jobs.claim(ctx, "worker", [JobKind.COMMITMENT], limit=1)) or asked
    )
    settle(ctx, asked[0].subject_id, threading.Event())


@only_sqlite
def test_those_who_wait_come_first_and_the_count_holds(ctx, node, today):
    where = room(ctx, "XR1", "DX")
    book(ctx, today, where, arrived=False, minutes=0)
    waiting = book(ctx, today, where, minutes=30)
    book(ctx, today, where, minutes=60)

    assert simulate_modality(modality(node, count=1), print) == 0

    assert [study.appointment_pk for study in studies(ctx)] == [waiting.id]


@only_sqlite
def test_people_who_have_not_arrived_can_be_left_alone(ctx, node, today, capsys):
    book(ctx, today, room(ctx, "XR1", "DX"), arrived=False)

    assert simulate_modality(modality(node, arrived_only=True)) == 0

    assert studies(ctx) == []
    assert "0 studies sent" in capsys.readouterr().out


@only_sqlite
def test_a_modality_serves_its_own_station(ctx, node, today):
    book(ctx, today, room(ctx, "XR1", "DX"))
    own = book(ctx, today, room(ctx, "MR1", "MR"))

    assert simulate_modality(modality(node, ae_title="MR1"), print) == 0
    assert [study.appointment_pk for study in studies(ctx)] == [own.id]

    assert simulate_modality(modality(node, stations=("XR1",)), print) == 0
    assert len(studies(ctx)) == 2


@only_sqlite
def test_the_packaged_cine_is_sent_as_it_is_compressed(ctx, node, today):
    book(ctx, today, room(ctx, "US1", "US"))
    simulate_modality(modality(node), print)

    with ctx.read() as session:
        [study] = session.scalars(select(Study))
        found = [
            (one.transfer_syntax_uid, one.number_of_frames)
            for series in study.series
            for one in series.instances
        ]
    assert sorted(found) == [(JPEGBaseline8Bit, 30), (JPEGBaseline8Bit, 40)]


def test_nobody_there_is_one_clear_line(capsys):
    assert simulate_modality(Modality(port=free_port())) == 1

    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("failed: Nothing answers at 127.0.0.1:")


@only_sqlite
def test_a_refused_title_is_told(ctx, node, capsys):
    assert simulate_modality(modality(node, ae_title="STRANGER")) == 1

    out = capsys.readouterr().out
    assert "CLINIC at 127.0.0.1:" in out
    assert "refuses STRANGER" in out
