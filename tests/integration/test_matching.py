"""Which booking a study belongs to, by itself and by hand."""

from datetime import date, timedelta

import pytest

from clinic_panel.components import unmatched
from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.linked import TakeStudy
from clinic_panel.components.notice import Notice
from clinic_panel.components.tasks import TaskDialog
from clinic_panel.components.unmatched import LinkStudy
from clinic_panel.components.viewer.sharing import Sharing
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.errors import Conflict, Forbidden, NotFound, Unconfirmed
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.user import Role
from clinic_panel.services import linked, matching, reading, report, workflow
from clinic_panel.services.reading import ReadingState
from clinic_panel.services.report import Texts
from tests import factories

BOTH = {"patient_id": "P-1", "accession_number": "A-1"}


@pytest.fixture
def booking(ctx):
    who = factories.patient(ctx, patient_id="P-1", issuer_of_patient_id="HERE")
    return factories.appointment(ctx, patient=who, accession_number="A-1")


def match(ctx, study):
    with ctx.begin() as session:
        found = matching.match_study(ctx, session, session.get_one(Study, study.id))
        return None if found is None else found.id


@pytest.mark.parametrize(
    ("values", "is_match"),
    [
        ({"uid": True, "patient_id": "P-1"}, True),
        ({"uid": True, "patient_id": ""}, True),
        ({"uid": True, "patient_id": "P-1", "issuer_of_patient_id": "HERE"}, True),
        ({"uid": True, "patient_id": "P-2"}, False),
        ({"uid": True, "patient_id": "P-1", "issuer_of_patient_id": "ELSEWHERE"}, False),
        ({"patient_id": "P-1", "accession_number": "A-1"}, True),
        ({"patient_id": "P-2", "accession_number": "A-1"}, False),
        ({"patient_id": "", "accession_number": "A-1"}, False),
        ({"patient_id": "P-1", "accession_number": ""}, False),
        ({"patient_id": "P-1", "accession_number": "A-9"}, False),
        ({**BOTH, "patient_birth_date": date(1970, 1, 2), "patient_sex": "F"}, True),
        ({**BOTH, "patient_sex": "O", "patient_name": ""}, True),
        ({**BOTH, "patient_birth_date": date(1999, 9, 9)}, False),
        ({**BOTH, "patient_sex": "M"}, False),
        ({**BOTH, "patient_name": "Nguyen^Thi"}, False),
        ({"uid": True, "patient_id": "P-1", "patient_birth_date": date(1999, 9, 9)}, False),
    ],
)
def test_identifiers_that_agree_join_and_others_wait_for_a_person(ctx, booking, values, is_match):
    values = dict(values)
    if values.pop("uid", False):
        values["study_instance_uid"] = booking.study_instance_uid
    study = factories.study(ctx, **values)

    assert match(ctx, study) == (booking.id if is_match else None)
    waiting = [row.id for row in matching.unmatched_studies(ctx)]
    assert waiting == ([] if is_match else [study.id])


def test_a_study_under_the_numbers_of_somebody_else_says_whose_they_are(ctx, booking):
    study = factories.study(
        ctx, **BOTH, patient_name="Nguyen^Thi", patient_birth_date=date(1999, 9, 9)
    )
    assert match(ctx, study) is None
    [row] = matching.unmatched_studies(ctx)
    assert row.reason.startswith("Accession number of a booking for another person (Muster")
    assert row.reason.endswith(", Maria): other name and birth date.")
    assert row.reason in unmatched.lines(ctx, [row])[0]["reason"]
    assert row.reason in LinkStudy(ctx, row).intro
    with ctx.read() as session:
        [entry] = session.query(AuditEntry).filter_by(action=Action.LINK).all()
        assert (entry.subject_id, entry.patient_pk) == (study.id, booking.patient_pk)
        assert entry.detail == {
            "appointment": booking.id,
            "refused": True,
            "differs": ["name", "birth date"],
        }


@pytest.mark.parametrize(
    "day", [date.min, date(1970, 1, 1), date(2026, 3, 10), None, date(2031, 1, 1), date.max]
)
def test_a_booking_is_found_whatever_the_clock_of_the_device_says(ctx, booking, day):
    factories.appointment(ctx, start_at=booking.start_at + timedelta(days=400))
    study = factories.study(ctx, patient_id="?", study_date=day)
    [row] = matching.unmatched_studies(ctx)
    form = LinkStudy(ctx, row)
    assert [hit["value"] for hit in form.hits] == [str(booking.id)], "the one of these days"

    values = {"appointment_id": "", "suggested": ""}
    fields = form.changed("appointment_id", values, booking.accession_number).fields
    assert [hit["value"] for hit in fields[1]["options"]] == [str(booking.id)]
    assert row.id == study.id


def test_the_bookings_nearest_to_the_study_come_first(ctx, booking):
    days = (-900, -3, 2, 500)
    at = {
        day: factories.appointment(ctx, start_at=booking.start_at + timedelta(days=day)).id
        for day in days
    }
    found = workflow.find_bookings(ctx, "Maria", around=date(2026, 3, 16), limit=4)
    assert [row.id for row in found] == [booking.id, at[2], at[-3], at[500]]


