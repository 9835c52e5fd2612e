"""The loop of ``clinic work``: claims job rows, lets Dask compute, writes the results.

One thread decides everything. Dask's callbacks, the change feed and the threads that talk to
other archives only put a message into its inbox, so that it sleeps until there is something to do.
The rows are the queue: whatever dies here, a lease runs out and the work is done again elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from distributed import CancelledError, Future, KilledWorker
from filelock import FileLock, Timeout

from clinic_panel.config import Settings
from clinic_panel.context import Context, system
from clinic_panel.errors import ClinicError, GivenUp, NotFound, Unavailable
from clinic_panel.feed import ChangeFeed
from clinic_panel.logs import where
from clinic_panel.models.job import JobKind
from clinic_panel.models.site import Topic
from clinic_panel.resources import build_context, build_engine, check_schema
from clinic_panel.secret import check_secret
from clinic_panel.services import dicom, jobs, thumbnails
from clinic_panel.services.jobs import Claim
from clinic_panel.signals import on_stop
from clinic_panel.tasks import commitment, confirm, evidence, fetch, handout, notify, report, sync
from clinic_panel.tasks import dicom as pictures
from clinic_panel.tasks.cluster import Cluster
from clinic_panel.tasks.turns import Turn, too_slow
from clinic_panel.tasks.work import Outcome, Work, describe, run_all

log = logging.getLogger(__name__)

COMPUTED = (JobKind.REPORT_PDF, JobKind.EVIDENCE, JobKind.HANDOUT, JobKind.THUMBNAIL)
# Carried out in threads: they wait for other machines, or for the disk.
CARRIED: Mapping[JobKind, Callable[[Context, int, threading.Event], None]] = {
    JobKind.FORWARD: sync.forward,
    JobKind.COMMITMENT: commitment.settle,
    JobKind.CONFIRM: confirm.confirm,
    JobKind.NOTIFY: notify.notify,
    JobKind.FETCH: fetch.carry,
}
LOCAL = (JobKind.SETTLE_STUDY, *CARRIED)
FINAL = (NotFound, GivenUp)
LOCAL_AT_ONCE = 8
AT_ONCE = partial(print, flush=True)  # whoever started the worker waits for its ``ready``
FETCH_S = 20.0  # what is computed is here at once, or was lost with its process
LONGEST_SLEEP_S = 30.0  # a change that nobody announced is found after so long
AFTER_TROUBLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Wake:
    """Something may be waiting."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End, and give back what is not done."""


@dataclass(frozen=True, slots=True, repr=False)
class Computed:
    """Dask is done with one piece of work; no outcomes: the connection was lost."""

    number: int
    outcomes: list[Outcome] | None


@dataclass(frozen=True, slots=True, repr=False)
class Carried:
    """A thread is done with one job."""

    claimed: Claim
    outcome: Outcome


Message = Wake | Stop | Computed | Carried


