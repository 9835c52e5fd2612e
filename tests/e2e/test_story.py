"""The day of one patient, from the desk to the paper, through every process and a real browser."""

from __future__ import annotations

import io
import re
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind
from pypdf import PdfReader

from tests.conftest import hold_messages
from tests.e2e import watch
from tests.e2e.access import faults
from tests.e2e.conftest import ARTIFACTS, PASSWORD, Clinic, SinkProxy, shoot, sign_in

pytestmark = pytest.mark.e2e

FAMILY, GIVEN = "Ødegård", "Signe"
SHOWN = f"{FAMILY}, {GIVEN}"
IMPRESSION = "No sign of a fracture."
INK = {"light": "#50615d", "dark": "#a3b6b1"}  # of axes, as in plot_theme.js
DAYS = re.compile(r"^\d+ \w+ \d{4} to \d+ \w+ \d{4}$")
LIVE_MS = 60_000  # generous for a loaded machine; how soon it really is, `make bench` tells


@pytest.fixture(scope="module")
def desk(clinic: Clinic, browser) -> Page:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    hold_messages(context)
    page = sign_in(context, clinic, "reception")
    yield page
    context.close()


@pytest.fixture(scope="module")
def doctor(clinic: Clinic, browser) -> Page:
    context = browser.new_context(
        viewport={"width": 1366, "height": 768}, color_scheme="dark", accept_downloads=True
    )
    page = sign_in(context, clinic, "doctor")
    yield page
    context.close()


def row_of(page: Page) -> Locator:
    return page.get_by_role("row").filter(has_text=SHOWN)


def test_the_desk_registers_books_and_checks_in(desk: Page):
    expect(desk.get_by_role("table", name="Appointments")).to_be_visible()
    desk.get_by_role("button", name="New patient").click()
    form = desk.get_by_role("dialog")
    form.get_by_label("Family name").fill(FAMILY)
    form.get_by_label("Given name").fill(GIVEN)
    form.get_by_label("Birth date").fill("1980-02-29")
    form.get_by_label("Sex").select_option(label="Female")
    shoot(desk, "new-patient")
    form.get_by_role("button", name="Register").click()
    expect(desk.get_by_text(re.compile("^Registered as P"))).to_be_visible()
    desk.get_by_role("button", name="Book").last.click()
    form = desk.get_by_role("dialog")
    expect(form.get_by_role("combobox", name="Patient")).to_have_value(re.compile(FAMILY))
    examinations = form.get_by_role("combobox", name="Examination")
    examinations.select_option(
        label=examinations.get_by_role("option").filter(has_text="CT · ").first.inner_text()
    )
    expect(form.get_by_role("combobox", name="Room")).not_to_have_value("")
    # In the small hours no sample booking stands in the way, whenever this test runs.
    form.get_by_label("Or another time").fill("04:05")
    shoot(desk, "book")
    form.get_by_role("button", name="Book appointment").click()
    form.get_by_role("button", name="Book anyway").click()  # outside opening hours

    row = row_of(desk)
    expect(row).to_contain_text("Booked", timeout=LIVE_MS)
    row.get_by_role("button", name="Check in").click()
    expect(row).to_contain_text("Arrived")


def test_the_worklist_names_the_patient_and_dcmtk_sends_the_images(
    desk: Page, clinic: Clinic, tmp_path: Path
):
    [item] = worklist_items(clinic, f"{FAMILY}*")
    files = images_for(item, tmp_path, count=3)
    watch.begin(desk, SHOWN, "To read")

    subprocess.run(
        ["storescu", "-aec", "CLINIC", "127.0.0.1", str(clinic.dicom_port), *map(str, files)],
        check=True,
    )

    sent_at = time.time()
    row_at, image_at = watch.end(desk, LIVE_MS)  # it fails if the page was loaded again
    text = (
        f"row {row_at - sent_at:.2f} s, picture {image_at - sent_at:.2f} s after the last image\n"
    )
    (ARTIFACTS / "last-image-to-row.txt").write_text(text)
    row = row_of(desk)
    expect(row).to_contain_text("To read")
    expect(row.locator("img")).to_be_visible()
    shoot(desk, "schedule")


