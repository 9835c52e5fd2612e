"""The desk's people: register, find in any script, edit by two at once, read the record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from clinic_panel.errors import Conflict, Forbidden, Invalid, NotFound
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Series, Thumbnail
from clinic_panel.models.report import Report, ReportDocument, ReportStatus, ReportVersion
from clinic_panel.models.user import Role
from clinic_panel.services import patient, record
from clinic_panel.services.patient import LikelyDuplicate, PatientForm
from tests import factories

MARIA = PatientForm("Muster", "Maria", patient_birth_date=date(1980, 3, 31), patient_sex="F")

PEOPLE = {
    "polish": "Łukasik^Żaneta",
    "german": "Groß^Jörg",
    "russian": "Фёдоров^Пётр",
    "greek": "Παπαδόπουλος^Γιώργος",
    "arabic": "الأحمد^محمّد",
    "hebrew": "כהן^דָּוִד",
    "japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chinese": "Wang^XiaoDong=王^小东",
    "korean": "Hong^Gildong=洪^吉洞=홍^길동",
    "irish": "O'Neill-Smith^Ann Mary",
}


@pytest.fixture
def desk(as_role):
    return as_role(Role.RECEPTIONIST)


def names(rows):
    return {row.patient_name for row in rows}


def test_a_new_person_gets_the_next_free_id_and_an_audit_entry(ctx, desk):
    first = patient.register(desk, MARIA)
    second = patient.register(desk, replace(MARIA, given_name="Martha"))

    assert (first.patient_id, second.patient_id) == ("P000001", "P000002")
    assert first.display_name == "Muster, Maria"
    assert first.age_years == 45
    with ctx.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(e.action, e.patient_pk, e.username) for e in entries] == [
        (Action.CREATE, first.id, "receptionist"),
        (Action.CREATE, second.id, "receptionist"),
    ]


def test_an_id_that_is_already_in_use_is_skipped_by_the_range(ctx, desk):
    factories.patient(ctx, patient_id="P000001")
    assert patient.register(desk, MARIA).patient_id == "P000002"


def test_many_desks_register_at_once_and_every_id_is_different(desk):
    forms = [replace(MARIA, given_name=f"Number {n}") for n in range(40)]
    with ThreadPoolExecutor(8) as desks:
        rows = list(desks.map(lambda form: patient.register(desk, form), forms))
    assert len({row.patient_id for row in rows}) == 40


def test_an_id_typed_by_hand_cannot_be_taken_twice(desk):
    patient.register(desk, replace(MARIA, patient_id="X1"))
    with pytest.raises(Invalid) as refused:
        patient.register(desk, replace(MARIA, patient_id="X1", given_name="B"), confirmed=True)
    assert refused.value.field == "patient_id"
    assert "X1" not in str(refused.value)


@pytest.mark.parametrize(
    "again",
    [
        replace(MARIA),
        replace(MARIA, family_name="MUSTER", given_name="María"),
        replace(MARIA, family_name="Other", patient_id="P000001", patient_birth_date=None),
    ],
    ids=["the same", "written otherwise", "the same ID"],
)
def test_a_likely_duplicate_is_shown_before_anything_is_kept(ctx, desk, again):
    known = patient.register(desk, MARIA)
    with pytest.raises(LikelyDuplicate) as asked:
        patient.register(desk, again)
    assert asked.value.candidates == (known,)
    assert "Muster" not in str(asked.value)
    with ctx.read() as session:  # who was shown is known, as of any search
        query = select(AuditEntry).where(AuditEntry.action == Action.SEARCH)
        [entry] = session.scalars(query)
    assert (entry.username, entry.detail) == (
        desk.actor.username,
        {"count": 1, "duplicates": True},
    )
    assert [row.id for row in patient.likely_duplicates(desk, again)] == [known.id]


def test_a_namesake_with_another_birth_date_is_no_duplicate(desk):
    patient.register(desk, MARIA)
    patient.register(desk, replace(MARIA, patient_birth_date=date(1981, 3, 31)))


def test_a_duplicate_that_is_somebody_else_can_be_registered(desk):
    patient.register(desk, MARIA)
    assert patient.register(desk, MARIA, confirmed=True).patient_id == "P000002"


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        ("łukasik", "polish"),
        ("Lukasik Zaneta", "polish"),
        ("zaneta luka", "polish"),
        ("GROSS", "german"),
        ("jorg groß", "german"),
        ("федоров", "russian"),
        ("ПЁТР", "russian"),
        ("παπαδοπουλος", "greek"),
        ("ΓΙΩΡΓΟΣ", "greek"),
        ("الاحمد", "arabic"),
        ("محمد", "arabic"),
        ("דוד כהן", "hebrew"),
        ("山田", "japanese"),
        ("山田太郎", "japanese"),
        ("ヤマダ", "japanese"),
        ("tarou", "japanese"),
        ("王小东", "chinese"),
        ("小东", "chinese"),
        ("홍길동", "korean"),
        ("洪 吉洞", "korean"),
        ("oneill", None),
        ("o'neill", "irish"),
        ("neill smith mary", "irish"),
        ("%", None),
        ("_", None),
    ],
)
def test_a_name_is_found_in_any_script(ctx, desk, typed, who):
    for name in PEOPLE.values():
        factories.patient(ctx, patient_name=name)
    assert names(patient.find(desk, typed)) == ({PEOPLE[who]} if who else set())


@pytest.mark.parametrize(
    "typed",
    ["q-77", "Q-7", "31.03.1980", "1980-03-31", "31/3/1980", "1980", "acc77", "muster 31.3.1980"],
)
def test_a_person_is_found_by_id_birth_date_and_accession_number(ctx, desk, typed):
    factories.patient(ctx)
    known = factories.patient(
        ctx,
        patient_id="Q-77",
        patient_birth_date=date(1980, 3, 31),
        patient_name="Muster^Maria",
    )
    factories.appointment(ctx, patient=known, accession_number="ACC77")
    assert [row.id for row in patient.find(desk, typed)] == [known.id]


def test_a_study_from_elsewhere_is_found_by_its_accession_number(ctx, desk):
    known = factories.patient(ctx)
    factories.study(ctx, patient_pk=known.id, accession_number="ext-9")
    factories.study(ctx, accession_number="ext-8")
    assert [row.id for row in patient.find(desk, "ext-9")] == [known.id]
    assert patient.find(desk, "ext-8") == []


def test_the_best_match_comes_first_and_the_number_is_bounded(ctx, desk):
    for n in range(5):
        factories.patient(ctx, patient_name=f"Zz Anna{n}")
    exact = factories.patient(ctx, patient_id="anna", patient_name="Quirin^Q")
    begins = factories.patient(ctx, patient_name="Anna^Zoe")
    found = patient.find(desk, "Anna", limit=3)
    assert [row.id for row in found][:2] == [exact.id, begins.id]
    assert len(found) == 3
    assert patient.find(desk, "   ") == []


def test_a_search_is_audited_without_what_was_searched(ctx, desk):
    factories.patient(ctx, patient_name="Geheim^Gerda")
    patient.find(desk, "geheim")
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry))
    assert (entry.action, entry.detail) == (Action.SEARCH, {"count": 1})


def test_an_archived_person_leaves_the_lists_but_not_the_clinic(ctx, desk):
    known = patient.register(desk, MARIA)
    assert patient.archive(desk, known.id).archived_at is not None
    assert patient.find(desk, "muster") == []
    assert len(patient.find(desk, "muster", include_archived=True)) == 1
    assert len(patient.find(desk, known.patient_id)) == 1
    with pytest.raises(LikelyDuplicate):
        patient.register(desk, MARIA)
    assert patient.restore(desk, known.id).archived_at is None
    assert len(patient.find(desk, "muster")) == 1


def test_a_person_with_an_open_visit_is_not_archived(ctx, desk):
    visit = factories.appointment(ctx)
    with pytest.raises(Conflict):
        patient.archive(desk, visit.patient_pk)


def test_a_look_at_a_person_is_audited(ctx, desk):
    known = factories.patient(ctx)
    patient.get(desk, known.id)
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry))
    assert (entry.action, entry.patient_pk) == (Action.VIEW, known.id)
    with pytest.raises(NotFound):
        patient.get(desk, known.id + 1)


def test_a_form_filled_from_a_record_and_saved_changes_nothing(ctx, desk):
    name = "Yamada^Tarou^K^Dr.^Jr.=山田^太郎=やまだ^たろう"
    known = patient.get(desk, factories.patient(ctx, patient_name=name).id)
    same = patient.edit(desk, known.id, known.version, PatientForm.of(known))
    assert same == known
    with ctx.read() as session:
        assert not session.scalars(
            select(AuditEntry).where(AuditEntry.action == Action.CHANGE)
        ).all()


def test_an_edit_names_the_changed_fields_and_not_their_values(ctx, desk):
    known = patient.register(desk, MARIA)
    form = replace(PatientForm.of(known), allergies="Iodine", given_name="Marie")
    row = patient.edit(desk, known.id, known.version, form)
    assert (row.patient_name, row.allergies) == ("Muster^Marie", "Iodine")
    assert [hit.id for hit in patient.find(desk, "marie")] == [known.id]
    with ctx.read() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.CHANGE)).one()
    assert entry.detail == {"fields": ["allergies", "patient_name"]}


def test_the_second_of_two_editors_is_told_and_the_first_stands(desk):
    known = patient.register(desk, MARIA)
    form = PatientForm.of(known)
    patient.edit(desk, known.id, known.version, replace(form, allergies="Iodine"))
    with pytest.raises(Conflict):
        patient.edit(desk, known.id, known.version, replace(form, patient_comments="late"))
    row = patient.get(desk, known.id)
    assert (row.allergies, row.patient_comments) == ("Iodine", "")


def test_of_many_who_save_at_once_one_wins(desk):
    known = patient.register(desk, MARIA)
    form = PatientForm.of(known)

    def save(n):
        try:
            patient.edit(desk, known.id, known.version, replace(form, patient_comments=str(n)))
        except Conflict:
            return None
        return str(n)

    with ThreadPoolExecutor(8) as editors:
        won = [n for n in editors.map(save, range(24)) if n]
    assert [patient.get(desk, known.id).patient_comments] == won


@pytest.mark.parametrize(
    ("role", "may_read", "may_write"),
    [
        (Role.RECEPTIONIST, True, True),
        (Role.TECHNOLOGIST, True, True),
        (Role.CLINICIAN, True, False),
        (Role.ANALYST, False, False),
        (Role.ADMIN, False, False),
    ],
)
def test_a_role_may_do_what_the_matrix_says(ctx, as_role, role, may_read, may_write):
    known = patient.register(ctx, MARIA)
    someone, form = as_role(role), PatientForm.of(known)
    other = replace(MARIA, given_name="Else")
    reads = [
        lambda: patient.find(someone, "muster"),
        lambda: patient.get(someone, known.id),
        lambda: patient.likely_duplicates(someone, MARIA),
        lambda: record.read(someone, known.id),
        lambda: record.read(someone, known.id, again=True),
    ]
    writes = [
        lambda: patient.register(someone, other),
        lambda: patient.edit(someone, known.id, known.version, form),
        lambda: patient.archive(someone, known.id),
        lambda: patient.restore(someone, known.id),
    ]
    for calls, allowed in ((reads, may_read), (writes, may_write)):
        for call in calls:
            if allowed:
                call()
            else:
                with pytest.raises(Forbidden):
                    call()


def sign(ctx, study, author, *, with_pdf):
    with ctx.begin() as session:
        report = Report(
            study_pk=study.id, author_pk=author, created_at=ctx.clock(), changed_at=ctx.clock()
        )
        session.add(report)
        session.flush()
        version = ReportVersion(
            report=report,
            number=1,
            content={},
            sha256="0" * 64,
            signed_by_pk=author,
            signed_by_name="Dr. Doe",
            signed_at=ctx.clock(),
        )
        report.status = ReportStatus.SIGNED
        session.add(version)
        session.flush()
        if with_pdf:
            session.add(
                ReportDocument(
                    report_version_pk=version.id,
                    pdf=b"%PDF",
                    sha256="0" * 64,
                    rendered_at=ctx.clock(),
                )
            )
        return report.id


def test_the_record_lists_visits_studies_and_reports_newest_first(ctx, desk, as_role):
    known = factories.patient(ctx)
    old = factories.appointment(ctx, patient=known, start_at=datetime(2026, 3, 2, 9, tzinfo=UTC))
    new = factories.appointment(ctx, patient=known)
    factories.appointment(ctx)
    seen = factories.study(ctx, patient_pk=known.id, appointment_pk=new.id, instances=3)
    draft_of = factories.study(ctx, patient_pk=known.id)
    author = factories.user(ctx, Role.CLINICIAN).id
    report_id = sign(ctx, seen, author, with_pdf=True)
    with ctx.begin() as session:
        series = session.scalars(select(Series).where(Series.study_pk == seen.id)).one()
        session.add(
            Thumbnail(series_pk=series.id, picture=b"", media_type="image/png", made_at=ctx.clock())
        )
        session.add(
            Report(
                study_pk=draft_of.id,
                author_pk=author,
                created_at=ctx.clock(),
                changed_at=ctx.clock(),
            )
        )

    page = record.read(desk, known.id)

    assert [row.id for row in page.visits] == [new.id, old.id]
    assert page.visits[0].status is AppointmentStatus.BOOKED
    by_id = {row.id: row for row in page.studies}
    assert by_id.keys() == {seen.id, draft_of.id}
    assert by_id[seen.id].thumbnail_series_id == series.id
    assert by_id[seen.id].number_of_instances == 3
    assert by_id[draft_of.id].thumbnail_series_id is None
    [signed] = page.reports
    assert (signed.id, signed.study_id, signed.has_pdf) == (report_id, seen.id, True)
    assert signed.signed_by_name == "Dr. Doe"
    assert len(record.read(as_role(Role.CLINICIAN), known.id).reports) == 2


def test_opening_a_record_is_audited_once_and_following_it_is_not(ctx, desk):
    known = factories.patient(ctx)
    record.read(desk, known.id)
    record.read(desk, known.id, again=True)
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry))
        assert entry.patient_pk == known.id
        assert session.scalars(select(Appointment)).all() == []
    with pytest.raises(NotFound):
        record.read(desk, known.id + 1)
