"""Measurements and the view of a reader: theirs alone, kept, and never overwritten unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from clinic_panel.components.viewer.kept import Kept
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.imaging.calibration import Scope
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Role
from clinic_panel.services import markup
from clinic_panel.services.markup import Drawn, Look
from tests import factories

CUT = {
    "name": "Coronal",
    "position": [-186.0, 6.0, 228.5],
    "orientation": [1.0, 0.0, 0.0, 0.0, 0.0, -1.0],
    "spacing": [1.5, 0.75],
    "slab_mode": "max",
    "slab_mm": 4.5,
}


@pytest.fixture
def home(ctx):
    """A study and its images' ids."""
    study = factories.study(ctx, instances=2)
    with ctx.read() as session:
        return study.id, list(session.scalars(select(Instance.id).order_by(Instance.id)))


def line(instance_id, id_="a", **more):
    points = ((1.5, 2.0), (30.25, 8.0))
    return Drawn(id_, Shape.LENGTH, instance_id, 0, points, **more)


def test_what_a_reader_drew_comes_back_to_them_alone_and_is_audited(ctx, home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    version = markup.keep_shapes(doctor, study_id, [line(images[0], text="Läsion")], version=0)

    found = markup.of_study(doctor, study_id)
    assert found.shapes == (line(images[0], text="Läsion"),)
    assert found.version == version
    assert markup.of_study(as_role(Role.TECHNOLOGIST), study_id).shapes == ()
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.CHANGE))
        assert entry.detail == {"study": study_id, "measurements": 1}
        assert entry.subject_type == "markup"


def test_a_calibration_is_kept_in_the_name_of_who_made_it(ctx, home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    points = ((1.0, 2.0), (30.0, 2.0))
    drawn = Drawn("c", Shape.CALIBRATION, images[0], 0, points, known_mm=25.0, by="Someone else")
    markup.keep_shapes(doctor, study_id, [line(images[0]), drawn], version=0)

    shapes = markup.of_study(doctor, study_id).shapes
    assert shapes[1].by == doctor.actor.display_name
    assert markup.calibration_of(shapes, images[0], images) == shapes[1].known
    assert markup.calibration_of(shapes, images[1], images) is None  # another image
    wider = [replace(shapes[1], scope=Scope.SERIES)]
    assert markup.calibration_of(wider, images[1], images) == shapes[1].known
    assert markup.calibration_of(wider, images[1], images[1:]) is None  # another series
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.CHANGE))
        assert entry.detail["calibrations"] == 1


def test_a_shape_on_a_section_is_kept_with_its_plane(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    drawn = Drawn.of(line(images[0]).as_dict() | {"section": CUT})
    markup.keep_shapes(doctor, study_id, [drawn], version=0)

    [found] = markup.of_study(doctor, study_id).shapes
    assert found == drawn
    assert found.as_dict()["section"] == CUT
    assert "section" not in line(images[0]).as_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Oblique"},
        {"position": [0, 0]},
        {"position": [0, float("nan"), 0]},
        {"position": [0, 1e9, 0]},
        {"orientation": [1, 0, 0, 1, 0, 0]},
        {"orientation": [2, 0, 0, 0, 0, -1]},
        {"spacing": [0, 1]},
        {"spacing": ["a", 1]},
        {"slab_mode": "median"},
        {"slab_mm": float("inf")},
        {"slab_mm": None},
    ],
)
def test_what_is_no_section_is_refused(change):
    with pytest.raises(Invalid):
        Drawn.of(line(1).as_dict() | {"section": CUT | change})


def test_another_window_is_not_overwritten(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    markup.keep_shapes(doctor, study_id, [line(images[0])], version=0)
    with pytest.raises(Conflict):
        markup.keep_shapes(doctor, study_id, [], version=0)
    assert markup.of_study(doctor, study_id).shapes == (line(images[0]),)


def test_the_view_comes_back_and_is_no_entry_in_the_audit(ctx, home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    look = Look(images[1], 0, 40.0, 400.0, invert=True, area=(1.0, 2.0, 30.5, 40.0))
    version = markup.keep_look(doctor, study_id, look, version=0)
    assert markup.keep_look(doctor, study_id, Look(images[0], 0, 1.0, 2.0), version=0) == 0
    assert markup.of_study(doctor, study_id).look == look
    assert markup.keep_shapes(doctor, study_id, [line(images[0])], version=version) > version
    assert markup.of_study(doctor, study_id).look == look
    with ctx.read() as session:
        changes = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.CHANGE))
        assert len(list(changes)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "spiral"},
        {"points": [[1, 2]]},
        {"points": [[1, 2], [float("nan"), 2]]},
        {"points": [[1, 2], [1e9, 2]]},
        {"points": "ab"},
        {"frame": -1},
        {"id": ""},
        {"instance_id": None},
        {"kind": "polygon"},
        {"kind": "polygon", "points": [[n, n * n] for n in range(201)]},
        {"kind": "calibration"},
        {"kind": "calibration", "known_mm": 0},
        {"kind": "calibration", "known_mm": float("nan")},
        {"kind": "calibration", "known_mm": 25, "points": [[1, 2], [1, 2]]},
        {"kind": "calibration", "known_mm": 25, "scope": "clinic"},
        {"kind": "calibration", "known_mm": 25, "section": CUT},
        {"section": "coronal"},
    ],
)
def test_what_is_no_shape_is_refused(change):
    with pytest.raises(Invalid):
        Drawn.of(line(1).as_dict() | change)


