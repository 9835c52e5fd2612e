"""Earlier studies of a patient, and how a reader wants studies of a kind to hang."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, time
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from clinic_panel.components.viewer.hanging import Wall
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.errors import Forbidden, Invalid, NotFound
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Series, Study
from clinic_panel.models.user import Role
from clinic_panel.services import hanging, priors, viewing
from clinic_panel.services.hanging import Hanging, Place
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.priors import Subject
from tests import factories

CHEST = Subject("CT", "CHEST")
BESIDE = Hanging(1, 2, (Place("Lung", 0), Place("Lung", 0, is_prior=True)), same_window=True)


def study(ctx, patient_pk, day, part="CHEST", **values):
    row = factories.study(ctx, patient_pk=patient_pk, study_date=day, **values)
    with ctx.begin() as session:
        [series] = session.scalars(select(Series).where(Series.study_pk == row.id))
        series.body_part_examined = part
        if "modalities_in_study" in values:
            series.modality = values["modalities_in_study"]
    return row.id


def earlier(ctx, study_id):
    with ctx.read() as session:
        return priors.before(session, session.get_one(Study, study_id))


def test_earlier_studies_are_those_of_the_known_patient_the_latest_first(ctx):
    one, other = factories.patient(ctx).id, factories.patient(ctx).id
    now = study(ctx, one, date(2026, 3, 16), study_time=time(10, 0))
    morning = study(ctx, one, date(2026, 3, 16), study_time=time(8, 30))
    old = study(ctx, one, date(2020, 1, 1))
    study(ctx, one, date(2026, 3, 16), study_time=time(11, 0))  # later that day
    study(ctx, one, date(2026, 3, 17))
    study(ctx, one, None)
    study(ctx, one, date(2025, 1, 1), number_of_instances=0)
    study(ctx, other, date(2025, 1, 1))
    unknown = study(ctx, None, date(2026, 3, 16))

    assert [found.id for found in earlier(ctx, now)] == [morning, old]
    assert earlier(ctx, unknown) == ()


def test_the_prior_is_the_latest_of_the_same_modality_and_body_part(ctx):
    who = factories.patient(ctx).id
    study(ctx, who, date(2025, 6, 1), "HEAD")
    study(ctx, who, date(2025, 5, 1), "CHEST", modalities_in_study="CR")
    wanted = study(ctx, who, date(2024, 1, 1), "chest ")
    study(ctx, who, date(2023, 1, 1), "CHEST")
    unnamed = study(ctx, who, date(2022, 1, 1), "", study_description="CT special")
    found = earlier(ctx, study(ctx, who, date(2026, 3, 16)))

    assert priors.best(found, CHEST, "whatever").id == wanted
    assert priors.best(found, Subject("CT", "KNEE"), "whatever") is None
    assert priors.best(found, Subject("CT"), "ct SPECIAL").id == unnamed
    assert priors.best(found, Subject("MR", "CHEST"), "CT chest") is None


def test_opening_a_study_names_its_earlier_ones(ctx, as_role):
    who = factories.patient(ctx).id
    old, now = study(ctx, who, date(2024, 1, 1)), study(ctx, who, date(2026, 3, 16))
    view = viewing.study(as_role(Role.CLINICIAN), Lightbox(), now)
    assert [found.id for found in view.earlier] == [old]
    assert hanging.subject_of(view) == CHEST


def test_what_is_written_about_images_is_not_what_a_study_is_of(ctx, as_role):
    who = factories.patient(ctx).id
    old = study(ctx, who, date(2024, 1, 1))
    now = study(ctx, who, date(2026, 3, 16), modalities_in_study="CT\\KO\\PR\\SR")
    with ctx.begin() as session:
        series = session.scalar(select(Series).where(Series.study_pk == now))
        series.modality = "KO"
        session.get_one(Study, old).modalities_in_study = "SR\\US"
    view = viewing.study(as_role(Role.CLINICIAN), Lightbox(), now)
    assert view.modalities == ("CT",)
    assert [found.modalities for found in view.earlier] == [("US",)]
    assert hanging.subject_of(view).modality == "CT"
    assert priors.best(view.earlier, Subject("SR"), "") is None


def test_a_rule_is_the_readers_own_is_replaced_and_removed_and_audited(ctx, as_role):
    doctor, tech = as_role(Role.CLINICIAN), as_role(Role.TECHNOLOGIST)
    kept = hanging.keep(doctor, CHEST, BESIDE)
    assert kept.hanging == BESIDE
    assert kept.hanging.with_prior
    wider = replace(BESIDE, columns=3, places=(*BESIDE.places, None))
    again = hanging.keep(doctor, CHEST, wider)
    hanging.keep(doctor, Subject("CT"), replace(BESIDE, places=()))

    assert again.id == kept.id
    assert [(rule.subject, rule.hanging.columns) for rule in hanging.rules(doctor)] == [
        (Subject("CT"), 2),
        (CHEST, 3),
    ]
    assert hanging.rules(tech) == []
    with pytest.raises(NotFound):
        hanging.drop(tech, kept.id)
    hanging.drop(doctor, kept.id)
    assert [rule.subject for rule in hanging.rules(doctor)] == [Subject("CT")]
    with ctx.read() as session:
        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.subject_type == "hanging_rule")
        )
        done = [entry.action for entry in entries.all()]
    assert done == [Action.CREATE, Action.CHANGE, Action.CREATE, Action.CANCEL]


def test_a_rule_that_cannot_be_is_refused(ctx, as_role):
    doctor = as_role(Role.CLINICIAN)
    for wrong in (replace(BESIDE, rows=4), replace(BESIDE, columns=1), replace(BESIDE, rows=0)):
        with pytest.raises(Invalid):
            hanging.keep(doctor, CHEST, wrong)
    with pytest.raises(Invalid):
        hanging.keep(doctor, Subject(""), BESIDE)
    with pytest.raises(Forbidden):
        hanging.rules(as_role(Role.RECEPTIONIST))
    assert hanging.rules(doctor) == []


def test_an_earlier_study_that_is_asked_for_twice_at_once_opens_once(ctx, as_role):
    who, doctor, lightbox = factories.patient(ctx).id, as_role(Role.CLINICIAN), Lightbox()
    prior = study(ctx, who, date(2024, 1, 1))
    view = viewing.study(doctor, lightbox, study(ctx, who, date(2026, 3, 16)))
    opened = []
    viewer = StudyViewer()
    wall = Wall(doctor, lightbox, view, viewer, say=lambda *_: None, opened=opened.append)

    async def pressed() -> None:  # by a person, while the page asks by itself
        words = [{"wall": "prior", "series": ""}, {"wall": "study", "id": str(prior)}]
        await asyncio.gather(*(wall._asked(SimpleNamespace(data=word)) for word in words))

    asyncio.run(pressed())
    assert opened == [prior]
