"""The index writer: what gathers while it commits shares the next commit; nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clinic_panel.errors import (
    Conflict,
    NotUnderstood,
    StorageFull,
    Unavailable,
    WrongInstance,
)
from clinic_panel.imaging.elements import CutShort
from clinic_panel.imaging.header import Header
from clinic_panel.incoming import Stored
from clinic_panel.services.dicom import Outcome, Received, Verdict
from listener import statuses
from listener.index_writer import IndexWriter
from listener.statuses import status_of
from tests.integration.peer import PATIENCE_S, wait_for


def received(number):
    header = Header(f"1.2.{number}", "1.3", "1.4", "1.5", "1.2.840.10008.1.2.1")
    return Received(header, Stored(f"{number:064x}", f"{number}.dcm", 1))


class Index:
    """Counts its batches; waits at the gate, and refuses some."""

    def __init__(self, poison=()):
        self.batches = []
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.poison = set(poison)
        self.error = ValueError("the message may quote a patient")

    def __call__(self, batch):
        self.entered.release()
        self.gate.wait(PATIENCE_S)
        if self.poison & {item.header.SOPInstanceUID for item in batch}:
            raise self.error
        self.batches.append(len(batch))
        return [Outcome(Verdict.KEPT, int(item.stored.sha256, 16), 1) for item in batch]


class Associations:
    """Each object is written by a thread of its own, as each association does."""

    def __init__(self, writer):
        self.writer = writer
        self.threads = ThreadPoolExecutor(32)

    def submit(self, item, timeout_s=PATIENCE_S):
        return self.threads.submit(self.writer.write, item, timeout_s=timeout_s)

    def gathered(self, numbers):
        """Futures of objects that wait for a commit to end, in this order."""
        futures = []
        for number in numbers:
            futures.append(self.submit(received(number)))
            wait_for(lambda: self.writer.waiting == len(futures))
        return futures


@pytest.fixture
def begin():
    begun = []

    def make(index):
        writer = IndexWriter(index)
        writer.start()
        begun.append((Associations(writer), index))
        return begun[-1][0]

    yield make
    for associations, index in begun:
        index.gate.set()
        associations.writer.close()
        associations.threads.shutdown()


def test_what_gathers_during_a_commit_shares_the_next_one(begin):
    index = Index()
    writer = begin(index)
    first = writer.submit(received(0))
    index.entered.acquire()
    others = writer.gathered(range(1, 6))
    index.gate.set()

    outcomes = [future.result(PATIENCE_S) for future in [first, *others]]
    assert [outcome.instance_id for outcome in outcomes] == [0, 1, 2, 3, 4, 5]
    assert index.batches == [1, 5]


def test_one_bad_object_does_not_fail_its_neighbours(begin, caplog):
    index = Index(poison=["1.2.2"])
    writer = begin(index)
    writer.submit(received(0))
    index.entered.acquire()
    futures = dict(zip((1, 2, 3), writer.gathered((1, 2, 3)), strict=True))
    index.gate.set()

    assert futures[1].result(PATIENCE_S).instance_id == 1
    assert futures[3].result(PATIENCE_S).instance_id == 3
    with pytest.raises(ValueError, match="quote"):
        futures[2].result(PATIENCE_S)
    assert "quote" not in caplog.text


def test_when_the_database_is_away_the_whole_batch_is_told_at_once(begin):
    index = Index(poison=["1.2.2"])
    index.error = Unavailable()
    writer = begin(index)
    writer.submit(received(0))
    index.entered.acquire()
    futures = writer.gathered((1, 2, 3))
    index.gate.set()

    for future in futures:
        with pytest.raises(Unavailable):
            future.result(PATIENCE_S)


def test_closing_commits_what_waits_and_refuses_what_comes_later(begin):
    index = Index()
    writer = begin(index)
    first = writer.submit(received(0))
    index.entered.acquire()
    others = writer.gathered(range(1, 20))
    closing = threading.Thread(target=writer.writer.close)
    closing.start()
    wait_for(lambda: writer.writer.waiting == 20)  # the end stands in line as well
    index.gate.set()
    closing.join()

    assert all(future.result(PATIENCE_S).verdict is Verdict.KEPT for future in [first, *others])
    with pytest.raises(Unavailable):
        writer.submit(received(99)).result(PATIENCE_S)


def test_who_waits_too_long_goes_and_is_never_asked_to_write(begin):
    index = Index()
    writer = begin(index)
    first = writer.submit(received(0))
    index.entered.acquire()
    impatient = writer.submit(received(1), timeout_s=0)
    with pytest.raises(TimeoutError):
        impatient.result(PATIENCE_S)
    index.gate.set()

    assert first.result(PATIENCE_S).instance_id == 0
    assert writer.submit(received(2)).result(PATIENCE_S).instance_id == 2
    assert sum(index.batches) == 3, "its row came with the next"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageFull(), 0xA700),
        (Unavailable(), 0xA700),
        (TimeoutError(), 0xA700),
        (ValueError("anything"), 0x0110),
    ],
)
def test_every_error_has_a_status(error, status):
    assert status_of(error) == status


def test_a_race_with_the_desk_is_run_again_and_never_called_a_duplicate(begin):
    class Races(Index):
        """Loses against somebody who edits the booking, as often as told."""

        lost = 1

        def __call__(self, batch, *more):
            self.lost -= 1
            if self.lost >= 0:
                raise Conflict
            return super().__call__(batch, *more)

    index = Races()
    index.gate.set()
    writer = begin(index)
    assert writer.submit(received(0)).result(PATIENCE_S).verdict is Verdict.KEPT

    index.lost = 2
    with pytest.raises(Conflict) as refused:
        writer.submit(received(1)).result(PATIENCE_S)
    assert status_of(refused.value) == 0xA700


def test_every_status_says_why_in_a_comment_that_fits_its_element():
    said = [status for status in vars(statuses).values() if isinstance(status, statuses.Status)]
    errors = [NotUnderstood(), CutShort(), StorageFull(), WrongInstance(), Unavailable()]
    assert len(said) >= 9
    for status in [*said, *map(status_of, errors)]:
        # Cut at the length of a LO, a sentence would end without its full stop.
        assert status == 0x0000 or status.comment.endswith("."), f"0x{status:04X}"


def test_the_statement_knows_every_status():
    answered = {
        f"{status:04X}" for status in vars(statuses).values() if isinstance(status, statuses.Status)
    }
    assert {meaning.code for meaning in statuses.MEANINGS} == answered


def test_a_comment_quotes_our_own_sentences_only():
    assert status_of(NotUnderstood("The object nests too deeply.")).comment.startswith("The object")
    assert status_of(ValueError("Doe^Jane")).comment == statuses.PROCESSING_FAILURE.comment
