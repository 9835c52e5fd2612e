"""Reports: written by people who may meet, signed once, printed once, unchangeable after that."""

import hashlib
import io
import json
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from pypdf import PdfReader
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from clinic_panel.documents.pdf import render
from clinic_panel.documents.report_templates import BLANK
from clinic_panel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from clinic_panel.models.appointment import Appointment, AppointmentStatus, Priority
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.report import Report, ReportDocument, ReportStatus, ReportVersion
from clinic_panel.models.site import SiteSetting
from clinic_panel.models.user import Role
from clinic_panel.services import reading, report, report_pdf, workflow
from clinic_panel.services.reading import ReadingState
from clinic_panel.services.report import KeyImageRef, Texts
from tests import factories

WRITTEN = Texts("Cough.", "CT of the chest.", "Lungs clear.\n\nNo node.", "No mass.")


@pytest.fixture
def visit(ctx):
    """A patient of today, examined, images complete."""
    patient = factories.patient(
        ctx,
        patient_name="Yamada^Taro=山田^太郎=やまだ^たろう",
        patient_birth_date=date(1961, 4, 3),
    )
    return factories.appointment(
        ctx,
        patient=patient,
        status=AppointmentStatus.TO_READ,
        images_at=ctx.clock(),
        reason_for_the_requested_procedure="Cough for six weeks",
        referring_physician_name="Okafor^Ada",
    )


@pytest.fixture
def study(ctx, visit):
    return factories.study(
        ctx,
        instances=3,
        appointment_pk=visit.id,
        patient_pk=visit.patient_pk,
        accession_number=visit.accession_number,
    )


@pytest.fixture
def doctor(as_role):
    return as_role(Role.CLINICIAN)


@pytest.fixture
def colleague(ctx, doctor):
    user = factories.user(ctx, Role.CLINICIAN, username="colleague")
    return ctx.acting_as(
        replace(doctor.actor, username="colleague", user_pk=user.id, display_name=user.display_name)
    )


@pytest.fixture
def written(doctor, study):
    opened = report.open_draft(doctor, study.id)
    return report.save_draft(doctor, opened.id, opened.version, WRITTEN)


def sign(doctor, draft):
    return report.sign(doctor, draft.id, draft.version, factories.PASSWORD)


def kept(ctx, kind):
    with ctx.read() as session:
        return list(session.scalars(select(kind)))


def trail(ctx):
    with ctx.read() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


# --- drafts ---


def test_a_draft_starts_from_the_request_and_is_one_a_study(ctx, doctor, colleague, study):
    first = report.open_draft(doctor, study.id, template="ct-chest")
    again = report.open_draft(colleague, study.id)

    assert first.texts.clinical_information == "Cough for six weeks"
    assert (again.id, again.template) == (first.id, "ct-chest")
    assert [(e.action, e.username, e.subject_id) for e in trail(ctx)] == [
        (Action.CREATE, "clinician", first.id),
        (Action.VIEW, "colleague", first.id),
    ]


