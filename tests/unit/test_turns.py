"""When work at Dask has taken too long: its own time counts, not that of the work before it."""

from dataclasses import replace

from clinic_panel.models.job import JobKind
from clinic_panel.services.jobs import Claim
from clinic_panel.tasks.turns import Turn, too_slow
from clinic_panel.tasks.work import TASK_LIMIT_S, Work

CLAIM = Claim(job_id=1, kind=JobKind.REPORT_PDF, subject_id=1, token="t", revision=1, attempts=1)


def turn(*claims):
    return Turn(Work(claims or (CLAIM,), len, (), print), future=None)


def test_waiting_behind_others_is_not_slow():
    turns = {number: turn() for number in range(3)}
    assert too_slow(turns, 2, now=0.0) == []
    assert too_slow(turns, 2, now=TASK_LIMIT_S) == []
    assert too_slow(turns, 2, now=TASK_LIMIT_S + 1) == [0, 1]
    del turns[0], turns[1]
    assert too_slow(turns, 2, now=TASK_LIMIT_S + 2) == [], "its turn has only come"
    assert too_slow(turns, 2, now=2 * TASK_LIMIT_S + 3) == [2]


def test_a_long_piece_of_work_has_longer():
    longer = Turn(Work((CLAIM,), len, (), print, limit_s=2 * TASK_LIMIT_S), future=None, began=0.0)
    turns = {0: longer, 1: turn()}
    assert too_slow(turns, 2, now=0.0) == []
    assert too_slow(turns, 2, now=TASK_LIMIT_S + 1) == [1]
    assert too_slow(turns, 2, now=2 * TASK_LIMIT_S + 1) == [0, 1]


def test_only_one_that_was_slow_alone_and_before_is_given_up():
    again = replace(CLAIM, attempts=2)
    assert not turn().is_hopeless
    assert not turn(again, again).is_hopeless
    assert turn(again).is_hopeless