def test_a_shape_on_another_study_or_by_someone_without_images_is_refused(ctx, home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    with pytest.raises(Invalid):
        markup.keep_shapes(doctor, study_id, [line(images[0] + 99)], version=0)
    with pytest.raises(NotFound):
        markup.keep_shapes(doctor, study_id + 99, [], version=0)
    for role in (Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN):
        with pytest.raises(Forbidden):
            markup.of_study(as_role(role), study_id)


class Desk:
    """One window of a reader, without a browser; or as far as one is told apart, with one."""

    def __init__(self, ctx, study_id, images, *, is_open=False):
        frames = [{"id": one} for one in images]
        self.viewer = StudyViewer(series=[{"id": "7", "label": "", "frames": frames}])
        if is_open:
            self.viewer.get_root()
        self.said, self.later = [], []
        self.kept = Kept(
            ctx,
            study_id,
            self.viewer,
            say=lambda text, kind: self.said.append((text, kind)),
            later=lambda act, _: self.later.append(act),
        )

    def draw(self, *shapes):
        self.viewer.measurements = [*self.viewer.measurements, *(one.as_dict() for one in shapes)]


def test_two_windows_of_one_reader_end_with_the_shapes_of_both(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    one, two = Desk(doctor, study_id, images), Desk(doctor, study_id, images)
    one.draw(line(images[0], "first"))
    two.draw(line(images[1], "second"))

    kept = markup.of_study(doctor, study_id).shapes
    assert [shape.id for shape in kept] == ["first", "second"]
    assert {shape["id"] for shape in two.viewer.measurements} == {"first", "second"}
    assert two.said
    assert not one.said


def test_a_shape_removed_in_a_window_that_is_behind_does_not_return(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    one = Desk(doctor, study_id, images)
    one.draw(line(images[0], "first"))
    two = Desk(doctor, study_id, images)
    one.viewer.measurements = []
    two.draw(line(images[1], "second"))
    assert [shape.id for shape in markup.of_study(doctor, study_id).shapes] == ["second"]


def test_what_is_drawn_before_the_kept_shapes_reach_the_browser_removes_none(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    Desk(doctor, study_id, images).draw(line(images[0], "kept"))
    page = Desk(doctor, study_id, images, is_open=True)

    def kept():
        return {shape.id for shape in markup.of_study(doctor, study_id).shapes}

    page.viewer.measurements = [line(images[1], "drawn").as_dict()]
    assert kept() == {"drawn", "kept"}
    both = [*page.viewer.measurements, line(images[0], "kept").as_dict()]
    page.viewer.measurements = both
    page.viewer.brought = 1  # said after the list
    assert kept() == {"drawn", "kept"}
    page.viewer.measurements = both[:1]
    assert kept() == {"drawn"}


def test_a_reader_returns_to_the_image_they_left(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    before = Desk(doctor, study_id, images)
    before.viewer.param.update(index=1, window_center=55.0, window_width=300.0)
    before.viewer.param.update(rotation=90, mirrored=True, colour_map="PET")
    before.viewer.param.update(window_width=310.0)
    assert len(before.later) == 1  # once, however often the hand moves
    before.later[0]()

    after = Desk(doctor, study_id, images).viewer
    assert (after.index, after.window_center, after.window_width) == (1, 55.0, 310.0)
    assert (after.rotation, after.mirrored, after.colour_map) == (90, True, "PET")


def test_the_window_of_a_presentation_state_is_not_kept_as_the_readers(home, as_role):
    study_id, images = home
    doctor = as_role(Role.CLINICIAN)
    before = Desk(doctor, study_id, images)
    before.viewer.param.update(index=1, window_center=5.0, window_width=9.0, document_id=4)
    before.later[0]()
    assert markup.of_study(doctor, study_id).look is None
