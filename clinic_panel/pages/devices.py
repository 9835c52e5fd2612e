"""What devices do here, live: connections of a day, one explained, and why a booking is missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import panel as pn

from clinic_panel.components.board import Board
from clinic_panel.components.flights import connect, detail, table, why
from clinic_panel.components.heading import Heading
from clinic_panel.components.kpi import KpiStrip
from clinic_panel.components.live import Live, Pace
from clinic_panel.components.notice import Notice
from clinic_panel.components.sheet import Sheet
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import catalogue, flight_replay, flight_view, workflow
from clinic_panel.services.flight_replay import Replay
from clinic_panel.services.flight_view import FlightRow

PATH = "/devices"
TITLE = "Devices"
PERMISSION = Permission.DEVICE_READ
PACE_S = 0.4  # a device at work is written of again and again; nobody reads faster than this
TICK_MS = 30_000  # an open connection grows older; at midnight the day turns


def page(ctx: Context, live: Live) -> Any:
    """Build the page of today, or of the day, ``id`` or ``booking`` that the address names."""
    watch = Watch(ctx)
    live.on(Topic.DEVICES, watch.pace.follow)
    pn.state.add_periodic_callback(watch.tick, period=TICK_MS)
    watch.open_asked()
    return framed(
        ctx,
        TITLE,
        "devices",
        main=[watch.heading, watch.figures, watch.board],
        overlays=[watch.sheet, watch.notice],
    )


class Watch:
    """The parts of the page and what joins them."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.rows: dict[int, FlightRow] = {}
        self.replays: dict[int, Replay | str] = {}
        self.shown: int | None = None  # the association in the sheet
        today = ctx.today().isoformat()
        self.heading = Heading(
            title=TITLE,
            day=_asked_day(ctx.today()).isoformat(),
            today=today,
            buttons=_buttons(ctx),
        )
        self.figures = KpiStrip(label="Connections of the day")
        self.board = Board(
            title="Connections",
            columns=table.COLUMNS,
            facets=table.FACETS,
            searchable=True,
            search_label="Filter connections",
            selectable=True,
            row_action="show",
        )
        self.sheet = Sheet()
        self.notice = Notice()
        self.pace = Pace(self.reload, PACE_S)
        self.heading.param.watch(lambda _: self.reload(), "day")
        self.heading.param.watch(self._pressed, "pressed")
        self.board.param.watch(self._chosen, "action")
        self.sheet.param.watch(self._acted, "action")
        self.sheet.param.watch(self._closed, "content")
        self.reload()

    def open_asked(self) -> None:
        """Open what the address names."""
        for name, show in (("id", self.show), ("booking", self.explain)):
            [given] = pn.state.session_args.get(name, [b""])[:1]
            if given.isdigit() and len(given) <= 18:
                show(int(given))
                return

    def reload(self) -> None:
        """Read the day; the lines are rewritten in their place, the open sheet with them."""
        day = self.heading.date
        try:
            rows = flight_view.flights_on(self.ctx, day)
        except ClinicError as error:
            self.notice.say(error.message, "problem")
            return
        before, self.rows = self.rows, {row.id: row for row in rows}
        is_today = self.heading.day == self.heading.today
        full = len(rows) == flight_view.SHOWN_AT_MOST
        self.board.param.update(
            rows=table.lines(self.ctx, rows),
            empty_text=connect.empty_text(self.ctx, is_today=is_today),
            footer=f"The latest {len(rows)} connections of the day." if full else "",
        )
        self.figures.items = table.figures(flight_view.summarise(rows))
        self.heading.note = f"{day:%A, %d %B %Y}"
        # Read again only when something came: each look at bookings is audited.
        if self.shown in self.rows and before.get(self.shown) != self.rows[self.shown]:
            self._read(self.shown)

    def tick(self) -> None:
        """Let the time pass; at midnight a page that shows today turns to the new day."""
        today = self.ctx.today().isoformat()
        if today != self.heading.today:
            is_today = self.heading.day == self.heading.today
            self.heading.param.update(today=today, **({"day": today} if is_today else {}))
        elif any(row.ended_at is None for row in self.rows.values()):
            self.reload()

    def show(self, flight_id: int) -> None:
        """Open one association."""
        self.replays.clear()
        self._read(flight_id)

    def _read(self, flight_id: int) -> None:
        def read() -> dict[str, Any]:
            found = flight_view.flight(self.ctx, flight_id)
            return detail.content(self.ctx, found, self.replays)

        if self._put(read):
            self.shown = self.board.selected = flight_id

    def replay(self, request_id: int) -> None:
        """Run a recorded query again, and show what it would find beside what it found."""
        try:
            self.replays[request_id] = flight_replay.replay(self.ctx, request_id)
        except ClinicError as error:
            self.replays[request_id] = error.message
        if self.shown is not None:
            self._read(self.shown)

    def choose(self) -> None:
        """Ask which booking is missing."""
        day = self.heading.date

        def read() -> dict[str, Any]:
            rows = workflow.appointments_on(self.ctx, day)
            return why.choice(self.ctx, rows, f"{day:%A, %d %B %Y}")

        self._put(read)

    def explain(self, appointment_id: int) -> None:
        """Tell why a booking is, or is not, on its scanner."""
        self._put(lambda: why.content(self.ctx, flight_replay.why(self.ctx, appointment_id)))

    def connect(self) -> None:
        """Tell what is set at a device."""
        self._put(lambda: connect.content(self.ctx, catalogue.rooms(self.ctx)))

    def _put(self, read: Callable[[], dict[str, Any]]) -> bool:
        try:
            content = read()
        except ClinicError as error:
            self.notice.say(error.message, "problem")
            return False
        self.shown = None
        self.sheet.content = content
        return True

    def _pressed(self, event: Any) -> None:
        if event.new == "why":
            self.choose()
        elif event.new == "connect":
            self.connect()

    def _chosen(self, event: Any) -> None:
        if event.new and event.new["id"] in self.rows:
            self.show(event.new["id"])

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        acts: dict[str, Callable[[int], None]] = {
            "replay": self.replay,
            "why": self.explain,
            "flight": self.show,
            "choose": lambda _: self.choose(),
        }
        acts[event.new["action"]](event.new["id"])

    def _closed(self, event: Any) -> None:
        if event.new is None:
            self.shown = self.board.selected = None


def _asked_day(today: date) -> date:
    [given] = pn.state.session_args.get("day", [b""])[:1]
    try:
        return date.fromisoformat(given.decode("ascii", "replace"))
    except ValueError:
        return today


def _buttons(ctx: Context) -> list[dict[str, Any]]:
    buttons: list[dict[str, Any]] = [
        {"id": "connect", "label": "Connect a device", "icon": "devices"}
    ]
    if ctx.may(Permission.SCHEDULE_READ):
        label = "Why is it not on my scanner?"
        buttons.append({"id": "why", "label": label, "icon": "search", "primary": True})
    return buttons
