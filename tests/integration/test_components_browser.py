"""The visible parts in a real browser: what is shown, pressed, typed and changed under the hand."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import panel as pn
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from panel.io.fastapi import add_applications
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from clinic_panel.components.board import Board
from clinic_panel.components.day_grid import DayGrid
from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.heading import Heading
from clinic_panel.components.kpi import KpiStrip
from clinic_panel.components.notice import Notice
from clinic_panel.components.shell import shell
from clinic_panel.web import page_resources, together
from tests.conftest import free_port, hold_answers, hold_messages

HOSTILE = '<img src=x onerror="window.broken=1">O\'Neill, "Ada" & Söhne'
COLUMNS = [
    {"id": "time", "label": "Time", "kind": "time", "width": "76px"},
    {"id": "patient", "label": "Patient", "sub": "ident", "strong": True},
    {"id": "modality", "label": "Modality", "kind": "chip", "small": True, "width": "96px"},
    {"id": "status", "label": "Status", "kind": "chip", "width": "176px"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "180px"},
]
FIELDS = [
    {"name": "family_name", "label": "Family name", "required": True, "width": "half"},
    {"name": "patient_id", "label": "Patient ID", "required": True, "width": "half"},
    {"name": "patient_birth_date", "label": "Birth date", "kind": "date", "live": True},
    {"name": "room", "label": "Room", "kind": "select", "options": ["CT 1", "MR 1"]},
    {"name": "password", "label": "Password", "kind": "password"},
]


def answered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields as a form that follows what is typed does: of the young it asks more."""
    fields = [{**field, "value": values[field["name"]]} for field in FIELDS]
    if values["patient_birth_date"] > "2010":
        return [{"name": "guardian", "label": "Guardian"}, *fields]
    return [{**field, "help": f"Born {values['patient_birth_date']}"} for field in fields]


def row(number: int, patient: str, **more: Any) -> dict[str, Any]:
    actions = [
        {"id": "check_in", "label": "Check in", "primary": True},
        {"id": "move", "label": "Move"},
        {"id": "cancel", "label": "Cancel", "danger": True},
    ]
    base = {
        "id": number,
        "label": patient,
        "time": f"{8 + number // 3:02}:{number % 3 * 20:02}",
        "patient": patient,
        "ident": f"P-{1000 + number}",
        "modality": ("CT", "MR", "US")[number % 3],
        "status": "Booked",
        "actions": actions,
    }
    return base | more