def worklist_items(clinic: Clinic, patient_name: str) -> list[Dataset]:
    """Ask the worklist for CT steps, as a scanner does."""
    query = Dataset()
    query.PatientName = patient_name
    for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        setattr(query, keyword, "")
    query.StudyInstanceUID = ""
    query.SpecificCharacterSet = "ISO_IR 192"
    step = Dataset()
    step.Modality = "CT"
    step.ScheduledStationAETitle = ""
    step.ScheduledProcedureStepStartDate = ""
    query.ScheduledProcedureStepSequence = [step]
    ae = AE("CT1")
    ae.add_requested_context(ModalityWorklistInformationFind)
    association = ae.associate("127.0.0.1", clinic.dicom_port, ae_title="CLINIC")
    assert association.is_established
    answers = [
        identifier
        for status, identifier in association.send_c_find(query, ModalityWorklistInformationFind)
        if status.Status in (0xFF00, 0xFF01)
    ]
    association.release()
    return answers


def images_for(item: Dataset, folder: Path, count: int) -> list[Path]:
    series_uid = generate_uid()
    files = []
    for number in range(1, count + 1):
        image = dcmread(get_testdata_file("CT_small.dcm"))
        image.SpecificCharacterSet = "ISO_IR 192"
        for keyword in (
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
            *("AccessionNumber", "StudyInstanceUID"),
        ):
            setattr(image, keyword, getattr(item, keyword))
        image.SeriesInstanceUID = series_uid
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.InstanceNumber = number
        image.ImagePositionPatient[2] = number * 5
        [step] = item.ScheduledProcedureStepSequence
        image.StudyDate = image.SeriesDate = step.ScheduledProcedureStepStartDate
        files.append(folder / f"{number}.dcm")
        image.save_as(files[-1])
    return files


def test_the_clinician_reads_in_the_viewer(doctor: Page):
    doctor.goto(doctor.url.split("/", 3)[0] + "//" + doctor.url.split("/", 3)[2] + "/schedule")
    row = row_of(doctor)
    row.get_by_role("link", name="Open images").click()
    expect(doctor).to_have_url(re.compile(r"/study\?id=\d+$"))
    assert FAMILY not in doctor.title()
    viewport = doctor.locator("canvas").first
    expect(viewport).to_be_visible(timeout=LIVE_MS)
    expect(doctor.get_by_text("1 / 3")).to_be_visible(timeout=LIVE_MS)
    expect(doctor.get_by_text(SHOWN).first).to_be_visible()
    box = viewport.bounding_box()
    doctor.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    doctor.mouse.wheel(0, 120)
    expect(doctor.get_by_text("2 / 3")).to_be_visible()
    before = doctor.get_by_text(re.compile(r"WW -?\d+")).first.inner_text()
    doctor.mouse.down()
    doctor.mouse.move(box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2 + 30)
    doctor.mouse.up()
    expect(doctor.get_by_text(re.compile(r"WW -?\d+")).first).not_to_have_text(before)
    doctor.get_by_role("button", name="Key image").click()
    # It starts the report.
    expect(doctor.get_by_label("Caption of key image 1")).to_be_visible(timeout=LIVE_MS)
    shoot(doctor, "study")


def test_the_clinician_writes_and_signs(doctor: Page, desk: Page):
    doctor.get_by_label("Technique").fill("CT without contrast.")
    doctor.get_by_label("Findings").fill("Bones and soft tissue are unremarkable.")
    doctor.get_by_label("Impression").fill(IMPRESSION)
    expect(doctor.get_by_text(re.compile(r"^Saved \d"))).to_be_visible(timeout=LIVE_MS)
    shoot(doctor, "report-draft")
    doctor.get_by_role("button", name="Sign report").click()
    dialog = doctor.get_by_role("dialog")
    dialog.get_by_label("Password").fill("not the password at all")
    dialog.get_by_role("button", name="Sign").click()
    expect(dialog.get_by_role("alert")).to_have_text("The password is not right.")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign").click()
    expect(doctor.get_by_text("Signed").first).to_be_visible(timeout=LIVE_MS)
    expect(row_of(desk)).to_contain_text("Reported", timeout=LIVE_MS)


