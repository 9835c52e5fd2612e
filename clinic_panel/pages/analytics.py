"""How the clinic runs: studies by hour, minutes to the report, use of the rooms."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import panel as pn

from clinic_panel.components import charts
from clinic_panel.components.board import Board
from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.heading import Heading
from clinic_panel.components.kpi import KpiStrip
from clinic_panel.components.live import Live
from clinic_panel.components.notice import Notice
from clinic_panel.components.plot_theme import PlotTheme
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, Invalid
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import analytics
from clinic_panel.services.analytics import Days

PATH = "/analytics"
TITLE = "Analytics"
PERMISSION = Permission.ANALYTICS_READ

SPANS = {"today": ("Today", 1), "week": ("7 days", 7), "month": ("30 days", 30)}
CHOOSE = "dates"
_CARD = {
    "background": "light-dark(#ffffff, #162124)",
    "border": "1px solid light-dark(#dde6e4, #2a3a3d)",
    "border-radius": "10px",
    "padding": "8px 12px 4px",
}
_MINUTES = [
    {"id": "modality", "label": "Modality", "kind": "chip", "small": True},
    {"id": "reports", "label": "Reports", "kind": "number", "align": "end"},
    {"id": "median", "label": "Median, min", "kind": "number", "align": "end"},
    {"id": "p90", "label": "90 %, min", "kind": "number", "align": "end"},
]
_ROOMS = [
    {"id": "room", "label": "Room", "strong": True},
    {"id": "visits", "label": "Visits", "kind": "number", "align": "end"},
    {"id": "booked", "label": "Booked, min", "kind": "number", "align": "end"},
    {"id": "open", "label": "Open, min", "kind": "number", "align": "end"},
    {"id": "part", "label": "Booked, %", "kind": "number", "align": "end"},
]


class _Analytics:
    """The parts of one open page, and the days they show."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.heading = Heading(title=TITLE, buttons=self._buttons("week"))
        self.kpis = KpiStrip()
        self.notice = Notice()
        self.dates = FormDialog(title="Days to show", submit_label="Show")
        self.theme = PlotTheme(sizing_mode="fixed", width=0, height=0)
        quiet = "No numbers on these days."
        self.plots = [
            pn.pane.HoloViews(sizing_mode="stretch_width", height=charts.HEIGHT_PX, backend="bokeh")
            for _ in range(3)
        ]
        self.tables = [
            Board(label=label, columns=columns, lit=False, empty_text=quiet)
            for label, columns in (
                ("Studies by hour", _hour_columns([])),
                ("Minutes from arrival to report", _MINUTES),
                ("Use of the rooms", _ROOMS),
            )
        ]
        self.heading.param.watch(self._pressed, "pressed")
        self.dates.param.watch(self._chosen, "submitted")
        self.show(self._span(7))

    def show(self, days: Days) -> None:
        """Fill every part with the numbers of these days."""
        try:
            by_hour = charts.with_fewer_kinds(analytics.studies_by_hour(self.ctx, days))
            visits = analytics.turnaround(self.ctx, days)
            rooms = analytics.utilisation(self.ctx, days)
        except ClinicError as error:
            self.notice.say(error.message, "problem")
            return
        self.days = days
        self.heading.note = _said(days)
        self.kpis.items = _figures(by_hour, visits, rooms)
        signed = visits.dropna(subset=["minutes_to_report"])
        drawn = (
            charts.hours_chart(by_hour) if len(by_hour) else None,
            charts.turnaround_chart(visits) if len(signed) else None,
            charts.utilisation_chart(rooms) if rooms["visits"].sum() else None,
        )
        rows = (_hour_rows(by_hour), _minute_rows(visits), _room_rows(rooms))
        for plot, element, table, found in zip(self.plots, drawn, self.tables, rows, strict=True):
            plot.param.update(object=element, visible=element is not None)
            table.rows = found
        self.tables[0].columns = _hour_columns(charts.kinds_of(by_hour))
        self.theme.painted += 1

    def view(self) -> Any:
        """Place the parts: a plot above its numbers."""
        cards = [
            pn.Column(
                pn.Column(plot, styles=_CARD, sizing_mode="stretch_width", margin=0),
                table,
                sizing_mode="stretch_width",
                margin=0,
                styles={"gap": "10px"},
            )
            for plot, table in zip(self.plots, self.tables, strict=True)
        ]
        return framed(
            self.ctx,
            TITLE,
            "analytics",
            top=[self.heading, self.kpis],
            main=cards,
            overlays=[self.dates, self.notice, self.theme],
        )

    def _buttons(self, chosen: str) -> list[dict[str, Any]]:
        spans = [
            {"id": name, "label": label, "primary": name == chosen}
            for name, (label, _) in SPANS.items()
        ]
        choose = {"id": CHOOSE, "label": "Choose days", "icon": "calendar"}
        return [*spans, choose | {"primary": chosen == CHOOSE}]

    def _span(self, length: int) -> Days:
        today = self.ctx.today()
        return Days(today - timedelta(days=length - 1), today)

    def _pressed(self, event: Any) -> None:
        if event.new in SPANS:
            self.heading.buttons = self._buttons(event.new)
            self.show(self._span(SPANS[event.new][1]))
        elif event.new == CHOOSE:
            self.dates.ask(
                [
                    _date_field("first", "First day", self.days.first),
                    _date_field("last", "Last day", self.days.last),
                ]
            )

    def _chosen(self, event: Any) -> None:
        if event.new is None:
            return
        try:
            days = Days(_typed(event.new, "first"), _typed(event.new, "last"))
        except Invalid as error:
            self.dates.refuse(**{error.field: error.message})
            return
        self.dates.close()
        self.heading.buttons = self._buttons(CHOOSE)
        self.show(days)


