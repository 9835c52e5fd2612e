"""The sample clinic's days hold together at any hour of any day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from clinic_panel import validation
from clinic_panel.demo.cast import ACCOUNTS, FINDINGS, PATIENTS, PROCEDURES, ROOMS
from clinic_panel.demo.plan import Fate, visits, working_days
from clinic_panel.demo.run import account_table
from clinic_panel.models.user import Role

BERLIN = ZoneInfo("Europe/Berlin")
moments = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2027, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.astimezone(BERLIN))


def minutes(visit):
    return timedelta(minutes=visit.procedure.duration_min)


@given(moments)
@example(datetime(2026, 10, 25, 0, 0, tzinfo=BERLIN))
@example(datetime(2026, 1, 18, 23, 45, tzinfo=BERLIN))
@example(datetime(2026, 1, 18, 0, 5, tzinfo=BERLIN))
def test_every_day_is_possible(now):
    days = working_days(now.date())
    found = visits(days, now, len(PATIENTS))

    for room in ROOMS:
        # In UTC: on the day of 25 hours an hour of the wall clock comes twice.
        taken = sorted(
            (start := visit.start_at.astimezone(UTC), start + minutes(visit))
            for visit in found
            if visit.room == room
        )
        assert all(start >= end for (_, end), (start, _) in pairwise(taken))
    assert all(visit.start_at.timestamp() % 300 == 0 for visit in found)
    assert all(visit.start_at.date() in days for visit in found)
    assert all(visit.procedure.modality == visit.room.modality for visit in found)
    seen = Counter((visit.start_at.date(), visit.patient) for visit in found)
    assert max(seen.values()) == 1


@given(moments)
def test_somebody_waits_in_each_room_now_and_nobody_from_the_future_was_seen(now):
    found = visits(working_days(now.date()), now, len(PATIENTS))

    waiting = {visit.room.room_name for visit in found if visit.fate is Fate.WAITING}
    assert waiting == {room.room_name for room in ROOMS}
    for visit in found:
        if visit.fate in (Fate.TO_READ, Fate.REPORTED, Fate.MISSED, Fate.CANCELLED):
            assert visit.start_at < now - timedelta(minutes=60)
        if visit.fate is Fate.BOOKED:
            assert visit.start_at > now


def test_a_weekend_has_a_day_and_the_week_around_it():
    days = working_days(date(2026, 11, 22))  # a Sunday

    assert date(2026, 11, 22) in days
    assert date(2026, 11, 21) not in days
    assert days == sorted(days)
    assert len(days) == 8


def test_the_cast_has_names_in_many_scripts_and_all_are_valid():
    names = [form.columns(date(2026, 1, 1))["patient_name"] for form in PATIENTS]

    assert len(set(names)) == len(names) == 40
    text = "".join(names)
    for first, last in (
        ("\u00c0", "\u017f"),  # Latin with accents
        ("\u0370", "\u03ff"),  # Greek
        ("\u0400", "\u04ff"),  # Cyrillic
        ("\u0590", "\u05ff"),  # Hebrew
        ("\u0600", "\u06ff"),  # Arabic
        ("\u3040", "\u309f"),  # hiragana
        ("\u30a0", "\u30ff"),  # katakana
        ("\u4e00", "\u9fff"),  # Han
        ("\uac00", "\ud7a3"),  # Hangul
    ):
        assert any(first <= letter <= last for letter in text), (first, last)
    assert all(validation.folded(name) for name in names)


def test_there_is_an_account_for_every_role_and_a_finding_for_every_room():
    assert {account.role for account in ACCOUNTS} == set(Role) - {Role.SYSTEM}
    assert {room.modality for room in ROOMS} == set(FINDINGS)
    assert {procedure.modality for procedure in PROCEDURES} == set(FINDINGS)
    assert len(PROCEDURES) == 12


def test_the_printed_table_holds_each_account_and_the_password():
    table = account_table("abcd-efgh-ijkl")

    assert len(table) == 1 + len(ACCOUNTS)
    assert all("abcd-efgh-ijkl" in line for line in table[1:])
    for account in ACCOUNTS:
        assert any(line.split()[0] == account.username for line in table)
