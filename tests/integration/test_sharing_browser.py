"""Saving and handing out from the study's own page, in a real browser on a real database."""

from __future__ import annotations

import io
import shutil
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import panel as pn
import pytest
import uvicorn
from fastapi import FastAPI, Response
from panel.io.fastapi import add_applications
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.components.live import Live
from clinic_panel.feed import ChangeFeed
from clinic_panel.imaging.header import read_header
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.user import Role
from clinic_panel.pages import study as study_page
from clinic_panel.services import dicom, frames, handout
from clinic_panel.services.dicom import Received
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.web import together
from tests.conftest import free_port
from tests.integration.test_evidence import work
from tests.integration.test_handout import work as make_files
from tests.integration.test_viewer_browser import until

CT = Path(get_testdata_file("CT_small.dcm"))
SHOTS = Path(__file__).parents[2] / "artifacts"


@pytest.fixture
def database():
    return "sqlite"


@pytest.fixture
def site(ctx, as_role):
    """The page of one study for a doctor, and the clinic behind it."""
    stored = ctx.store.put(CT.read_bytes())
    received = Received(read_header(ctx.store.path(stored.path)), stored, "CT1")
    [outcome] = dicom.index_batch(ctx, [received])
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    feed = ChangeFeed(ctx.sessions.kw["bind"])
    feed.start()
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @api.get("/frames/{instance_id}/{frame}")
    def frame(instance_id: int, frame: int) -> Response:
        pixels = frames.frame(doctor, lightbox, instance_id, frame)
        headers = {"X-Frame-Info": pixels.info.as_header()}
        return Response(pixels.data, media_type="application/octet-stream", headers=headers)

    def page():
        return study_page.page(doctor, Live(feed, pn.state.curdoc), lightbox)

    port = free_port()
    together.send_together()
    add_applications({"/study": page}, app=api, index_enabled=False)
    server = uvicorn.Server(
        uvicorn.Config(api, "127.0.0.1", port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield SimpleNamespace(
        ctx=ctx, doctor=doctor, address=f"http://127.0.0.1:{port}/study?id={outcome.study_id}"
    )
    server.should_exit = server.force_exit = True
    thread.join(20)
    feed.stop()


@pytest.fixture
def page(site):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_page(viewport={"width": 1366, "height": 768})
        problems = []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(site.address)
        expect(opened.locator("canvas[data-shown='0']")).to_be_visible()
        yield opened
        browser.close()
        assert problems == []


def draw(page):
    box = page.get_by_role("application").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.get_by_role("application").click()
    page.keyboard.press("l")
    page.mouse.move(x - 60, y - 40)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=4)
    page.mouse.up()
    expect(page.locator(".shapes [data-kind=length] text")).to_contain_text("Pixel Spacing")


def choose(page, label):
    page.get_by_role("button", name="Save and hand out").click()
    page.get_by_role("menuitem", name=label).click()


def shot(page, name):
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def test_a_picture_of_the_view_and_a_film_leave_with_an_entry_in_the_audit(site, page):
    draw(page)
    choose(page, "Picture of this view…")
    dialog = page.get_by_role("dialog", name="Picture of this view")
    shot(page, "sharing-picture")
    with page.expect_download() as leaving:
        dialog.get_by_role("button", name="Save picture").click()
    assert leaving.value.suggested_filename.startswith("view-")
    SHOTS.mkdir(exist_ok=True)
    leaving.value.save_as(SHOTS / "sharing-picture-saved.png")
    picture = np.asarray(Image.open(SHOTS / "sharing-picture-saved.png").convert("RGB"))
    box = page.get_by_role("application").bounding_box()
    assert picture.shape[1] == round(box["width"])
    assert picture.shape[0] == round(box["height"]) + 4 * 20 + 20  # four lines beside it
    yellow = (picture[..., 0] > 200) & (picture[..., 2] < 120)
    assert yellow.sum() > 100  # the line that was drawn
    assert picture[:90].max() == 255  # whose it is
    [entry] = entries(site.ctx, "study", Action.HAND_OUT)
    assert entry.detail == {"picture": True, "identity": "beside", "marks": True}

    choose(page, "Film sheet…")
    dialog = page.get_by_role("dialog", name="Film sheet")
    expect(dialog.get_by_label("Every")).to_be_hidden()
    dialog.get_by_label("Images").select_option("every")
    expect(dialog.get_by_label("Every")).to_have_value("2")
    dialog.get_by_label("Images").select_option("series")
    expect(dialog.get_by_label("Every")).to_be_hidden()
    dialog.get_by_label("Columns × rows").select_option("1x1")
    shot(page, "sharing-film")
    dialog.get_by_role("button", name="Make PDF").click()
    expect(page.get_by_text("The film sheet is being made…")).to_be_visible()
    files = page.get_by_role("region", name="Prepared files")
    expect(files.get_by_role("status")).to_have_text("Being made")
    make_files(site.ctx)
    link = page.get_by_role("link", name="Open PDF")
    expect(link).to_be_visible()
    shot(page, "sharing-film-ready")
    made = int(link.get_attribute("href").removeprefix("/handouts/"))
    page.reload()  # the notice is gone, the file is not
    again = files.get_by_role("link", name="Download Film sheet")
    expect(again).to_have_attribute("href", f"/handouts/{made}")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    shutil.copy(handout.fetch(site.doctor, made).path, SHOTS / "film.pdf")


def entries(ctx, subject, action):
    with ctx.read() as session:
        query = select(AuditEntry).where(AuditEntry.subject_type == subject)
        return session.scalars(query.where(AuditEntry.action == action)).all()


def test_a_measurement_is_saved_as_dicom_from_the_page(site, page):
    choose(page, "Save as DICOM…")
    expect(page.get_by_text("Nothing to save yet")).to_be_visible()
    draw(page)
    choose(page, "Save as DICOM…")
    dialog = page.get_by_role("dialog", name="Save as DICOM")
    expect(dialog).to_contain_text("Structured report: 1 measurement.")
    expect(dialog).to_contain_text("Key objects: nothing to save.")
    shot(page, "sharing-dicom")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saving as DICOM…")).to_be_visible()
    work(site.ctx)
    said = "Saved in the archive: structured report, presentation state."
    expect(page.get_by_text(said)).to_be_visible()
    with site.ctx.read() as session:
        query = select(Instance.path).join(Instance.series).where(Series.modality == "SR")
        [path] = session.scalars(query)
    report = dcmread(site.ctx.store.path(path))
    assert report.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurement Report"

    page.keyboard.press("m")
    page.get_by_role("button", name="Save as DICOM…").click()
    expect(dialog).to_contain_text("unchanged since")

    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.get_by_label("Template").select_option(label="General")
    page.get_by_role("button", name="Start report").click()
    sign = page.get_by_role("button", name="Sign report")
    sign.click()
    files = page.get_by_role("region", name="Prepared files")
    last = files if files.is_visible() else page.locator(".report footer")
    until(lambda: abs(bottom(last) - bottom(page.locator(".reading"))) < 1.5)  # on one line
    wrong = page.get_by_text("The impression is empty.")
    expect(wrong).to_be_visible()
    until(lambda: bottom(wrong) < sign.bounding_box()["y"])  # not below the bar with the button


def bottom(locator):
    box = locator.bounding_box()
    return box["y"] + box["height"]


def test_a_case_for_teaching_leaves_without_the_person(site, page):
    choose(page, "Teaching export…")
    dialog = page.get_by_role("dialog", name="Teaching export")
    dialog.get_by_label("Case name").fill("case of CompressedSamples")
    dialog.get_by_role("button", name="Make ZIP").click()
    expect(dialog).to_contain_text("patient's own")
    dialog.get_by_label("Case name").fill("Teaching 12")
    shot(page, "sharing-teaching")
    dialog.get_by_role("button", name="Make ZIP").click()
    expect(page.get_by_text("The teaching export is being made…")).to_be_visible()
    make_files(site.ctx)
    link = page.get_by_role("link", name="Download ZIP")
    expect(link).to_be_visible()
    expect(page.get_by_text("Teaching 12: 1 object ready.")).to_be_visible()
    shot(page, "sharing-teaching-ready")
    made = int(link.get_attribute("href").removeprefix("/handouts/"))
    with zipfile.ZipFile(handout.fetch(site.doctor, made).path) as packed:
        [image] = [name for name in packed.namelist() if name.endswith("IM000000")]
        assert dcmread(io.BytesIO(packed.read(image))).PatientName == "Teaching 12"
