"""The page *Devices*: live rows, a connection explained, a query replayed, a booking looked for."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta

import pytest
from playwright.sync_api import expect, sync_playwright
from pynetdicom.sop_class import Verification
from sqlalchemy import select

from clinic_panel import app as app_module
from clinic_panel.feed import ChangeFeed
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.user import Role
from clinic_panel.pages.devices import Watch
from clinic_panel.services.day import HIDDEN_NAME
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, associated, wait_for
from tests.integration.test_listener_worklist import AFTERNOON, ask, query
from tests.integration.test_web import serving

WAIT_MS = 60_000
ASKED = {"ScheduledStationAETitle": "CT_TWO", "ScheduledProcedureStepStartDate": "20260316"}


@pytest.fixture
def database():
    """The page asks services alone, and those are tested on both databases."""
    return "sqlite"


@pytest.fixture
def node(ctx):
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def rooms(ctx):
    one = factories.room(ctx, station_ae_title=STATION, room_name="CT room")
    return one, factories.room(ctx, station_ae_title="CT_TWO", room_name="Other room")


@pytest.fixture
def booking(ctx, rooms):
    ivanova = factories.patient(ctx, patient_name="Ivanova^Anna")
    return factories.appointment(ctx, patient=ivanova, room=rooms[0], start_at=AFTERNOON)


def flown(node, page, count=1):
    def written():
        node.recorder.flush()
        node.audits.flush()  # what was asked is audited a moment after its answer
        page.reload()
        return len(page.board.rows) == count and all(r["lasted"] != "open" for r in page.board.rows)

    wait_for(written)
    return page.board.rows


def click(part, action, id_):
    part._handle_msg({"kind": "action", "action": action, "id": id_})


def words_of(content):
    """Every text of a sheet, to look into."""
    return str(content)


def move(ctx, booking, room):
    with ctx.begin() as session:
        late = session.merge(booking)
        late.take(session.merge(room), late.start_at, late.start_at + timedelta(minutes=20))


def test_a_day_without_devices_says_what_to_set(as_role):
    page = Watch(as_role(Role.TECHNOLOGIST))
    assert "AE title CLINIC, address 127.0.0.1, port" in page.board.empty_text
    page.heading._handle_msg({"id": "connect"})
    assert "Called (remote) AE title" in words_of(page.sheet.content)
    page.heading.day = "2026-03-15"
    assert page.board.empty_text.startswith("No device called on this day.")


def test_a_row_opens_replays_and_is_read_again_only_when_it_changed(node, ctx, as_role, booking):
    page = Watch(as_role(Role.TECHNOLOGIST))
    ask(node, query(ASKED))
    [row] = flown(node, page)
    assert (row["device"], row["result"], row["services"]) == (
        STATION,
        "Empty worklist",
        ["Worklist"],
    )
    click(page.board, "show", row["id"])
    text = words_of(page.sheet.content)
    assert "asked for station CT_TWO" in text
    assert "Ivanova, Anna" in text
    assert page.board.selected == row["id"]

    def looks():
        with ctx.read() as session:
            return len(session.scalars(select(AuditEntry.id)).all())

    before = looks()
    page.reload()
    assert looks() == before

    [entry] = [b for b in page.sheet.content["blocks"] if b["kind"] == "entry"]
    [button] = entry["buttons"]
    click(page.sheet, "replay", button["id"] + 1)  # forged
    assert "Replayed" not in words_of(page.sheet.content)
    click(page.sheet, "replay", button["id"])
    assert "would be answered with 0 bookings" in words_of(page.sheet.content)
    page.sheet._handle_msg({"kind": "close"})
    assert (page.shown, page.board.selected) == (None, None)


def test_the_administrator_sees_no_name(node, as_role, booking):
    page = Watch(as_role(Role.ADMIN))
    ask(node, query(ASKED))
    [row] = flown(node, page)
    click(page.board, "show", row["id"])
    assert HIDDEN_NAME in words_of(page.sheet.content)
    page.heading._handle_msg({"id": "why"})
    click(page.sheet, "why", booking.id)
    assert "Left out" in words_of(page.sheet.content)
    assert "Ivanova" not in words_of(page.sheet.content)


def test_why_a_booking_is_missing_goes_from_never_called_to_answered(
    node, ctx, as_role, booking, rooms
):
    page = Watch(as_role(Role.TECHNOLOGIST))

    def said():
        page.heading._handle_msg({"id": "why"})
        assert "Ivanova, Anna" in words_of(page.sheet.content)
        click(page.sheet, "why", booking.id)
        return page.sheet.content["chip"], page.sheet.content["verdict"]["text"]

    assert said() == ("Never called", f"No device called “{STATION}” has called this clinic.")
    with associated(node, (Verification, ["1.2.840.10008.1.2"]), called="PACS"):
        pass
    flown(node, page)
    assert said() == ("Refused", "It called “PACS”; this clinic is “CLINIC”.")
    with associated(node, (Verification, ["1.2.840.10008.1.2"])) as association:
        association.send_c_echo()
    flown(node, page, 2)
    assert said()[0] == "Not asked"
    ask(node, query(ASKED))
    flown(node, page, 3)
    assert said()[0] == "Left out"
    assert "asked for station CT_TWO; this booking is in CT_ONE" in said()[1]
    ask(node, query({"ScheduledStationAETitle": STATION}))
    flown(node, page, 4)
    assert said()[0] == "It was answered"
    late = factories.appointment(ctx, room=rooms[0], start_at=AFTERNOON + timedelta(hours=2))
    click(page.sheet, "choose", 0)
    click(page.sheet, "why", late.id)
    assert page.sheet.content["chip"] == "Ask again"


@pytest.fixture
def screen(ctx, settings):
    engine = ctx.sessions.kw["bind"]
    factories.user(ctx, Role.TECHNOLOGIST)
    feed = ChangeFeed(engine)
    with serving(app_module.build(ctx, feed), settings), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1366, "height": 768}, reduced_motion="reduce")
        page.set_default_timeout(WAIT_MS)
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"http://127.0.0.1:{settings.http_port}/login?next=/devices")
        page.get_by_label("Username").fill(Role.TECHNOLOGIST.value)
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        yield page
        browser.close()
    assert faults == []


def test_a_scanners_query_appears_explains_itself_and_is_replayed(
    node, ctx, booking, rooms, screen
):
    expect(screen.get_by_text("No device has called today.")).to_be_visible()
    keys = [f"ScheduledProcedureStepSequence[0].{name}={value}" for name, value in ASKED.items()]
    subprocess.run(
        ["findscu", "-W", "-aet", STATION, "-aec", "CLINIC", "127.0.0.1", str(node.port)]
        + [word for key in [*keys, "PatientName"] for word in ("-k", key)],
        check=True,
        capture_output=True,
    )
    row = screen.get_by_role("table", name="Connections").locator("tbody tr")
    expect(row).to_contain_text("Empty worklist")

    row.focus()
    screen.keyboard.press("Enter")
    sheet = screen.get_by_role("dialog", name=STATION)
    expect(sheet).to_contain_text("The device asked for station CT_TWO")
    sheet.locator("summary", has_text="asked for station CT_TWO").click()
    expect(sheet.get_by_role("cell", name="Ivanova, Anna")).to_be_visible()
    expect(sheet.get_by_role("cell", name="CT room · station CT_ONE")).to_be_visible()

    move(ctx, booking, rooms[1])
    sheet.get_by_role("button", name="Replay now").click()
    expect(sheet.get_by_text("would be answered with 1 booking.")).to_be_visible()
    expect(sheet.get_by_role("button", name="Replay now")).to_be_focused()
    screen.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(row).to_be_focused()

    screen.get_by_label("Service", exact=True).select_option("Worklist")
    expect(row).to_have_count(1)
    screen.get_by_label("Filter connections").fill("nothing like it")
    expect(screen.get_by_text("Nothing matches the filter.")).to_be_visible()
