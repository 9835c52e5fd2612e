"""What can be booked, as the administrator enters it: rooms with their stations, examinations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)
from sqlalchemy import select

from clinic_panel.context import system
from clinic_panel.dimse.model import Remote
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.models.appointment import AppointmentStatus, Room
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.peer import Peer
from clinic_panel.models.user import Role
from clinic_panel.pages.admin import Administration
from clinic_panel.pages.schedule import Desk
from clinic_panel.services import (
    associations,
    catalogue,
    examinations,
    exercises,
    peers,
    retrieve,
    rooms,
    workflow,
)
from clinic_panel.services.examinations import ExaminationForm
from clinic_panel.services.peers import PeerForm
from clinic_panel.services.rooms import RoomForm
from clinic_panel.services.workflow import Booking
from listener.server import Node
from tests import factories
from tests.integration.peer import associated
from tests.integration.test_admin import answer, press, said, section, shown
from tests.integration.test_commitment import CONTEXT, information, stored, work
from tests.integration.test_retrieve import EXPLICIT, MOVE, asked, last

TITLE = "CT_NINE"


@pytest.fixture
def admin(as_role):
    return as_role(Role.ADMIN)


@pytest.fixture
def page(admin):
    return Administration(admin)


def form(**values):
    return RoomForm(**{"room_name": "CT 9", "modality": "CT", "ae_title": TITLE} | values)


def devices(ctx):
    with ctx.read() as session:
        rows = session.scalars(select(Peer).order_by(Peer.id))
        return [(one.peer_name, one.ae_title, one.host, one.port, one.is_active) for one in rows]


class Scanner:
    """A modality as it stands in a room: takes images and commitment results, answers echo."""

    def __init__(self):
        self.images, self.results = [], []
        entity = AE(TITLE)
        entity.add_supported_context(Verification)
        entity.add_supported_context(CTImageStorage, [EXPLICIT])
        entity.add_supported_context(*CONTEXT, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_EVENT_REPORT, self._report)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.server_address[1]

    def _store(self, event):
        self.images.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _report(self, event):
        self.results.append(event.event_type)
        return 0x0000, None


@pytest.fixture
def scanner():
    scanner = Scanner()
    yield scanner
    scanner.server.shutdown()


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_scanner_in_a_room_is_called_gets_images_and_hears_what_is_safe(ctx, page, scanner):
    board = section(page, "rooms").board
    assert board.empty_text.startswith("Nothing can be booked yet")
    press(board, None, "add")
    answer(page, room_name="CT 9", ae_title=TITLE, host="127.0.0.1", port=str(scanner.port))
    assert said(page) == "CT 9 can be booked, and its station may call."
    [row] = shown(board, address=f"127.0.0.1:{scanner.port}", ae_title=TITLE, state="In use")
    press(board, row["id"], "test")
    [row] = board.rows
    assert "answered in" in row["test"]
    assert said(page) == "CT 9 answers."
    [(_, uid)] = stored(ctx)
    study = dcmread(get_testdata_file("CT_small.dcm")).StudyInstanceUID

    node = Node(ctx)
    node.start()
    try:
        with associated(node, CONTEXT, ae_title=TITLE) as association:
            wanted = information((CTImageStorage, uid))
            answered, _ = association.send_n_action(
                wanted, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
        work(ctx)
        with associated(node, (MOVE, [EXPLICIT]), ae_title=TITLE) as association:
            identifier = asked("STUDY", StudyInstanceUID=study)
            moved = last(association.send_c_move(identifier, TITLE, MOVE))
    finally:
        node.stop()

    assert (answered.Status, scanner.results) == (0x0000, [1])
    assert moved == (0x0000, [None, 1, 0, 0], [])
    assert scanner.images == [uid]
    [_, subject] = exercises.subjects(page.ctx)
    assert (subject.name, subject.address) == ("CT 9", f"127.0.0.1:{scanner.port}")


def test_a_station_is_one_device_whoever_entered_it_first(ctx, admin):
    """Let in where it was turned away, and only then put into its room."""
    known = peers.add(admin, PeerForm("Turned away", TITLE, "10.0.0.9", 4242))

    room = rooms.add(admin, form())

    assert room.device.id == known.id
    assert devices(ctx) == [("Turned away", TITLE, "10.0.0.9", 4242, True)]
    [row] = peers.peers(admin)
    assert row.room_name == "CT 9"
    with pytest.raises(Invalid, match="It is the station of CT 9") as refused:
        peers.change(admin, row.id, row.version, PeerForm("Turned away", "OTHER", "10.0.0.9"))
    assert refused.value.field == "ae_title"
    [room] = rooms.stations(admin)
    rooms.change(admin, room, form(ae_title="CT_TEN", host="10.0.0.10"))
    assert devices(ctx) == [("Turned away", "CT_TEN", "10.0.0.10", 104, True)]
    listener = ctx.acting_as(system("listener"))
    assert [associations.is_known(listener, title) for title in (TITLE, "CT_TEN")] == [False, True]


def test_a_station_without_address_gets_one_and_gives_it_back(ctx, admin):
    room = rooms.add(admin, form())
    assert (room.device, devices(ctx)) == (None, [])
    with pytest.raises(NotFound):
        retrieve.destination(ctx, TITLE)
    room = rooms.change(admin, room, form(host="10.0.0.9", port=104, uses_tls=True))
    assert retrieve.destination(ctx, TITLE) == Remote(TITLE, "10.0.0.9", 104, uses_tls=True)
    room = rooms.change(admin, room, form(room_name="CT new", host=" 10.0.0.9 "))
    assert devices(ctx) == [("CT new", TITLE, "10.0.0.9", 104, True)]
    room = rooms.change(admin, room, form(room_name="CT new"))
    assert devices(ctx) == [("CT new", TITLE, "", 104, True)]
    with ctx.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.subject_type, entry.action) for entry in entries[:3]] == [
        ("room", Action.CREATE),
        ("room", Action.CHANGE),
        ("peer", Action.CREATE),
    ]


def test_a_room_leaves_use_with_its_station_but_not_with_people_in_it(ctx, admin):
    room = rooms.add(admin, form(host="10.0.0.9"))
    with ctx.read() as session:
        place = session.get_one(Room, room.id)
    visit = factories.appointment(ctx, room=place)
    for stranding in (form(host="10.0.0.9", is_active=False), form(modality="MR")):
        with pytest.raises(Conflict, match="A visit is still booked for it"):
            rooms.change(admin, room, stranding)
    assert rooms.stations(admin) == [room]
    with ctx.begin() as session:
        session.merge(visit).status = AppointmentStatus.REPORTED
    room = rooms.change(admin, room, form(host="10.0.0.9", is_active=False))
    listener = ctx.acting_as(system("listener"))
    assert not associations.is_known(listener, TITLE)
    room = rooms.change(admin, room, form(host="10.0.0.9"))
    assert associations.is_known(listener, TITLE)
    off = PeerForm("CT 9", TITLE, "10.0.0.9", is_active=False)
    known = peers.change(admin, room.device.id, room.device.version, off)
    assert not associations.is_known(listener, TITLE), "its room is in use, but it is switched off"
    peers.change(admin, known.id, known.version, PeerForm("CT 9", TITLE, "10.0.0.9"))
    assert devices(ctx) == [("CT 9", TITLE, "10.0.0.9", 104, True)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"room_name": " "}, "room_name"),
        ({"ae_title": "CT\\9"}, "ae_title"),
        ({"ae_title": "CLINIC"}, "ae_title"),
        ({"modality": "SR"}, "modality"),
        ({"host": "two words"}, "host"),
        ({"host": "ct", "port": 0}, "port"),
        ({"room_name": "CT taken"}, "ae_title"),
        ({"ae_title": "TAKEN"}, "ae_title"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"])
def test_what_breaks_a_rule_keeps_nothing(ctx, admin, values, field):
    factories.room(ctx, room_name="CT taken", station_ae_title="TAKEN")
    with pytest.raises(Invalid) as refused:
        rooms.add(admin, form(**values))
    assert refused.value.field == field
    assert [row.room_name for row in rooms.stations(admin)] == ["CT taken"]
    assert devices(ctx) == []


def test_the_second_of_two_who_edit_is_told(ctx, admin, as_role):
    room = rooms.add(admin, form(host="10.0.0.9"))
    moved = rooms.change(admin, room, form(host="10.0.0.10"))
    with pytest.raises(Conflict):
        rooms.change(admin, room, form(host="10.0.0.11"))
    peers.change(admin, moved.device.id, moved.device.version, PeerForm("CT 9", TITLE, "10.0.0.12"))
    with pytest.raises(Conflict):  # its address is another's work, too
        rooms.change(admin, moved, form(host="10.0.0.11"))
    assert devices(ctx) == [("CT 9", TITLE, "10.0.0.12", 104, True)]
    for act in (rooms.stations, lambda ctx: rooms.add(ctx, form(ae_title="X"))):
        with pytest.raises(Forbidden):
            act(as_role(Role.TECHNOLOGIST))


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_room_is_edited_and_devices_say_whose_station_they_are(ctx, page):
    board = section(page, "rooms").board
    rooms.add(page.ctx, form(host="10.0.0.9"))
    page.reload()
    [row] = board.rows
    press(board, row["id"], "edit")
    answer(page, port="none")
    assert page.tasks.dialog.problems["port"] == "A port is between 1 and 65535."
    answer(page, port="4242", modality="MR")
    assert shown(board, address="10.0.0.9:4242", examines="MR · Magnetic resonance")
    press(board, row["id"] + 1, "edit")  # forged
    [device] = section(page, "devices").peers.rows
    assert device["ae_title"] == f"{TITLE} · station of CT 9"


@pytest.mark.parametrize("database", ["sqlite"])
def test_an_open_schedule_follows_the_rooms(admin, as_role):
    desk = Desk(as_role(Role.RECEPTIONIST))
    assert desk.plan.rooms == []
    room = rooms.add(admin, form())
    desk.reload()
    assert [one["label"] for one in desk.plan.rooms] == ["CT 9"]
    assert desk.board.facets[1]["options"] == ["CT"]
    rooms.change(admin, room, form(is_active=False))
    desk.reload()
    assert (desk.plan.rooms, desk.board.facets[1]["options"]) == ([], [])


# --- examinations ---


def offered(**values):
    return ExaminationForm(
        **{"requested_procedure_description": "CT chest", "code_value": "CT01", "modality": "CT"}
        | values
    )


def test_an_empty_clinic_is_filled_until_a_visit_can_be_booked(ctx, page, as_role):
    rows = section(page, "rooms").examinations
    assert rows.empty_text.startswith("Nothing can be booked yet")
    press(section(page, "rooms").board, None, "add")
    answer(page, room_name="CT 9", ae_title=TITLE)
    press(rows, None, "add")
    answer(
        page,
        requested_procedure_description="CT chest",
        code_value="CT01",
        body_part_examined="chest",
        duration_min="35",
    )
    [row] = shown(rows, name="CT chest", minutes=35, body_part="CHEST", state="In use")

    desk = as_role(Role.RECEPTIONIST)
    [room], [procedure] = catalogue.rooms(desk), catalogue.procedures(desk)
    start = datetime(2026, 3, 16, 13, 0, tzinfo=UTC)
    person = factories.patient(ctx)
    visit = workflow.book(desk, Booking(person.id, procedure.id, room.id, start))
    assert visit.end_at - visit.start_at == timedelta(minutes=35)

    for stranding in ({"is_active": False}, {"modality": "MR"}):
        press(rows, row["id"], "edit")
        answer(page, **stranding)
        assert page.tasks.dialog.problem.startswith("A visit is still booked for it")
    workflow.cancel(desk, visit.id, "moved away")
    answer(page, is_active=False)
    assert shown(rows, name="CT chest", state="Not in use")
    assert catalogue.procedures(desk) == []
    press(rows, row["id"] + 1, "edit")  # forged


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"requested_procedure_description": ""}, "requested_procedure_description"),
        ({"code_value": "TAKEN"}, "code_value"),
        ({"code_value": "A" * 17}, "code_value"),
        ({"modality": "KO"}, "modality"),
        ({"body_part_examined": "CHEST\\ABDOMEN"}, "body_part_examined"),
        ({"duration_min": 7}, "duration_min"),
        ({"duration_min": 605}, "duration_min"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"])
def test_an_examination_that_breaks_a_rule_is_not_kept(ctx, admin, values, field):
    factories.procedure(ctx, code_value="TAKEN")
    with pytest.raises(Invalid) as refused:
        examinations.add(admin, offered(**values))
    assert refused.value.field == field
    assert [row.code_value for row in examinations.examinations(admin)] == ["TAKEN"]


def test_the_second_who_edits_an_examination_is_told(admin, as_role):
    known = examinations.add(admin, offered())
    examinations.change(admin, known, offered(duration_min=30))
    with pytest.raises(Conflict):
        examinations.change(admin, known, offered(duration_min=40))
    with pytest.raises(NotFound):
        examinations.change(admin, replace(known, id=known.id + 1), offered())
    [kept] = examinations.examinations(admin)
    assert kept.duration_min == 30
    with pytest.raises(Forbidden):
        examinations.add(as_role(Role.RECEPTIONIST), offered(code_value="CT02"))