def test_two_who_open_it_at_once_write_on_the_same_draft(doctor, colleague, study):
    start, opened = threading.Barrier(2), []

    def open_it(who):
        start.wait()
        opened.append(report.open_draft(who, study.id).id)

    readers = [threading.Thread(target=open_it, args=(who,)) for who in (doctor, colleague)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(opened) == 2
    assert len(set(opened)) == 1


def test_a_save_is_there_for_the_next_reader(ctx, doctor, colleague, written):
    seen = report.draft(colleague, written.id)
    assert (seen.texts, seen.version) == (WRITTEN, written.version)
    saved = [entry for entry in trail(ctx) if entry.action == Action.DRAFT]
    assert [entry.detail for entry in saved] == [
        {"changed": ["clinical_information", "findings", "impression", "technique"]}
    ]
    assert "Lungs" not in json.dumps([entry.detail for entry in trail(ctx)])


def test_saving_the_same_text_again_writes_nothing(ctx, doctor, written):
    before = len(trail(ctx))
    again = report.save_draft(doctor, written.id, written.version, WRITTEN)
    assert again.version == written.version
    assert len(trail(ctx)) == before


def test_of_two_editors_the_second_is_told_and_can_see_both_texts(doctor, colleague, written):
    theirs = replace(WRITTEN, findings="Nodule of 8 mm.")
    report.save_draft(colleague, written.id, written.version, theirs)

    mine = replace(WRITTEN, impression="No mass, mild emphysema.")
    with pytest.raises(Conflict):
        report.save_draft(doctor, written.id, written.version, mine)

    current = report.draft(doctor, written.id)
    assert (current.texts, current.author_name) == (theirs, "Colleague")
    kept_mine = report.save_draft(doctor, written.id, current.version, mine)
    assert kept_mine.texts == mine


def test_of_many_writers_at_once_one_wins_each_round(doctor, colleague, written):
    for round_ in range(5):
        version, outcomes = report.draft(doctor, written.id).version, []
        start = threading.Barrier(4)

        def save(number, start=start, version=version, outcomes=outcomes, round_=round_):
            mine = replace(WRITTEN, findings=f"round {round_} writer {number}")
            start.wait()
            try:
                outcomes.append(report.save_draft(doctor, written.id, version, mine).texts)
            except Conflict:
                outcomes.append(None)

        writers = [threading.Thread(target=save, args=(n,)) for n in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        [won] = [texts for texts in outcomes if texts is not None]
        assert len(outcomes) == 4
        assert report.draft(doctor, written.id).texts == won


def test_control_and_override_characters_do_not_reach_the_record(doctor, written):
    hostile = replace(WRITTEN, findings="No \u202emass\u202c\x00\x1b[31m seen\r\nEnd")
    saved = report.save_draft(doctor, written.id, written.version, hostile)
    assert saved.texts.findings == "No mass[31m seen\nEnd"


def test_key_images_must_be_frames_of_the_study(ctx, doctor, study, written):
    with ctx.read() as session:
        own = session.scalars(select(Instance.id)).all()
    other = factories.study(ctx, instances=1)
    with ctx.read() as session:
        foreign = session.scalar(select(Instance.id).where(Instance.id.not_in(own)))

    chosen = (KeyImageRef(own[1], 0, 40.0, 400.0, "Axial"), KeyImageRef(own[0]))
    saved = report.save_draft(doctor, written.id, written.version, WRITTEN, chosen)
    assert saved.key_images == chosen
    assert report.draft(doctor, written.id).key_images == chosen

    assert other.id != study.id
    for wrong in (KeyImageRef(foreign), KeyImageRef(own[0], frame=1), KeyImageRef(10**9)):
        with pytest.raises(Invalid):
            report.save_draft(doctor, written.id, saved.version, WRITTEN, (wrong,))


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.TECHNOLOGIST, Role.ANALYST, Role.ADMIN])
def test_only_a_clinician_writes_and_signs(as_role, study, written, role):
    other = as_role(role)
    for attempt in (
        lambda: report.open_draft(other, study.id),
        lambda: report.draft(other, written.id),
        lambda: report.save_draft(other, written.id, written.version, WRITTEN),
        lambda: sign(other, written),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_our_own_processes_answer_for_no_report(ctx, written):
    with pytest.raises(Forbidden):
        sign(ctx, written)


# --- signing ---


def test_signing_fixes_the_text_orders_the_pdf_and_closes_the_visit(ctx, doctor, visit, written):
    signed = sign(doctor, written)

    [version] = kept(ctx, ReportVersion)
    content = version.content
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() == version.sha256 == signed.sha256
    assert content["sections"]["findings"] == WRITTEN.findings
    assert content["patient"]["patient_name"] == "Yamada^Taro=山田^太郎=やまだ^たろう"
    assert (signed.number, signed.signed_by, signed.pdf_ready) == (1, "Clinician", False)
    [job] = kept(ctx, Job)
    assert (job.kind, job.subject_id) == (JobKind.REPORT_PDF, version.id)
    assert kept(ctx, Report)[0].status is ReportStatus.SIGNED
    assert kept(ctx, Appointment)[0].status is AppointmentStatus.REPORTED
    entry = trail(ctx)[-1]
    assert (entry.action, entry.username, entry.patient_pk) == (
        Action.SIGN,
        "clinician",
        visit.patient_pk,
    )
    assert entry.detail == {"report_version": version.id, "sha256": version.sha256}


def test_a_visit_is_reported_once_every_study_of_it_is(ctx, doctor, as_role, visit, study, written):
    def status():
        return kept(ctx, Appointment)[0].status

    place = {"appointment_pk": visit.id, "patient_pk": visit.patient_pk}
    other = factories.study(ctx, instances=5, **place)
    dose = factories.study(
        ctx, modalities_in_study="SR", **place
    )  # a dose report, which nobody reads
    sign(doctor, written)
    report_pdf.keep_pdf(ctx, kept(ctx, ReportVersion)[0].id, b"%PDF")
    [row] = workflow.appointments_on(doctor, visit.start_at.astimezone(ctx.zone).date())
    assert status() is AppointmentStatus.TO_READ
    assert (row.study_id, row.report_status) == (other.id, None), "what is yet to be read"
    assert (row.report_id, row.has_pdf) == (written.id, True), "the PDF that is there"

    opened = report.open_draft(doctor, other.id)
    [row] = workflow.appointments_on(doctor, visit.start_at.astimezone(ctx.zone).date())
    assert (row.report_status, row.report_id) == (ReportStatus.DRAFT, written.id)
    assert report_pdf.pdf(doctor, row.report_id).pdf == b"%PDF"
    sign(doctor, report.save_draft(doctor, opened.id, opened.version, WRITTEN))
    assert status() is AppointmentStatus.REPORTED
    [row] = workflow.appointments_on(doctor, visit.start_at.astimezone(ctx.zone).date())
    assert row.study_id == other.id != dose.id


def test_a_report_is_signed_once(ctx, doctor, colleague, written):
    sign(doctor, written)
    current = report.draft(doctor, written.id)
    for who in (doctor, colleague):
        with pytest.raises(Conflict):
            sign(who, current)
        with pytest.raises(Conflict):
            report.save_draft(who, written.id, current.version, replace(WRITTEN, findings="x"))
    assert len(kept(ctx, ReportVersion)) == 1
    assert report.signed(doctor, written.id).texts == WRITTEN


def test_a_wrong_password_signs_nothing(ctx, doctor, written):
    with pytest.raises(Unauthenticated):
        report.sign(doctor, written.id, written.version, "not my password")
    assert kept(ctx, ReportVersion) == []
    assert report.draft(doctor, written.id).status is ReportStatus.DRAFT


def test_only_the_text_the_signer_saw_is_signed(doctor, colleague, written):
    report.save_draft(
        colleague, written.id, written.version, replace(WRITTEN, impression="Mass of 8 cm.")
    )
    with pytest.raises(Conflict):
        sign(doctor, written)


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        (replace(WRITTEN, impression="  \n "), "impression"),
        (replace(WRITTEN, findings=f"Lungs: {BLANK}"), "findings"),
    ],
)
def test_an_unfinished_report_is_not_signed(doctor, written, texts, field):
    saved = report.save_draft(doctor, written.id, written.version, texts)
    with pytest.raises(Invalid) as raised:
        sign(doctor, saved)
    assert raised.value.field == field


