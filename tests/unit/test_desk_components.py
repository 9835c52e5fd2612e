"""What the desk's parts say and offer, without a browser and without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from clinic_panel.components import schedule
from clinic_panel.components.admin.audit_log import said
from clinic_panel.components.heading import Heading
from clinic_panel.components.patient_form import ResolvePatient, form_of, patient_fields
from clinic_panel.components.tasks import Change, Done, Task, TaskDialog
from clinic_panel.components.visit_forms import EndExam
from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context
from clinic_panel.errors import Conflict, Invalid, NotFound, Unconfirmed
from clinic_panel.models.appointment import AppointmentStatus, Priority
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.user import Permission, Role
from clinic_panel.services.demographics import PatientForm, PatientRow
from clinic_panel.services.workflow import AppointmentRow, summarise
from clinic_panel.web.open_pages import PageSpec, _apology

NOW = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
S = AppointmentStatus


def context(role: Role) -> Context:
    return Context(
        settings=Settings(timezone="Europe/Berlin"),
        sessions=None,
        store=None,
        actor=Actor("someone", role),
        clock=lambda: NOW,
    )


def visit(status: AppointmentStatus = S.BOOKED, **values) -> AppointmentRow:
    row = AppointmentRow(
        id=7,
        version=1,
        start_at=NOW + timedelta(minutes=30),
        end_at=NOW + timedelta(minutes=50),
        status=status,
        priority=Priority.ROUTINE,
        modality="CT",
        room_pk=1,
        room_name="CT 1",
        procedure_pk=1,
        requested_procedure_description="CT chest",
        patient_pk=3,
        patient_name="Muster^Maria",
        display_name="Muster, Maria",
        patient_id="P1",
        patient_birth_date=date(1970, 1, 2),
        patient_sex="F",
        accession_number="A1",
        cancellation_reason="",
        checked_in_at=None,
        images_at=None,
        study_id=None,
        image_count=0,
        thumbnail_series_id=None,
        report_id=None,
        report_status=None,
        has_pdf=False,
    )
    return replace(row, **values)


TAKE = "Take from this booking…"


def offered(role: Role, row: AppointmentRow) -> list[str]:
    return [action["label"] for action in schedule.actions(context(role), row, NOW)]


IMAGED = {"study_id": 5, "image_count": 9}
READ = {**IMAGED, "report_id": 4, "report_status": ReportStatus.SIGNED, "has_pdf": True}


@pytest.mark.parametrize(
    ("role", "row", "labels"),
    [
        (Role.RECEPTIONIST, visit(), ["Check in", "Move…", "Cancel…", "Record"]),
        (
            Role.RECEPTIONIST,
            visit(start_at=NOW),
            ["Check in", "Move…", "No-show", "Cancel…", "Record"],
        ),
        (
            Role.RECEPTIONIST,
            visit(start_at=NOW + timedelta(days=1)),
            ["Move…", "Cancel…", "Record"],
        ),
        (Role.RECEPTIONIST, visit(S.ARRIVED), ["Undo check-in", "Move…", "Cancel…", "Record"]),
        (Role.RECEPTIONIST, visit(S.NO_SHOW), ["Check in", "Undo", "Move…", "Record"]),
        (Role.RECEPTIONIST, visit(S.CANCELLED), ["Undo", "Record"]),
        (Role.RECEPTIONIST, visit(S.CANCELLED, start_at=NOW - timedelta(days=1)), ["Record"]),
        (Role.RECEPTIONIST, visit(S.TO_READ, **IMAGED), ["Record"]),
        (Role.RECEPTIONIST, visit(S.REPORTED, **READ), ["PDF", "Record"]),
        (Role.TECHNOLOGIST, visit(S.TO_READ, **IMAGED), ["Open images", "Record", TAKE]),
        (Role.CLINICIAN, visit(), ["Record"]),
        (Role.CLINICIAN, visit(S.TO_READ, **IMAGED), ["Open images", "Report", "Record", TAKE]),
        (
            Role.CLINICIAN,
            visit(S.REPORTED, **READ),
            ["Open images", "PDF", "Read the report", "Record", TAKE],
        ),
        (Role.ADMIN, visit(S.REPORTED, **READ), []),
    ],
)
def test_a_line_offers_what_role_and_status_allow(role, row, labels):
    assert offered(role, row) == labels


def test_a_line_shows_clinic_time_two_identifiers_and_the_count_of_images():
    row = visit(S.IMAGES_ARRIVING, priority=Priority.STAT, thumbnail_series_id=8, **IMAGED)
    [line] = schedule.lines(context(Role.RECEPTIONIST), [row])
    assert (line["time"], line["until"]) == ("13:30", "13:50")
    assert line["ident"] == "P1 · 1970-01-02 · female"
    assert line["status"] == "Images arriving (9)"
    assert line["status_live"] is True
    assert (line["priority"], line["priority_tone"]) == ("STAT", "red")
    assert line["thumbnail"] == "/thumbnails/8"


def test_a_line_warns_of_objects_of_another_person():
    [line] = schedule.lines(context(Role.TECHNOLOGIST), [visit(S.TO_READ, is_mixed=True, **IMAGED)])
    assert (line["owed"], line["owed_tone"]) == ("Objects of two people", "amber")


E = PerformedStatus
OWED, COMING = {"announced": 120, "missing": 3}, "Images arriving (9)"


@pytest.mark.parametrize(
    ("status", "exam", "values", "chip", "tone", "live", "note"),
    [
        (S.IMAGES_ARRIVING, E.IN_PROGRESS, {}, "In progress", "blue", True, ""),
        (S.IMAGES_ARRIVING, E.IN_PROGRESS, IMAGED, "In progress", "blue", True, COMING),
        (S.IMAGES_ARRIVING, E.COMPLETED, IMAGED | OWED, "Completed", "teal", True, ""),
        (S.IMAGES_ARRIVING, E.COMPLETED, IMAGED, "Completed", "teal", False, COMING),
        (S.IMAGES_ARRIVING, E.COMPLETED, {}, "Completed", "teal", False, "No images announced"),
        (S.ARRIVED, E.DISCONTINUED, {}, "Discontinued", "amber", False, "Arrived · Equipment"),
        (S.BOOKED, E.DISCONTINUED, {}, "Discontinued", "amber", False, "Equipment"),
        (S.TO_READ, E.DISCONTINUED, IMAGED, "To read", "red", False, "Discontinued: Equipment"),
        (S.TO_READ, E.IN_PROGRESS, IMAGED, "To read", "red", False, "Not finished at the modality"),
        (S.TO_READ, E.COMPLETED, IMAGED | OWED, "To read", "red", False, ""),
        (S.REPORTED, E.IN_PROGRESS, READ, "Reported", "violet", False, ""),
        (S.CANCELLED, E.DISCONTINUED, {}, "Cancelled", "outline", False, ""),
    ],
)
def test_a_line_says_how_the_examination_goes_and_keeps_what_else_is_known(
    status, exam, values, chip, tone, live, note
):
    row = visit(status, exam_status=exam, discontinuation="Equipment", **values)
    [line] = schedule.lines(context(Role.TECHNOLOGIST), [row])
    assert (line["status"], line["status_tone"], line["status_live"]) == (chip, tone, live)
    assert line["exam"] == note
    assert line["owed"] == ("3 of 120 still missing" if "missing" in values else "")


@pytest.mark.parametrize(
    ("role", "status", "exam", "is_offered"),
    [
        (Role.TECHNOLOGIST, S.IMAGES_ARRIVING, E.IN_PROGRESS, True),
        (Role.RECEPTIONIST, S.IMAGES_ARRIVING, E.IN_PROGRESS, True),
        (Role.CLINICIAN, S.IMAGES_ARRIVING, E.IN_PROGRESS, False),
        (Role.TECHNOLOGIST, S.IMAGES_ARRIVING, E.COMPLETED, False),
        (Role.TECHNOLOGIST, S.IMAGES_ARRIVING, None, False),
        (Role.TECHNOLOGIST, S.ARRIVED, E.DISCONTINUED, False),
        (Role.TECHNOLOGIST, S.TO_READ, E.IN_PROGRESS, False),
    ],
)
def test_an_examination_can_be_ended_only_while_it_is_in_progress(role, status, exam, is_offered):
    row = visit(status, exam_status=exam)
    assert ("End examination…" in offered(role, row)) is is_offered


def test_no_images_will_come_is_offered_where_the_modality_is_done_and_none_came():
    done = visit(S.IMAGES_ARRIVING, exam_status=E.COMPLETED)
    assert "No images will come…" in offered(Role.RECEPTIONIST, done)
    assert "No images will come…" not in offered(Role.CLINICIAN, done)
    assert "No images will come…" not in offered(Role.RECEPTIONIST, replace(done, image_count=1))
    form = EndExam(context(Role.RECEPTIONIST), done)
    assert (form.title, form.submit_label) == ("No images will come", "No images will come")
    assert "Wrong worklist entry" in str(form.fields())


def test_ending_an_examination_asks_why():
    form = EndExam(context(Role.TECHNOLOGIST), visit(S.IMAGES_ARRIVING, exam_status=E.IN_PROGRESS))
    assert [field["name"] for field in form.fields()] == ["usual", "other"]
    with pytest.raises(Invalid, match="Choose a reason"):
        form.submit({"usual": "", "other": ""}, frozenset())


def test_a_room_is_busy_until_its_modality_is_done():
    going = visit(S.IMAGES_ARRIVING, exam_status=E.IN_PROGRESS)
    done = visit(S.IMAGES_ARRIVING, exam_status=E.COMPLETED, room_name="CT 2", **OWED)
    summary = summarise([going, done], NOW)
    assert (summary.in_progress, summary.busy_rooms) == (1, ("CT 1",))


def test_a_cancelled_line_is_muted_and_says_why():
    row = visit(S.CANCELLED, cancellation_reason="Patient unwell")
    [line] = schedule.lines(context(Role.RECEPTIONIST), [row])
    assert (line["tone"], line["place"]) == ("muted", "Patient unwell")


def test_the_figures_of_an_empty_day_say_so():
    cards = schedule.figures(summarise([], NOW), is_today=True)
    assert [card["value"] for card in cards] == [0, 0, 0, 0]
    assert cards[1]["detail"] == "nobody waits"


class Ask(Task):
    """Fails as told, then ends."""

    title = "Ask"
    anyway_label = "Do it anyway"

    def __init__(self, *errors):
        self.errors = list(errors)
        self.agreed = []

    def fields(self):
        return [{"name": "reason", "label": "Reason", "live": True}]

    def changed(self, name, values, text):
        return Change(warning=f"{name}={values[name]}|{text}")

    def submit(self, values, agreed):
        self.agreed.append(agreed)
        if self.errors:
            raise self.errors.pop(0)
        return Done("Done.", lambda: Done("Undone."))


@pytest.fixture
def tasks():
    told = []
    dialog = TaskDialog(lambda: told.append("done"))
    dialog.told = told
    return dialog


def submit(tasks, **values):
    tasks.dialog._handle_msg({"kind": "submit", "values": values})


def test_a_task_that_ends_closes_the_form_and_can_be_taken_back(tasks):
    tasks.open(Ask())
    submit(tasks, reason="x")
    assert not tasks.dialog.open
    assert tasks.notice.message["text"] == "Done."
    tasks.notice._handle_msg({"n": tasks.notice.message["n"]})
    assert tasks.notice.message["text"] == "Undone."
    assert tasks.told == ["done", "done"]


def test_an_error_is_shown_at_its_field_or_for_the_whole_form(tasks):
    tasks.open(Ask(Invalid("Too short.", field="reason"), Invalid("No.", field="else"), Conflict()))
    submit(tasks, reason="x")
    assert tasks.dialog.problems == {"reason": "Too short."}
    submit(tasks, reason="x")
    assert (tasks.dialog.problem, tasks.dialog.problems) == ("No.", {})
    submit(tasks, reason="x")
    assert tasks.dialog.problem == Conflict().message
    assert tasks.dialog.open
    assert tasks.told == []


def test_a_warning_is_agreed_to_only_for_what_was_asked(tasks):
    task = Ask(Unconfirmed("Sure?"), Unconfirmed("Sure?"))
    tasks.open(task)
    submit(tasks, reason="x")
    assert (tasks.dialog.warning, tasks.dialog.submit_label) == ("Sure?", "Do it anyway")
    submit(tasks, reason="y")
    submit(tasks, reason="y")
    assert task.agreed == [frozenset(), frozenset(), frozenset({Unconfirmed})]
    assert not tasks.dialog.open


def test_a_step_that_fails_says_so_and_reads_the_page_again(tasks):
    def fail():
        raise Conflict("Too late.")

    tasks.attempt(fail)
    assert (tasks.notice.message["text"], tasks.notice.message["kind"]) == ("Too late.", "problem")
    assert tasks.told == ["done"]


def test_a_live_field_is_answered_while_typing(tasks):
    tasks.open(Ask())
    tasks.dialog._handle_msg(
        {"kind": "changed", "name": "reason", "values": {"reason": "a"}, "text": "ab"}
    )
    assert tasks.dialog.warning == "reason=a|ab"


ADA = PatientForm("Okafor", "Ada", patient_birth_date=date(1981, 4, 2), allergies="Iodine")


def row_of(form: PatientForm) -> PatientRow:
    return PatientRow(
        id=1,
        version=2,
        patient_id="P1",
        issuer_of_patient_id="",
        patient_name=f"{form.family_name}^{form.given_name}",
        display_name="",
        patient_birth_date=form.patient_birth_date,
        age_years=None,
        patient_sex="",
        patient_telephone_numbers=form.patient_telephone_numbers,
        patient_address="",
        patient_comments=form.patient_comments,
        allergies=form.allergies,
        archived_at=None,
    )


def test_a_form_filled_and_read_back_is_the_same():
    values = {
        field["name"]: field["value"]
        for field in patient_fields(ADA, is_new=True)
        if "name" in field
    }
    assert form_of(values) == ADA


def test_what_only_one_of_two_editors_changed_merges_and_the_rest_is_asked():
    base = replace(ADA, patient_id="P1")
    theirs = replace(base, allergies="Latex", patient_comments="theirs")
    mine = replace(base, allergies="Penicillin", patient_telephone_numbers="1")
    task = ResolvePatient(context(Role.RECEPTIONIST), row_of(theirs), base, mine)
    assert [field["name"] for field in task.fields()] == ["allergies"]
    assert [option["detail"] for option in task.fields()[0]["options"]] == ["Penicillin", "Latex"]
    assert task.merged.patient_comments == "theirs"
    assert task.merged.patient_telephone_numbers == "1"


def test_two_editors_who_agree_are_asked_nothing():
    base = replace(ADA, patient_id="P1")
    same = replace(base, allergies="Latex")
    task = ResolvePatient(context(Role.RECEPTIONIST), row_of(same), base, same)
    assert task.differing == []
    assert task.fields()[0]["kind"] == "note"


@pytest.mark.parametrize(
    ("error", "offered"), [(NotFound("This study does not exist."), 0), (Conflict("Changed."), 1)]
)
def test_only_what_may_succeed_is_offered_to_be_tried_again(error, offered):
    spec = PageSpec("/study", "Study", Permission.IMAGE_READ, lambda *_: None)
    [sorry] = _apology(context(Role.CLINICIAN), spec, "/study?id=9", error).select(Heading)
    assert sorry.title == error.message
    assert len(sorry.buttons) == offered
    assert bool(sorry.note) != bool(offered)


def test_details_of_the_audit_are_words_and_leave_out_what_is_nothing():
    detail = {"committed": 2, "failures": {"0112": 3, "0119": 1}, "fields": ["a", "b"], "left": {}}
    assert said(detail) == "committed: 2 · failures: 0112 3, 0119 1 · fields: a, b"
