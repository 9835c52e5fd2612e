"""The study page in a real browser, as served in production: opening, headers, documents."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import XRayAngiographicImageStorage, generate_uid
from sqlalchemy import func, select

from clinic_panel import app as app_module
from clinic_panel.config import Settings
from clinic_panel.context import Context, system
from clinic_panel.feed import ChangeFeed
from clinic_panel.imaging import waveform, window
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.user import Role
from clinic_panel.resources import build_context, build_engine
from tests import factories, papers
from tests.conftest import free_port
from tests.integration.archive import keep
from tests.integration.test_web import serving
from tests.pictures import angiogram
from tests.unit.test_imaging_shutters import plane

HOSTILE = "<img src=x onerror=alert(1)>"
NOTICE = "For teaching only"
DESK, PHONE = (1366, 768), (390, 844)
BOKEH = re.compile(r"/static/(js/bokeh|extensions/panel/panel)")


@dataclass
class Clinic:
    """A served clinic, one page signed in as its clinician, and where studies are."""

    ctx: Context
    url: str
    page: Page

    def open(self, *objects: Dataset, wait_until: Literal["load", "commit"] = "load") -> int:
        """Open the study of these objects, which are put into the archive; return our number."""
        ids = keep(self.ctx, *objects)
        with self.ctx.read() as session:
            series_pk = session.get_one(Instance, ids[0]).series_pk
            study_id = session.get_one(Series, series_pk).study_pk
        self.page.goto(f"{self.url}/study?id={study_id}", wait_until=wait_until)
        return study_id

    @property
    def port(self) -> Locator:
        return self.page.get_by_role("application")


@pytest.fixture(scope="module")
def clinic(sqlite_template, tmp_path_factory) -> Iterator[Clinic]:
    home = tmp_path_factory.mktemp("documents")
    shutil.copy(sqlite_template, home / "clinic.db")
    ports = {"http_port": free_port(), "dicom_port": free_port()}
    settings = Settings.read({}, home=home, viewer_notice=NOTICE, **ports)
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("web"))
    factories.user(ctx, Role.CLINICIAN)
    faults: list[str] = []
    with serving(app_module.build(ctx, ChangeFeed(engine)), settings), sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": DESK[0], "height": DESK[1]})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        url = f"http://127.0.0.1:{settings.http_port}"
        page.goto(f"{url}/login?next=/schedule")
        page.get_by_label("Username").fill(Role.CLINICIAN.value)
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Schedule").first).to_be_visible()
        yield Clinic(ctx, url, page)
        browser.close()
    engine.dispose()
    assert faults == []


def ct(**values: object) -> Dataset:
    """A CT slice in a study of its own, unless told."""
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_first_image_stands_before_bokeh_and_stays_where_it_is(clinic, size):
    image = ct(PatientName="Muster^Maria", PatientID="Q-7", PatientBirthDate="19610412")
    page, asked, held = clinic.page, [], []
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.on("request", lambda request: asked.append(request.url))
    page.route(BOKEH, lambda route: held.append(route))
    study_id = clinic.open(image, wait_until="commit")

    port, canvas = page.locator(".port"), page.locator(".port canvas")
    expect(canvas).to_have_attribute("data-shown", "0")
    for words in ("Muster, Maria", "Q-7", "1961-04-12"):
        expect(page.locator(".banner")).to_contain_text(words)
    assert held
    assert page.evaluate("typeof Bokeh") == "undefined"
    early, painted = port.bounding_box(), canvas.element_handle()
    if size == DESK:
        page.keyboard.press("k")
        expect(page.get_by_text("★ Key image")).to_be_visible()

    for route in held:
        route.continue_()
    page.unroute(BOKEH)
    if size == DESK:  # what was done before is told to Python, which shows it in the report
        expect(page.get_by_label("Caption of key image 1")).to_be_visible()
    expect(page.locator("#early")).to_have_count(0)
    expect(page.locator(".reading")).to_have_count(1)
    assert port.bounding_box() == early
    assert canvas.evaluate("(now, before) => now === before", painted)
    assert len([address for address in asked if "/frames/" in address]) == 1
    with clinic.ctx.read() as session:
        looks = select(func.count()).where(
            AuditEntry.action == Action.VIEW,
            AuditEntry.subject_type == "study",
            AuditEntry.subject_id == study_id,
        )
        assert session.scalar(looks) == 1
    page.set_viewport_size({"width": DESK[0], "height": DESK[1]})


def test_an_image_does_not_stay_when_its_reader_has_signed_out_meanwhile(clinic):
    page, held = clinic.page, []
    page.route(BOKEH, lambda route: held.append(route))
    clinic.open(ct(), wait_until="commit")
    expect(page.locator(".port canvas")).to_have_attribute("data-shown", "0")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    for route in held:
        route.continue_()
    page.unroute(BOKEH)
    expect(page.get_by_text("Connection with the server could not be established")).to_be_visible()
    expect(page.locator(".reading")).to_have_count(0)
    page.context.add_cookies(cookies)


def test_an_image_does_not_stay_when_nothing_comes_that_could_connect(clinic):
    known = clinic.page.context
    assert known.browser
    page = known.browser.new_context(storage_state=known.storage_state()).new_page()
    held = []
    page.route(BOKEH, lambda route: held.append(route))
    replace(clinic, page=page).open(ct(), wait_until="commit")
    expect(page.locator(".port canvas")).to_have_attribute("data-shown", "0")
    page.route(BOKEH, lambda route: route.abort())
    for route in held:
        route.abort()
    expect(page.locator("#early")).to_have_count(0)
    expect(page.locator(".port")).to_have_count(0)
    page.context.close()


def test_a_header_is_searched_unfolded_and_left_by_keys(clinic):
    first = ct(InstanceNumber=1, ContentTime="101500")
    second = ct(InstanceNumber=2, ContentTime="101501")
    second.StudyInstanceUID = first.StudyInstanceUID
    second.SeriesInstanceUID = first.SeriesInstanceUID
    second.ImagePositionPatient = [0, 0, 500]
    first.ImageComments = HOSTILE
    clinic.open(first, second)
    page = clinic.page
    expect(page.locator(".port canvas")).to_have_attribute("data-shown", "0")
    page.keyboard.press("h")
    header = page.get_by_role("dialog", name="DICOM header")
    row = header.get_by_role("row")
    expect(row.filter(has_text="PatientName")).to_contain_text("CompressedSamples^CT1")
    expect(row.filter(has_text="ImageComments")).to_contain_text(HOSTILE)
    expect(row.filter(has_text="(0009,1002)")).to_contain_text("private")
    # Each part of a row is written as the row is: what is shown can be read in either theme.
    colours = row.filter(has_text="PatientName").evaluate(
        "(row) => [row, ...row.querySelectorAll('.tag, .tag *, .value')]"
        ".map((one) => getComputedStyle(one).color)"
    )
    assert len(colours) > 2
    assert len(set(colours)) == 1

    search = header.get_by_label("Search the header")
    search.fill("00100022")
    expect(header.get_by_role("status")).to_have_text("2 of 269 found")
    expect(row.filter(has_text="OtherPatientIDsSequence")).to_be_visible()  # where they stand

    search.fill("")
    sequence = row.filter(has_text="OtherPatientIDsSequence")
    expect(sequence).to_have_attribute("aria-expanded", "false")
    sequence.focus()
    page.keyboard.press("ArrowRight")
    expect(sequence).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(row.filter(has_text="Item 1").first).to_be_focused()

    search.fill("ContentTime")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("101500")
    header.get_by_role("button", name="Header of the next image").click()
    expect(row).to_contain_text("101501")  # the search stays

    page.keyboard.press("Escape")
    expect(header).to_be_hidden()
    expect(page.locator(".port canvas")).to_have_attribute("data-shown", "1")


def test_a_value_is_copied_without_the_clipboard_api_too(clinic):
    clinic.open(ct())
    page = clinic.page
    expect(page.locator(".port canvas")).to_have_attribute("data-shown", "0")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Header", exact=True).click()
    header = page.get_by_role("dialog", name="DICOM header")
    search = header.get_by_label("Search the header")
    search.fill("StationName")
    header.get_by_role("button", name="Copy the value of StationName").click()
    expect(header.get_by_role("status")).to_have_text("StationName copied")
    search.fill("")
    search.press("Control+V")
    expect(search).to_have_value("CT01_OC0")


def test_an_image_that_cannot_be_shown_offers_its_header(clinic):
    broken = ct()
    broken.PixelData = broken.PixelData[:1_000]
    clinic.open(broken)
    expect(clinic.port.get_by_role("alert")).to_contain_text("cannot be shown")
    clinic.page.get_by_role("button", name="Show its header").click()
    header = clinic.page.get_by_role("dialog", name="DICOM header")
    expect(header.get_by_role("row").filter(has_text="PixelData")).to_contain_text("1.0 kB")


def of_study(ds: Dataset, first: Dataset, number: int, description: str = "") -> Dataset:
    """Put an object into another's study, as a series of its own."""
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    ds.SeriesNumber, ds.SeriesDescription = number, description
    return ds


