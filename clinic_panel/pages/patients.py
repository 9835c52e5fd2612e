"""Find a patient; one patient's record with visits, studies and reports."""

from __future__ import annotations

from typing import Any

import panel as pn

from clinic_panel.components import record as shown
from clinic_panel.components.board import Board
from clinic_panel.components.booking_form import Book
from clinic_panel.components.facts import Facts
from clinic_panel.components.file_list import FileList, lines
from clinic_panel.components.heading import Heading
from clinic_panel.components.linked import TakeStudy
from clinic_panel.components.live import Live
from clinic_panel.components.patient_form import EditPatient, NewPatient
from clinic_panel.components.search_field import SearchField
from clinic_panel.components.tasks import Done, Task, TaskDialog
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotFound
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import linked, patient, prepared, record, workflow
from clinic_panel.services.patient import PatientRow
from clinic_panel.services.workflow import AppointmentRow

PATH = "/patients"
TITLE = "Patients"
PERMISSION = Permission.PATIENT_READ
MOST = 50


def page(ctx: Context, live: Live) -> Any:
    """Build the search, or the record of the patient named by the address's ``id``.

    Raises
    ------
    NotFound
        The error page says so.
    """
    if "id" not in pn.state.session_args:
        finder = Finder(ctx)
        return framed(
            ctx,
            TITLE,
            "patients",
            main=[finder.heading, finder.field, finder.board],
            overlays=finder.tasks.parts,
        )
    one = Record(ctx, _asked())
    for topic in (Topic.SCHEDULE, Topic.STUDIES, Topic.REPORTS):
        live.on(topic, one.reload)
    live.on(Topic.JOBS, one.follow_files)
    return framed(
        ctx,
        "Patient",
        "patients",
        main=[one.heading, one.facts, one.visits, one.studies, one.reports, one.files],
        overlays=one.tasks.parts,
    )


def _asked() -> int:
    [given] = pn.state.session_args.get("id", [b""])[:1]
    if not given.isdigit() or len(given) > 9:
        raise NotFound("This patient does not exist.")
    return int(given)


