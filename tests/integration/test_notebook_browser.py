"""The viewer of a notebook in a real browser: served by Panel alone, without a route of ours."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import panel as pn
import pytest
import uvicorn
from fastapi import FastAPI
from panel.io.fastapi import add_applications
from playwright.sync_api import Locator, Page, expect, sync_playwright
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context, system
from clinic_panel.imaging import waveform
from clinic_panel.models.user import Role
from clinic_panel.notebook import Clinic
from clinic_panel.resources import build_context, build_engine
from clinic_panel.services.documents import AtHand
from clinic_panel.services.lightbox import Lightbox
from tests import factories, papers
from tests.conftest import free_port
from tests.integration.archive import keep
from tests.integration.test_viewer_browser import InThread, until

SECRET = "Plantedname"


@dataclass
class Desk:
    """A notebook's clinic, what it showed last, and a page to see it on."""

    ctx: Context
    study_uid: str
    ids: dict[str, int]
    url: str = ""
    page: Page | None = None
    shown: list[tuple[StudyViewer, object]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def viewer(self) -> StudyViewer:
        return self.shown[-1][0]

    def change(self, **values: object) -> None:
        """Set params as a cell would, while the viewer is on the screen."""
        viewer, document = self.shown[-1]
        document.add_next_tick_callback(lambda: viewer.param.update(**values))


def objects():
    """One study: two slices, a report, key images, an ECG, a PDF and a presentation state."""
    first = dcmread(get_testdata_file("CT_small.dcm"))
    first.PatientName, first.SeriesDescription = SECRET, SECRET
    second = dcmread(get_testdata_file("CT_small.dcm"))
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    second.PatientName, second.ImagePositionPatient = SECRET, [0, 0, 500]
    ecg = dcmread(get_testdata_file("waveform_ecg.dcm"))
    others = [
        papers.report(second, f"{SECRET} is well."),
        papers.key_images(second, SECRET),
        ecg,
        papers.pdf(title=SECRET),
        papers.presentation(second, SECRET),
    ]
    for number, one in enumerate(others, 2):
        one.StudyInstanceUID, one.PatientName = first.StudyInstanceUID, SECRET
        one.SeriesNumber = number
    return [first, second, *others]


@pytest.fixture(scope="module")
def desk(sqlite_template, tmp_path_factory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("notebook")
    shutil.copy(sqlite_template, home / "clinic.db")
    settings = Settings.read({}, home=home)
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("test"))
    made = objects()
    names = ("first", "second", "report", "keys", "ecg", "pdf", "state")
    found = Desk(ctx, made[0].StudyInstanceUID, dict(zip(names, keep(ctx, *made), strict=True)))
    faults: list[str] = []
    with serving(found), sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        found.page = browser.new_page(viewport={"width": 1366, "height": 768})
        found.page.on("pageerror", lambda error: faults.append(str(error)))
        found.page.on("request", lambda request: found.asked.append(request.url))
        yield found
        browser.close()
    engine.dispose()
    assert faults == []


def acting(ctx: Context, role: Role) -> Context:
    account = factories.user(ctx, role)
    return ctx.acting_as(Actor(account.username, role, account.id))


class serving(InThread):
    """Panel's own server in a thread: pages and websockets, nothing of ours."""

    def __init__(self, desk: Desk) -> None:
        def shows(make: Callable[[], StudyViewer]) -> Callable[[], StudyViewer]:
            def page() -> StudyViewer:
                viewer = make()
                viewer.param.update(sizing_mode="stretch_width", height=640)
                desk.shown.append((viewer, pn.state.curdoc))
                return viewer

            return page

        analyst = acting(desk.ctx, Role.ANALYST)
        doctor = acting(desk.ctx, Role.CLINICIAN)
        clinic = Clinic(analyst, ExitStack())

        def with_names() -> StudyViewer:
            viewer = clinic.view(desk.study_uid)
            viewer.papers = AtHand(doctor, Lightbox())
            return viewer

        api, port = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), free_port()
        desk.url = f"http://127.0.0.1:{port}"
        add_applications(
            {
                "/notebook": shows(lambda: clinic.view(desk.study_uid)),
                "/named": shows(with_names),
            },
            app=api,
        )
        super().__init__(
            uvicorn.Config(api, port=port, log_level="warning", ws="websockets-sansio")
        )


def choose(page: Page, series: str) -> Locator:
    page.get_by_role("navigation", name="Series").get_by_role("button", name=series).click()
    return page.get_by_role("application").get_by_role("article")


def test_documents_and_headers_come_over_the_comm_without_names(desk, monkeypatch):
    monkeypatch.setattr(waveform, "MOST_SECONDS", 4.0)  # of the recording's ten
    page, viewer = desk.page, desk.viewer
    page.goto(f"{desk.url}/notebook")
    canvas = page.locator(".port canvas")
    expect(canvas).to_have_attribute("data-shown", "0")

    desk.change(area=[32.0, 16.0, 96.0, 80.0])
    # As the browser says it: the pane is wider than high.
    until(lambda: viewer().area and viewer().area[0] < 31)
    left, top, right, bottom = viewer().area
    assert (top, bottom) == pytest.approx((16, 80), abs=0.1)
    assert left + right == pytest.approx(128, abs=0.1)

    page.keyboard.press("h")
    header = page.get_by_role("dialog", name="DICOM header")
    row = header.get_by_role("row")
    expect(row.filter(has_text="PatientName")).to_contain_text("withheld")
    expect(row.filter(has_text="KVP")).to_contain_text("120")
    page.keyboard.press("Escape")

    sheet = choose(page, "Series 2")
    expect(sheet.get_by_role("heading", level=2)).to_have_text("Imaging Measurement Report")
    expect(sheet).to_contain_text("12.5 mm")
    expect(sheet).to_contain_text("(withheld)")
    until(lambda: viewer().document_id == desk.ids["report"])
    sheet.get_by_role("button", name="image 2").click()
    expect(canvas).to_have_attribute("data-shown", "1")
    until(lambda: viewer().document_id is None)

    desk.change(document_id=desk.ids["keys"])
    sheet = page.get_by_role("article")
    expect(sheet.get_by_role("heading", level=2)).to_have_text("For Printing")
    expect(sheet.get_by_role("button")).to_have_count(1)

    desk.change(document_id=desk.ids["ecg"])
    expect(sheet.get_by_text("Shown: 0 s to 4 s of 10 s.")).to_be_visible()
    sheet.get_by_role("button", name="Later part of the recording").click()
    expect(sheet.get_by_text("Shown: 4 s to 8 s of 10 s.")).to_be_visible()
    until(lambda: viewer().waveform_start_s == 4)
    last = list(viewer().waveform)[-1]
    assert (last.range("time")[0], len(last)) == (4.0, 4000)
    expect(page.get_by_text(SECRET)).to_have_count(0)
    ours = ("/frames/", "/documents/", "/headers/", "/thumbnails/")
    assert not [url for url in desk.asked if any(path in url for path in ours)]


def test_who_may_see_names_is_shown_a_pdf_over_the_comm(desk):
    page = desk.page
    page.goto(f"{desk.url}/named")
    expect(page.locator(".port canvas")).to_have_attribute("data-shown", "0")
    sheet = choose(page, "Series 5")
    expect(sheet.get_by_role("heading", level=2)).to_have_text(SECRET)
    expect(sheet.locator("iframe")).to_have_attribute("src", re.compile("^blob:"))
    with page.expect_download() as download:
        sheet.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == papers.PDF
