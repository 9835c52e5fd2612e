"""The analytics page: plots and numbers of the chosen days, in either theme, and without any."""

from __future__ import annotations

from datetime import timedelta

import holoviews as hv
import pandas as pd
import pytest

from clinic_panel.components import charts
from clinic_panel.errors import Forbidden
from clinic_panel.models.imaging import Study
from clinic_panel.models.report import Report, ReportVersion
from clinic_panel.models.user import Role
from clinic_panel.pages import analytics as page_module
from clinic_panel.services import analytics
from clinic_panel.services.cohort_frames import frame
from tests import factories

pytestmark = pytest.mark.parametrize("database", ["sqlite"])


@pytest.fixture
def busy(ctx, clock):
    """A reported CT this morning, and an ultrasound that waits, at noon."""
    reader = factories.user(ctx, Role.CLINICIAN)
    for kind, hours, minutes in (("CT", 3, 90), ("US", 1, None)):
        came = clock() - timedelta(hours=hours)
        room = factories.room(ctx, room_name=f"{kind} 1", modality=kind)
        visit = factories.appointment(ctx, room=room, start_at=came, checked_in_at=came)
        study = factories.study(
            ctx,
            appointment_pk=visit.id,
            patient_pk=visit.patient_pk,
            modalities_in_study=kind,
            first_received_at=came + timedelta(minutes=20),
        )
        if minutes is None:
            continue
        with ctx.begin() as session:
            report = Report(
                study=session.get_one(Study, study.id),
                author_pk=reader.id,
                created_at=came,
                changed_at=came,
            )
            session.add(report)
            session.flush()
            session.add(
                ReportVersion(
                    report=report,
                    number=1,
                    content={},
                    sha256="0" * 64,
                    signed_by_pk=reader.id,
                    signed_by_name="Reader",
                    signed_at=came + timedelta(minutes=minutes),
                )
            )


@pytest.fixture
def shown(as_role):
    return page_module._Analytics(as_role(Role.ANALYST))


def figures(shown):
    return {item["label"]: str(item["value"]) for item in shown.kpis.items}


def test_the_numbers_under_the_plots_are_those_of_the_week(busy, shown):
    hours, minutes, rooms = (table.rows for table in shown.tables)

    assert figures(shown) == {
        "Studies": "2",
        "Arrival to images": "20 min",
        "Arrival to report": "90 min",
        "Rooms booked": "3 %",
    }
    # 12:00 UTC is 13:00 in Berlin.
    assert [(row["hour"], row["all"]) for row in hours] == [
        ("10:00 to 11:00", 1),
        ("12:00 to 13:00", 1),
    ]
    assert minutes == [{"id": "CT", "modality": "CT", "reports": 1, "median": 90, "p90": 90}]
    assert [(row["room"], row["visits"], row["booked"]) for row in rooms] == [
        ("CT 1", 1, 20),
        ("US 1", 1, 20),
    ]
    assert all(plot.visible for plot in shown.plots)
    assert shown.heading.note == "10 March 2026 to 16 March 2026"


def test_days_can_be_chosen_and_quiet_ones_say_so(busy, shown):
    shown.heading._handle_msg({"id": "dates"})
    assert [field["value"] for field in shown.dates.fields] == ["2026-03-10", "2026-03-16"]

    shown.dates.submitted = {"first": "2026-01-01", "last": "2026-01-02"}

    assert shown.heading.note == "1 January 2026 to 2 January 2026"
    assert not any(plot.visible for plot in shown.plots)
    assert all(table.rows == [] for table in shown.tables)
    assert figures(shown)["Arrival to report"] == "–"

    shown.heading._handle_msg({"id": "today"})
    assert shown.heading.note == "16 March 2026"
    assert figures(shown)["Studies"] == "2"
    assert [one["id"] for one in shown.heading.buttons if one["primary"]] == ["today"]


def test_days_the_wrong_way_round_are_refused_in_the_form(busy, shown):
    shown.heading._handle_msg({"id": "dates"})
    shown.dates.submitted = {"first": "2026-03-16", "last": "2026-03-10"}

    assert shown.heading.note == "10 March 2026 to 16 March 2026"


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.TECHNOLOGIST])
def test_others_get_no_numbers(as_role, role):
    days = analytics.Days(*[as_role(role).today()] * 2)
    for ask in (analytics.studies_by_hour, analytics.turnaround, analytics.utilisation):
        with pytest.raises(Forbidden):
            ask(as_role(role), days)


def test_plots_have_a_name_and_keep_their_colours_apart(ctx, busy, shown):
    for plot in shown.plots:
        figure = hv.render(plot.object, backend="bokeh")
        assert figure.html_attributes["role"] == "img"
        assert figure.html_attributes["aria-label"] == figure.title.text
        assert figure.background_fill_color is None
    assert len(set(charts.COLOURS.values())) == 4


def test_many_kinds_of_studies_are_told_apart_by_the_most_frequent(ctx):
    kinds = ["CR", "CT", "DX", "ECG", "MG", "MR", "OT", "SM", "US"]
    rows = [
        {"modality": kind, "hour": hour, "studies": 20 - number}
        for number, kind in enumerate(kinds)
        for hour in (9, 10)
    ]
    by_hour = frame(ctx, rows, analytics.BY_HOUR)
    fewer = charts.with_fewer_kinds(by_hour)
    assert charts.kinds_of(fewer) == [*kinds[:6], charts.OTHER_KINDS]
    assert fewer["studies"].sum() == by_hour["studies"].sum()
    assert set(fewer[fewer["modality"] == charts.OTHER_KINDS]["studies"]) == {14 + 13 + 12}
    columns = page_module._hour_columns(charts.kinds_of(fewer))
    assert [column["id"] for column in columns][-2:] == [charts.OTHER_KINDS, "all"]
    hv.render(charts.hours_chart(fewer), backend="bokeh")


def test_plots_can_be_made_of_nothing(ctx):
    nothing = [
        charts.hours_chart(frame(ctx, [], analytics.BY_HOUR)),
        charts.turnaround_chart(frame(ctx, [], analytics.TURNAROUND)),
    ]
    assert all(isinstance(hv.render(one, backend="bokeh").title.text, str) for one in nothing)
    rooms = charts.utilisation_by_room(frame(ctx, [], analytics.UTILISATION))
    assert isinstance(rooms, pd.DataFrame)
    assert len(rooms) == 0