def choose(clinic: Clinic, series: str) -> Locator:
    clinic.page.get_by_role("navigation", name="Series").get_by_role("button", name=series).click()
    return clinic.port.get_by_role("article")


def test_every_kind_of_document_of_a_study_is_shown_or_says_what_it_is(clinic, monkeypatch):
    monkeypatch.setattr(waveform, "MOST_SECONDS", 8.0)  # of the recording's ten
    first, second = ct(InstanceNumber=1), ct(InstanceNumber=2)
    second.StudyInstanceUID, second.SeriesInstanceUID = (
        first.StudyInstanceUID,
        first.SeriesInstanceUID,
    )
    second.ImagePositionPatient = [0, 0, 500]
    first.SeriesDescription = second.SeriesDescription = "Axial"
    report = of_study(papers.report(second, HOSTILE), first, 2, "Findings")
    keys = of_study(papers.key_images(second, "Best in set"), first, 3, "Chosen")
    ecg = of_study(dcmread(get_testdata_file("waveform_ecg.dcm")), first, 4, "Rest")
    pdf = of_study(papers.pdf(), first, 5, "Letter")
    plan = of_study(dcmread(get_testdata_file("rtplan.dcm")), first, 6, "Plan")
    clinic.open(first, second, report, keys, ecg, pdf, plan)
    page = clinic.page
    canvas = page.locator(".port canvas")
    expect(canvas).to_have_attribute("data-shown", "0")

    sheet = choose(clinic, "Findings")
    expect(sheet.get_by_role("heading", level=2)).to_have_text("Imaging Report")
    expect(sheet).to_contain_text("State: Partial · Verified: No")
    expect(sheet).to_contain_text(HOSTILE)
    expect(sheet).to_contain_text("Diameter12.5 mm")
    way = sheet.get_by_role("button", name="Axial, image 2")
    assert way.evaluate("(way) => way.offsetHeight") < 36  # on one line
    # Whose study it is stands above the sheet, not on it.
    banner = page.locator(".banner em")
    expect(banner).to_contain_text("Matches no booking: identity as the device sent it")
    ends = [one.bounding_box() for one in (banner, page.locator(".sheet"))]
    assert ends[0]["y"] + ends[0]["height"] <= ends[1]["y"]
    # Nothing of the tools for images can be pressed, and each document has its sign.
    expect(page.locator(".group[inert]")).to_have_count(4)
    expect(page.locator(".rail .thumb.sign svg")).to_have_count(5)
    way.click()
    expect(canvas).to_have_attribute("data-shown", "1")
    expect(page.locator(".group[inert]")).to_have_count(0)

    sheet = choose(clinic, "Chosen")
    expect(sheet.get_by_role("heading", level=2)).to_have_text("Best in set")
    expect(sheet.get_by_role("button")).to_have_count(1)
    expect(sheet).to_contain_text("not in this study")
    page.keyboard.press("h")
    header = page.get_by_role("dialog", name="DICOM header")
    expect(header).to_contain_text("Key Object Selection Document Storage")
    page.keyboard.press("Escape")

    sheet = choose(clinic, "Rest")
    expect(sheet.locator("text.lead")).to_have_text(
        [*("I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6"), "II"]
    )
    expect(sheet.locator("text.scale")).to_contain_text("25 mm/s   10 mm/mV")
    expect(sheet.get_by_text("Shown: 0 s to 8 s of 10 s.")).to_be_visible()
    sheet.get_by_role("button", name="Later part of the recording").click()
    expect(sheet.get_by_text("Shown: 2 s to 10 s of 10 s.")).to_be_visible()  # a whole sheet
    sheet.get_by_label("Paper speed").select_option("50")
    expect(sheet.locator("text.scale")).to_contain_text("50 mm/s")
    expect(sheet.get_by_text("Shown: 2 s to 7 s of 10 s.")).to_be_visible()
    scale = "(svg) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    assert sheet.locator(".ecg svg").evaluate(scale) > 2.1  # a small square can be counted
    sheet.get_by_label("Where in the recording").press("Home")
    expect(sheet.get_by_text("Shown: 0 s to 5 s of 10 s.")).to_be_visible()

    sheet = choose(clinic, "Letter")
    expect(sheet.get_by_role("link", name="Download")).to_be_visible()
    with page.expect_download() as download:
        sheet.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == papers.PDF
    assert page.locator("iframe").get_attribute("src").startswith("/documents/")
    shown = page.request.get(
        f"{clinic.url}{sheet.get_by_role('link', name='Open').get_attribute('href')}"
    )
    assert shown.headers["x-frame-options"] == "SAMEORIGIN"
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert shown.headers["content-type"] == "application/pdf"

    page.emulate_media(media="print")  # whose it is, and no picture that paper would stretch
    expect(page.locator(".reading .area")).to_be_hidden()
    name, whose = page.locator(".banner strong"), page.locator(".reading")
    expect(whose).to_have_attribute("data-whose", re.compile(f"^{name.text_content()} · "))
    page.emulate_media(media="screen")

    choose(clinic, "Plan")
    expect(clinic.port.get_by_role("alert")).to_contain_text("RT Plan cannot be shown")
    expect(clinic.port.get_by_role("button", name="Try again")).to_be_hidden()
    expect(clinic.port.get_by_role("button", name="Show its header")).to_be_visible()


