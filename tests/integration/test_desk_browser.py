"""The desk's pages in a real browser, served as in production: book, check in, follow, edit."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    WebSocketRoute,
    expect,
    sync_playwright,
)
from pydicom.uid import generate_uid
from sqlalchemy import select

from clinic_panel import app as app_module
from clinic_panel.context import Context, system
from clinic_panel.feed import ChangeFeed
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.imaging import Series, Study, Thumbnail
from clinic_panel.models.patient import Patient
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Role
from clinic_panel.resources import build_context, build_engine
from clinic_panel.services import changes, patient, workflow
from clinic_panel.services.patient import PatientForm
from clinic_panel.services.workflow import Booking, Place
from tests import factories
from tests.conftest import hold_answers, hold_messages
from tests.integration import steps
from tests.integration.test_patient import sign
from tests.integration.test_web import serving

HOSTILE = "<img src=x onerror='window.broken=1'>"
HOSTILE_NAME = "<svg/onload>"  # a PN has no equals sign within a component
AT_TWO = datetime(2026, 3, 16, 13, 0, tzinfo=UTC)
WAIT_MS = 60_000  # the machine may be busy with other tests
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154"
    "789c6360000000020001e221bc330000000049454e44ae426082"
)


@pytest.fixture
def database() -> str:
    """The pages ask services alone, and those are tested on both databases."""
    return "sqlite"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@dataclass
class Clinic:
    """A served clinic with two CT rooms, an examination and a patient."""

    ctx: Context
    url: str
    ct: Any
    chest: Any
    maria: Any

    def book(self, **values: Any) -> workflow.AppointmentRow:
        booking = Booking(self.maria.id, self.chest.id, self.ct.id, AT_TWO, confirmed=True)
        return workflow.book(self.ctx, replace(booking, **values))

    def announce(self) -> None:
        with self.ctx.begin() as session:
            changes.announce(session, Topic.STUDIES)


@pytest.fixture
def clinic(settings, clock) -> Iterator[Clinic]:
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("web"), clock)
    ct = factories.room(ctx, room_name="CT 1")
    chest = factories.procedure(ctx, requested_procedure_description="CT chest")
    factories.room(ctx, room_name="MR 1", modality="MR")
    maria = factories.patient(ctx, patient_name="Muster^Maria", patient_id="Q-1")
    with serving(app_module.build(ctx, ChangeFeed(engine)), settings):
        yield Clinic(ctx, f"http://127.0.0.1:{settings.http_port}", ct, chest, maria)
    engine.dispose()


Open = Callable[..., Page]


@pytest.fixture
def sign_in(clinic: Clinic, browser: Browser) -> Iterator[Open]:
    contexts, faults = [], []

    def open_page(role: Role, path: str = "/schedule", size: tuple[int, int] = (1366, 768)) -> Page:
        factories.user(clinic.ctx, role)
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce"
        )
        hold_messages(context)
        hold_answers(context)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{clinic.url}/login?next={path}")
        page.get_by_label("Username").fill(role.value)
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("h1")).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def line(page: Page, text: str) -> Locator:
    return page.get_by_role("table", name="Appointments").locator("tbody tr").filter(has_text=text)


def test_the_row_and_the_viewer_follow_the_examination(clinic, sign_in):
    with clinic.ctx.read() as session:
        visit = session.get_one(Appointment, clinic.book().id)
    made, uid = steps.Made(clinic.ctx, visit), generate_uid()
    page = sign_in(Role.TECHNOLOGIST)
    row = line(page, "Muster, Maria")
    expect(row).to_contain_text("Booked")

    steps.start(clinic.ctx, steps.begun(visit), uid)
    expect(row).to_contain_text("In progress")
    expect(row.locator(".chip")).to_have_class(re.compile("blue live"))
    made.arrive(0)
    expect(row).to_contain_text("Images arriving (1)")
    expect(row).to_contain_text("In progress")
    steps.tell(clinic.ctx, uid, steps.ended(made.series))
    expect(row).to_contain_text("Completed")
    expect(row).to_contain_text("2 of 3 still missing")
    made.arrive(1)
    expect(row).to_contain_text("1 of 3 still missing")

    row.get_by_role("link", name="Open images").click()
    banner = page.locator(".banner")
    expect(banner).to_contain_text("1 of 3 still missing")
    made.arrive(2)
    expect(banner).not_to_contain_text("still missing")
    page.go_back()
    expect(line(page, "Muster, Maria")).to_contain_text("To read")
    expect(line(page, "Muster, Maria")).not_to_contain_text("missing")


def test_an_examination_that_a_device_left_open_is_ended_from_its_row(clinic, sign_in):
    with clinic.ctx.read() as session:
        visit = session.get_one(Appointment, clinic.book().id)
    steps.start(clinic.ctx, steps.begun(visit), generate_uid())
    page = sign_in(Role.TECHNOLOGIST)
    row = line(page, "Muster, Maria")
    expect(row).to_contain_text("In progress")
    row.get_by_role("button", name="More actions").click()
    expect(page.get_by_role("menuitem", name="Cancel")).to_have_count(0)
    page.get_by_role("menuitem", name="End examination").click()
    form = page.get_by_role("dialog")
    form.get_by_role("radio", name="The device did not report the end").check()
    form.get_by_role("button", name="End examination").click()
    expect(row).to_contain_text("Discontinued")
    expect(row).to_contain_text("The device did not report the end")
    row.get_by_role("button", name="More actions").click()
    expect(page.get_by_role("menuitem", name="Cancel")).to_be_visible()


def test_the_desk_registers_books_and_checks_in_a_patient_and_takes_it_back(clinic, sign_in):
    page = sign_in(Role.RECEPTIONIST)
    expect(page.get_by_text("No appointments on this day.")).to_be_visible()

    page.get_by_role("button", name="New patient").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Family name").fill("Ångström")
    form.get_by_label("Given name").fill("Eva")
    form.get_by_label("Birth date").fill("1980-02-29")
    form.get_by_role("button", name="Register").click()
    page.locator(".toast").get_by_role("button", name="Book").click()

    form = page.get_by_role("dialog")
    expect(form.get_by_role("combobox", name="Patient", exact=True)).to_have_value(
        re.compile("Ångström, Eva · 1980-02-29 · P000001")
    )
    form.get_by_label("Examination").select_option(index=1)
    expect(form.get_by_label("Room")).to_have_value(str(clinic.ct.id))
    expect(form.get_by_role("radio", name="14:00")).to_be_visible()
    form.get_by_role("radio", name="14:00").check()
    form.get_by_role("button", name="Book appointment").click()

    row = line(page, "Ångström")
    expect(row).to_contain_text("Booked")
    row.get_by_role("button", name="Check in").click()
    expect(row).to_contain_text("Arrived")
    expect(page.get_by_label("Figures of the day")).to_contain_text("longest 0 min")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("Booked")


def test_a_new_patient_is_registered_and_booked_in_one_form(clinic, sign_in):
    page = sign_in(Role.RECEPTIONIST)
    page.get_by_role("button", name="Book", exact=True).click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox", name="Patient", exact=True).fill("Doe John")
    form.get_by_role("option", name="New patient").click()
    expect(form.get_by_label("Family name")).to_have_value("Doe")
    expect(form.get_by_label("Given name")).to_have_value("John")
    form.get_by_label("Birth date").fill("1980-01-02")
    form.get_by_label("Examination").select_option(index=1)
    expect(form.get_by_role("radio", name="14:00")).to_be_visible()
    page.evaluate("isHeld = true")
    form.get_by_role("radio", name="14:00").check()
    page.wait_for_function("held('answered') >= 1")
    page.evaluate("letGo()")
    # Somebody else is quicker.
    clinic.book()
    form.get_by_role("button", name="Book appointment").click()

    expect(form.get_by_role("alert")).to_contain_text(
        "CT 1 is already booked at 14:00. Next free: 14:20."
    )
    expect(form.get_by_role("radio", name="14:00")).to_have_count(0)
    form.get_by_role("radio", name="14:20").check()
    form.get_by_role("button", name="Book appointment").click()
    expect(line(page, "Doe, John")).to_contain_text("14:20")
    with clinic.ctx.read() as session:
        assert len(session.scalars(select(Patient).where(Patient.search_name == "doe john")).all())


def test_a_likely_duplicate_is_shown_while_typing_and_asked_before_registering(clinic, sign_in):
    page = sign_in(Role.RECEPTIONIST, "/patients")
    page.get_by_role("button", name="New patient").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Family name").fill("muster")
    form.get_by_label("Given name").fill("María")
    form.get_by_label("Birth date").fill("1970-01-02")
    known = form.get_by_role("link", name=re.compile("Muster, Maria · 1970-01-02 · Q-1"))
    expect(known).to_have_attribute("href", f"/patients?id={clinic.maria.id}")
    page.evaluate("isHeld = true")
    register = form.get_by_role("button", name="Register", exact=True)
    register.evaluate("button => { button.click(); button.click(); }")  # as an impatient hand does
    page.wait_for_function("held(': \"OK\"') >= 2")
    page.evaluate("letGo()")
    form.get_by_role("button", name="Register anyway").click()
    expect(page.get_by_role("status").filter(has_text="Registered as P000001.")).to_be_visible()


def test_the_row_follows_the_images_without_a_reload(clinic, sign_in):
    visit = clinic.book()
    page = sign_in(Role.RECEPTIONIST)
    row = line(page, "Muster, Maria")
    row.get_by_role("button", name="Check in").click()
    expect(row).to_contain_text("Arrived")
    page.evaluate("window.stayed = true")

    study = factories.study(
        clinic.ctx, instances=48, appointment_pk=visit.id, patient_pk=visit.patient_pk
    )
    with clinic.ctx.begin() as session:
        session.get_one(Appointment, visit.id).receive_images(clinic.ctx.clock())
    clinic.announce()
    expect(row).to_contain_text("Images arriving (48)")

    with clinic.ctx.begin() as session:
        session.get_one(Appointment, visit.id).complete_images()
        series = session.scalars(select(Series).where(Series.study_pk == study.id)).one()
        session.add(
            Thumbnail(
                series_pk=series.id,
                picture=PNG,
                media_type="image/png",
                made_at=clinic.ctx.clock(),
            )
        )
    clinic.announce()
    expect(row).to_contain_text("To read")
    expect(row.locator("img")).to_have_attribute("src", f"/thumbnails/{series.id}")
    assert row.locator("img").evaluate("node => node.decode().then(() => node.naturalWidth)") == 1

    author = factories.user(clinic.ctx, Role.CLINICIAN).id
    report_id = sign(clinic.ctx, study, author, with_pdf=True)
    with clinic.ctx.begin() as session:
        session.get_one(Appointment, visit.id).status = AppointmentStatus.REPORTED
    clinic.announce()
    expect(row).to_contain_text("Reported")
    expect(row.get_by_role("link", name="PDF")).to_have_attribute(
        "href", f"/reports/{report_id}.pdf"
    )
    assert page.evaluate("window.stayed")
    assert "Muster" not in page.title()


def test_a_visit_is_moved_and_cancelled_with_a_reason(clinic, sign_in):
    clinic.book()
    page = sign_in(Role.RECEPTIONIST)
    row = line(page, "Muster, Maria")
    row.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Move").click()
    form = page.get_by_role("dialog")
    form.get_by_role("radio", name="15:30").check()
    form.get_by_role("button", name="Move", exact=True).click()
    expect(row).to_contain_text("15:30")

    row.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Cancel").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Cancel appointment").click()
    expect(form.get_by_text("Choose a reason, or write one.")).to_be_visible()
    form.get_by_role("radio", name="Patient unwell").check()
    form.get_by_role("button", name="Cancel appointment").click()
    expect(row).to_contain_text("Cancelled")
    expect(row).to_contain_text("Patient unwell")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("Booked")


def test_a_time_outside_the_opening_hours_is_asked_back(clinic, sign_in):
    page = sign_in(Role.RECEPTIONIST, f"/patients?id={clinic.maria.id}")
    page.get_by_role("button", name="Book").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Examination").select_option(index=1)
    expect(form.get_by_label("Room")).to_have_value(str(clinic.ct.id))
    form.get_by_label("Or another time").fill("21:00")
    form.get_by_role("button", name="Book appointment").click()
    expect(form.get_by_role("status")).to_contain_text("outside the opening hours")
    form.get_by_role("button", name="Book anyway").click()
    visits = page.get_by_role("table", name="Visits")
    expect(visits).to_contain_text("21:00")


def test_what_is_chosen_the_moment_a_form_shows_counts(clinic, sign_in):
    page = sign_in(Role.RECEPTIONIST)
    shown, answered, held = threading.Event(), threading.Event(), []

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def down(frame: str | bytes) -> None:
            socket.send(frame) if answered.is_set() or not shown.is_set() else held.append(frame)
            if '"attr":"open"' in str(frame):
                shown.set()

        def up(frame: str | bytes) -> None:
            server.send(frame)
            if shown.is_set() and "procedure_pk" in str(frame):
                answered.set()
                for late in held:
                    socket.send(late)

        server.on_message(down)
        socket.on_message(up)

    page.route_web_socket(re.compile("/ws"), relay)
    page.goto(f"{clinic.url}/patients?id={clinic.maria.id}")
    page.get_by_role("button", name="Book").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Examination").select_option(index=1)
    expect(form.get_by_label("Room")).to_have_value(str(clinic.ct.id))


def test_two_edit_one_record_and_nothing_is_lost(clinic, sign_in):
    path = f"/patients?id={clinic.maria.id}"
    first, second = sign_in(Role.RECEPTIONIST, path), sign_in(Role.TECHNOLOGIST, path)
    for page in (first, second):
        page.get_by_role("button", name="Edit").click()
    second.get_by_label("Allergies").fill("Penicillin")
    second.get_by_label("Telephone").fill("030 1234")
    first.get_by_label("Allergies").fill("Latex")
    first.get_by_label("Remarks").fill("Speaks Igbo")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_label("Demographics")).to_contain_text("Speaks Igbo")

    second.get_by_role("button", name="Save").click()
    form = second.get_by_role("dialog")
    expect(form).to_contain_text("Somebody else changed this record")
    expect(form.get_by_role("radio", name="Yours: Penicillin")).to_be_checked()
    form.get_by_role("radio", name="Saved meanwhile: Latex").check()
    form.get_by_role("button", name="Save the chosen").click()

    row = patient.get(clinic.ctx, clinic.maria.id)
    expect(second.get_by_label("Demographics")).to_contain_text("030 1234")
    row = patient.get(clinic.ctx, clinic.maria.id)
    assert (row.allergies, row.patient_comments) == ("Latex", "Speaks Igbo")
    assert row.patient_telephone_numbers == "030 1234"


def test_a_patient_is_found_in_another_script_and_the_record_lists_all(clinic, sign_in):
    ken = patient.register(
        clinic.ctx,
        PatientForm(
            "Tanaka",
            "Ken",
            ideographic="田中 健",
            phonetic="たなか けん",
            patient_birth_date=date(1959, 4, 4),
            allergies=HOSTILE,
        ),
    )
    visit = clinic.book(patient_pk=ken.id)
    study = factories.study(clinic.ctx, appointment_pk=visit.id, patient_pk=ken.id)
    sign(clinic.ctx, study, factories.user(clinic.ctx, Role.CLINICIAN).id, with_pdf=True)
    page = sign_in(Role.CLINICIAN, "/patients")
    page.get_by_label("Find a patient").fill("タナカ")
    found = page.get_by_role("table", name="Found").locator("tbody tr")
    expect(found).to_have_count(1)
    found.get_by_role("link", name="Open").click()

    expect(page.locator("h1")).to_have_text("Tanaka, Ken (田中 健)")
    assert page.url.endswith(f"/patients?id={ken.id}")
    assert "Tanaka" not in page.title()
    expect(page.get_by_label("Demographics")).to_contain_text(HOSTILE)
    assert page.evaluate("window.broken") is None
    expect(page.get_by_role("table", name="Visits")).to_contain_text("CT chest")
    studies = page.get_by_role("table", name="Studies")
    expect(studies.get_by_role("link", name="Open images")).to_have_attribute(
        "href", f"/study?id={study.id}"
    )
    expect(page.get_by_role("table", name="Reports")).to_contain_text("Signed")
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)


def test_an_unmatched_study_is_linked_to_a_booking_and_back(clinic, sign_in):
    visit = clinic.book()
    study = factories.study(
        clinic.ctx, patient_name="Unknown^Name", patient_id="X-9", study_date=date(2026, 3, 16)
    )
    page = sign_in(Role.TECHNOLOGIST)
    unmatched = page.get_by_role("table", name="Unmatched studies").locator("tbody tr")
    unmatched.get_by_role("button", name="Link").click()
    form = page.get_by_role("dialog")
    expect(form).to_contain_text("Sent as Unknown, Name, ID X-9")
    form.get_by_role("radio", name=re.compile("Muster, Maria")).check()
    form.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_role("table", name="Unmatched studies")).to_be_hidden()
    expect(line(page, "Muster, Maria")).to_contain_text("To read")
    with clinic.ctx.read() as session:
        assert session.get_one(Study, study.id).appointment_pk == visit.id
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(unmatched).to_have_count(1)
    unmatched.get_by_role("button", name="Link").click()
    form.get_by_role("radio", name=re.compile("Muster, Maria")).check()
    form.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_role("table", name="Unmatched studies")).to_be_hidden()
    line(page, "Muster, Maria").get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Take from this booking").click()
    expect(form).to_contain_text("Sent as Unknown, Name")
    form.get_by_role("button", name="Take from this booking").click()
    expect(unmatched).to_have_count(1)


def test_another_day_is_shown_and_a_name_is_text(clinic, sign_in):
    clinic.book(
        patient_pk=factories.patient(clinic.ctx, patient_name=HOSTILE_NAME).id,
        start_at=datetime(2026, 3, 17, 9, 0, tzinfo=UTC),
    )
    page = sign_in(Role.RECEPTIONIST, size=(390, 844))
    page.get_by_role("button", name="Next day").click()
    expect(line(page, HOSTILE_NAME)).to_contain_text("10:00")
    expect(page.get_by_text("Tuesday, 17 March 2026")).to_be_visible()
    expect(line(page, HOSTILE_NAME).get_by_role("button", name="Check in")).to_have_count(0)
    assert page.evaluate("window.broken") is None
    page.get_by_role("button", name="Today").click()
    expect(page.get_by_text("No appointments on this day.")).to_be_visible()


def test_an_administrator_sees_no_names_and_no_buttons(clinic, sign_in):
    clinic.book()
    page = sign_in(Role.ADMIN)
    expect(line(page, "Name hidden")).to_have_count(1)
    assert "Muster" not in page.locator("main").inner_text()
    for name in ("New patient", "Book", "Check in"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto(f"{clinic.url}/patients?id={clinic.maria.id}")
    expect(page.get_by_text("Muster")).to_have_count(0)


def test_the_day_plan_shows_the_rooms_and_books_where_it_is_pressed(clinic, sign_in):
    visit = clinic.book()
    page = sign_in(Role.RECEPTIONIST)
    page.get_by_role("button", name="Day plan").click()
    block = page.get_by_role("button", name=re.compile("14:00–14:20, Muster, Maria"))
    expect(block).to_be_visible()
    expect(page.get_by_role("table", name="Appointments")).to_be_hidden()

    page.get_by_role("button", name="Book CT 1 at 15:00").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox", name="Patient", exact=True).fill("muster")
    form.get_by_role("option", name="Muster, Maria").click()
    form.get_by_label("Examination").select_option(index=1)
    expect(form.get_by_label("Room")).to_have_value(str(clinic.ct.id))
    expect(form.get_by_label("Or another time")).to_have_value("15:00")
    form.get_by_role("button", name="Book appointment").click()
    expect(page.get_by_role("button", name=re.compile("15:00–15:20, Muster"))).to_be_visible()

    block.click()
    form = page.get_by_role("dialog")
    expect(form).to_contain_text("Muster, Maria · Q-1 · 1970-01-02")
    form.get_by_role("button", name="Check in").click()
    expect(page.get_by_role("button", name=re.compile("14:00.*Arrived"))).to_be_visible()

    moved = workflow.move(
        clinic.ctx,
        visit.id,
        workflow.appointments_on(clinic.ctx, date(2026, 3, 16))[0].version,
        Place(clinic.ct.id, AT_TWO.replace(hour=16)),
    )
    assert moved.start_at == AT_TWO.replace(hour=16)
    expect(page.get_by_role("button", name=re.compile("17:00–17:20, Muster"))).to_be_visible()
    page.get_by_role("button", name="List").click()
    expect(line(page, "17:00")).to_contain_text("Arrived")


def test_paper_shows_the_whole_day_and_no_buttons(clinic, sign_in):
    for number in range(12):
        clinic.book(start_at=AT_TWO + timedelta(minutes=20 * number))
    page = sign_in(Role.RECEPTIONIST)
    expect(line(page, "Muster")).to_have_count(12)
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Check in").first).to_be_hidden()
    expect(page.get_by_role("navigation")).to_be_hidden()
    last = line(page, "Muster").last.bounding_box()
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height >= last["y"] + last["height"]
