"""The day's visits: booked once, moved, cancelled, checked in, and shown in two queries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, select

from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound, SlotTaken, Unconfirmed
from clinic_panel.models.appointment import (
    Appointment,
    AppointmentSlot,
    AppointmentStatus,
    Priority,
    Procedure,
    Room,
)
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Series, Thumbnail
from clinic_panel.models.patient import Patient
from clinic_panel.models.site import SiteSetting
from clinic_panel.models.user import Role
from clinic_panel.services import workflow
from clinic_panel.services.workflow import Booking, Place
from tests import factories
from tests.integration.test_patient import sign

TODAY = date(2026, 3, 16)  # 12:00 UTC is 13:00 at the clinic
AT_TWO = datetime(2026, 3, 16, 13, 0, tzinfo=UTC)
S = AppointmentStatus


@pytest.fixture
def desk(as_role):
    return as_role(Role.RECEPTIONIST)


@pytest.fixture
def booking(ctx):
    return Booking(
        patient_pk=factories.patient(ctx).id,
        procedure_pk=factories.procedure(ctx).id,
        room_pk=factories.room(ctx, room_name="CT 1").id,
        start_at=AT_TWO,
    )


def set_status(ctx, visit_id, status, **values):
    with ctx.begin() as session:
        row = session.get_one(Appointment, visit_id)
        row.status = status
        for name, value in values.items():
            setattr(row, name, value)


def slots_of(ctx, visit_id):
    with ctx.read() as session:
        return len(
            session.scalars(
                select(AppointmentSlot).where(AppointmentSlot.appointment_pk == visit_id)
            ).all()
        )


def test_a_booking_gets_its_identifiers_its_room_and_an_audit_entry(ctx, desk, booking):
    row = workflow.book(desk, replace(booking, priority=Priority.STAT))
    other = workflow.book(
        desk, replace(booking, start_at=AT_TWO + timedelta(minutes=20), confirmed=True)
    )

    assert (row.status, row.priority, row.room_name) == (S.BOOKED, Priority.STAT, "CT 1")
    assert row.end_at - row.start_at == timedelta(minutes=20)
    assert row.accession_number != other.accession_number
    assert len(row.accession_number) <= 16
    assert slots_of(ctx, row.id) == 4
    with ctx.read() as session:
        visits = session.scalars(select(Appointment)).all()
        assert len({visit.study_instance_uid for visit in visits}) == 2
        assert all(len(visit.study_instance_uid) <= 64 for visit in visits)
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).first()
    assert (entry.action, entry.subject_id, entry.patient_pk) == (
        Action.CREATE,
        row.id,
        booking.patient_pk,
    )


def test_of_two_hundred_desks_one_gets_the_slot_and_the_others_hear_of_a_free_one(ctx, booking):
    wanted = replace(booking, confirmed=True)

    def book(_n):
        try:
            return workflow.book(ctx, wanted).id
        except SlotTaken as taken:
            return taken.message

    with ThreadPoolExecutor(20) as desks:
        answers = list(desks.map(book, range(200)))

    assert len([answer for answer in answers if isinstance(answer, int)]) == 1
    assert {a for a in answers if isinstance(a, str)} == {
        "CT 1 is already booked at 14:00. Next free: 14:20."
    }
    with ctx.read() as session:
        assert len(session.scalars(select(Appointment)).all()) == 1


def test_a_full_day_points_to_the_next_one(ctx, desk, booking):
    with ctx.begin() as session:
        session.add(SiteSetting(key="opening_hours", value={"begin": "14:00", "end": "14:20"}))
    workflow.book(desk, booking)
    other = replace(booking, patient_pk=factories.patient(ctx).id)
    with pytest.raises(SlotTaken, match=r"Next free: 17\.03\. 14:00\."):
        workflow.book(desk, other)


def test_an_examination_only_fits_a_room_of_its_modality(ctx, desk, booking):
    ultrasound = factories.room(ctx, modality="US", room_name="US 1")
    with pytest.raises(Invalid, match="US 1 is a US room; this examination needs CT") as refused:
        workflow.book(desk, replace(booking, room_pk=ultrasound.id))
    assert refused.value.field == "room_pk"


def test_yesterday_cannot_be_booked_and_this_morning_can(desk, booking):
    with pytest.raises(Invalid, match="over"):
        workflow.book(desk, replace(booking, start_at=AT_TWO - timedelta(days=1)))
    workflow.book(desk, replace(booking, start_at=AT_TWO - timedelta(hours=4)))


def test_a_start_off_the_grid_is_refused(desk, booking):
    with pytest.raises(Invalid):
        workflow.book(desk, replace(booking, start_at=AT_TWO + timedelta(minutes=3)))


def test_outside_opening_hours_is_asked_back_and_then_done(ctx, desk, booking):
    late = replace(booking, start_at=datetime(2026, 3, 16, 20, tzinfo=UTC))
    with pytest.raises(Unconfirmed, match="opening hours"):
        workflow.book(desk, late)
    with ctx.read() as session:
        assert session.scalars(select(Appointment)).all() == []
    workflow.book(desk, replace(late, confirmed=True))


def test_a_patient_in_two_rooms_at_once_is_asked_back(ctx, desk, booking):
    first = workflow.book(desk, booking)
    elsewhere = replace(booking, room_pk=factories.room(ctx).id)
    with pytest.raises(Unconfirmed, match="another visit"):
        workflow.book(desk, elsewhere)
    workflow.cancel(desk, first.id, "moved")
    workflow.book(desk, elsewhere)


@pytest.mark.parametrize("field", ["patient_pk", "room_pk", "procedure_pk"])
def test_what_does_not_exist_is_not_booked(desk, booking, field):
    with pytest.raises(NotFound):
        workflow.book(desk, replace(booking, **{field: 999_999}))


def test_an_archived_patient_or_a_closed_room_is_not_booked(ctx, desk, booking):
    with ctx.begin() as session:
        session.get_one(Patient, booking.patient_pk).archived_at = ctx.clock()
    with pytest.raises(Conflict, match="archived"):
        workflow.book(desk, booking)
    other = replace(booking, patient_pk=factories.patient(ctx).id)
    with ctx.begin() as session:
        session.get_one(Room, booking.room_pk).is_active = False
    with pytest.raises(Invalid, match="not in use"):
        workflow.book(desk, other)


def test_a_visit_moves_with_its_identifiers_and_frees_its_old_time(ctx, desk, booking):
    visit = workflow.book(desk, booking)
    later = Place(booking.room_pk, AT_TWO + timedelta(minutes=10))
    moved = workflow.move(desk, visit.id, visit.version, later)
    assert moved.start_at == later.start_at
    assert moved.end_at - moved.start_at == timedelta(minutes=20)
    assert moved.accession_number == visit.accession_number
    assert slots_of(ctx, visit.id) == 4
    other = replace(booking, patient_pk=factories.patient(ctx).id, duration_min=10)
    workflow.book(desk, other)


def test_a_visit_stays_where_it_was_when_the_new_time_is_taken(ctx, desk, booking):
    visit = workflow.book(desk, booking)
    busy = replace(
        booking, patient_pk=factories.patient(ctx).id, start_at=AT_TWO + timedelta(hours=1)
    )
    workflow.book(desk, busy)
    with pytest.raises(SlotTaken):
        workflow.move(desk, visit.id, visit.version, Place(booking.room_pk, busy.start_at))
    rows = workflow.appointments_on(desk, TODAY)
    assert [row.start_at for row in rows] == [AT_TWO, busy.start_at]


def test_the_second_who_moves_a_visit_is_told(desk, booking):
    visit = workflow.book(desk, booking)
    place = Place(booking.room_pk, AT_TWO + timedelta(hours=1))
    workflow.move(desk, visit.id, visit.version, place)
    with pytest.raises(Conflict):
        workflow.move(desk, visit.id, visit.version, Place(booking.room_pk, AT_TWO))


def test_a_cancelled_visit_gives_its_time_back_and_can_return(ctx, desk, booking):
    visit = workflow.book(desk, booking)
    with pytest.raises(Invalid):
        workflow.cancel(desk, visit.id, "  ")
    gone = workflow.cancel(desk, visit.id, "Patient called")
    assert (gone.status, gone.cancellation_reason) == (S.CANCELLED, "Patient called")
    assert slots_of(ctx, visit.id) == 0
    back = workflow.undo_cancel(desk, visit.id)
    assert (back.status, back.cancellation_reason) == (S.BOOKED, "")
    assert slots_of(ctx, visit.id) == 4


def test_a_cancelled_visit_does_not_return_to_a_time_that_was_given_away(ctx, desk, booking):
    visit = workflow.book(desk, booking)
    workflow.cancel(desk, visit.id, "Patient called")
    workflow.book(desk, replace(booking, patient_pk=factories.patient(ctx).id))
    with pytest.raises(SlotTaken):
        workflow.undo_cancel(desk, visit.id)
    rows = workflow.appointments_on(desk, TODAY)
    assert {row.id: row.status for row in rows}[visit.id] is S.CANCELLED


def test_a_cancelled_check_in_returns_as_arrived(desk, booking):
    visit = workflow.book(desk, booking)
    workflow.check_in(desk, visit.id)
    workflow.cancel(desk, visit.id, "Unwell")
    assert workflow.undo_cancel(desk, visit.id).status is S.ARRIVED


def test_check_in_and_no_show_can_be_taken_back(ctx, desk, booking, clock):
    visit = workflow.book(desk, booking)
    arrived = workflow.check_in(desk, visit.id)
    assert (arrived.status, arrived.checked_in_at) == (S.ARRIVED, clock())
    with pytest.raises(Conflict):
        workflow.check_in(desk, visit.id)
    assert workflow.undo_check_in(desk, visit.id).checked_in_at is None
    with pytest.raises(Conflict, match="not come yet"):
        workflow.no_show(desk, visit.id)
    clock.advance(hours=2)
    assert workflow.no_show(desk, visit.id).status is S.NO_SHOW
    assert workflow.undo_no_show(desk, visit.id).status is S.BOOKED
    with ctx.read() as session:
        said = [
            entry.detail
            for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id))
            if "after" in entry.detail
        ]
    assert [entry["after"] for entry in said] == ["arrived", "booked", "no-show", "booked"]


def test_a_visit_of_tomorrow_is_not_checked_in_today(desk, booking):
    visit = workflow.book(desk, replace(booking, start_at=AT_TWO + timedelta(days=1)))
    with pytest.raises(Conflict, match="later day"):
        workflow.check_in(desk, visit.id)


@pytest.mark.parametrize("status", [S.IMAGES_ARRIVING, S.TO_READ, S.REPORTED])
def test_a_visit_with_images_is_neither_moved_nor_cancelled(ctx, desk, booking, status):
    visit = workflow.book(desk, booking)
    set_status(ctx, visit.id, status)
    with pytest.raises(Conflict):
        workflow.cancel(desk, visit.id, "too late")
    with pytest.raises(Conflict):
        workflow.undo_check_in(desk, visit.id)
    place = Place(booking.room_pk, AT_TWO + timedelta(hours=1))
    with pytest.raises(Conflict):
        workflow.move(desk, visit.id, visit.version + 1, place)


def test_two_who_check_in_at_once_check_in_once(desk, booking):
    visit = workflow.book(desk, booking)

    def arrive(_n):
        try:
            return workflow.check_in(desk, visit.id).status
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as desks:
        assert sum(answer is not None for answer in desks.map(arrive, range(16))) == 1


@pytest.mark.parametrize(
    ("role", "may_read", "may_write"),
    [
        (Role.RECEPTIONIST, True, True),
        (Role.TECHNOLOGIST, True, True),
        (Role.CLINICIAN, True, False),
        (Role.ANALYST, False, False),
        (Role.ADMIN, True, False),
    ],
)
def test_a_role_may_do_what_the_matrix_says(ctx, as_role, booking, role, may_read, may_write):
    someone = as_role(role)
    visit = workflow.book(ctx, booking)
    place = Place(booking.room_pk, AT_TWO + timedelta(hours=2))
    later = replace(booking, start_at=AT_TWO + timedelta(hours=3))
    reads = [
        lambda: workflow.appointments_on(someone, TODAY),
        lambda: workflow.day_summary(someone, TODAY),
        lambda: workflow.rooms(someone),
        lambda: workflow.procedures(someone),
        lambda: workflow.free_slots(someone, booking.room_pk, TODAY, 20),
    ]
    writes = [
        lambda: workflow.book(someone, later),
        lambda: workflow.move(someone, visit.id, visit.version, place),
        lambda: workflow.check_in(someone, visit.id),
        lambda: workflow.undo_check_in(someone, visit.id),
        lambda: workflow.cancel(someone, visit.id, "reason"),
        lambda: workflow.undo_cancel(someone, visit.id),
    ]
    for calls, allowed in ((reads, may_read), (writes, may_write)):
        for call in calls:
            if allowed:
                call()
            else:
                with pytest.raises(Forbidden):
                    call()


def test_an_administrator_sees_the_day_without_names(ctx, as_role):
    visit = factories.appointment(ctx)
    [row] = workflow.appointments_on(as_role(Role.ADMIN), TODAY)
    assert row.id == visit.id
    assert row.display_name == "Name hidden"
    assert (row.patient_name, row.patient_id, row.patient_birth_date) == ("", "", None)
    assert not row.accession_number
    with pytest.raises(Forbidden):
        workflow.find_bookings(as_role(Role.ADMIN), around=TODAY)


def test_a_day_is_the_clinics_day(ctx, desk):
    berlin = ZoneInfo("Europe/Berlin")
    room = factories.room(ctx)
    kept = [
        factories.appointment(ctx, room=room, start_at=datetime(2026, 3, 16, 0, 0, tzinfo=berlin)),
        factories.appointment(ctx, room=room, start_at=datetime(2026, 3, 16, 23, 0, tzinfo=berlin)),
    ]
    factories.appointment(ctx, room=room, start_at=datetime(2026, 3, 17, 0, 0, tzinfo=berlin))
    factories.appointment(ctx, room=room, start_at=datetime(2026, 3, 15, 23, 0, tzinfo=berlin))
    rows = workflow.appointments_on(desk, TODAY)
    assert [row.id for row in rows] == [visit.id for visit in kept]


def test_a_line_tells_what_came_of_the_visit(ctx, desk, as_role):
    visit, author = factories.appointment(ctx), factories.user(ctx, Role.CLINICIAN).id
    small = factories.study(ctx, appointment_pk=visit.id, patient_pk=visit.patient_pk)
    big = factories.study(ctx, appointment_pk=visit.id, patient_pk=visit.patient_pk, instances=4)
    with ctx.begin() as session:
        series = session.scalars(select(Series).where(Series.study_pk == big.id)).one()
        session.add(
            Thumbnail(series_pk=series.id, picture=b"", media_type="image/png", made_at=ctx.clock())
        )
    report_id = sign(ctx, big, author, with_pdf=True)
    sign(ctx, small, author, with_pdf=False)

    [row] = workflow.appointments_on(desk, TODAY)

    assert (row.study_id, row.image_count) == (big.id, 5)
    assert row.thumbnail_series_id == series.id
    assert (row.report_id, row.has_pdf) == (report_id, True)
    [hidden] = workflow.appointments_on(as_role(Role.ADMIN), TODAY)
    assert (hidden.report_id, hidden.thumbnail_series_id, hidden.has_pdf) == (None, None, False)


def test_the_day_costs_two_queries_however_many_visits(ctx, desk):
    room, procedure = factories.room(ctx), factories.procedure(ctx)
    said = []

    def ask():
        said.clear()
        rows = workflow.appointments_on(desk, TODAY)
        selects = [sql for sql in said if sql.lstrip().upper().startswith("SELECT")]
        return len(rows), len(selects)

    engine = ctx.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    counts = []
    for n in range(6):
        visit = factories.appointment(
            ctx,
            room=room,
            procedure=procedure,
            start_at=AT_TWO + timedelta(minutes=30 * n),
        )
        factories.study(ctx, appointment_pk=visit.id, patient_pk=visit.patient_pk)
        counts.append(ask())
    assert counts[0] == (1, 2)
    assert counts[-1] == (6, 2)


def test_a_modality_can_be_asked_for_alone(ctx, desk):
    us = factories.room(ctx, modality="US")
    exam = factories.procedure(ctx, modality="US")
    factories.appointment(ctx)
    visit = factories.appointment(ctx, room=us, procedure=exam)
    assert [r.id for r in workflow.appointments_on(desk, TODAY, modality="US")] == [visit.id]
    assert [room.id for room in workflow.rooms(desk, "US")] == [us.id]


def test_the_figures_of_the_day(ctx, desk, clock):
    room = factories.room(ctx, room_name="CT 9")
    states = [S.BOOKED, S.ARRIVED, S.ARRIVED, S.IMAGES_ARRIVING, S.TO_READ, S.TO_READ]
    states += [S.REPORTED, S.CANCELLED, S.NO_SHOW]
    for n, status in enumerate(states):
        visit = factories.appointment(
            ctx,
            room=room,
            start_at=AT_TWO + timedelta(minutes=30 * n),
            priority=Priority.STAT if n == 4 else Priority.ROUTINE,
        )
        set_status(ctx, visit.id, status, checked_in_at=clock() - timedelta(minutes=n * 10))
    figures = workflow.day_summary(desk, TODAY)
    assert (figures.appointments, figures.cancelled) == (7, 2)
    assert (figures.waiting, figures.longest_wait_min) == (2, 20)
    assert (figures.in_progress, figures.busy_rooms) == (1, ("CT 9",))
    assert (figures.to_report, figures.to_report_stat, figures.reported) == (2, 1, 1)


def test_free_times_end_with_the_day_and_skip_what_is_booked_or_past(ctx, desk, booking):
    workflow.book(desk, booking)
    starts = workflow.free_slots(desk, booking.room_pk, TODAY, 30)
    local = [f"{start.astimezone(desk.zone):%H:%M}" for start in starts]
    assert local[:4] == ["13:00", "13:15", "13:30", "14:20"]
    assert local[-1] == "18:30"
    assert workflow.free_slots(desk, booking.room_pk, TODAY - timedelta(days=1), 30) == []
    with pytest.raises(Invalid):
        workflow.free_slots(desk, booking.room_pk, TODAY, 0)


def test_free_times_of_the_day_the_clocks_change(desk, booking):
    starts = workflow.free_slots(desk, booking.room_pk, date(2026, 3, 29), 60)
    assert f"{starts[0].astimezone(desk.zone):%H:%M}" == "07:00"
    assert starts[0] == datetime(2026, 3, 29, 5, 0, tzinfo=UTC)


def test_the_booking_a_study_may_belong_to_is_found(ctx, desk):
    near = factories.appointment(ctx)
    far = factories.appointment(ctx, start_at=AT_TWO + timedelta(days=5))
    gone = factories.appointment(ctx, start_at=AT_TWO + timedelta(days=1))
    distant = factories.appointment(ctx, start_at=AT_TWO + timedelta(days=40))
    set_status(ctx, gone.id, S.CANCELLED)
    found = workflow.find_bookings(desk, around=TODAY)
    assert [row.id for row in found] == [near.id, far.id]
    with ctx.read() as session:
        name = session.get_one(Patient, distant.patient_pk).patient_name
    found = workflow.find_bookings(desk, name.partition("^")[0], around=TODAY)
    assert [row.id for row in found] == [distant.id]
    assert workflow.find_bookings(desk, around=TODAY, modality="MR") == []


def test_what_is_not_in_use_is_not_offered(ctx, desk):
    factories.room(ctx, is_active=False)
    factories.procedure(ctx, is_active=False)
    room, exam = factories.room(ctx), factories.procedure(ctx)
    assert [row.id for row in workflow.rooms(desk)] == [room.id]
    assert [row.id for row in workflow.procedures(desk)] == [exam.id]
    with ctx.read() as session:
        assert len(session.scalars(select(Procedure)).all()) == 2