def saved_picture(page: Page, *, marks: bool = True) -> np.ndarray:
    """The view as the picture that leaves, in red, green and blue."""
    page.get_by_role("application").focus()
    page.keyboard.press("Shift+H")
    page.get_by_role("menuitem", name="Picture of this view…").click()
    page.get_by_role("checkbox", name="With measurements").set_checked(marks)
    with page.expect_download() as leaving:
        page.get_by_role("button", name="Save picture").click()
    return np.asarray(Image.open(leaving.value.path()).convert("RGB")).astype(int)


def size_of(shape: Locator) -> tuple[float, float]:
    """How wide and high something is that is drawn anew each time its image is painted."""
    expect(shape).to_be_attached()
    sizes: list[list[float]] = shape.evaluate_all(  # finds and measures at once
        """shapes => shapes.map((one) => {
          const {width, height} = one.getBoundingClientRect();
          return [width, height];
        })"""
    )
    [(width, height)] = sizes
    return width, height


def under_glass(page: Page, x: float, y: float) -> int:
    """How bright the magnifier shows a place of the port, just beside its strokes."""
    corner = page.get_by_role("application").bounding_box()
    assert corner
    page.keyboard.down("q")
    for step in (0, 1):  # it follows the hand
        page.mouse.move(corner["x"] + x + step, corner["y"] + y)
    bright: int = page.locator(".loupe").evaluate(
        """canvas => {
          const at = canvas.width / 2 + 12 * devicePixelRatio;
          const {data} = canvas.getContext("2d").getImageData(at, at, 1, 1);
          return Math.max(...data.slice(0, 3));
        }"""
    )
    page.keyboard.up("q")
    return bright


