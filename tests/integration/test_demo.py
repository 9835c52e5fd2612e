"""The sample clinic: filled once, believable, signed in to with what is printed."""

from __future__ import annotations

import shutil
import stat
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import func, select

from clinic_panel.config import Settings
from clinic_panel.context import system
from clinic_panel.demo.cast import ACCOUNTS, PATIENTS, ROOMS
from clinic_panel.demo.fill import fill
from clinic_panel.demo.run import modality_spec, welcoming
from clinic_panel.errors import Conflict
from clinic_panel.imaging.header import read_header
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.patient import Patient
from clinic_panel.models.report import ReportVersion
from clinic_panel.models.user import Role, User
from clinic_panel.resources import build_context, build_engine
from clinic_panel.services import associations, audit, auth
from tests import factories
from tests.conftest import Clock

MONDAY_NOON = datetime(2026, 3, 16, 11, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One filled home, on a fixed Monday at noon in Berlin; tests only look."""
    home = tmp_path_factory.mktemp("demo")
    settings = Settings.read({}, home=home, timezone="Europe/Berlin")
    filled = fill(settings, clock=Clock(MONDAY_NOON))
    engine = build_engine(settings)
    yield build_context(settings, engine, system("test"), Clock(MONDAY_NOON)), filled
    engine.dispose()


def counted(ctx, table):
    with ctx.read() as session:
        return session.scalar(select(func.count()).select_from(table))


def totals(ctx):
    tables = (User, Patient, Appointment, Study, Instance, ReportVersion, AuditEntry, Job)
    return [counted(ctx, table) for table in tables]


def today_s(ctx):
    begin, end = ctx.day_bounds(ctx.today())
    with ctx.read() as session:
        return session.scalars(
            select(Appointment).where(Appointment.start_at >= begin, Appointment.start_at < end)
        ).all()


def test_everybody_can_sign_in_with_the_password(demo):
    ctx, filled = demo
    assert filled.is_changed
    path = ctx.settings.home / "demo-password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == filled.password
    for account in ACCOUNTS:
        signed_in = auth.sign_in(ctx, account.username, filled.password, address="127.0.0.1")
        assert signed_in is not None


def test_there_are_people_rooms_and_a_day_under_way(demo):
    ctx, _ = demo
    statuses = Counter(visit.status for visit in today_s(ctx))

    assert counted(ctx, Patient) == len(PATIENTS) == 40
    assert statuses[AppointmentStatus.ARRIVED] >= len(ROOMS)
    assert statuses[AppointmentStatus.BOOKED] >= 4
    assert statuses[AppointmentStatus.REPORTED] >= 1
    assert statuses[AppointmentStatus.TO_READ] >= 1
    assert AppointmentStatus.IMAGES_ARRIVING not in statuses
    assert sum(statuses.values()) >= 12


def test_past_visits_have_images_that_match_and_signed_reports(demo):
    ctx, _ = demo
    with ctx.read() as session:
        studies = session.scalars(select(Study)).all()
        assert len(studies) >= 10
        for study in studies:
            visit = study.appointment
            assert visit is not None
            assert study.patient_pk == visit.patient_pk
            assert study.number_of_instances >= 1
            header = read_header(ctx.store.path(study.series[0].instances[0].path))
            assert header.PatientName == study.patient.patient_name
            assert header.StudyInstanceUID == visit.study_instance_uid
        signed = session.scalars(select(ReportVersion)).all()
        assert len(signed) >= 4
        for version in signed:
            visit = version.report.study.appointment
            assert visit.status is AppointmentStatus.REPORTED
            assert visit.checked_in_at < version.report.study.first_received_at < version.signed_at
            assert version.signed_at < MONDAY_NOON
        wanted = session.scalars(select(Job.subject_id).where(Job.kind == JobKind.REPORT_PDF))
        assert set(wanted) == {version.id for version in signed}


def test_the_history_is_told_in_order_and_its_chain_holds(demo):
    ctx, _ = demo
    assert audit.verify(ctx).broken_ids == ()
    with ctx.read() as session:
        moments = session.scalars(select(AuditEntry.at).order_by(AuditEntry.id)).all()
    # An image settles seconds after it came, whatever else happened in between.
    near = timedelta(seconds=5)
    assert [late for early, late in pairwise(moments) if late < early - near] == []


def test_a_second_start_changes_nothing(demo):
    ctx, filled = demo
    before = totals(ctx)

    again = fill(ctx.settings, clock=Clock(MONDAY_NOON + timedelta(hours=3)))

    assert again == replace(filled, is_changed=False)
    assert totals(ctx) == before


def test_usual_tools_and_stations_are_known(demo):
    ctx, _ = demo
    for title in ("STORESCU", "ECHOSCU", "SIMULATOR", *(room.station_ae_title for room in ROOMS)):
        assert associations.is_known(ctx, title)


def test_the_modality_is_a_process_that_leaves_those_who_have_not_come(demo):
    ctx, _ = demo
    argv = modality_spec(ctx.settings).argv

    assert argv[1:5] == ("-m", "clinic_panel", "simulate", "modality")
    assert "--arrived-only" in argv
    assert argv[argv.index("--count") + 1] == "12"
    assert welcoming(ctx.settings).unknown_ae == "accept"
    assert welcoming(ctx.settings).home == ctx.settings.home


def test_a_later_day_gets_its_own_bookings(demo, tmp_path):
    home = shutil.copytree(demo[0].settings.home, tmp_path / "home")
    settings = Settings.read(
        {}, home=home, timezone="Europe/Berlin", demo_password="another password"
    )
    later = MONDAY_NOON + timedelta(days=1)

    filled = fill(settings, clock=Clock(later))

    assert filled.is_changed
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("test"), Clock(later))
    statuses = Counter(visit.status for visit in today_s(ctx))
    assert statuses[AppointmentStatus.ARRIVED] >= 3
    assert statuses[AppointmentStatus.BOOKED] >= 4
    assert statuses[AppointmentStatus.REPORTED] + statuses[AppointmentStatus.TO_READ] >= 2
    assert counted(ctx, Patient) == 40
    with ctx.read() as session:
        midnight = ctx.day_bounds(ctx.today())[0]
        stale = session.scalars(
            select(Appointment.id).where(
                Appointment.start_at < midnight,
                Appointment.status.in_((AppointmentStatus.BOOKED, AppointmentStatus.ARRIVED)),
            )
        ).all()
    assert stale == []
    assert auth.sign_in(ctx, "doctor", "another password", address="127.0.0.1")
    engine.dispose()


@pytest.mark.parametrize("database", ["postgresql"])
def test_postgresql_is_filled_too(settings, clock):
    filled = fill(settings, clock=clock)
    assert filled.is_changed
    assert not fill(settings, clock=clock).is_changed


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_clinic_that_is_no_demo_is_left_alone(ctx):
    factories.user(ctx, Role.ADMIN, username="boss")
    before = totals(ctx)

    with pytest.raises(Conflict):
        fill(ctx.settings)

    assert totals(ctx) == before
    assert not (ctx.settings.home / "demo-password").exists()