class Desk:
    """One page with every part, and what the parts told it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.follows = False  # the form asks what fits to what is typed
        rows = [row(0, HOSTILE), row(1, "Tanaka, Ken 田中"), row(2, "Müller, Jürgen")]
        rows += [row(number, f"Patient {number:02}") for number in range(3, 40)]
        self.heading = Heading(
            title="Schedule",
            day="2026-11-22",
            today="2026-11-22",
            buttons=[{"id": "new", "label": "New patient", "icon": "add"}],
        )
        self.figures = KpiStrip(items=[{"label": "Waiting", "value": 5}])
        self.board = Board(
            title="Today",
            columns=COLUMNS,
            rows=rows,
            facets=[{"id": "modality", "label": "Modality"}],
            searchable=True,
            selectable=True,
            row_action="check_in",
        )
        self.form = FormDialog(title="New patient", submit_label="Register")
        self.notice = Notice()
        for part, name in (
            (self.heading, "pressed"),
            (self.heading, "day"),
            (self.board, "action"),
            (self.form, "submitted"),
            (self.form, "changed"),
            (self.notice, "taken"),
        ):
            part.param.watch(self._note, name)
        self.document = pn.state.curdoc

    def _note(self, event: Any) -> None:
        self.told.append((event.name, event.new))
        if event.name == "pressed":
            self.form.ask(FIELDS)
        if event.name == "changed" and self.follows:
            self.form.fields = answered(event.new["values"])
        if event.name == "submitted" and event.new["patient_id"] == "P-1":
            self.form.refuse(patient_id="This ID belongs to somebody else.")
        elif event.name == "submitted" and event.new["patient_id"] == "P-2":
            self.form.ask(FIELDS, title="And the next patient")  # the same fields: only this is new
        elif event.name == "submitted":
            self.form.close()
            self.notice.say("Registered.", action="Undo")

    def later(self, change: Any) -> None:
        """Change a part from outside, as a live update does."""
        self.document.add_next_tick_callback(change)

    def last(self, name: str) -> Any:
        return next((value for known, value in reversed(self.told) if known == name), None)

    def find(self, text: str) -> list[dict[str, str]]:
        names = [one["patient"] for one in self.board.rows]
        hits = [name for name in names if text.lower() in name.lower()]
        return [{"label": name, "detail": "P-1", "href": f"/found?{name}"} for name in hits[:5]]

    def page(self, idle_s: int) -> Any:
        frame = shell(
            "Schedule",
            user="Ruth Adeyemi",
            role="clinician",
            active="schedule",
            top=[self.heading, self.figures],
            main=[self.board],
            overlays=[self.form, self.notice],
            search=self.find,
            touched=lambda: self.told.append(("touched", True)),
        )
        frame.header[0].idle_s = idle_s
        return frame


class Site:
    """The parts behind a real web server; each opening of the page is a desk."""

    def __init__(self) -> None:
        self.desks: list[Desk] = []
        self.idle_s = 0
        api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        for path in ("/found", "/patients"):
            api.get(path)(lambda: HTMLResponse("<title>Arrived</title>"))
        api.post("/logout")(lambda: HTMLResponse("<title>Signed out</title>"))
        page_resources.remember()
        together.send_together()
        self.port = free_port()
        title = {"/schedule": "Schedule · Clinic Panel"}
        self.plans: list[tuple[DayGrid, list[Any]]] = []
        pages = {"/schedule": self._open, "/plan": self._plan}
        title["/plan"] = "Plan · Clinic Panel"
        add_applications(pages, app=api, title=title, index_enabled=False)
        config = uvicorn.Config(api, host="127.0.0.1", port=self.port, log_level="critical")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def _open(self) -> Any:
        desk = Desk()
        self.desks.append(desk)
        return desk.page(self.idle_s)

    def _plan(self) -> Any:
        rooms = [{"id": 1, "label": "CT 1"}, {"id": 2, "label": "MR 1"}]
        booking = {"room": 1, "label": HOSTILE, "movable": True}
        bookings = [
            {**booking, "id": 7, "start": 480, "end": 510},
            {**booking, "id": 8, "start": 540, "end": 570, "label": "Tanaka, Ken"},
        ]
        grid = DayGrid(rooms=rooms, bookings=bookings, bookable=True, close_min=720)
        told: list[Any] = []
        for name in ("wanted", "chosen", "moved"):
            grid.param.watch(lambda event: told.append((event.name, event.new)), name)
        self.plans.append((grid, told))
        return shell("Plan", user="Ruth", role="receptionist", active="schedule", main=[grid])

    def __enter__(self) -> Site:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


class Open:
    """The page as one user sees it, and its desk behind."""

    def __init__(self, page: Page, desk: Desk, faults: list[str]) -> None:
        self.page, self.desk, self.faults = page, desk, faults

    def line(self, text: str) -> Locator:
        return self.page.locator("tbody tr").filter(has_text=text)

    def told(self, name: str, check: Any) -> None:
        """Wait until the desk was told something."""
        for _ in range(1200):
            if check(self.desk.last(name)):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"{name} was {self.desk.last(name)!r}")


@pytest.fixture
def desk(site: Site, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    size = getattr(request, "param", (1366, 768))
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce"
    )
    hold_messages(context)
    hold_answers(context)
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    before = len(site.desks)
    # A browser whose clock and start-up are slow may ask twice; the newest desk is the open one.
    page.goto(f"http://127.0.0.1:{site.port}/schedule")
    expect(page.get_by_role("button", name="New patient")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(40)
    assert len(site.desks) > before
    yield Open(page, site.desks[-1], faults)
    assert faults == []
    context.close()


def test_a_name_is_text_whatever_it_looks_like(desk):
    expect(desk.line("O'Neill")).to_contain_text(HOSTILE)
    desk.desk.later(lambda: desk.desk.notice.say(HOSTILE, "problem"))
    expect(desk.page.get_by_role("alert")).to_contain_text(HOSTILE)
    desk.page.get_by_label("Find patient").fill("neill")
    expect(desk.page.get_by_role("option")).to_contain_text(HOSTILE)

    assert desk.page.locator("img[onerror]").count() == 0
    assert desk.page.evaluate("window.broken") is None


def test_a_changed_row_is_rewritten_in_its_place(desk):
    main = desk.page.locator(".main-content")
    main.evaluate("node => node.scrollTo(0, 600)")
    line = desk.line("Patient 20")
    line.evaluate("node => { node.kept = true }")
    line.get_by_role("button", name="Check in").focus()
    height = main.evaluate("node => node.scrollTop")
    table = desk.desk.board
    changed = {"status": "Images arriving (48)", "status_live": True, "status_tone": "blue"}

    desk.desk.later(
        lambda: table.param.update(
            rows=[{**one, **changed} if one["id"] == 20 else one for one in table.rows]
        )
    )

    expect(line).to_contain_text("Images arriving (48)")
    expect(line).to_have_class(re.compile("fresh"))
    assert line.evaluate("node => node.kept")
    expect(line.get_by_role("button", name="Check in")).to_be_focused()
    assert main.evaluate("node => node.scrollTop") == height > 0
    expect(desk.page.get_by_role("status").filter(has_text="Patient 20")).to_have_text(
        "Patient 20: Images arriving (48)"
    )


def test_rows_come_and_go(desk):
    table = desk.desk.board

    desk.desk.later(lambda: table.param.update(rows=[row(50, "Arrived, Late"), *table.rows[:2]]))
    expect(desk.page.locator("tbody tr")).to_have_count(3)
    expect(desk.page.locator("tbody tr").first).to_contain_text("Arrived, Late")

    desk.desk.later(lambda: table.param.update(rows=[], empty_text="No appointments."))
    expect(desk.page.get_by_text("No appointments.")).to_be_visible()


def test_an_action_is_reached_and_pressed_by_keyboard(desk):
    first = desk.page.locator("tbody tr").first
    first.focus()
    desk.page.keyboard.press("ArrowDown")
    expect(desk.line("Tanaka")).to_be_focused()
    desk.page.keyboard.press("Tab")
    expect(desk.line("Tanaka").get_by_role("button", name="Check in")).to_be_focused()
    desk.page.keyboard.press("Enter")
    desk.told("action", lambda said: said and (said["id"], said["action"]) == (1, "check_in"))

    desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("menuitem", name="Move")).to_be_focused()
    desk.page.keyboard.press("ArrowDown")
    desk.page.keyboard.press("Enter")
    desk.told("action", lambda said: said and (said["id"], said["action"]) == (1, "cancel"))

    desk.line("Müller").focus()
    desk.page.keyboard.press("Enter")
    desk.told("action", lambda said: said and (said["id"], said["action"]) == (2, "check_in"))
    assert desk.desk.board.selected == 2


def test_rows_are_filtered_without_accents_and_sorted_by_a_heading(desk):
    field = desk.page.get_by_label("Filter", exact=True)
    field.fill("muller")
    expect(desk.page.locator("tbody tr")).to_have_count(1)
    field.fill("p-1001")
    expect(desk.page.locator("tbody tr")).to_contain_text("Tanaka")
    field.fill("")

    desk.page.get_by_role("button", name="MR", exact=True).click()
    expect(desk.page.locator("tbody tr")).to_have_count(13)
    expect(desk.page.get_by_text("13 of 40")).to_be_visible()

    heading = desk.page.get_by_role("columnheader", name="Patient")
    heading.get_by_role("button").click()
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(desk.page.locator("tbody tr").first).to_contain_text("Tanaka")

    # Many kinds are a list, in which the one chosen before is still chosen.
    table = desk.desk.board
    kinds = [row(60 + number, "Kind", modality=f"K{number}") for number in range(7)]
    desk.desk.later(lambda: table.param.update(rows=[*table.rows, *kinds]))
    chooser = desk.page.get_by_role("combobox", name="Modality")
    expect(chooser).to_have_value("MR")
    chooser.select_option("K6")
    expect(desk.page.locator("tbody tr")).to_have_count(1)
    chooser.select_option(label="Modality: all")
    expect(desk.page.locator("tbody tr")).to_have_count(47)


def test_a_form_is_filled_by_its_labels_refused_and_accepted(desk):
    page = desk.page
    page.get_by_role("button", name="New patient").click()
    dialog = page.get_by_role("dialog", name="New patient")
    expect(dialog.get_by_label("Family name")).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog.get_by_text("Family name is needed.")).to_be_visible()

    dialog.get_by_label("Family name").fill("Nováková")
    dialog.get_by_label("Patient ID").fill("P-1")
    dialog.get_by_label("Birth date").press_sequentially("04/12/1961")
    desk.told("changed", lambda said: said and said["name"] == "patient_birth_date")
    dialog.get_by_label("Room").select_option("MR 1")
    dialog.get_by_label("Password").fill("secret")
    dialog.get_by_role("button", name="Register").click()
    expect(dialog.get_by_text("This ID belongs to somebody else.")).to_be_visible()
    expect(dialog.get_by_label("Patient ID")).to_be_focused()
    expect(dialog.get_by_label("Family name")).to_have_value("Nováková")
    expect(dialog.get_by_label("Password")).to_have_value("")

    dialog.get_by_label("Patient ID").fill("P-2")
    dialog.get_by_role("button", name="Register").click()
    dialog = page.get_by_role("dialog", name="And the next patient")
    dialog.get_by_label("Patient ID").fill("P-77")
    dialog.get_by_role("button", name="Register").click()
    expect(dialog).to_be_hidden()
    assert desk.desk.last("submitted") == {
        "family_name": "Nováková",
        "patient_id": "P-77",
        "patient_birth_date": "1961-04-12",
        "room": "MR 1",
        "password": "",
    }
    page.get_by_role("button", name="Undo").click()
    desk.told("taken", lambda said: said == 1)


@pytest.mark.parametrize("born", ["1961-04-12", "2020-04-12"])
def test_what_is_typed_while_an_answer_is_on_its_way_stays_typed(desk, born):
    page, desk.desk.follows = desk.page, True
    page.get_by_role("button", name="New patient").click()
    dialog = page.get_by_role("dialog", name="New patient")
    dialog.get_by_label("Family name").fill("Novak")
    page.evaluate("isHeld = true")
    dialog.get_by_label("Birth date").fill(born)
    dialog.get_by_label("Birth date").dispatch_event("change")
    page.wait_for_function("held('answered') >= 1")
    dialog.get_by_label("Room").select_option("MR 1")
    dialog.get_by_label("Family name").fill("Nováková")
    page.evaluate("letGo()")
    news = "Guardian" if born > "2010" else f"Born {born}"
    expect(dialog.get_by_text(news).first).to_be_visible()
    expect(dialog.get_by_label("Birth date")).to_have_value(born)
    expect(dialog.get_by_label("Room")).to_have_value("MR 1")
    expect(dialog.get_by_label("Family name")).to_have_value("Nováková")
    expect(dialog.get_by_label("Family name")).to_be_focused()


def test_a_form_keeps_the_focus_and_leaves_on_escape(desk):
    page = desk.page
    opener = page.get_by_role("button", name="New patient")
    opener.click()
    dialog = page.get_by_role("dialog", name="New patient")
    expect(dialog).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = "node => node.contains(node.getRootNode().activeElement)"
        at_browser = page.evaluate("document.activeElement === document.body")
        assert at_browser or dialog.evaluate(inside)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    desk.told("pressed", lambda said: said == "new")
    opener.click()
    expect(dialog).to_be_visible()


def test_the_day_is_stepped_and_typed(desk):
    desk.page.get_by_role("button", name="Next day").click()
    desk.told("day", lambda day: day == "2026-11-23")
    desk.page.get_by_label("Day", exact=True).fill("2026-12-31")
    desk.told("day", lambda day: day == "2026-12-31")
    desk.page.get_by_role("button", name="Today").click()
    desk.told("day", lambda day: day == "2026-11-22")


def test_a_patient_is_found_from_anywhere_by_keyboard(desk):
    desk.page.keyboard.press("/")
    field = desk.page.get_by_label("Find patient")
    expect(field).to_be_focused()
    field.press_sequentially("tana")
    expect(desk.page.get_by_role("option")).to_contain_text("Tanaka, Ken 田中")
    field.press("Enter")
    desk.page.wait_for_url("**/found?Tanaka*")


def test_enter_opens_whom_the_text_means_and_not_who_stood_there_before(desk):
    page, field = desk.page, desk.page.get_by_label("Find patient")
    field.press_sequentially("patient 0")
    expect(page.get_by_role("option").first).to_contain_text("Patient 03")
    page.evaluate("isHeld = true")
    field.press_sequentially("7")
    field.press("Enter")
    page.wait_for_function("held('hits') >= 1")
    page.evaluate("letGo()")
    page.wait_for_url("**/found?Patient%2007")


def test_a_press_counts_though_what_is_pressed_is_told_anew_meanwhile(desk):
    page, table, line = desk.page, desk.desk.board, desk.line("Patient 05")
    line.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Move").hover()
    page.mouse.down()

    def change() -> None:
        open_ = {"id": "open", "label": "Open images"}
        news = {"actions": [open_, *table.rows[5]["actions"]]}
        rows = [{**one, **news} if one["id"] == 5 else one for one in table.rows]
        table.param.update(rows=rows, footer="One has images.")

    desk.desk.later(change)
    expect(page.get_by_text("One has images.")).to_be_visible()
    page.mouse.up()
    desk.told("action", lambda said: said and (said["id"], said["action"]) == (5, "move"))
    expect(line.get_by_role("button", name="Open images")).to_be_visible()

    line.get_by_role("button", name="More actions").click()
    arrived = row(5, "Patient 05", status="Arrived")
    desk.desk.later(lambda: table.param.update(rows=[*table.rows[:5], arrived]))
    expect(line).to_contain_text("Arrived")
    expect(page.get_by_role("menuitem", name="Move")).to_be_visible()  # still unfolded


def test_the_frame_skips_to_the_content_names_the_place_and_signs_out(desk):
    page = desk.page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()

    here = page.get_by_role("navigation", name="Main").get_by_role("link", name="Schedule")
    expect(here).to_have_attribute("aria-current", "page")
    assert page.title() == "Schedule · Clinic Panel"

    page.get_by_role("button", name="Account: Ruth Adeyemi, Clinician").press("Enter")
    expect(page.get_by_role("menuitem", name="Change password")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_title("Signed out")


def test_the_theme_is_changed_in_the_browser_and_remembered(desk):
    page = desk.page
    before = page.locator("body").evaluate("node => getComputedStyle(node).backgroundColor")
    page.get_by_role("button", name="Use the dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    after = page.locator("body").evaluate("node => getComputedStyle(node).backgroundColor")
    assert before != after

    page.reload()
    expect(page.get_by_role("button", name="Use the light theme")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_who_does_nothing_is_warned_before_the_session_ends_and_may_stay(site, desk, monkeypatch):
    page, warning = desk.page, desk.page.get_by_role("alert").filter(has_text="signed out within")
    expect(warning).to_have_count(0)
    monkeypatch.setattr(site, "idle_s", 121)  # two minutes before its end: after a second

    page.reload()

    expect(warning).to_be_visible()
    newest = Open(page, site.desks[-1], desk.faults)
    assert newest.desk.last("touched") is None
    shown = warning.element_handle()
    warning.get_by_role("button", name="Stay signed in").press("Enter")
    newest.told("touched", bool)
    page.wait_for_function("warning => !warning.isConnected", arg=shown)  # another comes soon


def test_work_in_one_tab_keeps_the_other_from_warning(site, desk, monkeypatch):
    monkeypatch.setattr(site, "idle_s", 121)
    desk.page.reload()
    warning = desk.page.get_by_role("alert").filter(has_text="signed out within")
    expect(warning).to_be_visible()

    desk.page.evaluate("localStorage.setItem('clinic-alive', Date.now() + 60_000)")

    expect(warning).to_have_count(0)


@pytest.mark.parametrize("desk", [(390, 844), (800, 900), (1366, 768)], indirect=True)
def test_nothing_is_wider_than_the_screen(desk):
    wider = desk.page.locator(".main-content").evaluate(
        "node => [node.scrollWidth - node.clientWidth, document.body.scrollWidth - innerWidth]"
    )
    assert max(wider) <= 0
    navigation = desk.page.get_by_role("navigation", name="Main")
    expect(navigation.get_by_role("link", name="Patients")).to_be_visible()


def test_a_visit_is_booked_by_keyboard_opened_and_dragged_to_a_free_time(site, browser):
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/plan")
    free = page.get_by_role("button", name="Book MR 1 at 08:00")
    free.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Book MR 1 at 08:15")).to_be_focused()
    page.keyboard.press("Enter")

    visit = page.get_by_role("button", name="Tanaka, Ken")
    visit.click()
    start = visit.bounding_box()
    goal = page.get_by_role("button", name="Book CT 1 at 10:00").bounding_box()
    page.mouse.move(start["x"] + 40, start["y"] + 4)
    page.mouse.down()
    page.mouse.move(goal["x"] + 40, goal["y"] - 40, steps=4)
    page.mouse.move(goal["x"] + 40, goal["y"] + 4, steps=4)
    page.mouse.up()

    _, told = site.plans[-1]
    expected = [
        ("wanted", {"room": 2, "start": 495}),
        ("chosen", 8),
        ("moved", {"id": 8, "room": 1, "start": 600}),
    ]
    for _ in range(1200):
        if told == expected:
            break
        page.wait_for_timeout(50)
    assert told == expected
    assert page.locator("img[onerror]").count() == 0
    context.close()