def test_a_presentation_state_is_chosen_like_a_series_and_seen_on_its_images(clinic):
    first, second = ct(InstanceNumber=1), ct(InstanceNumber=2)
    second.StudyInstanceUID, second.SeriesInstanceUID = (
        first.StudyInstanceUID,
        first.SeriesInstanceUID,
    )
    second.ImagePositionPatient = [0, 0, 500]
    first.SeriesDescription = second.SeriesDescription = "Axial"
    state = of_study(papers.presentation(second, f"{HOSTILE}\nsecond line"), first, 7, "Marked")
    other = of_study(papers.presentation(ct(), "lost"), first, 8, "Elsewhere")
    turned = papers.presentation(second, "x", ImageRotation=90, ImageHorizontalFlip="Y")
    turned.ShutterShape, turned.ShutterOverlayGroup = "BITMAP", 0x6000
    left = np.zeros((128, 128), bool)
    left[:, :60] = True
    plane(turned, 0x6000, left)
    turned[0x60000050].value = [1, 1]
    plane(turned, 0x6002, np.ones((8, 8), bool), layer="LAYER")
    turned[0x60020050].value = [41, 71]
    turned = of_study(turned, first, 9, "Turned")
    clinic.open(first, second, state, other, turned)
    page, port = clinic.page, clinic.port
    canvas = page.locator(".port canvas")
    expect(canvas).to_have_attribute("data-shown", "0")
    expect(port.locator(".notice")).to_have_text(NOTICE)

    rail = page.get_by_role("navigation", name="Series")
    rail.get_by_role("button", name="Marked, 1 image").click()
    drawn = port.locator(".presented")
    expect(drawn.locator("text")).to_have_text(f"{HOSTILE}second line")
    expect(drawn.locator(".shutter")).to_have_count(1)
    expect(port.get_by_text("WW 300 WL 40")).to_be_visible()
    expect(port.get_by_text("Presentation LIVER")).to_be_visible()
    # The area of 64 by 64 pixels fills the height of the viewport: the circle of 8 pixels shows it.
    height = port.evaluate("node => node.clientHeight")
    width, _ = size_of(drawn.locator("path:not(.under):not(.shutter)").first)
    assert width == pytest.approx(16 * height / 64, rel=0.03)

    # A picture that leaves shows what the state covers, draws and writes.
    picture = saved_picture(page)
    cyan = np.abs(picture - (0x67, 0xE8, 0xF9)).max(axis=2) < 40
    across = np.nonzero(cyan.any(axis=0))[0]
    assert np.ptp(across) > 16 * height / 64
    middle = picture[len(picture) // 2]
    edge = round(middle.shape[0] / 2 - height / 2)  # of the area, which the shutter covers
    assert middle[edge + 8 : edge + round(7 * height / 64)].max() == 0
    assert middle[edge + round(10 * height / 64) :].max() > 60
    assert under_glass(page, edge + 5 * height / 64, height / 2) == 0
    assert under_glass(page, edge + 24 * height / 64, height / 2) > 30

    page.get_by_role("application").focus()
    page.keyboard.press("r")  # the reader's own ways stay
    expect(port.get_by_text("WW 300 WL 40")).to_be_hidden()
    expect(drawn.locator("text")).to_have_count(1)

    rail.get_by_role("button", name="Axial").click()
    expect(drawn.locator("text")).to_have_count(0)
    rail.get_by_role("button", name="Turned").click()  # first turned clockwise, then flipped
    expect(port.locator(".overlay .top")).to_have_text("R")
    expect(port.locator(".overlay .left")).to_have_text("A")
    # The left of the image lies at the top, and is covered there.
    cover = drawn.locator(".bitmap").first
    width, length = size_of(cover)
    assert width == pytest.approx(length, rel=0.01)
    assert cover.evaluate(
        """async (node) => {
          const picture = new Image();
          picture.src = node.getAttribute("href");
          await picture.decode();
          const canvas = document.createElement("canvas");
          Object.assign(canvas, {width: picture.width, height: picture.height});
          const context = canvas.getContext("2d");
          context.drawImage(picture, 0, 0);
          return [59, 60].map((x) => [...context.getImageData(x, 127, 1, 1).data]);
        }"""
    ) == [[0, 0, 0, 255], [0, 0, 0, 0]]
    spot = port.evaluate("node => node.clientWidth") / 2, height / 4
    assert under_glass(page, *spot) == 0
    amber = (0xFF, 0xD6, 0x4F)
    assert (saved_picture(page) == amber).all(axis=2).sum() > 1000
    picture = saved_picture(page, marks=False)
    assert not (picture == amber).all(axis=2).any()
    assert picture[round(height / 4), round(spot[0])].max() == 0
    page.get_by_role("button", name="Graphics of the image").click()
    expect(drawn.locator(".bitmap")).to_have_count(0)
    assert under_glass(page, *spot) > 30
    port.focus()
    page.keyboard.press("y")
    expect(drawn.locator(".bitmap")).to_have_count(2)
    rail.get_by_role("button", name="Elsewhere").click()
    expect(port.get_by_role("alert")).to_contain_text("not in this study")


def test_a_presentation_state_subtracts_its_own_mask_in_its_own_shape_of_pixels(clinic):
    run = dcmread(BytesIO(angiogram(6, 64)), force=True)
    run.SOPClassUID, run.StudyInstanceUID = XRayAngiographicImageStorage, generate_uid()
    run.file_meta.MediaStorageSOPClassUID = run.SOPClassUID
    run.PatientName, run.PatientID = "Muster^Maria", "Q-9"
    run = of_study(run, run, 1, "Run")
    state = papers.presentation(run, "x")
    operation = Dataset()
    operation.MaskOperation, operation.TIDOffset = "TID", 2
    state.MaskSubtractionSequence, state.RecommendedViewingMode = [operation], "SUB"
    place = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    place.ReferencedFrameNumber = 5
    [tone] = state.SoftcopyVOILUTSequence
    tone.WindowCenter, tone.WindowWidth = "-100", "500"
    del state.ShutterShape
    [area] = state.DisplayedAreaSelectionSequence
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [64, 64]
    area.PresentationPixelAspectRatio = [2, 1]
    clinic.open(run, of_study(state, run, 2, "Marked"))
    page, port = clinic.page, clinic.port
    canvas, values = page.locator(".port canvas"), port.locator(".values")
    expect(canvas).to_have_attribute("data-shown", "0")
    expect(values).to_contain_text("Subtracted: mask 1–2")

    rail = page.get_by_role("navigation", name="Series")
    rail.get_by_role("button", name="Marked, 1 image").click()
    expect(values).to_contain_text("Subtracted: mask 3")
    expect(values).to_contain_text("WW 500 WL -100")
    expect(port.locator(".presented-note")).not_to_contain_text("Not applied")
    painted, stretch = canvas.evaluate(
        """canvas => {
          const {a, d} = new DOMMatrix(getComputedStyle(canvas).transform);
          return [canvas.getContext("2d").getImageData(32, 0, 1, 1).data[0], d / a];
        }"""
    )
    pixels = run.pixel_array.astype(float)[:, 0, 32]
    [seen] = 255 * window.apply(np.array([pixels[4] - pixels[2]]), -100, 500)
    assert painted == pytest.approx(seen, abs=1)
    assert stretch == pytest.approx(2)
    page.keyboard.press("Shift+D")
    expect(values).to_contain_text("Without the subtraction of its mask")
    page.keyboard.press("Shift+D")
    expect(values).to_contain_text("Subtracted: mask 3")


def test_a_presentation_state_is_painted_with_its_tables_size_and_colours(clinic):
    image = ct(SeriesDescription="Axial")
    state = papers.presentation(image, "x", RescaleSlope="1", RescaleIntercept="-1000")
    [area] = state.DisplayedAreaSelectionSequence
    area.PresentationSizeMode, area.PresentationPixelMagnificationRatio = "MAGNIFY", 8.0
    del state.ShutterShape
    levels = Dataset()
    levels.add_new(0x00283002, "US", [256, 0, 8])
    levels.add_new(0x00283006, "US", list(range(255, -1, -1)))
    state.PresentationLUTSequence = [levels]
    del state.PresentationLUTShape
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER", 1
    layer.GraphicLayerRecommendedDisplayCIELabValue = [35599, 53604, 50844]
    state.GraphicLayerSequence = [layer]
    box = Dataset()
    box.CompoundGraphicInstanceID, box.CompoundGraphicType = 1, "RECTANGLE"
    box.CompoundGraphicUnits, box.GraphicDimensions, box.NumberOfGraphicPoints = "PIXEL", 2, 2
    box.GraphicData, box.GraphicFilled = [60, 44, 70, 52], "N"
    state.GraphicAnnotationSequence[0].CompoundGraphicSequence = [box]
    clinic.open(image, of_study(state, image, 2, "Marked"))
    page, port = clinic.page, clinic.port
    canvas = page.locator(".port canvas")
    expect(canvas).to_have_attribute("data-shown", "0")

    rail = page.get_by_role("navigation", name="Series")
    rail.get_by_role("button", name="Marked, 1 image").click()
    expect(port.locator(".place")).to_contain_text("800 %")
    drawn = port.locator(".presented path:not(.under)")
    rectangle = drawn.nth(2)
    expect(rectangle).to_have_css("stroke", "rgb(252, 8, 4)")
    assert size_of(rectangle)[0] == pytest.approx(10 * 8, abs=3)
    # The middle of the area, 64 and 48, stands in the middle of the viewport.
    painted = canvas.evaluate(
        """canvas => {
          const {clientWidth: width, clientHeight: height} = canvas.parentNode;
          const image = new DOMMatrix(getComputedStyle(canvas).transform).inverse();
          const {x, y} = image.transformPoint({x: width / 2 + 20, y: height / 2 - 20});
          return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
        }"""
    )
    stored = image.pixel_array[45, 66]
    [seen] = 255 * window.apply(np.array([stored - 1000.0]), 40, 300)
    assert 20 < seen < 235  # neither black nor white: a wrong table would show
    assert painted == pytest.approx([255 - seen] * 3, abs=1)

    # Over the whole screen menus, dialogs and what is said of them are seen as well.
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement !== null")
    port.focus()
    page.keyboard.press("Shift+H")
    page.get_by_role("menuitem", name="Save as DICOM…").click()
    said = page.locator(".stack", has_text="Nothing to save yet")
    expect(said).to_be_visible()
    assert said.evaluate("node => node.matches(':popover-open')")  # above what fills the screen
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement === null")
