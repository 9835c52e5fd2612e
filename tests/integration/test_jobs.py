"""Jobs as rows: asked for once, claimed by one, finished by whoever still holds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from clinic_panel.errors import Conflict, Forbidden, NotFound
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.user import Role
from clinic_panel.services import jobs

KINDS = (JobKind.THUMBNAIL, JobKind.REPORT_PDF)


def ask(ctx, *subjects, kind=JobKind.THUMBNAIL, **options):
    with ctx.begin() as session:
        jobs.enqueue(ctx, session, kind, subjects, **options)


def rows(ctx):
    with ctx.read() as session:
        return {job.subject_id: job for job in session.scalars(select(Job))}


def claim(ctx, *, kinds=KINDS, limit=100):
    return jobs.claim(ctx, "worker", kinds, limit=limit)


def test_asking_twice_is_one_job_that_is_done_once(ctx):
    ask(ctx, 1, 2)
    ask(ctx, 2, 3)

    claims = claim(ctx)

    assert [c.subject_id for c in claims] == [1, 2, 3]
    assert len(jobs.finish(ctx, [(c, None) for c in claims])) == 3
    assert claim(ctx) == []
    assert {job.state for job in rows(ctx).values()} == {JobState.DONE}
    assert jobs.next_due(ctx, KINDS) is None


def test_asking_for_what_is_done_does_it_again(ctx):
    ask(ctx, 1)
    jobs.finish(ctx, [(c, None) for c in claim(ctx)])

    ask(ctx, 1)

    assert [c.subject_id for c in claim(ctx)] == [1]


def test_a_job_is_not_claimed_before_its_time(ctx, clock):
    ask(ctx, 1, delay=timedelta(seconds=30))

    assert claim(ctx) == []
    assert jobs.next_due(ctx, KINDS) == ctx.clock() + timedelta(seconds=30)
    clock.advance(seconds=30)
    assert [c.subject_id for c in claim(ctx)] == [1]


def test_only_the_kinds_wanted_are_claimed(ctx):
    ask(ctx, 1, kind=JobKind.FORWARD)
    ask(ctx, 1, kind=JobKind.THUMBNAIL)

    assert [c.kind for c in claim(ctx, kinds=[JobKind.FORWARD])] == [JobKind.FORWARD]


def test_many_claimers_never_share_a_job(ctx):
    ask(ctx, *range(200))

    with ThreadPoolExecutor(8) as pool:
        taken = [
            c for claims in pool.map(lambda _: claim(ctx, limit=10), range(40)) for c in claims
        ]

    assert sorted(c.subject_id for c in taken) == list(range(200))


def test_work_that_was_given_to_someone_else_writes_nothing(ctx, clock):
    ask(ctx, 1)
    [slow] = claim(ctx)
    clock.advance(seconds=61)
    [fast] = claim(ctx)
    written = []

    late = jobs.finish(ctx, [(slow, lambda _: written.append("slow"))])
    kept = jobs.finish(ctx, [(fast, lambda _: written.append("fast"))])

    assert (late, kept, written) == ([], [fast], ["fast"])


def test_a_renewed_lease_holds(ctx, clock):
    ask(ctx, 1)
    held = claim(ctx)
    clock.advance(seconds=50)
    jobs.renew(ctx, held)
    clock.advance(seconds=50)

    assert claim(ctx) == []
    assert jobs.finish(ctx, [(held[0], None)]) == held


def test_what_was_asked_for_again_meanwhile_is_kept_and_done_again(ctx, clock):
    ask(ctx, 1)
    [first] = claim(ctx)
    ask(ctx, 1)
    assert claim(ctx) == []  # one at a time
    written = []

    jobs.finish(ctx, [(first, lambda _: written.append(1))])

    assert written == [1]
    clock.advance(seconds=1)
    [second] = claim(ctx)
    assert second.revision == first.revision + 1
    assert second.attempts == 1


def test_a_result_that_cannot_be_written_leaves_the_job_unfinished(ctx):
    ask(ctx, 1, 2)
    first, second = claim(ctx)

    def fails(_session):
        raise Conflict

    with pytest.raises(Conflict):
        jobs.finish(ctx, [(first, None), (second, fails)])

    assert {job.state for job in rows(ctx).values()} == {JobState.RUNNING}


def test_failing_is_tried_later_each_time_and_set_aside_after_three(ctx, clock):
    ask(ctx, 1)
    for pause_s in (2, 8):
        [claimed] = claim(ctx)
        jobs.fail(ctx, claimed, "OSError")
        assert rows(ctx)[1].error == "OSError"
        clock.advance(seconds=pause_s - 1)
        assert claim(ctx) == []
        clock.advance(seconds=1)
    [last] = claim(ctx)
    jobs.fail(ctx, last, "OSError")

    job = rows(ctx)[1]
    assert (job.state, job.attempts, job.claimed_by) == (JobState.FAILED, 3, "")
    clock.advance(days=1)
    assert claim(ctx) == []


@pytest.mark.parametrize("delay_s", [0, 30])
def test_what_was_asked_for_again_is_done_again_though_it_failed_for_good(ctx, clock, delay_s):
    ask(ctx, 1)
    [first] = claim(ctx)
    ask(ctx, 1, delay=timedelta(seconds=delay_s))
    jobs.fail(ctx, first, "GivenUp", final=True)

    job, due = rows(ctx)[1], max(timedelta(seconds=delay_s), jobs.AGAIN_AFTER)
    assert (job.state, job.error, job.claimed_by) == (JobState.QUEUED, "GivenUp", "")
    assert jobs.next_due(ctx, KINDS) == ctx.clock() + due
    clock.advance(seconds=due.total_seconds())
    [second] = claim(ctx)
    assert second.attempts == 1
    jobs.fail(ctx, second, "GivenUp", final=True)
    assert rows(ctx)[1].state is JobState.FAILED


def test_what_was_asked_for_again_in_its_last_try_has_all_its_tries_again(ctx, clock):
    ask(ctx, 1)
    for pause_s in (2, 8):
        [claimed] = claim(ctx)
        jobs.fail(ctx, claimed, "OSError")
        clock.advance(seconds=pause_s)
    [last] = claim(ctx)
    ask(ctx, 1)
    jobs.fail(ctx, last, "OSError")

    job = rows(ctx)[1]
    assert (job.state, job.error, job.claimed_by) == (JobState.QUEUED, "OSError", "")
    assert jobs.next_due(ctx, KINDS) == ctx.clock() + jobs.AGAIN_AFTER
    clock.advance(seconds=jobs.AGAIN_AFTER.total_seconds())
    [anew] = claim(ctx)
    assert (anew.attempts, anew.is_last_try) == (1, False)


def test_what_ends_its_worker_three_times_is_set_aside(ctx, clock):
    ask(ctx, 1)
    for _ in range(3):
        assert len(claim(ctx)) == 1
        clock.advance(seconds=61)

    assert claim(ctx) == []
    assert rows(ctx)[1].state is JobState.FAILED
    assert rows(ctx)[1].error.startswith("WorkerLost")


def test_forwarding_never_gives_up(ctx, clock):
    ask(ctx, 1, kind=JobKind.FORWARD)
    for _ in range(20):
        [claimed] = claim(ctx, kinds=[JobKind.FORWARD])
        jobs.fail(ctx, claimed, "PeerUnavailable: away")
        clock.advance(seconds=300)

    assert rows(ctx)[1].state is JobState.QUEUED


def test_what_is_given_back_counts_as_no_try(ctx):
    ask(ctx, 1)
    for _ in range(5):
        jobs.release(ctx, claim(ctx))

    assert claim(ctx)[0].attempts == 1


def test_the_claims_of_a_dead_worker_are_free_at_once_and_no_others(ctx):
    ask(ctx, 1, 2)
    [mine] = jobs.claim(ctx, "worker-a", KINDS, limit=1)
    [other] = jobs.claim(ctx, "worker-a%", KINDS, limit=1)

    assert jobs.release_owned_by(ctx, "worker-a") == 1

    assert [c.subject_id for c in claim(ctx)] == [mine.subject_id]
    assert jobs.finish(ctx, [(mine, None), (other, None)]) == [other]


def test_an_administrator_sees_what_failed_and_lets_it_be_tried_again(ctx, as_role):
    admin = as_role(Role.ADMIN)
    ask(ctx, 1)
    [claimed] = claim(ctx)
    jobs.fail(ctx, claimed, "NotUnderstood", final=True)

    [failed] = jobs.failed_jobs(admin)
    assert (failed.subject_id, failed.error) == (1, "NotUnderstood")
    jobs.retry(admin, failed.id)

    assert jobs.failed_jobs(admin) == []
    assert jobs.counts(admin) == {(JobKind.THUMBNAIL, JobState.QUEUED): 1}
    assert claim(ctx)[0].attempts == 1
    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry))
        assert (entry.action, entry.subject_id) == (Action.RETRY, failed.id)
    with pytest.raises(Conflict):
        jobs.retry(admin, failed.id)
    with pytest.raises(NotFound):
        jobs.retry(admin, 10**6)


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.TECHNOLOGIST, Role.CLINICIAN])
def test_others_see_no_jobs_and_run_none(as_role, role):
    someone = as_role(role)
    for call in (
        lambda: jobs.failed_jobs(someone),
        lambda: jobs.counts(someone),
        lambda: jobs.retry(someone, 1),
        lambda: claim(someone),
        lambda: jobs.next_due(someone, KINDS),
        lambda: jobs.release_owned_by(someone, "worker"),
    ):
        with pytest.raises(Forbidden):
            call()