def test_a_study_is_linked_by_hand_and_taken_back(ctx, booking, as_role):
    study = factories.study(ctx)
    tech = as_role(Role.TECHNOLOGIST)

    assert matching.link_study(tech, study.id, booking.id, version=study.version)
    with ctx.read() as session:
        linked = session.get_one(Study, study.id)
        assert (linked.appointment_pk, linked.patient_pk) == (booking.id, booking.patient_pk)
        assert session.get_one(Appointment, booking.id).status is AppointmentStatus.TO_READ
        version = linked.version
    with pytest.raises(Conflict):
        matching.link_study(tech, study.id, booking.id)
    with pytest.raises(Conflict):
        matching.unlink_study(tech, study.id, version=version - 1)

    matching.unlink_study(tech, study.id, version=version)
    assert [row.id for row in matching.unmatched_studies(ctx)] == [study.id]
    with ctx.read() as session:
        entries = session.query(AuditEntry).filter_by(action=Action.LINK).all()
        assert [entry.detail.get("undone", False) for entry in entries] == [False, True]
        assert {entry.patient_pk for entry in entries} == {booking.patient_pk}


def test_only_who_may_links_and_only_what_is_there(ctx, booking, as_role):
    study = factories.study(ctx)
    with pytest.raises(Forbidden):
        matching.link_study(as_role(Role.RECEPTIONIST), study.id, booking.id)
    with pytest.raises(Forbidden):
        matching.unmatched_studies(as_role(Role.ADMIN))
    with pytest.raises(NotFound):
        matching.link_study(ctx, study.id, 999)
    with pytest.raises(NotFound):
        matching.link_study(ctx, 999, booking.id)
    with pytest.raises(Conflict):
        matching.unlink_study(ctx, study.id)


def status(ctx, booking):
    with ctx.read() as session:
        return session.get_one(Appointment, booking.id).status


@pytest.mark.parametrize(
    ("values", "before"),
    [
        ({}, AppointmentStatus.BOOKED),
        ({"status": AppointmentStatus.ARRIVED, "checked_in_at": True}, AppointmentStatus.ARRIVED),
        (
            {"status": AppointmentStatus.CANCELLED, "cancellation_reason": "Unwell"},
            AppointmentStatus.CANCELLED,
        ),
    ],
)
def test_a_booking_that_lost_its_only_study_stands_as_before(ctx, values, before):
    if "checked_in_at" in values:
        values = values | {"checked_in_at": ctx.clock()}
    booking = factories.appointment(ctx, **values)
    study = factories.study(ctx)

    matching.link_study(ctx, study.id, booking.id)
    assert status(ctx, booking) is AppointmentStatus.TO_READ
    matching.unlink_study(ctx, study.id)

    assert status(ctx, booking) is before
    with ctx.read() as session:
        assert session.get_one(Appointment, booking.id).images_at is None


def test_a_booking_that_keeps_a_study_keeps_its_status_and_settles_again(ctx, booking):
    stays, goes = factories.study(ctx, appointment_pk=booking.id), factories.study(ctx)
    matching.link_study(ctx, goes.id, booking.id)
    assert status(ctx, booking) is AppointmentStatus.IMAGES_ARRIVING, "the other is not quiet yet"
    matching.unlink_study(ctx, goes.id)

    assert status(ctx, booking) is AppointmentStatus.IMAGES_ARRIVING
    with ctx.read() as session:
        asked = session.query(Job).filter_by(kind=JobKind.SETTLE_STUDY).all()
        assert [job.subject_id for job in asked] == [stays.id]


@pytest.fixture
def sign(as_role):
    doctor = as_role(Role.CLINICIAN)

    def sign(study):
        opened = report.open_draft(doctor, study.id)
        written = report.save_draft(doctor, opened.id, opened.version, Texts(impression="Normal."))
        report.sign(doctor, written.id, written.version, factories.PASSWORD)

    return sign


def test_a_study_signed_before_it_had_a_booking_makes_it_reported(ctx, booking, sign):
    study = factories.study(ctx, patient_id="P-1")
    sign(study)
    assert not matching.link_study(ctx, study.id, booking.id), "it cannot be taken back"
    assert status(ctx, booking) is AppointmentStatus.REPORTED


def ask(task, **answers):
    """Submit a form as its dialog would."""
    tasks = TaskDialog(lambda: None)
    tasks.open(task)
    tasks.dialog.submitted = answers
    return tasks