class Finder:
    """The search: a line, and the people found."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.tasks = TaskDialog(self.search)
        may_write = ctx.may(Permission.PATIENT_WRITE)
        new = {"id": "patient", "label": "New patient", "icon": "person", "primary": True}
        self.heading = Heading(title=TITLE, buttons=[new] if may_write else [])
        self.field = SearchField(
            label="Find a patient", placeholder="Name, ID, birth date or accession number"
        )
        self.board = Board(row_action="open", lit=False)
        self.heading.param.watch(self._pressed, "pressed")
        self.field.param.watch(lambda _: self.search(), "text")
        self.board.param.watch(self._acted, "action")
        self.search()

    def search(self) -> None:
        """Show who matches what is typed."""
        try:
            if self.field.text:
                self._show_found(patient.find(self.ctx, self.field.text, MOST))
            else:
                self._show_today(workflow.appointments_on(self.ctx, self.ctx.today()))
        except ClinicError as error:
            self.tasks.notice.say(error.message, "problem")

    def _show_found(self, found: list[PatientRow]) -> None:
        may_book = self.ctx.may(Permission.SCHEDULE_WRITE)
        self.board.param.update(
            title="Found",
            columns=shown.PEOPLE_COLUMNS,
            rows=shown.people(found, may_book=may_book),
            empty_text="Nobody matches.",
            footer=f"The first {MOST}: type more to narrow down." if len(found) == MOST else "",
        )

    def _show_today(self, rows: list[AppointmentRow]) -> None:
        self.board.param.update(
            title="Here today",
            columns=shown.TODAY_COLUMNS,
            rows=shown.here_today(self.ctx, rows),
            empty_text="Nobody is booked today: type a name, an ID or a birth date.",
            footer="",
        )

    def _book(self, row: PatientRow) -> Task:
        return Book(self.ctx, self.ctx.today(), row)

    def _pressed(self, event: Any) -> None:
        if event.new == "patient":
            self.tasks.open(NewPatient(self.ctx, self._book))

    def _acted(self, event: Any) -> None:
        if event.new and event.new["action"] == "book":
            patient_pk = event.new["id"]
            self.tasks.attempt(lambda: self._book(patient.get(self.ctx, patient_pk)))


class Record:
    """One person's record."""

    def __init__(self, ctx: Context, patient_pk: int) -> None:
        self.ctx, self.patient_pk = ctx, patient_pk
        self.tasks = TaskDialog(self.reload)
        self.heading = Heading(back={"label": "Patients", "href": PATH})
        self.facts = Facts(label="Demographics")
        self.visits = Board(
            title="Visits", columns=shown.VISIT_COLUMNS, empty_text="No visits yet."
        )
        self.studies = Board(
            title="Studies",
            columns=shown.STUDY_COLUMNS,
            row_action="open",
            empty_text="No studies yet.",
        )
        self.reports = Board(
            title="Reports", columns=shown.REPORT_COLUMNS, empty_text="No reports yet."
        )
        self.files = FileList()
        self.heading.param.watch(self._pressed, "pressed")
        self.studies.param.watch(self._acted, "action")
        self.show(record.read(ctx, patient_pk))
        self.follow_files()

    def reload(self) -> None:
        """Read the record again; the lines are rewritten in their place."""
        try:
            self.show(record.read(self.ctx, self.patient_pk, again=True))
        except ClinicError as error:
            self.tasks.notice.say(error.message, "problem")

    def follow_files(self) -> None:
        """Show what the person who looks had prepared to hand out."""
        if not self.ctx.may(Permission.IMAGE_READ):
            return
        try:
            found = prepared.of_patient(self.ctx, self.patient_pk)
        except ClinicError as error:
            self.tasks.notice.say(error.message, "problem")
            return
        self.files.items = lines(self.ctx, found, with_study=True)

    def show(self, found: record.PatientRecord) -> None:
        """Bring every part up to date."""
        self.person = found.patient
        chips = [{"label": "Archived", "tone": "amber"}] if self.person.archived_at else []
        self.heading.param.update(
            title=self.person.display_name, chips=chips, buttons=_buttons(self.ctx, self.person)
        )
        self.facts.items = shown.facts(self.person)
        self.visits.rows = shown.visits(self.ctx, found.visits)
        self.studies.rows = shown.studies(self.ctx, found.studies)
        self.reports.rows = shown.reports(self.ctx, found.reports)

    def _pressed(self, event: Any) -> None:
        match event.new:
            case "edit":
                self.tasks.attempt(lambda: EditPatient(self.ctx, self.person))
            case "book":
                self.tasks.attempt(lambda: Book(self.ctx, self.ctx.today(), self.person))
            case "archive":
                self.tasks.attempt(self._archive)
            case "restore":
                self.tasks.attempt(self._restore)

    def _acted(self, event: Any) -> None:
        if event.new and event.new["action"] == "take":
            study_id = event.new["id"]
            self.tasks.attempt(lambda: TakeStudy(self.ctx, linked.of_study(self.ctx, study_id)))

    def _archive(self) -> Done:
        patient.archive(self.ctx, self.patient_pk)
        return Done("Archived: the record no longer shows in searches.", self._restore)

    def _restore(self) -> Done:
        patient.restore(self.ctx, self.patient_pk)
        return Done("Restored.")


def _buttons(ctx: Context, row: PatientRow) -> list[dict[str, Any]]:
    if not ctx.may(Permission.PATIENT_WRITE):
        return []
    if row.archived_at:
        return [{"id": "restore", "label": "Restore", "icon": "undo", "primary": True}]
    buttons: list[dict[str, Any]] = [
        {"id": "archive", "label": "Archive"},
        {"id": "edit", "label": "Edit", "icon": "edit"},
    ]
    if ctx.may(Permission.SCHEDULE_WRITE):
        buttons.append({"id": "book", "label": "Book", "icon": "add", "primary": True})
    return buttons
