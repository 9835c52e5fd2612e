"""The clinic day: who comes, who waits, what came of it; live, and the desk's work on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import panel as pn

from clinic_panel.components import day_plan, schedule, unmatched
from clinic_panel.components.board import Board
from clinic_panel.components.booking_form import Book
from clinic_panel.components.day_grid import DayGrid
from clinic_panel.components.day_plan import Visit
from clinic_panel.components.heading import Heading
from clinic_panel.components.kpi import KpiStrip
from clinic_panel.components.linked import TakeStudy
from clinic_panel.components.live import Live, Pace
from clinic_panel.components.patient_form import NewPatient
from clinic_panel.components.tasks import Done, TaskDialog
from clinic_panel.components.unmatched import LinkStudy
from clinic_panel.components.visit_forms import Cancel, EndExam, Move, moved
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import linked, matching, workflow
from clinic_panel.services.catalogue import RoomRow
from clinic_panel.services.matching import UnmatchedStudy
from clinic_panel.services.workflow import AppointmentRow, Place

PATH = "/schedule"
TITLE = "Schedule"
PERMISSION = Permission.SCHEDULE_READ
ASIDE_PX = 296
HIDDEN, SHOWN = {"display": "none"}, {"display": "block"}  # a part's own style outweighs `visible`
TICK_MS = 60_000  # minutes of waiting are shown
PACE_S = 0.4  # a modality announces every batch of images; nobody reads faster than this


def page(ctx: Context, live: Live) -> Any:
    """Build the page of today, or of the day named by the address's ``day``."""
    desk = Desk(ctx)
    live.on(Topic.SCHEDULE, desk.pace.follow)
    live.on(Topic.STUDIES, desk.pace.follow)
    live.on(Topic.REPORTS, desk.pace.follow)
    pn.state.add_periodic_callback(desk.tick, period=TICK_MS)
    return framed(
        ctx,
        TITLE,
        "schedule",
        top=[desk.heading, desk.figures],
        main=[desk.board, desk.plan],
        aside=[desk.unmatched] if desk.unmatched else [],
        aside_px=ASIDE_PX,
        overlays=desk.tasks.parts,
    )


