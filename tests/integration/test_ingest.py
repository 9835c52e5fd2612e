"""The short way into the index: what continues a series at hand ends where the general way ends."""

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DataError, OperationalError

from clinic_panel.components.viewer.study import banner_of
from clinic_panel.errors import Unavailable
from clinic_panel.imaging.header import Header
from clinic_panel.incoming import Stored
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.arrival import Arrival
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import (
    QUIET,
    Instance,
    InstanceConflict,
    OtherIdentity,
    Series,
    Study,
)
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.peer import Forwarding, Peer
from clinic_panel.models.performed import (
    AnnouncedObject,
    PerformedProcedureStep,
    PerformedSeries,
    PerformedStatus,
    PerformedStepRequest,
)
from clinic_panel.models.site import ChangeCounter, Topic
from clinic_panel.models.user import Role
from clinic_panel.services import audit, dicom, jobs, matching, viewing, workflow
from clinic_panel.services.dicom import Verdict
from clinic_panel.services.ingest import Ingest
from clinic_panel.services.lightbox import Lightbox
from tests import factories


def received(number, *, study="1.2.1", series=None, sha256=None, source="CT_ONE", **header):
    digest = sha256 or f"{number:064x}"
    found = Header(
        SOPInstanceUID=f"1.2.9.{number}",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        StudyInstanceUID=study,
        SeriesInstanceUID=series or f"{study}.1",
        TransferSyntaxUID="1.2.840.10008.1.2.1",
        Modality="CT",
        InstanceNumber=number,
        **header,
    )
    stored = Stored(digest, f"{digest[0]}/{digest[1]}/{digest}.dcm", 1000 + number)
    return dicom.Received(found, stored, source, "10.0.0.1")


def rows(ctx, model):
    with ctx.read() as session:
        return list(session.scalars(select(model).order_by(*model.__table__.primary_key)))


def said(ctx):
    """What the audit says of arrivals: peer and count, by entry."""
    entries = [entry for entry in rows(ctx, AuditEntry) if entry.action == Action.RECEIVE]
    return [(entry.detail["ae_title"], entry.detail["instances"]) for entry in entries]


@pytest.fixture
def ingest(ctx):
    made = Ingest(ctx)
    yield made
    made.close()


@pytest.fixture
def general(monkeypatch):
    """Counts how often the general way was taken."""
    taken, index_batch = [], dicom.index_batch

    def counted(ctx, batch):
        taken.append(len(batch))
        return index_batch(ctx, batch)

    monkeypatch.setattr(dicom, "index_batch", counted)
    return taken


def test_both_ways_leave_the_same_rows(ctx, ingest, general, clock):
    batches = [
        [received(0)],
        [received(1), received(2, source="CT_TWO"), received(3)],
        [received(4, study="1.2.2"), received(5)],
        [received(6, study="1.2.2"), received(7), received(8, study="1.2.2")],
    ]
    outcomes = [outcome for batch in batches for outcome in ingest.index(batch)]
    ingest.say_arrivals()

    assert general == [1, 2], "the others continue a series"
    assert {outcome.verdict for outcome in outcomes} == {Verdict.KEPT}
    kept = {row.sop_instance_uid: row for row in rows(ctx, Instance)}
    sent = [item for batch in batches for item in batch]
    assert [kept[item.uid].id for item in sent] == [outcome.instance_id for outcome in outcomes]
    for item in sent:
        row = kept[item.uid]
        assert (row.path, row.sha256, row.size_bytes) == (
            item.stored.path,
            item.stored.sha256,
            item.stored.size_bytes,
        )
        assert (row.source_ae_title, row.received_at) == (item.source_ae_title, clock.at)
        assert (row.instance_number, row.number_of_frames) == (item.header.InstanceNumber, 1)
    assert [study.number_of_instances for study in rows(ctx, Study)] == [6, 3]
    assert [series.number_of_instances for series in rows(ctx, Series)] == [6, 3]
    assert sum(count for _, count in said(ctx)) == 9
    assert ("CT_TWO", 1) in said(ctx)
    assert rows(ctx, Arrival) == []
    assert audit.verify(ctx).broken_ids == ()


def test_a_known_uid_is_told_apart_whatever_else_is_in_the_batch(ctx, ingest):
    ingest.index([received(0)])
    ingest.index([received(1)])

    again, other, new, twice = ingest.index(
        [received(1), received(0, sha256="f" * 64), received(2), received(2)]
    )

    assert again.verdict is Verdict.AGAIN
    assert other.verdict is Verdict.CONFLICT
    assert {new.verdict, twice.verdict} == {Verdict.KEPT, Verdict.AGAIN}
    assert len(rows(ctx, InstanceConflict)) == 1
    assert rows(ctx, Study)[0].number_of_instances == len(rows(ctx, Instance)) == 3


