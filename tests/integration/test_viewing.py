"""Studies on a screen: order, permissions, audit, and files that are not there."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from sqlalchemy import event, func, select, update
from sqlalchemy.exc import OperationalError

from clinic_panel.errors import Forbidden, NotDisplayable, NotFound, Unavailable
from clinic_panel.imaging.decoding import decode
from clinic_panel.imaging.picture import describe
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series, Thumbnail
from clinic_panel.models.user import Role
from clinic_panel.services import frames, viewing
from clinic_panel.services.lightbox import Lightbox
from tests import factories, papers
from tests.conftest import NOON
from tests.integration.archive import keep
from tests.pictures import angiogram


@pytest.fixture
def ct(ctx):
    """A study of one real CT slice."""
    path = get_testdata_file("CT_small.dcm")
    with open(path, "rb") as file:
        stored = ctx.store.put_stream(file)
    study = factories.study(ctx)
    with ctx.begin() as session:
        session.execute(update(Instance).values(path=stored.path, sha256=stored.sha256))
        instance_id = session.scalar(select(Instance.id))
    return study, instance_id, dcmread(path)


def views(ctx) -> int:
    with ctx.read() as session:
        return session.scalar(
            select(func.count()).select_from(AuditEntry).where(AuditEntry.action == Action.VIEW)
        )


def test_a_frame_is_the_stored_pixels(ctx, ct, as_role):
    _, instance_id, dataset = ct
    frame = frames.frame(as_role(Role.CLINICIAN), Lightbox(), instance_id, 0)
    assert (frame.stored == dataset.pixel_array).all()


def test_scrolling_through_a_study_is_one_view_in_the_audit(ctx, ct, as_role):
    study, instance_id, _ = ct
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    [series] = viewing.study(doctor, lightbox, study.id).series
    assert (series.grid, series.no_volume) == (None, "A volume needs at least two slices.")
    for _ in range(3):
        frames.frame(doctor, lightbox, instance_id, 0)
    assert views(ctx) == 1


def test_a_frame_asked_for_directly_is_a_view_too_and_again_later(ctx, ct, as_role, clock):
    _, instance_id, _ = ct
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    frames.frame(doctor, lightbox, instance_id, 0)
    clock.advance(minutes=16)
    frames.frame(doctor, lightbox, instance_id, 0)
    assert views(ctx) == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_look_that_could_not_be_audited_is_not_taken_for_audited(ctx, ct, as_role, again):
    study, instance_id, _ = ct
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    event.listen(ctx.sessions, "before_commit", disk_is_full)
    with pytest.raises(Unavailable):
        frames.frame(doctor, lightbox, instance_id, 0)
    with pytest.raises(Unavailable):
        viewing.study(doctor, lightbox, study.id, again=again)
    event.remove(ctx.sessions, "before_commit", disk_is_full)
    assert views(ctx) == 0

    frames.frame(doctor, lightbox, instance_id, 0)
    assert views(ctx) == 1


def disk_is_full(session):
    raise OperationalError("COMMIT", {}, Exception())


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN])
def test_only_those_who_treat_see_images(ct, as_role, role):
    study, instance_id, _ = ct
    someone, lightbox = as_role(role), Lightbox()
    with pytest.raises(Forbidden):
        viewing.study(someone, lightbox, study.id)
    with pytest.raises(Forbidden):
        frames.frame(someone, lightbox, instance_id, 0)


@pytest.mark.parametrize("role", [Role.ANALYST, Role.ADMIN])
def test_a_small_picture_is_a_picture_of_a_patient_too(ctx, ct, as_role, role):
    with ctx.begin() as session:
        series_id = session.scalar(select(Series.id))
        session.add(
            Thumbnail(series_pk=series_id, picture=b"x", media_type="image/png", made_at=NOON)
        )
    assert frames.thumbnail(as_role(Role.RECEPTIONIST), series_id).picture == b"x"
    with pytest.raises(Forbidden):
        frames.thumbnail(as_role(role), series_id)


def test_a_cached_picture_is_refused_to_those_who_may_not_see_it(ct, as_role):
    _, instance_id, _ = ct
    lightbox = Lightbox()
    frames.frame(as_role(Role.CLINICIAN), lightbox, instance_id, 0)
    with pytest.raises(Forbidden):
        frames.frame(as_role(Role.RECEPTIONIST), lightbox, instance_id, 0)


def test_a_frame_is_decoded_once_for_all_who_look(ctx, as_role):
    path = get_testdata_file("MR_small_RLE.dcm")
    with open(path, "rb") as file:
        stored = ctx.store.put_stream(file)
    factories.study(ctx)
    with ctx.begin() as session:
        session.execute(update(Instance).values(path=stored.path))
        instance_id = session.scalar(select(Instance.id))
    decoded = []
    lightbox = Lightbox(decoder=lambda *one: decoded.append(1) or decode(*one))
    doctor, technologist = as_role(Role.CLINICIAN), as_role(Role.TECHNOLOGIST)

    first = frames.sent_frame(doctor, lightbox, instance_id, 0)
    assert frames.lately_sent(technologist, lightbox, instance_id, 0) is None  # not yet audited
    assert frames.sent_frame(technologist, lightbox, instance_id, 0) == first
    assert frames.lately_sent(technologist, lightbox, instance_id, 0) == first
    assert first.frame.data == dcmread(path).pixel_array.tobytes()
    assert len(decoded) == 1
    assert views(ctx) == 2
    with pytest.raises(Forbidden):
        frames.lately_sent(as_role(Role.RECEPTIONIST), lightbox, instance_id, 0)


def test_a_preview_is_a_small_jpeg_of_the_frame(ctx, ct, as_role):
    _, instance_id, dataset = ct
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    small = frames.preview(doctor, lightbox, instance_id, 0)
    assert small.info == frames.sent_frame(doctor, lightbox, instance_id, 0).info
    with Image.open(BytesIO(small.jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (dataset.Columns, dataset.Rows))
    with pytest.raises(Forbidden):
        frames.preview(as_role(Role.RECEPTIONIST), lightbox, instance_id, 0)


def test_a_run_is_subtracted_as_it_is_wished(ctx, as_role):
    run = dcmread(BytesIO(angiogram(4, 16)), force=True)
    run.file_meta.MediaStorageSOPClassUID = run.SOPClassUID
    run.file_meta.MediaStorageSOPInstanceUID = run.SOPInstanceUID
    state = papers.presentation(run, "Vessel")
    state.StudyInstanceUID = run.StudyInstanceUID
    mask = Dataset()
    mask.MaskOperation, mask.TIDOffset = "TID", 1
    state.MaskSubtractionSequence, state.RecommendedViewingMode = [mask], "SUB"
    foreign = papers.presentation(run, "Other")
    instance_id, state_id, foreign_id = keep(ctx, run, state, foreign)
    lightbox, doctor = Lightbox(), as_role(Role.CLINICIAN)
    pixels = run.pixel_array.astype(int)

    def values(mask: str, frame: int = 3):
        found = frames.sent_frame(doctor, lightbox, instance_id, frame, mask)
        assert frames.lately_sent(doctor, lightbox, instance_id, frame, mask) is found
        return found.frame.values

    np.testing.assert_allclose(values(""), pixels[3] - pixels[:2].mean(axis=0))
    np.testing.assert_array_equal(values("none"), pixels[3])
    np.testing.assert_array_equal(values("3"), pixels[3] - pixels[2])
    np.testing.assert_array_equal(values(f"of-{state_id}", 2), pixels[2] - pixels[1])
    for wrong in (f"of-{foreign_id}", "of-99", "of-", "0", "x" * 20):
        with pytest.raises(NotFound):
            frames.sent_frame(doctor, lightbox, instance_id, 3, wrong)
    with ctx.read() as session:
        study_id = session.get_one(Instance, state_id).series.study_pk
    series = viewing.study(doctor, lightbox, study_id).series
    assert [one.subtracts for each in series for one in each.papers] == [True]


def test_frames_are_kept_only_as_far_as_there_is_room(ctx, ct, as_role):
    _, instance_id, dataset = ct
    size, doctor = len(dataset.PixelData), as_role(Role.CLINICIAN)
    for room, kept in ((size - 1, False), (size, True)):
        lightbox = Lightbox(frame_bytes=room)
        frames.sent_frame(doctor, lightbox, instance_id, 0)
        assert (frames.lately_sent(doctor, lightbox, instance_id, 0) is not None) == kept


def test_a_missing_file_is_told_and_the_rest_is_shown(ctx, ct, as_role):
    study, _, _ = ct
    with ctx.begin() as session:
        path = session.scalar(select(Instance.path))
    ctx.store.path(path).unlink()
    [series] = viewing.study(as_role(Role.CLINICIAN), Lightbox(), study.id).series
    assert series.frames == ()
    assert "missing" in series.problem


def test_numbers_that_were_never_given_are_not_found(as_role):
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    with pytest.raises(NotFound):
        viewing.study(doctor, lightbox, 404)
    with pytest.raises(NotFound):
        frames.frame(doctor, lightbox, 404, 0)


def test_a_frame_beyond_the_last_is_refused(ct, as_role):
    _, instance_id, _ = ct
    with pytest.raises(NotDisplayable):
        frames.frame(as_role(Role.CLINICIAN), Lightbox(), instance_id, 1)


@pytest.mark.parametrize("room", [0, 1, 2])
def test_inflated_objects_are_kept_only_as_far_as_there_is_room(ctx, as_role, room):
    path = get_testdata_file("image_dfl.dcm")
    with open(path, "rb") as file:
        stored = ctx.store.put_stream(file)
    study = factories.study(ctx, instances=2)
    with ctx.begin() as session:
        session.execute(update(Instance).values(path=stored.path))
        ids = list(session.scalars(select(Instance.id).order_by(Instance.id)))
    size = len(describe(ctx.store.path(stored.path)).source)
    lightbox = Lightbox(inflated_bytes=room * size + 1)
    doctor = as_role(Role.CLINICIAN)

    [series] = viewing.study(doctor, lightbox, study.id).series

    assert len(series.frames) == 2
    assert [one for one in ids if lightbox.find(one)] == ids[2 - room :]
    for one in ids:  # what was not kept is read again
        shown = frames.frame(doctor, lightbox, one, 0)
        assert (shown.stored == dcmread(path).pixel_array).all()
    assert [one for one in ids if lightbox.find(one)] == ids[2 - room :]


def test_images_that_bring_the_same_palette_share_one(ctx, as_role):
    with open(get_testdata_file("examples_palette.dcm"), "rb") as file:
        stored = ctx.store.put_stream(file)
    study = factories.study(ctx, instances=3)
    with ctx.begin() as session:
        session.execute(update(Instance).values(path=stored.path))
        ids = list(session.scalars(select(Instance.id)))
    lightbox = Lightbox()
    viewing.study(as_role(Role.CLINICIAN), lightbox, study.id)
    palettes = {id(lightbox.find(one)[1].palette) for one in ids}
    assert len(palettes) == 1
