"""A reader's keys, presets and ways: their account's, kept, and judged before they are."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from clinic_panel.components.viewer.preferred import Preferred, as_params
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Actor
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.preference import Preference
from clinic_panel.models.user import Role
from clinic_panel.services import preferences
from clinic_panel.services.preferences import Behaviour, Preferences, Preset

CHOSEN = {
    "keys": {"length": ["x", "Shift+l"], "angle": []},
    "presets": [{"label": "Nodule", "center": -600, "width": 1200, "modality": "ct"}],
    "behaviour": {"wheel": "up", "pt_colours": "Viridis"},
}


def test_what_a_reader_chose_is_their_accounts_and_audited_without_what_it_says(ctx, as_role):
    doctor, tech = as_role(Role.CLINICIAN), as_role(Role.TECHNOLOGIST)
    kept = preferences.keep(doctor, Preferences.of(CHOSEN))

    found = preferences.mine(doctor)
    assert found == kept
    assert found.keys == {"length": ("x", "Shift+l"), "angle": ()}
    assert found.presets == (Preset("Nodule", -600.0, 1200.0, "CT"),)
    assert found.behaviour == Behaviour(wheel="up", pt_colours="Viridis")
    assert preferences.mine(tech) == Preferences()
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.CHANGE))
        assert entry.subject_type == "preference"
        assert entry.detail == {"changed": ["keys", "presets", "behaviour"]}


def test_a_notebook_of_the_same_person_has_their_settings(ctx, as_role):
    doctor = as_role(Role.CLINICIAN)
    kept = preferences.keep(doctor, Preferences.of(CHOSEN))
    notebook = ctx.acting_as(Actor(username=doctor.actor.username, role=Role.ANALYST))
    viewer = StudyViewer(**as_params(preferences.mine(notebook)))
    assert viewer.preferences == kept.as_dict()
    assert viewer.usual_colours["PT"] == "Viridis"
    stranger = ctx.acting_as(Actor(username="nobody here", role=Role.ANALYST))
    assert preferences.mine(stranger) == Preferences()


def test_another_window_is_not_overwritten_and_defaults_come_back(as_role):
    doctor = as_role(Role.CLINICIAN)
    first = preferences.keep(doctor, Preferences.of(CHOSEN))
    with pytest.raises(Conflict):
        preferences.keep(doctor, Preferences())
    preferences.keep(doctor, Preferences(version=first.version))
    assert preferences.mine(doctor).as_dict() == Preferences().as_dict()


def test_only_readers_with_an_account_keep_settings(ctx, as_role):
    for role in (Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN):
        with pytest.raises(Forbidden):
            preferences.keep(as_role(role), Preferences())
    with pytest.raises(NotFound):
        preferences.keep(ctx, Preferences())  # the system has none


@pytest.mark.parametrize(
    "given",
    [
        {"keys": {"length": ["x"], "angle": ["x"]}},
        {"keys": {"length": ["<script>"]}},
        {"keys": {"length": "x"}},
        {"keys": {"Length!": ["x"]}},
        {"keys": {"length": list("abcde")}},
        {"keys": ["length"]},
        {"presets": [{"label": "", "center": 1, "width": 1}]},
        {"presets": [{"label": "a", "center": 1, "width": 0}]},
        {"presets": [{"label": "a", "center": float("nan"), "width": 1}]},
        {"presets": [{"label": "a", "center": 1, "width": 1, "modality": "C/T"}]},
        {"presets": [{"label": "a", "center": 1, "width": 1}] * 61},
        {"presets": ["a"]},
        {"behaviour": {"wheel": "sideways"}},
        {"behaviour": {"tempo": "presto"}},
        {"behaviour": {"pt_colours": 7}},
    ],
)
def test_what_cannot_be_a_setting_is_refused(given):
    with pytest.raises(Invalid):
        Preferences.of(given)


def test_settings_of_another_release_do_not_close_the_viewer(ctx, as_role):
    doctor = as_role(Role.CLINICIAN)
    kept = preferences.keep(doctor, Preferences.of(CHOSEN))
    with ctx.begin() as session:
        session.scalars(select(Preference)).one().behaviour = {"telepathy": "on"}
    found = preferences.mine(doctor)
    assert found.as_dict() == Preferences().as_dict()
    assert found.version > kept.version


def test_a_viewer_opens_as_its_reader_wants_and_keeps_what_they_change(as_role):
    doctor = as_role(Role.CLINICIAN)
    said = []

    def open_viewer():
        viewer = StudyViewer()
        Preferred(doctor, viewer, say=lambda text, kind: said.append(kind))
        return viewer

    one, two = open_viewer(), open_viewer()
    one.preferences = {"behaviour": {"tool": "scroll", "nm_colours": ""}}
    assert one.usual_colours == {"NM": "", "PT": "PET"}
    after = open_viewer()
    assert (after.tool, after.usual_colours["NM"]) == ("scroll", "")
    two.preferences = {"keys": {"length": ["x"]}}  # it has not seen the change
    assert said == ["success", "problem"]
    assert two.preferences["behaviour"]["tool"] == "scroll"
    two.preferences = two.preferences | {"keys": {"length": ["x"], "angle": ["x"]}}
    assert said == ["success", "problem", "problem"]
    assert two.preferences["keys"] == {}
