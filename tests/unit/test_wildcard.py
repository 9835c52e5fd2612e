"""Wildcard matching: as the standard defines it, and quick whatever a peer asks."""

import time

from hypothesis import given
from hypothesis import strategies as st

from clinic_panel.imaging.matching import wildcard_matches


def defined(key: str, have: str) -> bool:
    """Say what a wildcard means, slowly (PS3.4 C.2.2.2.4)."""
    if not key:
        return not have
    if key[0] == "*":
        return any(defined(key[1:], have[cut:]) for cut in range(len(have) + 1))
    return bool(have) and key[0] in ("?", have[0]) and defined(key[1:], have[1:])


@given(st.text("ab*?", max_size=7), st.text("ab*?\n", max_size=7))
def test_it_matches_what_the_definition_matches(key, have):
    assert wildcard_matches(key, have) == defined(key, have)


def test_a_hostile_key_costs_no_more_than_a_plain_one():
    have = "A" * 64 + "^" + "B" * 64
    began = time.process_time()
    assert not any(
        wildcard_matches(key, have)
        for key in ("*?" * 10 + "~", "*A" * 60 + "~", "*" * 10_000 + "~")
    )
    assert wildcard_matches("*?" * 30 + "*B", have)
    assert time.process_time() - began < 1
