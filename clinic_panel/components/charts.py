"""How the clinic runs, as HoloViews plots of the tables of ``services.analytics``.

The page and the notebooks show the same. Colours keep 3:1 on a light and on a dark page alike
(WCAG 2.2, 1.4.11); axes are painted by ``PlotTheme``.
"""

from __future__ import annotations

from typing import Any

import holoviews as hv
import pandas as pd
from bokeh.models import NoOverlap

COLOURS = {"CT": "#0e9384", "DX": "#c4680a", "CR": "#c4680a", "US": "#3b82f6", "MR": "#9b6bdf"}
OTHER = "#7c8d89"
OTHER_KINDS = "Other"
MOST_KINDS = 7  # that a stack, its legend and the table below can tell apart
HEIGHT_PX = 260
_INK, _LINE = "#76878a", "#76878a44"


def with_fewer_kinds(by_hour: pd.DataFrame) -> pd.DataFrame:
    """Return the counts with the rarest modalities as one, where there are many.

    Parameters
    ----------
    by_hour
        As `analytics.studies_by_hour` returns it.
    """
    totals = by_hour.groupby("modality")["studies"].sum()
    if len(totals) <= MOST_KINDS:
        return by_hour
    kept = totals.sort_values(ascending=False, kind="stable").index[: MOST_KINDS - 1]
    named = by_hour["modality"].where(by_hour["modality"].isin(kept), OTHER_KINDS)
    joined = by_hour.assign(modality=named).groupby(["modality", "hour"], as_index=False)
    return joined.agg({"studies": "sum"})


def kinds_of(by_hour: pd.DataFrame) -> list[str]:
    """Return the modalities counted, by name; those taken together stand last."""
    return sorted(set(by_hour["modality"]), key=lambda name: (name == OTHER_KINDS, name))


def hours_chart(by_hour: pd.DataFrame, *, opens: int = 7, closes: int = 19) -> hv.Bars:
    """Draw how many studies came in each hour, stacked by modality.

    Parameters
    ----------
    by_hour
        As `analytics.studies_by_hour` returns it.
    opens, closes
        Hours of the day that are shown even when nothing came.
    """
    hours = [int(hour) for hour in by_hour["hour"]]
    first, last = min([opens, *hours]), max([closes - 1, *hours])
    modalities = kinds_of(by_hour) or [""]  # bars of no kind cannot be stacked
    counts = {
        (row["modality"], int(row["hour"])): int(row["studies"])
        for row in by_hour.to_dict("records")
    }
    rows = [
        (f"{hour:02d}", modality, counts.get((modality, hour), 0))
        for hour in range(first, last + 1)
        for modality in modalities
    ]
    bars = hv.Bars(rows, ["Hour", "Modality"], "Studies")
    colours = [COLOURS.get(modality, OTHER) for modality in modalities]
    return _dressed(bars, "Studies by hour of the day and modality").opts(
        stacked=True,
        color="Modality",
        cmap=colours,
        line_color=None,
        show_legend=len(modalities) > 1,
        legend_position="top",
        backend="bokeh",
    )


def turnaround_chart(visits: pd.DataFrame) -> hv.BoxWhisker:
    """Draw the minutes from arrival to the signed report, a box a modality.

    Parameters
    ----------
    visits
        As `analytics.turnaround` returns it.
    """
    signed = visits.dropna(subset=["minutes_to_report"])
    table = pd.DataFrame(
        {
            "Modality": signed["modality"].astype(object),
            "Minutes": signed["minutes_to_report"].astype(float),
        }
    ).sort_values("Modality", kind="stable")
    boxes = hv.BoxWhisker(table, "Modality", "Minutes")
    present = list(dict.fromkeys(table["Modality"]))
    return _dressed(boxes, "Minutes from arrival to signed report, by modality").opts(
        box_color="Modality",
        cmap=[COLOURS.get(modality, OTHER) for modality in present] or [OTHER],
        box_fill_alpha=0.6,
        box_line_color=_INK,
        whisker_color=_INK,
        outlier_color=_INK,
        backend="bokeh",
    )


def utilisation_chart(rooms: pd.DataFrame) -> hv.Bars:
    """Draw which part of their opening hours the rooms were booked, over all the days.

    Parameters
    ----------
    rooms
        As `analytics.utilisation` returns it.
    """
    found = utilisation_by_room(rooms)
    table = pd.DataFrame(
        {
            "Room": found["room"].astype(object),
            "Booked, %": found["utilisation"].astype(float) * 100,
            "Modality": found["modality"].astype(object),
        }
    )
    bars = hv.Bars(table, "Room", ["Booked, %", "Modality"])
    colours = [COLOURS.get(modality, OTHER) for modality in table["Modality"]]
    return _dressed(bars, "Booked part of the opening hours, by room").opts(
        color="Room",
        cmap=colours or [OTHER],
        line_color=None,
        show_legend=False,
        ylim=(0, 100),
        backend="bokeh",
    )


def utilisation_by_room(rooms: pd.DataFrame) -> pd.DataFrame:
    """Return one row a room: days, visits, booked and open minutes, and the part booked."""
    grouped = rooms.groupby(["room", "modality"], sort=True, observed=True)
    summed = grouped[["visits", "booked_min", "open_min"]].sum().reset_index()
    summed["utilisation"] = (summed["booked_min"] / summed["open_min"]).astype("Float64")
    return summed


def _dressed(element: Any, title: str) -> Any:
    """Lay an element out: title, no toolbar, a see-through ground, a name for screen readers."""
    hv.renderer("bokeh")  # options are checked against a loaded backend; it is loaded once

    def name(plot: Any, _element: Any) -> None:
        figure = plot.state
        figure.html_attributes = {"role": "img", "aria-label": title}
        figure.toolbar.logo = None

    return element.opts(
        responsive=True,
        height=HEIGHT_PX,
        toolbar=None,
        default_tools=["hover"],
        title=title,
        xlabel="",
        bgcolor="#00000000",
        gridstyle={"grid_line_color": _LINE, "xgrid_line_color": None},
        show_grid=True,
        fontscale=1.0,
        hooks=[name, _see_through],
        backend="bokeh",
    )


def _see_through(plot: Any, _element: Any) -> None:
    figure = plot.state
    figure.border_fill_color = figure.background_fill_color = None
    figure.outline_line_color = None
    figure.title.text_color = _INK
    figure.title.text_font_size = "15px"
    figure.title.text_font_style = "bold"
    figure.title.standoff = 6
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = _INK
        axis.minor_tick_line_color = None
        axis.axis_label_text_color = axis.major_label_text_color = _INK
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "13px"
        axis.axis_label_text_font_style = "normal"
        axis.major_label_policy = NoOverlap(min_distance=8)  # a phone shows each second hour
    for legend in figure.legend:
        legend.background_fill_color = legend.border_line_color = None
        legend.orientation = "horizontal"
        legend.padding, legend.margin, legend.spacing = 0, 4, 14
        legend.label_text_font_size, legend.label_standoff = "13px", 6
        legend.label_text_color = _INK