def test_of_two_signing_at_once_one_signs(ctx, doctor, colleague, written):
    start, outcomes = threading.Barrier(2), []

    def try_it(who):
        start.wait()
        try:
            outcomes.append(sign(who, written))
        except Conflict:
            outcomes.append(None)

    signers = [threading.Thread(target=try_it, args=(who,)) for who in (doctor, colleague)]
    for signer in signers:
        signer.start()
    for signer in signers:
        signer.join()
    assert sorted(outcome is None for outcome in outcomes) == [False, True]
    assert len(kept(ctx, ReportVersion)) == len(kept(ctx, Job)) == 1


FORGERIES = (
    "UPDATE report SET findings = 'forged'",
    "UPDATE report SET status = 'draft'",
    "DELETE FROM report",
    "UPDATE report_version SET content = '{}'",
    "UPDATE report_version SET sha256 = 'forged'",
    "UPDATE report_version SET signed_by_name = 'Somebody else'",
    "DELETE FROM report_version",
    "UPDATE report_document SET pdf = 'forged'",
    "UPDATE report_document SET sha256 = 'forged'",
    "DELETE FROM report_document",
    "INSERT INTO report_version SELECT * FROM report_version",
    "INSERT INTO report_document SELECT * FROM report_document",
)
FORGERIES_OF = {
    "sqlite": (
        "REPLACE INTO report_version SELECT id, report_pk, number, '{}', sha256, signed_by_pk, "
        "signed_by_name, signed_at FROM report_version",
        "INSERT INTO report_document SELECT * FROM report_document WHERE true "
        "ON CONFLICT (report_version_pk) DO UPDATE SET pdf = 'forged'",
    ),
    "postgresql": (
        "TRUNCATE report CASCADE",
        "TRUNCATE report_document",
        "INSERT INTO report_document SELECT * FROM report_document "
        "ON CONFLICT (report_version_pk) DO UPDATE SET pdf = 'forged'",
    ),
}


