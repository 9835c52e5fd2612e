"""The visible parts as Python sees them: what they take, what they let through, what they keep."""

import gc
import importlib
import pkgutil
import re
import weakref
from types import SimpleNamespace

import param
import pytest
from panel.io.state import state

import clinic_panel.components
from clinic_panel.components.board import Board
from clinic_panel.components.day_grid import DayGrid
from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.heading import Heading
from clinic_panel.components.notice import Notice
from clinic_panel.components.part import HERE
from clinic_panel.components.shell import NAVIGATION, VISIBLE, TopBar, entries_for, shell
from clinic_panel.components.viewer.study import series_of
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.services.viewing import SeriesView

ACTIONS = {"id": "actions", "label": "Actions", "kind": "actions"}


def part_classes() -> list[type[param.Parameterized]]:
    package = clinic_panel.components
    names = [
        found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    modules = [importlib.import_module(name) for name in names]
    return sorted(
        {
            member
            for module in modules
            for member in vars(module).values()
            if isinstance(member, type)
            and issubclass(member, param.Parameterized)
            and member.__module__.startswith(package.__name__)
        },
        key=lambda cls: cls.__name__,
    )


def undocumented(cls: type[param.Parameterized]) -> list[str]:
    own = [name for name in cls.param if name in vars(cls)]
    return [name for name in own if not name.startswith("_") and not cls.param[name].doc]


@pytest.mark.parametrize("cls", part_classes(), ids=lambda cls: cls.__name__)
def test_every_public_param_of_a_part_is_documented(cls):
    assert undocumented(cls) == []


def test_a_param_without_words_is_noticed():
    class Bare(param.Parameterized):
        told = param.String(doc="Said.")
        silent = param.String()

    assert undocumented(Bare) == ["silent"]


def watched(part: param.Parameterized, name: str) -> list:
    seen = []
    part.param.watch(lambda event: seen.append(event.new), name)
    return seen


def board(**changes) -> Board:
    rows = [
        {"id": 1, "actions": [{"id": "open", "label": "Open"}]},
        {"id": 2, "actions": [{"id": "cancel", "label": "Cancel", "disabled": True}]},
    ]
    return Board(**{"rows": rows, "columns": [ACTIONS], **changes})


@pytest.mark.parametrize("cls", [cls for cls in part_classes() if getattr(cls, "_source", "")])
def test_a_part_takes_from_a_browser_what_its_script_sets_and_no_more(cls):
    script = (HERE / f"{cls._source}.js").read_text(encoding="utf-8")
    set_there = set(re.findall(r"\bmodel\.(\w+) = ", script))

    part = cls()
    assert set(part._linked_properties) == set_there == set(cls._heard)


def test_a_viewer_takes_where_the_reader_stands_and_not_what_is_offered():
    linked = set(StudyViewer()._linked_properties)
    assert {"index", "selected_series", "measurements", "key_images", "window_center"} <= linked
    assert not {"series", "offers", "banner"} & linked


def test_an_action_reaches_the_page_once_each_time_it_is_asked_for():
    table = board()
    seen = watched(table, "action")

    for n in (1, 2):
        table._handle_msg({"kind": "action", "id": 1, "action": "open", "n": n})

    assert [event["n"] for event in seen] == [1, 2]
    assert table.action is None


@pytest.mark.parametrize(
    ("row", "action"), [(1, "cancel"), (2, "cancel"), (3, "open"), (None, "open"), (1, None)]
)
def test_an_action_that_does_not_stand_in_the_row_is_dropped(row, action):
    table = board()
    seen = watched(table, "action")

    table._handle_msg({"kind": "action", "id": row, "action": action, "n": 1})

    assert seen == []


def test_a_heading_button_and_a_row_without_buttons_act_too():
    table = board(buttons=[{"id": "refresh", "label": "Refresh"}])
    plain = Board(rows=[{"id": 1}], columns=[{"id": "name"}], row_action="open")

    assert table.allows(None, "refresh")
    assert plain.allows(1, "open")
    assert not plain.allows(1, "delete")


FIELDS = [
    {"name": "family_name", "label": "Family name"},
    {"name": "seen", "label": "Document seen", "kind": "checkbox"},
    {"name": "password", "label": "Password", "kind": "password"},
    {"kind": "section", "label": "More"},
]


def test_a_form_hands_over_what_it_asked_for_and_keeps_none_of_it():
    form = FormDialog()
    form.ask(FIELDS)
    seen = watched(form, "submitted")
    values = {"family_name": "Nováková", "seen": True, "password": "secret", "role": "admin"}

    form._handle_msg({"kind": "submit", "values": values})

    assert seen == [{"family_name": "Nováková", "seen": True, "password": "secret"}]
    assert form.submitted is None
    assert "secret" not in repr(form.param.values())


@pytest.mark.parametrize("values", [None, [], "x", {}, {"seen": [], "family_name": None}])
def test_a_form_takes_nonsense_for_empty_fields(values):
    form = FormDialog()
    form.ask(FIELDS)
    seen = watched(form, "submitted")

    form._handle_msg({"kind": "submit", "values": values})

    assert seen == [{"family_name": "", "seen": False, "password": ""}]


def test_what_a_former_form_still_says_is_dropped():
    form = FormDialog()
    form.ask(FIELDS)
    late = {"serial": form.serial, "values": {"family_name": "x"}, "name": "family_name"}
    form.ask(FIELDS)
    submitted, changed = watched(form, "submitted"), watched(form, "changed")

    form._handle_msg({"kind": "submit", **late})
    form._handle_msg({"kind": "changed", **late})

    assert submitted == changed == []


def test_a_second_click_counts_only_when_the_answer_to_the_first_could_be_read():
    form = FormDialog()
    form.ask(FIELDS)
    submitted = watched(form, "submitted")
    click = {"kind": "submit", "values": {}, "seen": form.answered}

    form._handle_msg({**click, "n": 1})
    form._handle_msg({**click, "n": 2})
    assert len(submitted) == 1

    form._handle_msg({**click, "n": 3, "seen": form.answered})
    assert len(submitted) == 2


def test_a_closed_form_submits_nothing():
    form = FormDialog(fields=FIELDS)
    seen = watched(form, "submitted")

    form._handle_msg({"kind": "submit", "values": {"family_name": "x"}})

    assert seen == []


def test_a_refused_form_stays_open_with_its_reasons_until_it_is_asked_afresh():
    form = FormDialog()
    form.ask(FIELDS)

    form.refuse("Somebody else changed it.", family_name="Too long.")
    assert (form.open, form.problem) == (True, "Somebody else changed it.")
    assert form.problems == {"family_name": "Too long."}

    form.ask(FIELDS, title="Again")
    assert (form.problem, form.problems, form.title) == ("", {}, "Again")


def test_the_action_of_a_message_counts_only_for_the_message_shown():
    notice = Notice()
    seen = watched(notice, "taken")
    first = notice.say("Cancelled.", action="Undo")
    second = notice.say("Moved.", action="Undo")

    notice._handle_msg({"kind": "action", "n": first})
    notice._handle_msg({"kind": "action", "n": second})

    assert seen == [second]


def test_a_heading_tells_its_buttons_and_no_others():
    heading = Heading(today="2026-11-22", buttons=[{"id": "book", "label": "Book"}])
    seen = watched(heading, "pressed")

    for name in ("book", "delete", None):
        heading._handle_msg({"kind": "press", "id": name})

    assert seen == ["book"]


def test_a_day_that_is_none_counts_as_today():
    assert Heading(day="0001-13-40", today="2026-11-22").date.isoformat() == "2026-11-22"


def test_each_role_meets_its_own_navigation_and_an_unknown_one_none():
    known = {entry["id"] for entry in NAVIGATION}

    assert set().union(*VISIBLE.values()) == known
    assert [entry["id"] for entry in entries_for("receptionist")] == ["schedule", "patients"]
    assert entries_for("intruder") == []


def test_the_search_is_bounded_and_answers_the_question_it_was_asked(monkeypatch):
    asked, said = [], []
    bar = TopBar(find=lambda text: asked.append(text) or [{"label": "Okafor, Ada", "href": "/"}])
    monkeypatch.setattr(bar, "_send_msg", said.append)

    bar._handle_msg({"kind": "find", "text": "x" * 5000, "n": 7})

    assert asked == ["x" * 64]
    assert said == [{"kind": "hits", "n": 7, "hits": [{"label": "Okafor, Ada", "href": "/"}]}]


def test_a_page_names_itself_and_not_its_user():
    page = shell("Schedule", user="Dr. Ruth Adeyemi", role="clinician", active="schedule")

    assert page.meta.title == "Schedule · Clinic Panel"
    assert state.curdoc is None


def test_a_page_is_forgotten_with_its_visit_and_no_press_elsewhere_changes_it():
    page = shell("Schedule", user="Ruth", role="clinician", active="schedule", main=[Heading()])
    state._add_busy_event("a press on another page")
    try:
        assert state.busy
        assert not page.busy
    finally:
        state._remove_busy_event("a press on another page")

    visit = weakref.ref(page)
    del page
    gc.collect()

    assert visit() is None


def plan(**changes) -> DayGrid:
    rooms = [{"id": 1, "label": "CT 1"}, {"id": 2, "label": "MR 1"}]
    fixed = {"id": 7, "room": 1, "start": 480, "end": 500, "label": "Okafor, Ada"}
    free = {**fixed, "id": 8, "start": 510, "end": 530, "movable": True}
    return DayGrid(**{"rooms": rooms, "bookings": [fixed, free], "bookable": True, **changes})


@pytest.mark.parametrize(
    ("message", "name", "said"),
    [
        ({"kind": "choose", "id": 7}, "chosen", 7),
        ({"kind": "want", "room": 2, "start": 600}, "wanted", {"room": 2, "start": 600}),
        (
            {"kind": "move", "id": 8, "room": 2, "start": 600},
            "moved",
            {"id": 8, "room": 2, "start": 600},
        ),
    ],
)
def test_a_day_plan_tells_what_was_pressed_and_dropped(message, name, said):
    grid = plan()
    seen = watched(grid, name)

    grid._handle_msg(message)

    assert seen == [said]
    assert getattr(grid, name) is None


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"kind": "choose", "id": 9},
        {"kind": "want", "room": 3, "start": 600},
        {"kind": "want", "room": 1, "start": 30},
        {"kind": "want", "room": 1, "start": "600"},
        {"kind": "move", "id": 7, "room": 2, "start": 600},
    ],
)
def test_a_day_plan_drops_what_cannot_be(message):
    grid = plan()
    seen = [watched(grid, name) for name in ("chosen", "wanted", "moved")]

    grid._handle_msg(message)
    plan(bookable=False)._handle_msg({"kind": "want", "room": 1, "start": 600})

    assert seen == [[], [], []]


def test_a_series_brings_the_windows_of_its_body_part_first():
    common = {"number": 1, "description": "", "has_thumbnail": False, "frames": (), "problem": ""}
    head = SeriesView(id=1, modality="CT", body_part="Head", **common)
    unknown = SeriesView(id=2, modality="CT", **common)
    first, second = series_of(SimpleNamespace(series=[head, unknown]))
    assert (first["body_part"], first["presets"][0]["label"]) == ("HEAD", "Brain")
    assert "presets" not in second  # the viewer knows the modality's
