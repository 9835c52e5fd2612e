"""Migrations, transactions, the audit chain and the change feed, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from alembic import command
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from clinic_panel.errors import Conflict, Forbidden
from clinic_panel.feed import ChangeFeed
from clinic_panel.models.appointment import Appointment, Room
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.fetch import Fetch
from clinic_panel.models.imaging import Instance
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.patient import Patient
from clinic_panel.models.peer import Confirmation, Forwarding, Peer
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Role
from clinic_panel.resources import alembic_config, build_engine, check_schema
from clinic_panel.services import audit, changes
from tests import factories
from tests.integration.peer import PATIENCE_S


def test_the_schema_matches_the_models_and_goes_down_and_up_again(settings):
    engine = build_engine(settings)
    config = alembic_config(engine)
    command.check(config)
    command.downgrade(config, "base")
    command.upgrade(config, "head")
    command.check(config)
    check_schema(engine)
    engine.dispose()


def test_a_home_in_use_keeps_what_refers_to_a_table_that_is_rebuilt(ctx, settings):
    factories.study(ctx)
    with ctx.begin() as session:
        peer = Peer(peer_name="PACS", ae_title="PACS", version=1)
        session.add(peer)
        session.flush()
        image = session.scalars(select(Instance)).one()
        owed = {"peer_pk": peer.id, "instance_pk": image.id, "created_at": ctx.clock()}
        asked = {"study_instance_uid": "1.2", "asked_by": "rad", "asked_at": ctx.clock()}
        session.add_all([Forwarding(**owed), Fetch(peer_pk=peer.id, **asked)])
        times = {"not_before_at": ctx.clock(), "created_at": ctx.clock()}
        for kind in (JobKind.FORWARD, JobKind.NOTIFY):
            session.add(Job(kind=kind, subject_id=peer.id, **times))
    engine = build_engine(settings)
    config = alembic_config(engine)

    command.downgrade(config, "0019")
    command.upgrade(config, "head")

    engine.dispose()
    with ctx.read() as session:
        forwarding = session.scalars(select(Forwarding)).one()
        assert (forwarding.peer.ae_title, forwarding.instance_pk) == ("PACS", image.id)
        assert session.scalars(select(Fetch)).one().peer_pk == peer.id
        # The program of the older schema cannot read a kind of job it does not know.
        assert session.scalars(select(Job.kind)).all() == [JobKind.FORWARD]


@pytest.mark.parametrize("database", ["sqlite"])  # PostgreSQL looks at every statement
def test_a_migration_that_leaves_a_row_dangling_is_not_applied(settings, clock):
    engine = build_engine(settings)
    config = alembic_config(engine)
    astray = insert(Confirmation).values(peer_pk=99, transaction_uid="1.2", asked_at=clock())
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(astray)
        connection.commit()
    engine.dispose()

    with pytest.raises(Conflict, match=r"not applied.* confirmation .* peer "):
        command.downgrade(config, "-1")

    check_schema(engine)
    for _ in range(2):
        with pytest.raises(IntegrityError, match="FOREIGN KEY"), engine.begin() as connection:
            connection.execute(astray.values(transaction_uid="1.3"))
        command.upgrade(config, "head")  # which has nothing to do
    engine.dispose()


def test_a_naive_moment_never_reaches_the_database(ctx):
    with pytest.raises(StatementError):
        factories.patient(ctx, created_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_second_of_two_editors_is_told(ctx):
    patient = factories.patient(ctx)
    with pytest.raises(Conflict), ctx.begin() as slow:
        mine = slow.get_one(Patient, patient.id)
        slow.execute(
            update(Patient)
            .where(Patient.id == patient.id)
            .values(version=99)
            .execution_options(synchronize_session=False)
        )
        mine.patient_comments = "mine"


def test_after_a_glance_its_connection_keeps_transactions_again(ctx):
    for _ in range(2):
        with ctx.glance() as connection:
            assert connection.scalar(select(1)) == 1
        with pytest.raises(Conflict), ctx.begin() as session:
            session.execute(insert(Room).values(room_name="R", station_ae_title="R", version=1))
            raise Conflict
    with ctx.read() as session:
        assert session.scalars(select(Room)).all() == []


def test_two_hundred_desks_want_one_slot_and_one_gets_it(ctx):
    room, procedure = factories.room(ctx), factories.procedure(ctx)
    patients = [factories.patient(ctx) for _ in range(20)]

    def book(n: int) -> bool:
        try:
            factories.appointment(ctx, room=room, procedure=procedure, patient=patients[n % 20])
        except IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(20) as desks:
        won = list(desks.map(book, range(200)))

    assert sum(won) == 1
    with ctx.read() as session:
        assert len(session.scalars(select(Appointment)).all()) == 1


def test_a_moved_visit_frees_its_old_slots(ctx):
    room, visit = factories.room(ctx), None
    visit = factories.appointment(ctx, room=room)
    with ctx.begin() as session:
        mine = session.get_one(Appointment, visit.id)
        length = mine.end_at - mine.start_at
        mine.take(session.get_one(Room, room.id), mine.start_at + length / 2, mine.end_at + length)
    factories.appointment(ctx, room=room, end_at=visit.start_at + length / 2)
    with pytest.raises(IntegrityError):
        factories.appointment(ctx, room=room, start_at=visit.start_at + length / 2)


def test_the_audit_shows_an_entry_that_was_changed_or_taken_out(ctx):
    with ctx.begin() as session:
        for n in range(5):
            audit.record(ctx, session, Action.VIEW, patient_pk=n, count=n)
    assert audit.verify(ctx) == audit.ChainCheck(entries=5, broken_ids=())

    with ctx.begin() as session:
        _without_guard(session, "audit_entry")
        session.execute(update(AuditEntry).where(AuditEntry.id == 2).values(username="nobody"))
        session.execute(delete(AuditEntry).where(AuditEntry.id == 4))
    assert audit.verify(ctx).broken_ids == (2, 5)


def _without_guard(session, table):
    if session.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            session.execute(text(f"DROP TRIGGER {table}_final_{verb}"))
    else:
        session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_entry SET username = 'nobody'",
        "DELETE FROM audit_entry",
    ],
)
def test_the_audit_cannot_be_altered_in_the_database(ctx, sql):
    with ctx.begin() as session:
        audit.record(ctx, session, Action.VIEW)
    with pytest.raises(DBAPIError, match="is final"), ctx.sessions.begin() as session:
        session.execute(text(sql))
    assert audit.verify(ctx).entries == 1


def test_concurrent_writers_keep_the_audit_in_one_chain(ctx):
    def write(n: int) -> None:
        with ctx.begin() as session:
            audit.record(ctx, session, Action.SEARCH, n=n)

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(write, range(80)))
    assert audit.verify(ctx) == audit.ChainCheck(entries=80, broken_ids=())


def test_a_receptionist_may_not_read_the_audit(as_role):
    with pytest.raises(Forbidden):
        audit.entries(as_role(Role.RECEPTIONIST))


def test_a_feed_that_waits_for_news_is_called_out_of_its_wait(settings, monkeypatch):
    monkeypatch.setattr("clinic_panel.feed.POSTGRES_INTERVAL_S", 3600.0)
    engine = build_engine(settings)
    feed = ChangeFeed(engine)
    feed.start()
    assert feed.ready.wait(PATIENCE_S)
    stopping = threading.Thread(target=feed.stop, daemon=True)

    stopping.start()
    stopping.join(PATIENCE_S)

    assert not stopping.is_alive()
    engine.dispose()


def test_a_change_is_heard_and_a_rolled_back_one_is_not(ctx, settings):
    engine = build_engine(settings)
    feed, heard = ChangeFeed(engine), threading.Event()
    topics: list[Topic] = []

    def hear(changed):
        topics.extend(changed)
        heard.set()

    feed.subscribe(hear)
    feed.start()
    assert feed.ready.wait(PATIENCE_S)
    try:
        with pytest.raises(ZeroDivisionError), ctx.begin() as session:
            changes.announce(session, Topic.ADMIN)
            1 / 0  # noqa: B018
        with ctx.begin() as session:
            changes.announce(session, Topic.SCHEDULE)
        assert heard.wait(PATIENCE_S)
        assert topics == [Topic.SCHEDULE]
    finally:
        feed.stop()
        engine.dispose()


def test_what_changes_before_the_feed_hears_again_is_told_as_well(ctx, settings, monkeypatch):
    monkeypatch.setattr("clinic_panel.feed.RETRY_S", 0)
    engine = build_engine(settings)
    feed, heard = ChangeFeed(engine), threading.Event()
    name = f"_watch_{'sqlite' if ctx.dialect == 'sqlite' else 'postgres'}"
    watch, outages, told = getattr(feed, name), iter([True]), []

    def away_at_first():
        if next(outages, False):
            raise OperationalError("", {}, Exception())
        watch()

    def hear(topics):
        told.append(topics)
        if len(told) == 1:  # of the outage; it does not hear yet
            with ctx.begin() as session:
                changes.announce(session, Topic.SCHEDULE)
        else:
            heard.set()

    monkeypatch.setattr(feed, name, away_at_first)
    feed.subscribe(hear)
    feed.start()
    try:
        assert heard.wait(PATIENCE_S)
        assert Topic.SCHEDULE in told[1]
    finally:
        feed.stop()
        engine.dispose()


def test_the_feed_outlives_a_word_it_does_not_know(ctx, settings):
    engine = build_engine(settings)
    feed, heard = ChangeFeed(engine), threading.Event()
    feed.subscribe(lambda topics: Topic.SCHEDULE in topics and heard.set())
    feed.start()
    assert feed.ready.wait(PATIENCE_S)
    try:
        with ctx.begin() as session:
            if session.get_bind().dialect.name == "postgresql":
                session.execute(text("SELECT pg_notify('clinic_change', 'weather')"))
            else:
                session.execute(text("INSERT INTO change_counter VALUES ('weather', 1)"))
        with ctx.begin() as session:
            changes.announce(session, Topic.SCHEDULE)
        assert heard.wait(PATIENCE_S)
    finally:
        feed.stop()
        engine.dispose()
