"""Earlier studies beside the one to be read, on the study page as it is served in production."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select

from clinic_panel.components.script import SCRIPTS_AT
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.markup import Markup
from tests import factories
from tests.integration import test_documents_browser as stage
from tests.integration.archive import keep
from tests.integration.test_viewer_browser import until

clinic = stage.clinic


@pytest.fixture(scope="module")
def studies(clinic) -> list[int]:
    """A study of today, one of a year before of the same part, and one of another."""
    who = factories.patient(clinic.ctx).id
    return [
        arrived(clinic.ctx, who, day, part)
        for day, part in (("20260316", "CHEST"), ("20240201", "CHEST"), ("20230101", "HEAD"))
    ]


def arrived(ctx, patient_pk: int, day: str, part: str) -> int:
    [instance_id] = keep(ctx, stage.ct(StudyDate=day, BodyPartExamined=part))
    with ctx.begin() as session:
        series = session.get_one(Series, session.get_one(Instance, instance_id).series_pk)
        study = session.get_one(Study, series.study_pk)
        study.patient_pk = patient_pk
        assert (study.study_date, series.body_part_examined) == (
            date.fromisoformat(day),
            part,
        )
        return study.id


def open_study(clinic, study_id: int, width: int) -> Page:
    clinic.page.set_viewport_size({"width": width, "height": 900})
    clinic.page.goto(f"{clinic.url}/study?id={study_id}")
    expect(clinic.page.locator(".port canvas[data-shown]").first).to_be_visible()
    return clinic.page


def of(ctx, row, **values) -> list:
    with ctx.read() as session:
        return list(session.scalars(select(row).filter_by(**values)))


def test_a_prior_hangs_beside_where_there_is_room_and_one_press_undoes_it(clinic, studies):
    now, prior, _ = studies
    page = open_study(clinic, now, 1920)
    ports = page.locator(".port")
    expect(ports).to_have_count(2)
    expect(ports.nth(1).locator(".prior")).to_have_text("PRIOR 2024-02-01")
    expect(ports.nth(0).locator(".prior")).to_be_hidden()
    expect(ports.nth(1).locator("canvas")).to_have_attribute("data-shown", "0")
    looked = of(clinic.ctx, AuditEntry, action=Action.VIEW, subject_id=prior)
    assert len(looked) == 1
    expect(page.get_by_role("button", name="Open prior of 2023-01-01")).to_be_visible()

    ports.nth(1).click(position={"x": 40, "y": 400})
    expect(page.get_by_role("button", name="Key image")).to_be_disabled()  # of this study only
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    until(lambda: of(clinic.ctx, Markup, study_pk=prior))
    [kept] = of(clinic.ctx, Markup, study_pk=prior)
    assert [one["kind"] for one in kept.shapes] == ["length"]
    assert not any(row.shapes for row in of(clinic.ctx, Markup, study_pk=now))

    page.get_by_role("button", name="Save and hand out").click()
    page.get_by_role("menuitem", name="Picture of this view…").click()
    with page.expect_download() as leaving:
        page.get_by_role("button", name="Save picture").click()
    picture = np.asarray(Image.open(leaving.value.path()).convert("RGB"))
    assert (picture == (0xF5, 0x9E, 0x0B)).all(axis=2).sum() > 1000  # its badge goes with it

    button = page.get_by_role("button", name="Prior beside")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(ports).to_have_count(1)
    expect(ports.locator(".prior")).to_be_hidden()
    button.click()
    expect(ports).to_have_count(2)
    expect(ports.nth(1).locator(".shapes")).to_have_attribute("data-count", "1")


def test_a_layout_is_kept_as_a_rule_and_removed(clinic, studies):
    now, *_ = studies
    page = open_study(clinic, now, 1366)
    expect(page.get_by_role("button", name="Prior beside")).to_be_visible()
    expect(page.locator(".port")).to_have_count(1)  # too narrow for two, where no rule asks
    page.get_by_role("button", name="Prior beside").click()
    expect(page.locator(".port")).to_have_count(2)
    page.get_by_role("button", name="Layout", exact=True).click()
    page.get_by_label("Same window").check()
    page.get_by_role("button", name="Open every CT CHEST like this").click()
    expect(page.get_by_text("CT CHEST will open like this for you.")).to_be_visible()

    open_study(clinic, now, 1366)
    expect(page.locator(".port")).to_have_count(2)
    expect(page.locator(".port").nth(1).locator(".prior")).to_have_text("PRIOR 2024-02-01")
    page.get_by_role("button", name="Layout", exact=True).click()
    expect(page.get_by_label("Same window")).to_be_checked()
    page.get_by_role("button", name="Remove the rule for CT CHEST").click()
    expect(page.get_by_role("list", name="Hanging rules").get_by_role("listitem")).to_have_count(0)
    open_study(clinic, now, 1366)
    expect(page.locator(".port")).to_have_count(1)


def test_a_second_window_follows_the_first_and_goes_at_sign_out(clinic, studies):
    now, prior, _ = studies
    page = open_study(clinic, now, 1366)

    def answer(route: Route) -> None:
        if route.request.frame.page is page:
            route.continue_()

    page.context.route(f"**{SCRIPTS_AT}*", answer)
    with page.expect_popup() as opening:
        page.get_by_role("button", name="Second window").click()
    second = opening.value
    second.wait_for_url(f"**/study?id={now}&second=1", wait_until="commit")
    open_study(clinic, prior, 1366)  # while the scripts of that are still on their way
    page.context.unroute(f"**{SCRIPTS_AT}*")  # here they are
    second.wait_for_url(f"**/study?id={prior}&second=1")
    open_study(clinic, now, 1366)
    second.wait_for_url(f"**/study?id={now}&second=1")
    expect(second.locator(".port canvas[data-shown]")).to_be_visible()
    expect(second.get_by_role("button", name="Sign report")).to_have_count(0)
    expect(second.get_by_role("button", name="Second window")).to_be_hidden()

    open_study(clinic, prior, 1366)
    second.wait_for_url(f"**/study?id={prior}&second=1")
    expect(second.locator(".banner").first).to_contain_text("Study 2024-02-01")
    expect(second.locator("#early")).to_have_count(0)  # the rest of the page has come
    with second.expect_event("close"):
        page.request.post(f"{clinic.url}/logout", headers={"Origin": clinic.url})