def test_no_statement_alters_a_signed_report(ctx, doctor, database, written):
    signed = sign(doctor, written)
    report_pdf.keep_pdf(ctx, signed.id, b"%PDF-1.7 as rendered")
    before = report.signed(doctor, written.id), report_pdf.pdf(doctor, written.id)

    for statement in (*FORGERIES, *FORGERIES_OF[database]):
        with pytest.raises(DBAPIError), ctx.begin() as session:
            session.execute(text(statement))

    after = report.signed(doctor, written.id), report_pdf.pdf(doctor, written.id)
    assert [vars_of(row) for row in after] == [vars_of(row) for row in before]
    assert after[1].pdf == b"%PDF-1.7 as rendered"


def vars_of(row):
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def test_a_draft_can_still_be_written_beside_a_signed_one(ctx, doctor, written):
    sign(doctor, written)
    other = report.open_draft(doctor, factories.study(ctx).id)
    assert report.save_draft(doctor, other.id, other.version, WRITTEN).texts == WRITTEN


# --- the PDF ---


def test_the_pdf_says_what_was_signed_even_after_the_patient_is_renamed(
    ctx, doctor, visit, written, as_role
):
    with ctx.begin() as session:
        head = {"name": "Riverside Imaging", "address": "12 Quay Street", "phone": "+44 117"}
        session.add(SiteSetting(key="letterhead", value=head))
    signed = sign(doctor, written)
    with ctx.begin() as session:
        patient = session.get_one(Appointment, visit.id).patient
        patient.patient_name = "Renamed^Later"

    order = report_pdf.print_order(ctx, signed.id)
    report_pdf.keep_pdf(ctx, signed.id, render(order.content))

    handed_out = report_pdf.pdf(as_role(Role.RECEPTIONIST), written.id)
    [page] = [p.extract_text() for p in PdfReader(io.BytesIO(handed_out.pdf)).pages]
    for said in (
        "Yamada, Taro",
        "山田、太郎".replace("、", ", "),
        "03 Apr 1961",
        "64 y",
        "Riverside Imaging",
        "Lungs clear.",
        "No mass.",
        "Okafor, Ada",
        "16 Mar 2026, 13:00 (Europe/Berlin)",
        signed.sha256[:4],
        "Page 1 of 1",
    ):
        assert said in page
    assert "Renamed" not in page
    assert handed_out.filename == f"report-{written.id}-v1.pdf"
    assert report.state(doctor, written.study_id).signed.pdf_ready
    assert trail(ctx)[-1].action == Action.HAND_OUT


def test_the_first_pdf_stays(ctx, doctor, written):
    signed = sign(doctor, written)
    for attempt in (b"%PDF first", b"%PDF second"):
        report_pdf.keep_pdf(ctx, signed.id, attempt)
    assert report_pdf.pdf(doctor, written.id).pdf == b"%PDF first"
    assert len(kept(ctx, ReportDocument)) == 1


def test_a_pdf_is_asked_for_in_vain_until_it_is_made(ctx, doctor, written):
    with pytest.raises(NotFound):
        report_pdf.pdf(doctor, written.id)
    sign(doctor, written)
    with pytest.raises(Unavailable):
        report_pdf.pdf(doctor, written.id)
    with pytest.raises(NotFound):
        report_pdf.pdf(doctor, 10**9)