def test_the_pdf_opens_and_says_who_and_what(doctor: Page, desk: Page, clinic: Clinic):
    link = doctor.get_by_role("link", name="Open PDF")
    expect(link).to_be_visible(timeout=3 * LIVE_MS)
    answer = doctor.context.request.get(clinic.url + link.get_attribute("href"))
    assert answer.headers["content-type"] == "application/pdf"
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.body())).pages)
    assert IMPRESSION in text
    assert FAMILY in text
    shoot(doctor, "report-signed")
    expect(row_of(desk).get_by_role("link", name="PDF")).to_be_visible(timeout=LIVE_MS)


def test_the_record_lists_visits_studies_and_reports(desk: Page, clinic: Clinic):
    page = desk.context.new_page()
    page.goto(f"{clinic.url}/patients")
    page.get_by_label("Find a patient").last.fill("odegard signe")
    row_of(page).get_by_text(SHOWN).click()
    expect(page).to_have_url(re.compile(r"/patients\?id=\d+$"), timeout=LIVE_MS)
    expect(page.get_by_text("Reported").first).to_be_visible(timeout=LIVE_MS)
    assert FAMILY not in page.title()
    shoot(page, "patient")
    page.close()


@pytest.mark.parametrize("path", ["/study?id=1", "/frames/1/0", "/analytics", "/admin"])
def test_the_desk_is_refused_what_is_not_its_own(desk: Page, clinic: Clinic, path: str):
    assert desk.context.request.get(clinic.url + path, max_redirects=0).status == 403


@pytest.mark.parametrize(
    "path",
    ["/schedule", "/study?id=1", "/frames/1/0", "/thumbnails/1", "/reports/1.pdf", "/metrics"],
)
def test_nobody_passes_without_a_session(browser, clinic: Clinic, path: str):
    context = browser.new_context()
    answer = context.request.get(clinic.url + path, max_redirects=0)
    assert answer.status in (302, 303, 401)
    context.close()


def test_the_audit_tells_who_did_what(browser, clinic: Clinic):
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = sign_in(context, clinic, "admin")
    page.goto(clinic.url + "/admin")
    page.get_by_role("tab", name="Audit").click()
    table = page.get_by_role("table", name="Audit entries")
    for who, what in (("doctor", "sign"), ("doctor", "view"), ("reception", "check in")):
        line = table.get_by_role("row", name=re.compile(rf"\b{who}\b.* {what} "))
        expect(line.first).to_be_visible()
    assert SHOWN not in table.inner_text()
    shoot(page, "audit")
    context.close()


STUDY = "/study"  # of the story, as the clinician left it


@pytest.fixture(scope="module")
def cookies(clinic: Clinic, browser) -> Callable[[str], dict[str, Any]]:
    """Return what a browser keeps of somebody who signed in; each signs in once."""

    @cache
    def of(username: str) -> dict[str, Any]:
        with browser.new_context() as context:
            sign_in(context, clinic, username)
            return context.storage_state()

    return of