def test_a_study_that_is_gone_or_another_s_is_made_anew(ctx, ingest, general):
    ingest.index([received(0)])
    with ctx.begin() as session:
        for model in (Instance, Series, Study):
            session.execute(delete(model))
        # SQLite gives the number of a deleted row out again.
        stranger = Study(id=1, study_instance_uid="1.2.77")
        stranger.first_received_at = stranger.last_received_at = ctx.clock()
        session.add(stranger)

    [outcome] = ingest.index([received(1)])

    assert general == [1, 1]
    with ctx.read() as session:
        study = session.get_one(Study, outcome.study_id)
        assert (study.study_instance_uid, study.number_of_instances) == ("1.2.1", 1)


MARIA = {"PatientID": "P1", "PatientName": "Muster^Maria"}
OTHER = {"PatientID": "P2", "PatientName": "Nguyen^Thi", "PatientBirthDate": date(1999, 9, 9)}


def noted(ctx):
    """Whom else the objects of studies name, and how often the audit says so."""
    entries = [entry for entry in rows(ctx, AuditEntry) if entry.action == Action.CONFLICT]
    found = [(row.patient_id, row.differs) for row in rows(ctx, OtherIdentity)]
    assert len(entries) == len(found), "once for each"
    return found


@pytest.mark.parametrize("series", ["1.2.1.1", "1.2.1.2"])
def test_objects_of_another_person_are_kept_and_seen(ctx, ingest, general, as_role, series):
    ingest.index([received(0, **MARIA)])
    ingest.index([received(1, **MARIA)])
    assert general == [1]
    assert noted(ctx) == []

    for number in (2, 3, 4):
        [outcome] = ingest.index([received(number, series=series, **OTHER)])
        assert outcome.verdict is Verdict.KEPT
    ingest.index([received(5, **MARIA)])

    assert noted(ctx) == [("P2", "patient ID\\name")]
    assert rows(ctx, Study)[0].number_of_instances == len(rows(ctx, Instance)) == 6
    [waiting] = matching.unmatched_studies(as_role(Role.CLINICIAN))
    assert waiting.reason == "Objects of another patient ID (P2) are in this study."


def test_an_object_that_was_not_kept_vouches_for_none_after_it(ctx, ingest):
    ingest.index([received(0, **MARIA)])
    [outcome] = ingest.index([received(0, sha256="f" * 64, **OTHER)])
    assert outcome.verdict is Verdict.CONFLICT
    ingest.index([received(1, **OTHER)])
    assert [row.patient_id for row in rows(ctx, OtherIdentity)] == ["P2"]


def test_objects_of_the_patient_whom_a_person_linked_are_no_strangers(ctx, ingest, as_role):
    who = factories.patient(ctx, patient_id="P2", patient_name="Nguyen^Thi")
    visit = factories.appointment(ctx, patient=who)
    [outcome] = ingest.index([received(0, **MARIA)])
    matching.link_study(as_role(Role.TECHNOLOGIST), outcome.study_id, visit.id)
    for item in (MARIA, {"PatientID": "P2", "PatientName": "Nguyen^Thi"}):
        ingest.index([received(1 + (item is MARIA), **item)])
    assert noted(ctx) == []
    ingest.index([received(3, PatientID="P3")])
    assert noted(ctx) == [("P3", "patient ID")]


def test_what_the_first_object_left_out_is_as_its_booking_has_it(ctx, ingest, as_role):
    who = factories.patient(ctx, patient_id="P1", patient_birth_date=date(1970, 1, 2))
    visit = factories.appointment(ctx, patient=who, study_instance_uid="1.2.1")
    ingest.index([received(0)])
    ingest.index([received(1, PatientID="P1", PatientSex="O")])
    assert noted(ctx) == []
    ingest.index([received(2, PatientID="P1", PatientBirthDate=date(1970, 2, 1))])
    assert noted(ctx) == [("P1", "birth date")]
    [row] = workflow.appointments_on(as_role(Role.CLINICIAN), date(2026, 3, 16))
    assert (row.id, row.is_mixed) == (visit.id, True)
    view = viewing.study(as_role(Role.CLINICIAN), Lightbox(), 1)
    assert banner_of(view)["state"] == "Objects of another birth date are in this study"


def test_a_booking_that_was_linked_meanwhile_moves_on(ctx, ingest):
    booking = factories.appointment(ctx)
    ingest.index([received(0)])
    [study] = rows(ctx, Study)
    with ctx.begin() as session:
        session.execute(update(Study).values(appointment_pk=booking.id))

    ingest.index([received(1)])
    assert rows(ctx, Appointment)[0].status is AppointmentStatus.IMAGES_ARRIVING

    ingest.index([received(2)])
    [study] = rows(ctx, Study)
    assert (study.number_of_instances, study.appointment_pk) == (3, booking.id)


def test_peers_are_owed_what_continues_a_series_but_not_its_sender(ctx, ingest):
    with ctx.begin() as session:
        session.add(Peer(peer_name="A", ae_title="ARCHIVE", host="h", forwards=True))
        session.add(Peer(peer_name="B", ae_title="CT_ONE", host="h", forwards=True))
    ingest.index([received(0)])
    ingest.index([received(1), received(2)])

    assert len(rows(ctx, Forwarding)) == 3
    assert {owed.peer_pk for owed in rows(ctx, Forwarding)} == {1}