class Runner:
    """Does the work of one clinic until told to stop.

    Parameters
    ----------
    ctx
        As which process and where.
    cluster
        Where to compute.
    owner
        The beginning of our claims' tokens; nobody else alive may use it.
    lease_s
        For how long jobs are claimed; renewed at a third of it.
    """

    def __init__(
        self, ctx: Context, cluster: Cluster, owner: str, *, lease_s: float | None = None
    ) -> None:
        self._ctx = ctx
        self._cluster = cluster
        self._owner = owner
        self._lease = jobs.LEASE if lease_s is None else type(jobs.LEASE)(seconds=lease_s)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._computing: dict[int, Turn] = {}  # by a number of our own, in the order sent
        self._suspects: deque[Claim] = deque()  # have one try left: sent one at a time
        self._numbers = count()
        self._carrying: dict[int, Claim] = {}
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(LOCAL_AT_ONCE, thread_name_prefix="carry")
        self._renew_at = 0.0

    def wake(self, topics: frozenset[Topic] = frozenset({Topic.JOBS})) -> None:
        """Look for work now; a subscriber of the change feed."""
        if Topic.JOBS in topics:
            self._inbox.put(Wake())

    def stop(self) -> None:
        """Make ``run`` return; from any thread."""
        self._inbox.put(Stop())

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Work until ``stop``; what is not done then is given back."""
        with self._trouble():
            jobs.release_owned_by(self._ctx, self._owner)
        self._cluster.connect()
        if on_ready is not None:
            on_ready()
        try:
            while not self._stopping.is_set():
                sleep_s = AFTER_TROUBLE_S
                with self._trouble():
                    self._renew()
                    self._end_what_takes_too_long()
                    sleep_s = min(self._claim(COMPUTED), self._claim(LOCAL), LONGEST_SLEEP_S)
                self._attend(sleep_s)
        finally:
            self._give_back()

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        """Live through a database that is away: leases run out, rows stay."""
        try:
            yield
        except Unavailable:
            log.warning("the database does not answer; trying again")

    # --- claiming ---------------------------------------------------------------------------

    def _claim(self, kinds: tuple[JobKind, ...]) -> float:
        """Take what is due and start it; return in how many seconds to look again."""
        if kinds is COMPUTED and not self._cluster.connect():
            return AFTER_TROUBLE_S
        if kinds is COMPUTED:
            self._send_suspect()
        room = self._room(kinds)
        if room <= 0:
            return LONGEST_SLEEP_S  # the next answer wakes us
        due = jobs.next_due(self._ctx, kinds)
        if due is None:
            return LONGEST_SLEEP_S
        wait_s = (due - self._ctx.clock()).total_seconds()
        if wait_s > 0:
            return wait_s
        claims = jobs.claim(self._ctx, self._owner, kinds, limit=room, lease=self._lease)
        if not claims:  # another runner has them
            return AFTER_TROUBLE_S
        if kinds is COMPUTED:
            self._compute(claims)
        else:
            self._carry(claims)
        return 0.0

    def _room(self, kinds: tuple[JobKind, ...]) -> int:
        if kinds is LOCAL:
            return LOCAL_AT_ONCE - len(self._carrying)
        # Two tasks a process: one under way and one that waits for it to end.
        turns = 2 * self._cluster.workers - len(self._computing)
        return turns * pictures.AT_ONCE - len(self._suspects)

    def _compute(self, claims: Sequence[Claim]) -> None:
        self._suspects.extend(claimed for claimed in claims if claimed.is_last_try)
        self._send([claimed for claimed in claims if not claimed.is_last_try])
        self._send_suspect()

    def _send_suspect(self) -> None:
        """Send one job on its last try, unless one is under way.

        What ends its process is blamed together with what waits there: two of them side by side
        would share the blame to the end, and both be set aside.
        """
        while self._suspects and not any(turn.is_suspect for turn in self._computing.values()):
            self._send([self._suspects.popleft()])

    def _send(self, claims: Sequence[Claim]) -> None:
        of_kind = {kind: [c for c in claims if c.kind is kind] for kind in COMPUTED}
        works = report.plan(self._ctx, of_kind[JobKind.REPORT_PDF])
        works += evidence.plan(self._ctx, of_kind[JobKind.EVIDENCE])
        works += handout.plan(self._ctx, of_kind[JobKind.HANDOUT])
        works += pictures.plan(self._ctx, of_kind[JobKind.THUMBNAIL], self._cluster.workers)
        for work in works:
            future = self._cluster.submit(run_all, work.function, work.tasks, key=work.key)
            number = next(self._numbers)
            self._computing[number] = Turn(work, future)
            future.add_done_callback(partial(self._receive, number, work))

    def _receive(self, number: int, work: Work, future: Future) -> None:
        """Put Dask's answer into the inbox; runs in a thread of the client."""
        outcomes: list[Outcome] | None
        try:
            outcomes = future.result(timeout=FETCH_S)
        except (CancelledError, OSError):  # the scheduler is gone; no task raises these
            outcomes = None
        except KilledWorker as error:
            # Dask blames every task of the process that ended: only by dying again on each of its
            # tries does a job show that it is the one.
            outcomes = self._all_failed(work, describe(error))
        except Exception as error:  # noqa: BLE001 - the edge: a job always gets an answer
            log.error("Dask could not do its part: %s", where(error))  # the task's own are outcomes
            outcomes = self._all_failed(work, describe(error))
        self._inbox.put(Computed(number, outcomes))

    @staticmethod
    def _all_failed(work: Work, error: str, *, final: bool = False) -> list[Outcome]:
        return [Outcome(error=error, final=final)] * len(work.claims)

    def _carry(self, claims: Sequence[Claim]) -> None:
        for claimed in claims:
            self._carrying[claimed.job_id] = claimed
            self._threads.submit(self._carry_out, claimed)

    def _carry_out(self, claimed: Claim) -> None:
        """Do one job that needs no computing; runs in a thread of its own."""
        try:
            if claimed.kind in CARRIED:
                CARRIED[claimed.kind](self._ctx, claimed.subject_id, self._stopping)
            elif dicom.settle_study(self._ctx, claimed.subject_id):
                thumbnails.refresh(self._ctx, claimed.subject_id)
            outcome = Outcome()
        except ClinicError as error:
            outcome = Outcome(error=describe(error), final=isinstance(error, FINAL))
        except Exception as error:  # noqa: BLE001 - the edge: it becomes the job's state
            outcome = Outcome(error=describe(error))
        self._inbox.put(Carried(claimed, outcome))

    # --- answers ----------------------------------------------------------------------------

    def _attend(self, sleep_s: float) -> None:
        """Sleep until there is a message or something is due, and deal with all there are."""
        busy = self._computing or self._carrying
        if busy:
            sleep_s = min(sleep_s, max(0.0, self._renew_at - time.monotonic()))
        with contextlib.suppress(queue.Empty):
            message = self._inbox.get(timeout=sleep_s) if sleep_s > 0 else self._inbox.get_nowait()
            while True:
                with self._trouble():
                    self._deal_with(message)
                message = self._inbox.get_nowait()

    def _deal_with(self, message: Message) -> None:
        match message:
            case Stop():
                self._stopping.set()
            case Computed(number, outcomes):
                if number in self._computing:  # otherwise it took too long and was answered
                    turn = self._computing.pop(number)
                    # Else Dask, asked for the same work again, would answer with the old failure.
                    turn.future.release()
                    self._write(turn.work, outcomes)
            case Carried(claimed, outcome):
                del self._carrying[claimed.job_id]
                self._settle(claimed, outcome)

    def _write(self, work: Work, outcomes: list[Outcome] | None) -> None:
        if outcomes is None:
            log.warning("Dask lost %d jobs under way; they are queued again", len(work.claims))
            jobs.release(self._ctx, work.claims, delay=jobs.AGAIN_AFTER)
            return
        answers = list(zip(work.claims, outcomes, strict=True))
        good = [(claimed, outcome.value) for claimed, outcome in answers if not outcome.error]
        if good:
            try:
                work.keep(good)
            except Unavailable:
                raise
            except ClinicError as error:
                for claimed, _ in good:
                    self._note_failure(claimed, Outcome(error=describe(error)))
        for claimed, outcome in answers:
            if outcome.error:
                self._note_failure(claimed, outcome)

    def _settle(self, claimed: Claim, outcome: Outcome) -> None:
        if outcome.error:
            self._note_failure(claimed, outcome)
        elif self._stopping.is_set() and claimed.kind in CARRIED:
            jobs.release(self._ctx, [claimed])  # stopped before the end
        else:
            jobs.finish(self._ctx, [(claimed, None)])

    def _note_failure(self, claimed: Claim, outcome: Outcome) -> None:
        log.warning(
            "job %d (%s) failed, try %d: %s",
            claimed.job_id,
            claimed.kind.value,
            claimed.attempts,
            outcome.error,
        )
        jobs.fail(self._ctx, claimed, outcome.error, final=outcome.final)

    # --- time -------------------------------------------------------------------------------

    def _claims(self) -> list[Claim]:
        computing = [c for turn in self._computing.values() for c in turn.work.claims]
        return [*computing, *self._suspects, *self._carrying.values()]

    def _renew(self) -> None:
        if time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + self._lease.total_seconds() / 3
            jobs.renew(self._ctx, self._claims(), lease=self._lease)

    def _end_what_takes_too_long(self) -> None:
        for number in too_slow(self._computing, self._cluster.workers, time.monotonic()):
            turn = self._computing.pop(number)
            self._cluster.end_worker_of(turn.future)
            for other in self._computing.values():
                other.began = None  # it may have been waiting in the process that ended
            failed = self._all_failed(turn.work, "TooSlow", final=turn.is_hopeless)
            self._write(turn.work, failed)

    def _give_back(self) -> None:
        self._stopping.set()
        self._threads.shutdown(wait=True)  # each ends after the object it sends now
        with self._trouble():
            while not self._inbox.empty():
                self._deal_with(self._inbox.get_nowait())
            jobs.release(self._ctx, self._claims())
        for turn in self._computing.values():
            turn.future.cancel()


