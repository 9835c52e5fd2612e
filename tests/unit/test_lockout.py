"""How long a guesser waits."""

from hypothesis import given
from hypothesis import strategies as st

from clinic_panel.services.lockout import ACCOUNT_FREE, ACCOUNT_LONGEST_S, delay_s, spoken


@given(st.integers(0, 10_000))
def test_the_delay_grows_and_ends(failures):
    now, next_ = (delay_s(n, ACCOUNT_FREE, ACCOUNT_LONGEST_S) for n in (failures, failures + 1))
    assert 0 <= now <= next_ <= ACCOUNT_LONGEST_S
    assert (now == 0) == (failures < ACCOUNT_FREE)


def test_a_wait_is_said_in_words():
    assert [spoken(s) for s in (1, 30, 60, 61, 900)] == [
        "1 second",
        "30 seconds",
        "a minute",
        "2 minutes",
        "15 minutes",
    ]