def test_an_object_that_was_announced_and_missed_comes_off_the_list(ctx, ingest, general):
    ingest.index([received(0)])
    with ctx.begin() as session:
        step = PerformedProcedureStep(
            sop_instance_uid="1.2.5",
            performed_procedure_step_status=PerformedStatus.COMPLETED,
            number_announced=1,
            number_missing=1,
        )
        step.begun_at = step.changed_at = ctx.clock()
        session.add(step)
        session.flush()
        session.add(PerformedStepRequest(step_pk=step.id, study_instance_uid="1.2.1"))
        series = PerformedSeries(step_pk=step.id, series_instance_uid="1.2.1.1")
        session.add(series)
        session.flush()
        session.add(
            AnnouncedObject(
                series_pk=series.id,
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sop_instance_uid=received(1).uid,
                is_image=True,
                is_missing=True,
            )
        )

    ingest.index([received(1)])
    ingest.index([received(2)])

    assert rows(ctx, PerformedProcedureStep)[0].number_missing == 0
    assert general == [1, 1], "nothing is owed any more"


@pytest.mark.parametrize("database", ["sqlite"])  # NOTIFY leaves no row
def test_whoever_shows_studies_hears_of_every_batch(ctx, ingest):
    ingest.index([received(0)])

    def counter():
        return {row.topic: row.value for row in rows(ctx, ChangeCounter)}[Topic.STUDIES]

    before = counter()
    ingest.index([received(1)])
    assert counter() == before + 1


def test_what_a_crash_left_unsaid_is_said_by_the_next_process(ctx, ingest):
    ingest.index([received(0)])
    ingest.index([received(1), received(2)])
    ingest.index([received(3)])
    assert said(ctx) == [("CT_ONE", 1)]

    Ingest(ctx).say_arrivals()
    ingest.say_arrivals()  # still believes that it owes them

    assert said(ctx) == [("CT_ONE", 1), ("CT_ONE", 3)]
    assert rows(ctx, AuditEntry)[-1].address == "10.0.0.1"


def test_nothing_is_written_when_the_database_goes_away_in_the_middle(ctx, ingest, monkeypatch):
    ingest.index([received(0)])

    def gone(*_):
        raise OperationalError("", {}, Exception())

    with monkeypatch.context() as broken:
        broken.setattr(ingest, "_settle_later", gone)
        with pytest.raises(Unavailable):
            ingest.index([received(1)])
    assert len(rows(ctx, Instance)) == rows(ctx, Study)[0].number_of_instances == 1

    ingest.index([received(1)])
    assert len(rows(ctx, Instance)) == rows(ctx, Study)[0].number_of_instances == 2


def test_what_the_driver_refuses_leaves_no_transaction_open(ctx, ingest):
    ingest.index([received(0)])
    ingest.index([received(1)])
    too_large = replace(received(2).header, InstanceNumber=1 << 70)

    with pytest.raises((OverflowError, DataError)):
        ingest.index([replace(received(2), header=too_large)])
    assert len(rows(ctx, Instance)) == rows(ctx, Study)[0].number_of_instances == 2

    ingest.index([received(2)])
    assert len(rows(ctx, Instance)) == rows(ctx, Study)[0].number_of_instances == 3


def test_a_study_settles_once_it_is_quiet_though_not_every_image_asks(ctx, ingest, clock):
    def settling():
        return next(job for job in rows(ctx, Job) if job.kind is JobKind.SETTLE_STUDY)

    ingest.index([received(0)])
    ingest.index([received(1)])
    asked = settling().revision
    clock.advance(seconds=QUIET.total_seconds() / 4)
    ingest.index([received(2)])
    assert settling().revision == asked, "it is put off already"

    clock.advance(seconds=QUIET.total_seconds() * 3 / 4)
    [claimed] = jobs.claim(ctx, "w", [JobKind.SETTLE_STUDY], limit=9)
    assert not dicom.settle_study(ctx, claimed.subject_id), "the last image came too late for it"
    jobs.finish(ctx, [(claimed, None)])
    assert settling().state is JobState.QUEUED

    clock.advance(seconds=QUIET.total_seconds() / 4)  # the rest, and no longer
    [claimed] = jobs.claim(ctx, "w", [JobKind.SETTLE_STUDY], limit=9)
    assert dicom.settle_study(ctx, claimed.subject_id)
    jobs.finish(ctx, [(claimed, None)])
    assert settling().state is JobState.DONE

    ingest.index([received(3)])
    assert settling().state is JobState.QUEUED, "a late image is settled as well"


@pytest.mark.parametrize("database", ["postgresql"])
def test_a_connection_that_was_lost_is_made_again_unseen(ctx, ingest, general):
    ingest.index([received(0)])
    ingest.index([received(1)])
    with ctx.begin() as session:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN"
        mine = "(SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        session.execute(text(f"{others} {mine} AND pid <> pg_backend_pid())"))

    assert [outcome.verdict for outcome in ingest.index([received(2)])] == [Verdict.KEPT]
    assert general == [1, 1]
    ingest.index([received(3)])
    assert general == [1, 1], "on a connection of its own again"
    assert rows(ctx, Study)[0].number_of_instances == 4