class Desk:
    """The parts of the page and what joins them."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.rows: dict[int, AppointmentRow] = {}
        self.studies: dict[int, UnmatchedStudy] = {}
        self.tasks = TaskDialog(self.reload)
        today = ctx.today()
        self.heading = Heading(
            title=TITLE,
            day=_asked(today).isoformat(),
            today=today.isoformat(),
            buttons=_buttons(ctx),
        )
        self.figures = KpiStrip(label="Figures of the day")
        self.rooms = workflow.rooms(ctx)
        self.hours = workflow.opening_hours(ctx)
        self.is_plan = False
        self.plan = DayGrid(rooms=day_plan.columns(self.rooms), styles=HIDDEN)
        self.board = Board(
            title="Appointments",
            columns=schedule.COLUMNS,
            facets=_facets(self.rooms),
            searchable=True,
            search_label="Filter the day",
            row_action="open" if ctx.may(Permission.IMAGE_READ) else "patient",
            empty_text="No appointments on this day.",
        )
        self.unmatched = _unmatched_board() if ctx.may(Permission.STUDY_LINK) else None
        self.pace = Pace(self.reload, PACE_S)
        self.heading.param.watch(lambda _: self.turn(), "day")
        self.heading.param.watch(self._pressed, "pressed")
        self.board.param.watch(self._acted, "action")
        self.plan.param.watch(self._wanted, "wanted")
        self.plan.param.watch(self._chosen, "chosen")
        self.plan.param.watch(self._moved, "moved")
        if self.unmatched:
            self.unmatched.param.watch(self._linked, "action")
        self.reload(again=False)

    def turn(self) -> None:
        """Show another day."""
        self.tasks.notice.clear()
        self.reload()

    def reload(self, *, again: bool = True) -> None:
        """Read the day; the lines are rewritten in their place."""
        day = self.heading.date
        try:
            rows = workflow.appointments_on(self.ctx, day)
            rooms = workflow.rooms(self.ctx)
            studies = matching.unmatched_studies(self.ctx, again=again) if self.unmatched else []
        except ClinicError as error:
            self.tasks.notice.say(error.message, "problem")
            return
        if rooms != self.rooms:  # an administrator opened, renamed or closed one
            self.rooms = rooms
            self.plan.rooms, self.board.facets = day_plan.columns(rooms), _facets(rooms)
        self.rows = {row.id: row for row in rows}
        self.studies = {study.id: study for study in studies}
        self.board.rows = schedule.lines(self.ctx, rows)
        self.draw()
        self.heading.note = f"{day:%A, %d %B %Y}"
        if self.unmatched:
            self.unmatched.rows = unmatched.lines(self.ctx, studies)
            self.unmatched.styles = SHOWN if studies else HIDDEN
        self.count()

    def draw(self) -> None:
        """Bring the plan up to date, where it is what the person looks at."""
        if self.is_plan:
            self.plan.param.update(
                bookings=day_plan.blocks(self.ctx, self.rows.values(), self.rooms),
                **day_plan.frame(self.ctx, self.hours, self.heading.date),
            )

    def count(self) -> None:
        """Bring the figures up to date from what was read."""
        summary = workflow.summarise(self.rows.values(), self.ctx.clock())
        is_today = self.heading.day == self.heading.today
        self.figures.items = schedule.figures(summary, is_today=is_today)

    def tick(self) -> None:
        """Let the minutes pass; at midnight a page that shows today turns to the new day."""
        today = self.ctx.today().isoformat()
        if today != self.heading.today:
            is_today = self.heading.day == self.heading.today
            self.heading.param.update(today=today, **({"day": today} if is_today else {}))
        self.count()
        self.draw()

    def _pressed(self, event: Any) -> None:
        if event.new == "view":
            self.is_plan = not self.is_plan
            self.draw()
            self.board.styles, self.plan.styles = (
                (HIDDEN, SHOWN) if self.is_plan else (SHOWN, HIDDEN)
            )
            self.heading.buttons = _buttons(self.ctx, is_plan=self.is_plan)
        elif event.new == "patient":
            today = self.ctx.today()
            self.tasks.open(NewPatient(self.ctx, lambda row: Book(self.ctx, today, row)))
        elif event.new == "book":
            self.tasks.attempt(lambda: Book(self.ctx, self.heading.date))

    def _acted(self, event: Any) -> None:
        row = self.rows.get(event.new["id"]) if event.new else None
        if row is None:
            return
        match event.new["action"]:
            case "move":
                self.tasks.attempt(lambda: Move(self.ctx, row))
            case "cancel":
                self.tasks.attempt(lambda: Cancel(self.ctx, row))
            case "take":
                self.tasks.attempt(lambda: TakeStudy(self.ctx, linked.of_booking(self.ctx, row.id)))
            case "end_exam":
                self.tasks.attempt(lambda: EndExam(self.ctx, row))
            case action if action in STEPS:
                self.tasks.attempt(partial(STEPS[action], self.ctx, row.id))

    def _wanted(self, event: Any) -> None:
        if not event.new:
            return
        hour, minute = divmod(event.new["start"], 60)
        at, room_pk = f"{hour:02}:{minute:02}", event.new["room"]
        self.tasks.attempt(lambda: Book(self.ctx, self.heading.date, room_pk=room_pk, at=at))

    def _chosen(self, event: Any) -> None:
        row = self.rows.get(event.new) if event.new is not None else None
        if row is not None:
            self.tasks.attempt(lambda: Visit(self.ctx, row))

    def _moved(self, event: Any) -> None:
        row = self.rows.get(event.new["id"]) if event.new else None
        if row is None:
            return
        start_at = day_plan.moment_of(self.ctx, self.heading.date, event.new["start"])
        place = Place(event.new["room"], start_at)
        self.tasks.attempt(lambda: moved(self.ctx, row, place))

    def _linked(self, event: Any) -> None:
        study = self.studies.get(event.new["id"]) if event.new else None
        if study is not None and event.new["action"] == "link":
            self.tasks.attempt(lambda: LinkStudy(self.ctx, study))


def _facets(rooms: list[RoomRow]) -> list[dict[str, Any]]:
    stages = list(dict.fromkeys(schedule.STAGES.values()))
    modalities = sorted({room.modality for room in rooms})
    return [
        {"id": "stage", "label": "Stage", "options": stages},
        {"id": "modality", "label": "Modality", "options": modalities},
    ]


def _step(
    do: Callable[[Context, int], Any],
    said: str,
    back: Callable[[Context, int], Any] | None = None,
    said_back: str = "",
) -> Callable[[Context, int], Done]:
    """Return a step of a visit that asks nothing, with the step that takes it back."""

    def act(ctx: Context, appointment_id: int) -> Done:
        do(ctx, appointment_id)
        if back is None:
            return Done(said)
        return Done(said, partial(_step(back, said_back), ctx, appointment_id))

    return act


STEPS: dict[str, Callable[[Context, int], Done]] = {
    "check_in": _step(
        workflow.check_in, "Checked in.", workflow.undo_check_in, "Check-in taken back."
    ),
    "undo_check_in": _step(workflow.undo_check_in, "Check-in taken back."),
    "no_show": _step(
        workflow.no_show, "Noted as no-show.", workflow.undo_no_show, "No-show taken back."
    ),
    "undo_no_show": _step(workflow.undo_no_show, "No-show taken back."),
    "undo_cancel": _step(workflow.undo_cancel, "The appointment stands again."),
}


def _asked(today: date) -> date:
    [given] = pn.state.session_args.get("day", [b""])[:1]
    try:
        return date.fromisoformat(given.decode("ascii", "replace"))
    except ValueError:
        return today


def _buttons(ctx: Context, *, is_plan: bool = False) -> list[dict[str, Any]]:
    buttons: list[dict[str, Any]] = [
        {"id": "view", "label": "List", "icon": "report"}
        if is_plan
        else {"id": "view", "label": "Day plan", "icon": "calendar"}
    ]
    if ctx.may(Permission.PATIENT_WRITE):
        buttons.append({"id": "patient", "label": "New patient", "icon": "person"})
    if ctx.may(Permission.SCHEDULE_WRITE):
        buttons.append({"id": "book", "label": "Book", "icon": "add", "primary": True})
    return buttons


def _unmatched_board() -> Board:
    return Board(
        title="Unmatched studies",
        columns=unmatched.COLUMNS,
        empty_text="Every study belongs to a booking.",
    )