def page(ctx: Context, live: Live) -> Any:
    """Build the page; its numbers are of the moment they were asked for."""
    return _Analytics(ctx).view()


def _figures(
    by_hour: pd.DataFrame, visits: pd.DataFrame, rooms: pd.DataFrame
) -> list[dict[str, Any]]:
    minutes = visits["minutes_to_report"].dropna()
    images = visits["minutes_to_images"].dropna()
    open_min = int(rooms["open_min"].sum())
    booked = int(rooms["booked_min"].sum())
    missing = "–"
    return [
        {"label": "Studies", "value": int(by_hour["studies"].sum()), "icon": "image"},
        {
            "label": "Arrival to images",
            "value": f"{images.median():.0f} min" if len(images) else missing,
            "detail": f"median of {len(images)} visits",
            "icon": "clock",
            "tone": "blue",
        },
        {
            "label": "Arrival to report",
            "value": f"{minutes.median():.0f} min" if len(minutes) else missing,
            "detail": f"median of {len(minutes)} reports",
            "icon": "report",
            "tone": "violet",
        },
        {
            "label": "Rooms booked",
            "value": f"{100 * booked / open_min:.0f} %" if open_min else missing,
            "detail": "of opening hours",
            "icon": "calendar",
            "tone": "teal",
        },
    ]


def _hour_columns(modalities: list[str]) -> list[dict[str, Any]]:
    counted = [*((name, name) for name in modalities), ("all", "All")]
    return [
        {"id": "hour", "label": "Hour", "strong": True},
        *(
            {"id": name, "label": label, "kind": "number", "align": "end"}
            for name, label in counted
        ),
    ]


def _hour_rows(by_hour: pd.DataFrame) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for found in _records(by_hour.sort_values(["hour", "modality"])):
        hour, studies = found["hour"], int(found["studies"])
        row = rows.setdefault(
            hour, {"id": hour, "hour": f"{hour:02d}:00 to {hour + 1:02d}:00", "all": 0}
        )
        row[found["modality"]] = studies
        row["all"] += studies
    return list(rows.values())


def _minute_rows(visits: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "id": row["modality"],
            "modality": row["modality"],
            "reports": int(row["reports"]),
            "median": round(row["median_min"]),
            "p90": round(row["p90_min"]),
        }
        for row in _records(analytics.turnaround_summary(visits))
    ]


def _room_rows(rooms: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "id": row["room"],
            "room": row["room"],
            "visits": int(row["visits"]),
            "booked": int(row["booked_min"]),
            "open": int(row["open_min"]),
            "part": round(100 * row["utilisation"]) if row["open_min"] else 0,
        }
        for row in _records(charts.utilisation_by_room(rooms))
    ]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _said(days: Days) -> str:
    form = "%-d %B %Y"
    if days.first == days.last:
        return f"{days.first:{form}}"
    return f"{days.first:{form}} to {days.last:{form}}"


def _date_field(name: str, label: str, day: date) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "kind": "date",
        "value": day.isoformat(),
        "required": True,
        "width": "half",
    }


def _typed(answers: dict[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(answers[name])
    except ValueError:
        raise Invalid("This is no day.", field=name) from None