@pytest.mark.parametrize("role", [Role.ANALYST, Role.ADMIN])
def test_roles_without_reports_get_neither_words_nor_pdf(ctx, as_role, doctor, written, role):
    signed, other = sign(doctor, written), as_role(role)
    report_pdf.keep_pdf(ctx, signed.id, b"%PDF")
    for attempt in (
        lambda: report.signed(other, written.id),
        lambda: report.versions(other, written.id),
        lambda: report.state(other, written.study_id),
        lambda: report_pdf.pdf(other, written.id),
        lambda: reading.reports(other, ReadingState.SIGNED),
        lambda: report_pdf.print_order(other, signed.id),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_the_key_images_of_the_signed_version_are_what_the_worker_pictures(ctx, doctor, written):
    stored = ctx.store.put(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    with ctx.begin() as session:
        instance = session.scalars(select(Instance)).first()
        instance.path = stored.path
    chosen = (KeyImageRef(instance.id, 0, -600.0, 1500.0, "Lung window"),)
    saved = report.save_draft(doctor, written.id, written.version, WRITTEN, chosen)
    order = report_pdf.print_order(ctx, sign(doctor, saved).id)
    [source] = order.key_images
    assert dcmread(source.path).Modality == "CT"
    assert (source.frame, source.window_center, source.window_width) == (0, -600.0, 1500.0)
    assert kept(ctx, ReportVersion)[0].content["key_images"][0]["sha256"] == instance.sha256


# --- the reading list ---


def test_a_study_moves_through_the_three_piles(ctx, clock, doctor, study):
    def piles():
        return [[row.study_id for row in reading.reports(doctor, state)] for state in ReadingState]

    clock.advance(minutes=25)
    [row] = reading.reports(doctor, ReadingState.TO_READ)
    assert (row.waiting_min, row.patient_name) == (25, "Yamada, Taro (山田 太郎)")
    assert piles() == [[study.id], [], []]
    opened = report.open_draft(doctor, study.id)
    assert piles() == [[], [study.id], []]
    sign(doctor, report.save_draft(doctor, opened.id, opened.version, WRITTEN))
    assert piles() == [[], [], [study.id]]
    [row] = reading.reports(doctor, ReadingState.SIGNED)
    assert (row.person, row.pdf_ready, row.report_id) == ("Clinician", False, opened.id)


def test_the_urgent_come_first_then_who_waits_longest(ctx, clock, doctor):
    def waiting(priority):
        clock.advance(minutes=5)
        visit = factories.appointment(
            ctx,
            status=AppointmentStatus.TO_READ,
            images_at=ctx.clock(),
            priority=priority,
        )
        return factories.study(ctx, appointment_pk=visit.id, patient_pk=visit.patient_pk).id

    routine, stat, high, late = map(
        waiting, (Priority.ROUTINE, Priority.STAT, Priority.HIGH, Priority.ROUTINE)
    )
    listed = [row.study_id for row in reading.reports(doctor, ReadingState.TO_READ)]
    assert listed == [stat, high, routine, late]


def test_images_still_arriving_are_not_yet_to_read_and_unmatched_ones_are(ctx, doctor):
    visit = factories.appointment(ctx, status=AppointmentStatus.IMAGES_ARRIVING)
    factories.study(ctx, appointment_pk=visit.id)
    unmatched = factories.study(ctx)
    assert [r.study_id for r in reading.reports(doctor, ReadingState.TO_READ)] == [unmatched.id]


def test_what_was_old_when_it_came_waits_behind_what_is_new(ctx, clock, doctor):
    old = [factories.study(ctx, study_date=date(2025, 1, n + 1)).id for n in range(3)]
    undated = factories.study(ctx, study_date=None).id
    clock.advance(minutes=5)
    new = factories.study(ctx).id
    listed = [row.study_id for row in reading.reports(doctor, ReadingState.TO_READ, limit=3)]
    assert listed == [new, undated, old[0]]
    assert reading.count(doctor, ReadingState.TO_READ) == 5


def test_images_after_the_report_and_a_pdf_that_failed_are_told(ctx, clock, doctor, study, written):
    def told():
        [row] = reading.reports(doctor, ReadingState.SIGNED)
        signed = report.state(doctor, study.id).signed
        assert (row.images_after, row.pdf_failed) == (signed.images_after, signed.pdf_failed)
        return row.images_after, row.pdf_failed

    sign(doctor, written)
    assert told() == (0, False)
    clock.advance(minutes=30)
    with ctx.begin() as session:
        row = session.get_one(Study, study.id)
        [series] = row.series
        evidence = Series(study_pk=row.id, series_instance_uid=generate_uid(), modality="SR")
        session.add_all(
            [
                factories.instance(ctx, series, 10, digest=f"{10:064x}"),
                factories.instance(ctx, series, 11, digest=f"{11:064x}"),
                factories.instance(ctx, evidence, 1, digest=f"{12:064x}"),
            ]
        )
        row.last_received_at = ctx.clock()
    assert told() == (2, False)

    with ctx.begin() as session:
        session.scalars(select(Job)).one().state = JobState.FAILED
    assert told() == (2, True)
    with pytest.raises(Unavailable, match="could not be made"):
        report_pdf.pdf(doctor, written.id)
    report_pdf.ask_again(doctor, written.id)
    report_pdf.ask_again(doctor, written.id)
    assert kept(ctx, Job)[0].state is JobState.QUEUED
    assert told() == (2, False)
    assert [entry.action for entry in trail(ctx)].count(Action.RETRY) == 1


def test_the_list_is_narrowed_by_whole_modalities(ctx, doctor):
    wanted = factories.study(ctx, modalities_in_study="CT\\SR")
    factories.study(ctx, modalities_in_study="OCT")
    factories.study(ctx, modalities_in_study="CTP\\MR")
    found = reading.reports(doctor, ReadingState.TO_READ, modality="CT")
    assert [row.study_id for row in found] == [wanted.id]
    assert reading.reports(doctor, ReadingState.TO_READ, modality="C%") == []