def test_a_study_that_joined_by_itself_is_taken_off_with_its_draft(ctx, as_role):
    booking = factories.appointment(ctx, reason_for_the_requested_procedure="Cough")
    study = factories.study(ctx, study_instance_uid=booking.study_instance_uid, patient_id="")
    assert match(ctx, study) == booking.id
    doctor = as_role(Role.CLINICIAN)
    opened = report.open_draft(doctor, study.id)
    report.save_draft(
        doctor, opened.id, opened.version, Texts(clinical_information="Cough", findings="Clear.")
    )

    tech = as_role(Role.TECHNOLOGIST)
    form = TakeStudy(tech, linked.of_booking(tech, booking.id))
    assert "A draft of a report goes with its study." in form.intro
    tasks = ask(form)
    assert (tasks.dialog.problem, tasks.dialog.open) == ("", False)

    assert [row.id for row in matching.unmatched_studies(ctx)] == [study.id]
    assert status(ctx, booking) is AppointmentStatus.BOOKED
    kept = report.open_draft(doctor, study.id)
    assert kept.id == opened.id
    assert kept.texts.findings == "Clear."
    assert kept.texts.clinical_information == "", "it was said of somebody else"
    matching.link_study(tech, study.id, booking.id)
    assert linked.of_study(tech, study.id)[0].report_status is ReportStatus.DRAFT


def test_of_several_studies_the_one_that_is_chosen_is_taken(ctx, booking):
    stays, goes = (factories.study(ctx) for _ in range(2))
    for study in (stays, goes):
        matching.link_study(ctx, study.id, booking.id)
    form = TakeStudy(ctx, linked.of_booking(ctx, booking.id))
    assert ask(form, study_id="").dialog.problems == {"study_id": "Choose a study."}
    assert not ask(form, study_id=str(goes.id)).dialog.open
    assert [row.id for row in linked.of_booking(ctx, booking.id)] == [stays.id]


def test_a_study_with_a_signed_report_stays_with_its_booking_and_says_why(ctx, booking, sign):
    study = factories.study(ctx, patient_id="P-1")
    matching.link_study(ctx, study.id, booking.id)
    sign(study)
    tasks = ask(TakeStudy(ctx, linked.of_study(ctx, study.id)))
    assert "signed" in tasks.dialog.problem
    assert [row.id for row in linked.of_booking(ctx, booking.id)] == [study.id]
    with pytest.raises(Conflict, match="no booking"):
        TakeStudy(ctx, linked.of_study(ctx, factories.study(ctx).id))


def test_the_page_of_a_study_takes_it_from_its_booking(ctx, booking, as_role):
    study = factories.study(ctx, appointment_pk=booking.id, patient_pk=booking.patient_pk)
    viewer, form, notice = StudyViewer(), FormDialog(), Notice()
    tech = as_role(Role.TECHNOLOGIST)
    Sharing(tech, study.id, viewer, form, notice, keep=lambda: None)
    assert "take" in [offer["id"] for offer in viewer.offers]
    viewer.asked = {"what": "take", "view": None}
    assert (form.open, form.danger) == (True, True)
    form.submitted = {}
    assert not form.open
    viewer.asked = {"what": "picture", "view": {}}
    assert (form.open, form.danger) == (True, False), "the next form is none that takes away"
    assert [row.id for row in matching.unmatched_studies(ctx)] == [study.id]


def test_only_who_may_link_takes_a_study_off(ctx, booking, as_role):
    study = factories.study(ctx, appointment_pk=booking.id)
    desk = as_role(Role.RECEPTIONIST)
    for look in (linked.of_booking, linked.of_study, matching.unlink_study):
        with pytest.raises(Forbidden):
            look(desk, study.id)


def test_a_study_that_came_after_the_report_of_its_booking_still_waits_to_be_read(
    ctx, booking, sign
):
    first, later = factories.study(ctx, patient_id="P-1"), factories.study(ctx)
    sign(first)
    for study in (first, later):
        matching.link_study(ctx, study.id, booking.id)
    waiting = reading.reports(ctx, ReadingState.TO_READ)
    assert [row.study_id for row in waiting] == [later.id]


def test_the_visit_is_reported_when_the_only_unread_study_leaves_it(ctx, booking, sign):
    first, later = factories.study(ctx, patient_id="P-1"), factories.study(ctx)
    sign(first)
    for study in (later, first):
        matching.link_study(ctx, study.id, booking.id)
    assert status(ctx, booking) is not AppointmentStatus.REPORTED
    matching.unlink_study(ctx, later.id)
    assert status(ctx, booking) is AppointmentStatus.REPORTED


def test_a_report_signed_for_another_patient_id_is_linked_only_when_confirmed(ctx, booking, sign):
    study = factories.study(ctx, patient_id="P-2")
    sign(study)
    with pytest.raises(Unconfirmed):
        matching.link_study(ctx, study.id, booking.id)
    assert status(ctx, booking) is AppointmentStatus.BOOKED

    [row] = matching.unmatched_studies(ctx)
    tasks = TaskDialog(lambda: None)
    tasks.open(LinkStudy(ctx, row))
    tasks.dialog.submitted = {"appointment_id": str(booking.id), "suggested": ""}
    assert "another patient ID" in tasks.dialog.warning
    assert tasks.dialog.submit_label == "Link anyway"
    assert status(ctx, booking) is AppointmentStatus.BOOKED
    tasks.dialog.submitted = None
    tasks.dialog.submitted = {"appointment_id": str(booking.id), "suggested": ""}
    assert not tasks.dialog.open
    assert status(ctx, booking) is AppointmentStatus.REPORTED