@pytest.mark.parametrize(
    ("username", "path", "name", "scheme"),
    [
        ("reception", "/schedule", "schedule-dark", "dark"),
        ("reception", "/patients", "patients", "light"),
        ("reception", "/patients?id=1", "record", "light"),
        ("reception", "/password", "password", "light"),
        ("tech", "/schedule", "schedule-tech", "light"),
        ("tech", STUDY, "study-tech", "light"),
        ("doctor", STUDY, "study-signed", "dark"),
        ("tech", "/devices", "devices", "light"),
        ("doctor", "/reports", "reports", "light"),
        ("doctor", "/analytics", "analytics", "light"),
        ("analyst", "/analytics", "analytics-dark", "dark"),
        ("admin", "/admin", "admin", "light"),
    ],
)
def test_every_page_is_for_everybody(
    browser, clinic: Clinic, doctor: Page, cookies, username, path, name, scheme
):
    context = browser.new_context(
        viewport={"width": 1366, "height": 768},
        color_scheme=scheme,
        reduced_motion="reduce",
        storage_state=cookies(username),
    )
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    address = doctor.url if path == STUDY else clinic.url + path
    opened(page, address)
    assert page.url == address
    shoot(page, name)
    assert faults(page) == []
    assert errors == []

    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, address)
    shoot(page, f"{name}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "it scrolls sideways"
    assert errors == []
    context.close()


def painted(theme: str) -> str:
    """A question to the page: are the axes of all plots in the colour of this theme?"""
    return (
        "() => { const axes = Bokeh.documents.flatMap(doc => [...doc.all_models])"
        ".filter(model => model.type === 'LinearAxis');"
        "return axes.length >= 3 && "  # Panel lets those of plots replaced go half a minute later
        f"axes.every(one => one.major_label_text_color === '{INK[theme]}') }}"
    )


# How many pixels of each plot are as dark on paper as its title is there.
ON_PAPER = """() => addEventListener("beforeprint", () => {
  const models = Bokeh.documents.flatMap((doc) => [...doc.all_models]);
  const figures = models.filter((model) => model.type === "Figure");
  const plots = figures.map((figure) => Bokeh.index.find_one(figure)).filter(Boolean);
  window.onPaper = plots.map(({shadow_el: {children}}) => {
    const copy = [...children].find((node) => node.localName === "canvas");
    const {data} = copy.getContext("2d").getImageData(0, 0, copy.width, copy.height);
    let dark = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] > 250 && data[i] + data[i + 1] + data[i + 2] < 110) dark += 1;
    }
    return dark;
  });
})"""


def test_the_axes_follow_the_theme_of_the_page(browser, clinic: Clinic, cookies):
    with browser.new_context(color_scheme="light", storage_state=cookies("analyst")) as context:
        page = context.new_page()
        opened(page, f"{clinic.url}/analytics")
        for theme, other in (("light", "dark"), ("dark", "light")):
            page.wait_for_function(painted(theme))
            expect(page.get_by_role("img", name="Studies by hour")).to_be_visible()
            if theme == "dark":  # paper is white nevertheless, and the screen stays as it is
                page.evaluate(ON_PAPER)
                page.pdf()
                found = page.evaluate("window.onPaper")
                assert len(found) >= 3
                assert min(found) > 20
                page.wait_for_function(painted("dark"))
            page.get_by_role("button", name=f"Use the {other} theme").click()
        # A plot that comes later is painted too.
        days = page.get_by_text(DAYS)
        week = days.inner_text()
        page.get_by_role("button", name="30 days").click()
        expect(days).not_to_have_text(week)
        page.wait_for_function(painted("light"))


def opened(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_attached(timeout=LIVE_MS)
    page.wait_for_load_state("networkidle")


def test_all_is_there_after_a_restart(desk: Page, clinic: Clinic):
    assert clinic.stop() == 0
    clinic.start()
    desk.goto(f"{clinic.url}/schedule")
    expect(row_of(desk)).to_contain_text("Reported", timeout=LIVE_MS)


def test_signing_out_ends_it(desk: Page, clinic: Clinic):
    desk.get_by_role("button", name="Account").click()
    desk.get_by_role("menuitem", name="Sign out").click()
    expect(desk.get_by_label("Username")).to_be_visible()
    expect(desk.get_by_text("Your session has ended")).to_have_count(0)
    assert faults(desk) == []
    shoot(desk, "login")
    desk.goto(f"{clinic.url}/schedule")
    expect(desk).to_have_url(re.compile("/login"))


def test_no_request_left_the_machine(sink: SinkProxy, desk: Page):
    # Last in this file: it judges all that the browser did before.
    assert sink.requests == []
