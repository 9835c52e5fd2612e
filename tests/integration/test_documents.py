"""What stands beside the pixels: who may read it, what the audit says, files that are not there."""

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.errors import Forbidden, NotDisplayable, NotFound
from clinic_panel.imaging.kinds import Kind
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Role
from clinic_panel.services import documents, viewing
from clinic_panel.services.lightbox import Lightbox
from tests import papers
from tests.integration.archive import keep


@pytest.fixture
def ct(ctx) -> int:
    [instance_id] = keep(ctx, dcmread(get_testdata_file("CT_small.dcm")))
    return instance_id


def looks(ctx) -> list[dict]:
    query = select(AuditEntry).where(AuditEntry.action == Action.VIEW)
    with ctx.read() as session:
        return [
            {"by": one.username, "of": one.subject_type, "id": one.subject_id, **one.detail}
            for one in session.scalars(query)
        ]


def test_a_header_read_is_one_entry_of_the_audit_without_a_value(ctx, ct, as_role):
    doctor = as_role(Role.CLINICIAN)
    found = documents.header(doctor, ct)
    assert "CompressedSamples^CT1" in [row.value for row in found.rows]
    assert looks(ctx) == [{"by": "clinician", "of": "instance", "id": ct, "what": "header"}]


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN])
def test_a_header_names_the_patient_so_only_those_who_treat_read_it(ctx, ct, as_role, role):
    with pytest.raises(Forbidden):
        documents.header(as_role(role), ct)
    assert looks(ctx) == []


def test_a_header_that_cannot_be_read_says_why(ctx, ct, as_role):
    doctor = as_role(Role.CLINICIAN)
    with pytest.raises(NotFound):
        documents.header(doctor, 404)
    with ctx.read() as session:
        path = ctx.store.path(session.scalar(select(Instance.path)))
    path.chmod(0o600)
    path.write_bytes(b"no DICOM at all")
    with pytest.raises(NotDisplayable, match="not a DICOM object"):
        documents.header(doctor, ct)
    path.unlink()
    with pytest.raises(NotDisplayable, match="missing from the archive"):
        documents.header(doctor, ct)


@pytest.fixture
def study(ctx) -> list[int]:
    """A slice, a report on it, key images of it, and a letter: one study."""
    first = dcmread(get_testdata_file("CT_small.dcm"))
    objects = [
        papers.report(first, "Normal."),
        papers.key_images(first, "Of Interest"),
        papers.pdf(),
    ]
    for one in objects:
        one.StudyInstanceUID = first.StudyInstanceUID
    return keep(ctx, first, *objects)


def test_a_report_leads_to_the_image_that_it_speaks_of(ctx, study, as_role):
    ct, report, keys, _ = study
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    found = documents.paper(doctor, lightbox, report)
    assert (found.kind, found.title) == (Kind.REPORT, "Imaging Report")
    assert dict(found.facts)["State"] == "Partial"
    finding = found.content["items"][1]["items"][1]
    assert finding["items"][0]["image"] == {"id": ct, "frame": 0, "frames": 0}

    chosen = documents.paper(doctor, lightbox, keys)
    assert [one["id"] for one in chosen.content["images"]] == [ct, None]
    assert [one["of"] for one in looks(ctx)] == ["study"]  # one look at it, as for images


def test_an_image_of_another_study_is_not_gone_to(ctx, study, as_role):
    foreign = papers.report(dcmread(get_testdata_file("CT_small.dcm")), "Of somebody else.")
    [report] = keep(ctx, foreign)
    found = documents.paper(as_role(Role.CLINICIAN), Lightbox(), report)
    [reference] = found.content["images"]
    assert reference["id"] is None


def test_the_study_says_what_is_no_image(ctx, study, as_role):
    plan = dcmread(get_testdata_file("rtplan.dcm"))
    first = dcmread(get_testdata_file("CT_small.dcm"))
    plan.StudyInstanceUID = first.StudyInstanceUID
    [plan_id] = keep(ctx, plan)
    with ctx.read() as session:
        study_id = session.get_one(Instance, plan_id).series.study_pk
    view = viewing.study(as_role(Role.CLINICIAN), Lightbox(), study_id)
    found = {one.instance_id: one for series in view.series for one in series.papers}
    assert [found[number].kind for number in study[1:]] == [
        Kind.REPORT,
        Kind.KEY_IMAGES,
        Kind.PDF,
    ]
    assert (found[plan_id].kind, found[plan_id].name) == (Kind.OTHER, "RT Plan")
    assert found[plan_id].problem == "This object has no picture to show."


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN])
def test_only_those_who_treat_read_documents(study, as_role, role):
    for read in (documents.paper, documents.pdf):
        for number in study:
            with pytest.raises(Forbidden):
                read(as_role(role), Lightbox(), number)


def test_an_image_is_no_document(study, as_role):
    with pytest.raises(NotDisplayable, match="CT Image"):
        documents.paper(as_role(Role.CLINICIAN), Lightbox(), study[0])


def test_a_presentation_state_stands_for_the_images_it_is_for(ctx, as_role):
    first = dcmread(get_testdata_file("CT_small.dcm"))
    state = papers.presentation(first, "Lesion")
    state.StudyInstanceUID = first.StudyInstanceUID
    foreign = papers.presentation(papers.made("1.2.840.10008.5.1.4.1.1.2", "CT"), "Lost")
    foreign.StudyInstanceUID = first.StudyInstanceUID
    ct, state_id, foreign_id = keep(ctx, first, state, foreign)
    doctor, lightbox = as_role(Role.CLINICIAN), Lightbox()
    with ctx.read() as session:
        study_id = session.get_one(Instance, ct).series.study_pk
    for _ in range(2):  # the second time from memory
        view = viewing.study(doctor, lightbox, study_id)
        found = {one.instance_id: one for series in view.series for one in series.papers}
        assert (found[state_id].images, found[state_id].problem) == (((ct, 0),), "")
        assert (found[foreign_id].images, bool(found[foreign_id].problem)) == ((), True)

    said = documents.presented(doctor, lightbox, state_id, ct, 0)
    assert said["title"] == "Presentation LIVER"
    assert said["note"] == "Look here · Doe, Jane · 2026-03-16"
    assert said["labels"][0]["text"] == "Lesion"
    with pytest.raises(NotDisplayable):
        documents.presented(doctor, lightbox, ct, ct, 0)
    [elsewhere] = keep(ctx, papers.pdf())
    with pytest.raises(NotFound):
        documents.presented(doctor, lightbox, state_id, elsewhere, 0)
    with pytest.raises(Forbidden):
        documents.presented(as_role(Role.RECEPTIONIST), lightbox, state_id, ct, 0)