def work(settings: Settings, tell: Callable[[str], Any] = AT_ONCE) -> None:
    """Run the worker of a home until SIGINT or SIGTERM; says ``ready`` once it claims jobs.

    Raises
    ------
    Unavailable
        The schema is not current, the database is away, or the home has a worker already.
    SettingsError
        The secret key is not the one that the database is used with.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(settings.home / "worker.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise Unavailable(f"The clinic in {settings.home} has a worker already.") from None
    engine = build_engine(settings)
    feed = ChangeFeed(engine)
    cluster = Cluster(settings)
    with held, contextlib.ExitStack() as closing:
        closing.callback(engine.dispose)
        check_schema(engine)
        check_secret(settings, engine)
        runner = Runner(build_context(settings, engine, system("worker")), cluster, owner(settings))
        on_stop(runner.stop)
        feed.subscribe(runner.wake)
        feed.start()
        closing.callback(feed.stop)
        feed.ready.wait(LONGEST_SLEEP_S)  # what is asked for after our first look is heard
        closing.callback(cluster.close)
        runner.run(on_ready=lambda: tell("ready"))


def owner(settings: Settings) -> str:
    """Return the name of this home's worker in claims; the lock on the home keeps it unique."""
    place = f"{socket.gethostname()} {settings.home.resolve()}"
    return f"worker-{hashlib.sha256(place.encode()).hexdigest()[:16]}"
