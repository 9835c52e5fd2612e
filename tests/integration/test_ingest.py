"""The short way into the index: what continues a series at hand ends where the general way ends."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DataError, OperationalError

from clinic_panel.errors import Unavailable
from clinic_panel.imaging.header import Header
from clinic_panel.incoming import Stored
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.arrival import Arrival
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import QUIET, Instance, InstanceConflict, Series, Study
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
from clinic_panel.services import audit, dicom, jobs
from clinic_panel.services.dicom import Verdict
from clinic_panel.services.ingest import Ingest
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
