"""The report editor in a real browser, on a real database."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import panel as pn
import pytest
import uvicorn
from fastapi import FastAPI
from panel.io.fastapi import add_applications
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import select

from clinic_panel.components.report_editor import ReportEditor
from clinic_panel.components.shell import shell
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.job import Job, JobState
from clinic_panel.models.report import ReportVersion
from clinic_panel.models.user import Role
from clinic_panel.services import report, report_pdf
from clinic_panel.services.report import KeyImageRef, Texts
from clinic_panel.web import together
from tests import factories
from tests.conftest import free_port, hold_answers
from tests.integration.peer import wait_for

SHOTS = Path(__file__).parents[2] / "artifacts"


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


class Site:
    """One page, `/study?who=…`, with the editor of one study; its server can die and return."""

    def __init__(self, people, study) -> None:
        self.people, self.study = people, study
        self.port = free_port()
        self.editors: list[ReportEditor] = []
        self.documents: list[object] = []
        self.start()

    def _page(self):
        who = pn.state.session_args.get("who", [b"doctor"])[0].decode()
        editor = ReportEditor(
            ctx=self.people[who],
            study_id=self.study.id,
            modalities="CT",
            description="CT chest",
        )
        self.editors.append(editor)
        self.documents.append(pn.state.curdoc)
        role = self.people[who].actor.role.value
        return shell("Study", user=who, role=role, active="reports", main=[editor])

    def start(self) -> None:
        api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        together.send_together()
        add_applications(
            {"/study": self._page},
            app=api,
            index_enabled=False,
            websocket_origin=[f"127.0.0.1:{self.port}"],
        )
        config = uvicorn.Config(
            api, "127.0.0.1", self.port, log_level="warning", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started)

    def stop(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(20)

    def refresh(self) -> None:
        """Do as the page does when the change feed tells of reports."""
        for editor, document in zip(self.editors, self.documents, strict=True):
            document.add_next_tick_callback(editor.refresh)


@pytest.fixture
def site(ctx, as_role) -> Iterator[Site]:
    visit = factories.appointment(
        ctx,
        status=AppointmentStatus.TO_READ,
        images_at=ctx.clock(),
        reason_for_the_requested_procedure="Cough for six weeks",
    )
    study = factories.study(ctx, instances=2, appointment_pk=visit.id, patient_pk=visit.patient_pk)
    doctor = as_role(Role.CLINICIAN)
    user = factories.user(ctx, Role.CLINICIAN, username="vos")
    colleague = replace(
        doctor.actor, username="vos", user_pk=user.id, display_name=user.display_name
    )
    people = {
        "doctor": doctor,
        "colleague": ctx.acting_as(colleague),
        "desk": as_role(Role.RECEPTIONIST),
    }
    running = Site(people, study)
    yield running
    running.stop()


@pytest.fixture
def visit(browser, site):
    """Return a function that opens the study as somebody, each in a browser of their own."""
    opened, problems = [], []

    def open_as(who="doctor", **options) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 900, "height": 1000}, "reduced_motion": "reduce"} | options
        )
        hold_answers(context)
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        expect_up(page, site, who)
        return page

    yield open_as
    for context in opened:
        context.close()
    assert problems == []


def expect_up(page: Page, site: Site, who: str = "doctor") -> None:
    page.goto(f"http://127.0.0.1:{site.port}/study?who={who}")
    expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible()


def begin(page: Page) -> None:
    page.get_by_label("Template").select_option(label="CT chest")
    page.get_by_role("button", name="Start report").click()
    expect(page.get_by_label("Findings")).to_have_value(re.compile("Lungs and airways: ___"))


def write(page: Page, **texts: str) -> None:
    for label, words in texts.items():
        page.get_by_label(label.replace("_", " ")).fill(words)


def saved(page: Page) -> None:
    expect(page.get_by_text(re.compile(r"^Saved 13:00$"))).to_be_visible()


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"report-{name}.png")


def kept(site: Site) -> report.Draft:
    doctor = site.people["doctor"]
    return report.draft(doctor, report.state(doctor, site.study.id).report_id)


def test_a_report_is_started_written_signed_and_its_pdf_opens(ctx, site, visit):
    page = visit()
    shoot(page, "start")
    begin(page)
    expect(page.get_by_label("Clinical information")).to_have_value("Cough for six weeks")
    write(page, Technique="CT of the chest.", Findings="Lungs clear.\n\nNo node.")
    saved(page)
    assert kept(site).texts == Texts(
        "Cough for six weeks", "CT of the chest.", "Lungs clear.\n\nNo node.", ""
    )

    page.get_by_role("button", name="Sign report").click()
    expect(page.get_by_text("The impression is empty.")).to_be_visible()
    expect(page.get_by_label("Impression")).to_be_focused()
    write(page, Impression="No mass.")
    shoot(page, "draft")

    page.get_by_role("button", name="Sign report").click()  # the last words are not saved yet
    dialog = page.get_by_role("dialog", name="Sign report")
    dialog.get_by_label("Password").fill("wrong")
    dialog.get_by_role("button", name="Sign", exact=True).click()
    expect(dialog.get_by_role("alert")).to_have_text("The password is not right.")
    assert rows(ctx) == []
    shoot(page, "sign")
    dialog.get_by_label("Password").fill(factories.PASSWORD)
    dialog.get_by_role("button", name="Sign", exact=True).click()

    expect(page.get_by_text("PDF being prepared")).to_be_visible()
    expect(page.get_by_text("Signed 16 Mar 2026, 13:00 · version 1")).to_be_visible()
    expect(page.get_by_role("textbox")).to_have_count(0)
    [version] = rows(ctx)
    assert version.content["sections"]["impression"] == "No mass."
    assert page.evaluate("Object.keys(sessionStorage)") == []

    end_job(ctx, JobState.FAILED)
    site.refresh()
    expect(page.get_by_text("The PDF could not be made")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("PDF being prepared")).to_be_visible()
    assert end_job(ctx, JobState.DONE) is JobState.QUEUED
    expect(page.get_by_text("after this report was signed")).to_be_hidden()
    come_late(ctx, site.study)
    report_pdf.keep_pdf(ctx, version.id, b"%PDF")
    site.refresh()
    expect(page.get_by_text("1 image came after this report was signed.")).to_be_visible()
    link = page.get_by_role("link", name="Open PDF")
    expect(link).to_have_attribute("href", f"/reports/{version.report_pk}.pdf")
    shoot(page, "signed")


def end_job(ctx, state):
    """Let the only job end; return how it stood before."""
    with ctx.begin() as session:
        [job] = session.scalars(select(Job))
        before, job.state = job.state, state
    return before


def come_late(ctx, study):
    """One more image of the study, a minute from now."""
    now = ctx.clock() + timedelta(minutes=1)
    with ctx.begin() as session:
        row = session.get_one(Study, study.id)
        [series] = row.series
        image = factories.instance(ctx, series, 9, digest="9" * 64)
        image.received_at = row.last_received_at = now
        session.add(image)


def rows(ctx):
    with ctx.read() as session:
        return list(session.scalars(select(ReportVersion)))


def test_the_second_of_two_writers_sees_both_texts_and_chooses(site, visit):
    mine = visit()
    begin(mine)
    write(mine, Findings="Lungs clear.", Impression="No mass.")
    saved(mine)
    theirs = visit("colleague")
    write(theirs, Findings="Lungs clear. Nodule of 8 mm on the left.", Technique="CT, no contrast.")
    saved(theirs)

    write(mine, Findings="Lungs clear. No nodule at all.", Impression="No mass, no nodule.")
    expect(mine.get_by_role("alert")).to_contain_text("Vos saved this report")
    expect(mine.get_by_role("group")).to_have_count(1)  # only Findings was written by both
    expect(mine.locator("mark").first).to_be_visible()
    shoot(mine, "conflict")
    mine.get_by_label(re.compile("Take Vos's, saved 13:00")).check()
    mine.get_by_role("button", name="Use this text").click()

    saved(mine)
    assert kept(site).texts == Texts(
        "Cough for six weeks",
        "CT, no contrast.",
        "Lungs clear. Nodule of 8 mm on the left.",
        "No mass, no nodule.",
    )
    expect(mine.get_by_label("Technique")).to_have_value("CT, no contrast.")

    write(theirs, Findings="Once more.")  # and the colleague in turn keeps their own
    saved(theirs)
    expect(theirs.get_by_label("Impression")).to_have_value("No mass, no nodule.")
    assert kept(site).texts.findings == "Once more."


def test_keeping_mine_keeps_mine(site, visit):
    mine = visit()
    begin(mine)
    write(mine, Findings="First.")
    saved(mine)
    theirs = visit("colleague")
    write(theirs, Findings="Theirs.")
    saved(theirs)
    write(mine, Findings="Mine.")
    mine.get_by_role("button", name="Use this text").click()
    saved(mine)
    assert kept(site).texts.findings == "Mine."


def test_words_survive_a_reload_and_a_restart_of_the_server(site, visit):
    page = visit()
    begin(page)
    write(page, Findings="Saved words.")
    saved(page)
    site.stop()
    page.get_by_label("Impression").press_sequentially("Typed while the server is away.")
    stored = page.evaluate("JSON.stringify(sessionStorage)")
    assert "Typed while the server is away." in stored
    assert "clinic-draft-" in stored
    site.start()
    expect_up(page, site)
    expect(page.get_by_label("Findings")).to_have_value("Saved words.")
    expect(page.get_by_label("Impression")).to_have_value("Typed while the server is away.")
    saved(page)
    assert page.evaluate("Object.keys(sessionStorage)") == []
    assert kept(site).texts.impression == "Typed while the server is away."


def test_another_reader_at_the_same_browser_does_not_meet_unsaved_words(site, visit):
    page = visit()
    begin(page)
    site.stop()
    page.get_by_label("Impression").fill("For nobody else.")
    site.start()
    expect_up(page, site, "colleague")
    expect(page.get_by_label("Impression")).to_have_value("")
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_a_report_signed_elsewhere_closes_here_and_the_unsaved_words_stay_readable(site, visit):
    page = visit()
    begin(page)
    write(page, Findings="Lungs clear.", Impression="No mass.")
    saved(page)
    draft = kept(site)
    report.sign(site.people["colleague"], draft.id, draft.version, factories.PASSWORD)
    write(page, Impression="No mass, but a nodule.")
    expect(page.get_by_text("Your unsaved text")).to_be_visible()
    expect(page.get_by_text("No mass, but a nodule.")).to_be_visible()
    assert report.signed(site.people["doctor"], draft.id).texts.impression == "No mass."
    page.get_by_role("button", name="Discard").click()
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_images_chosen_in_the_viewer_join_without_touching_what_is_typed(ctx, site, visit):
    page = visit()
    begin(page)
    write(page, Findings="Lungs clear.")
    saved(page)
    page.get_by_label("Impression").press_sequentially("No m")
    with ctx.read() as session:
        first, second = session.scalars(select(Instance.id).order_by(Instance.id))
    [editor], [document] = site.editors, site.documents
    chosen = [KeyImageRef(first, 0, -600.0, 1500.0), KeyImageRef(second)]
    document.add_next_tick_callback(lambda: editor.choose(chosen))
    page.get_by_label("Caption of key image 1").fill("Lung window")
    saved(page)
    chosen[0] = KeyImageRef(first)  # the viewer has moved on: its window is no longer known
    document.add_next_tick_callback(lambda: editor.choose(chosen))
    page.get_by_label("Impression").press_sequentially("ass.")
    saved(page)
    shoot(page, "images")
    page.get_by_label("Remove key image 2").click()
    expect(page.get_by_label("Caption of key image 2")).to_have_count(0)
    saved(page)
    current = kept(site)
    assert current.key_images == (KeyImageRef(first, 0, -600.0, 1500.0, "Lung window"),)
    assert current.texts.impression.replace("ass.", "") == "No m"
    assert editor.key_images == [{"instance_id": first, "frame": 0}]


def test_choosing_an_image_does_not_lose_what_a_colleague_wrote(ctx, site, visit):
    mine = visit()
    begin(mine)
    write(mine, Findings="Lungs clear.")
    saved(mine)
    first, second = image_ids(ctx)
    other = site.people["colleague"]
    draft = kept(site)
    theirs = replace(draft.texts, findings="Nodule of 8 mm on the left.")
    report.save_draft(other, draft.id, draft.version, theirs, (KeyImageRef(second),))

    [editor], [document] = site.editors, site.documents
    document.add_next_tick_callback(lambda: editor.choose([KeyImageRef(first)]))
    expect(mine.get_by_label("Findings")).to_have_value("Nodule of 8 mm on the left.")
    expect(mine.get_by_role("alert")).to_contain_text("Vos also wrote in: Findings")
    expect(mine.get_by_label("Caption of key image 2")).to_be_visible()
    write(mine, Impression="A nodule.")
    mine.wait_for_function("Object.keys(sessionStorage).length === 0")

    now = kept(site)
    assert (now.texts.findings, now.texts.impression) == (theirs.findings, "A nodule.")
    assert now.key_images == (KeyImageRef(first), KeyImageRef(second))


def test_choosing_an_image_shows_both_texts_where_both_wrote(ctx, site, visit):
    mine = visit()
    begin(mine)
    draft = kept(site)
    theirs = replace(draft.texts, findings="Nodule of 8 mm on the left.")
    report.save_draft(site.people["colleague"], draft.id, draft.version, theirs)

    first, second = image_ids(ctx)
    [editor], [document] = site.editors, site.documents
    mine.get_by_label("Findings").evaluate("input => { input.value = 'Lungs clear.'; }")
    document.add_next_tick_callback(lambda: editor.choose([KeyImageRef(first)]))
    expect(mine.get_by_role("alert")).to_contain_text("Vos saved this report")
    mine.get_by_label(re.compile("Take Vos's, saved 13:00")).check()
    mine.evaluate("isHeld = true")
    document.add_next_tick_callback(lambda: editor.choose([KeyImageRef(second)]))  # and once more
    mine.wait_for_function("held('images') >= 1")
    mine.evaluate("letGo()")

    draft, theirs = kept(site), replace(theirs, technique="CT, no contrast.")  # and both again
    report.save_draft(site.people["colleague"], draft.id, draft.version, theirs)
    former = mine.get_by_role("group").element_handle()
    document.add_next_tick_callback(lambda: editor.choose([KeyImageRef(second)]))
    mine.wait_for_function("group => !group.isConnected", arg=former)
    expect(mine.get_by_label(re.compile("Take Vos's, saved 13:00"))).to_be_checked()
    mine.get_by_role("button", name="Use this text").click()
    expect(mine.get_by_label("Caption of key image 1")).to_be_visible()
    write(mine, Impression="A nodule.")
    mine.wait_for_function("Object.keys(sessionStorage).length === 0")

    assert kept(site).texts == replace(theirs, impression="A nodule.")
    assert [image.instance_id for image in kept(site).key_images] == [second]


def test_a_version_that_does_not_follow_the_browser_s_own_is_not_taken(ctx, site):
    told = []
    editor = ReportEditor(ctx=site.people["doctor"], study_id=site.study.id)
    editor._send_msg = told.append
    first, second = image_ids(ctx)
    editor.choose([KeyImageRef(first)])
    draft = kept(site)
    assert (told[-1]["kind"], told[-1]["was"]) == ("images", draft.version - 1)
    report.save_draft(site.people["colleague"], draft.id, draft.version, Texts(findings="Theirs."))

    editor.choose([KeyImageRef(first), KeyImageRef(second)])

    assert told[-1]["kind"] == "conflict"
    assert "n" not in told[-1]
    assert told[-1]["texts"]["findings"] == "Theirs."
    assert kept(site).key_images == (KeyImageRef(first),)


@pytest.mark.parametrize("theirs", ["", "Nodule"])
def test_a_caption_typed_while_a_colleague_saves_is_kept(ctx, site, visit, theirs):
    mine = visit()
    begin(mine)
    first, second = image_ids(ctx)
    [editor], [document] = site.editors, site.documents
    document.add_next_tick_callback(
        lambda: editor.choose([KeyImageRef(first), KeyImageRef(second)])
    )
    expect(mine.get_by_label("Caption of key image 2")).to_be_visible()
    draft = kept(site)
    written = replace(draft.texts, impression="A nodule.")
    captioned = (replace(draft.key_images[0], caption=theirs), draft.key_images[1])
    report.save_draft(
        site.people["colleague"], draft.id, draft.version, written, captioned if theirs else None
    )

    mine.get_by_label("Caption of key image 1").fill("Left lung")
    mine.get_by_label("Remove key image 2").click()
    expect(mine.get_by_role("alert")).to_contain_text("Vos also wrote in: Impression")
    saved(mine)

    both = f"Left lung / {theirs}" if theirs else "Left lung"
    assert kept(site).key_images == (KeyImageRef(first, caption=both),)
    assert kept(site).texts == written
    expect(mine.get_by_label("Caption of key image 1")).to_have_value(both)


def test_a_caption_survives_a_reload_without_the_server(ctx, site, visit):
    page = visit()
    begin(page)
    first, _ = image_ids(ctx)
    [editor], [document] = site.editors, site.documents
    document.add_next_tick_callback(lambda: editor.choose([KeyImageRef(first)]))
    expect(page.get_by_label("Caption of key image 1")).to_be_visible()
    site.stop()
    page.get_by_label("Caption of key image 1").fill("Typed while the server is away")
    site.start()
    expect_up(page, site)
    saved(page)
    assert kept(site).key_images[0].caption == "Typed while the server is away"


def image_ids(ctx):
    with ctx.read() as session:
        return list(session.scalars(select(Instance.id).order_by(Instance.id)))


def test_a_template_fills_what_is_empty_and_joins_what_is_written(visit):
    page = visit()
    begin(page)
    page.get_by_label("Template").select_option(label="CT chest, normal")
    expect(page.get_by_label("Findings")).not_to_have_value(re.compile("___"))
    expect(page.get_by_label("Impression")).to_have_value("No abnormality of the chest.")
    write(page, Findings="My own words.")
    page.get_by_label("Template").select_option(label="CT chest")
    expect(page.get_by_label("Findings")).to_have_value(re.compile(r"^My own words\.\n\nLungs and"))
    page.get_by_role("button", name="Sign report").click()
    expect(
        page.get_by_text("Findings: a blank of the template is left to fill in.")
    ).to_be_visible()


def test_the_desk_reads_a_signed_report_and_nothing_of_a_draft(ctx, site, visit):
    page = visit("desk")
    expect(page.get_by_text("There is no report yet.")).to_be_visible()
    doctor = site.people["doctor"]
    draft = report.open_draft(doctor, site.study.id)
    draft = report.save_draft(
        doctor, draft.id, draft.version, Texts(findings="Secret", impression="x")
    )
    site.refresh()
    expect(page.get_by_text("The report is being written.")).to_be_visible()
    assert "Secret" not in page.content()
    report.sign(doctor, draft.id, draft.version, factories.PASSWORD)
    site.refresh()
    expect(page.get_by_text("Secret")).to_be_visible()
    expect(page.get_by_role("button", name="Sign report")).to_have_count(0)


def test_hostile_words_are_words(site, visit):
    page = visit()
    begin(page)
    payload = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>{{7*7}}'
    write(page, Findings=payload, Impression=payload)
    saved(page)
    draft = kept(site)
    report.sign(site.people["doctor"], draft.id, draft.version, factories.PASSWORD)
    site.refresh()
    expect(page.get_by_text(payload).first).to_be_visible()
    assert page.evaluate("window.hit") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_editor_stands_in_a_narrow_column_and_in_the_dark(visit, scheme):
    page = visit(viewport={"width": 400, "height": 860}, color_scheme=scheme)
    begin(page)
    write(page, Findings="الرئتان صافيتان.", Impression="No mass.")
    saved(page)
    shoot(page, f"narrow-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_forged_messages_write_nothing(ctx, as_role, site):
    namespace = SimpleNamespace(told=[])
    editor = ReportEditor(ctx=site.people["desk"], study_id=site.study.id)
    editor._send_msg = namespace.told.append
    editor._handle_msg({"kind": "start", "template": "ct-chest", "n": 1})
    editor._handle_msg({"kind": "save", "n": 2, "version": 1, "texts": {"findings": "x"}})
    editor._handle_msg({"kind": "sign", "n": 3, "version": "1", "texts": None, "password": None})
    editor._handle_msg({"kind": "__init__", "n": 4})
    assert [answer["kind"] for answer in namespace.told] == ["refused"] * 3
    assert report.state(site.people["doctor"], site.study.id).report_id is None
