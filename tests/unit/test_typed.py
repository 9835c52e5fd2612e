"""What people type: dates in their own way, names in any script."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_panel import validation
from clinic_panel.errors import Invalid
from clinic_panel.services.demographics import PatientForm, age_years
from clinic_panel.services.slots import offers

OPENS = datetime(2026, 3, 16, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1980-03-31", date(1980, 3, 31)),
        ("31.03.1980", date(1980, 3, 31)),
        ("31.3.1980", date(1980, 3, 31)),
        (" 31/03/1980 ", date(1980, 3, 31)),
        ("31-03-1980", date(1980, 3, 31)),
        ("19800331", date(1980, 3, 31)),
        ("03/04/1980", date(1980, 4, 3)),
        ("31/02/1980", None),
        ("31.03/1980", None),
        ("P00031", None),
        ("", None),
    ],
)
def test_a_date_is_read_as_people_type_it(text, expected):
    assert validation.typed_date(text) == expected


@given(st.dates(min_value=date(1000, 1, 1)))
def test_every_way_to_write_a_date_gives_it_back(day):
    forms = ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y")
    assert {validation.typed_date(day.strftime(form)) for form in forms} == {day}


@pytest.mark.parametrize(
    ("one", "other", "may_be"),
    [
        ("Müller^Jörg", "MUELLER^JOERG", True),
        ("Meier^Anna", "Schulz^Anna", True),
        ("Li^Wu", "Wu^Li", True),
        ("Papadopoulos^Giorgos", "Papadopoul", True),
        ("M?ller^J?rg", "Müller^Jörg", True),
        ("Yamada^Tarou=山田^太郎", "山田太郎", True),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ﾔﾏﾀﾞ^ﾀﾛｳ", True),
        ("Yamada^Tarou", "山田^太郎", True),
        ("Иванова^Анна", "Ivanova^Anna", True),
        ("", "Muster^Maria", True),
        ("Smith^John", "Nguyen^Thi", False),
        ("山田^太郎", "佐藤^花子", False),
        ("Smith^X", "Nguyen^X", False),
        ("van Dijk^Piet", "van den Berg^Jan", False),
        ("Nguyen^Thi^^Dr", "Smith^John^^Dr", False),
    ],
)
def test_names_that_share_no_word_are_of_two_people(one, other, may_be):
    assert validation.may_be_same_name(one, other) is may_be
    assert validation.may_be_same_name(other, one) is may_be


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_may_be_itself_and_is_compared_either_way_round(one, other):
    assert validation.may_be_same_name(one, one)
    assert validation.may_be_same_name(one, other) is validation.may_be_same_name(other, one)


@given(st.text(max_size=20))
def test_any_text_is_a_date_or_none(text):
    assert isinstance(validation.typed_date(text), date | None)


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("Łukasik^Żaneta", "lukasik"),
        ("Sørensen^Bjørn", "bjorn"),
        ("Groß^Jörg", "gross"),
        ("Παπαδόπουλος^Γιώργος", "παπαδοπουλοσ"),
        ("Фёдоров^Пётр", "федоров"),
        ("Kim^Hie=金^喜=김^희중", "김"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ヤマダ"),
        ("أحمد^محمد", "احمد"),
        ("O'Neill-Smith^Ann", "o neill smith"),
    ],
)
def test_what_is_typed_folds_to_what_is_stored(stored, typed):
    assert validation.folded(typed) in validation.folded(stored)


def test_a_form_becomes_a_person_name_and_back():
    form = PatientForm(
        "Yamada",
        "Tarou",
        name_prefix="Dr.",
        ideographic="山田　太郎",
        phonetic="やまだ たろう",
    )
    columns = form.columns(date(2026, 3, 16))
    assert columns["patient_name"] == "Yamada^Tarou^^Dr.=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"family_name": " "}, "family_name"),
        ({"family_name": "A^B"}, "family_name"),
        ({"family_name": "A", "patient_sex": "X"}, "patient_sex"),
        ({"family_name": "A", "patient_birth_date": date(2027, 1, 1)}, "patient_birth_date"),
        ({"family_name": "A", "allergies": "x" * 65}, "allergies"),
        ({"family_name": "A" * 65}, "family_name"),
        ({"family_name": "A", "patient_telephone_numbers": "1" * 17}, "patient_telephone_numbers"),
    ],
)
def test_a_broken_rule_names_its_field(values, field):
    with pytest.raises(Invalid) as refused:
        PatientForm(**values).columns(date(2026, 3, 16))
    assert refused.value.field == field


def test_the_form_of_a_person_says_nothing_when_printed():
    assert "Muster" not in repr(PatientForm("Muster", "Maria"))


@pytest.mark.parametrize(
    ("born", "today", "years"),
    [
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(2026, 3, 16), date(2026, 3, 16), 0),
    ],
)
def test_years_are_completed_years(born, today, years):
    assert age_years(born, today) == years


def test_an_empty_hour_is_offered_in_quarters():
    starts = list(offers(OPENS, OPENS + timedelta(hours=1), [], timedelta(minutes=20)))
    assert [start.minute for start in starts] == [0, 15, 30]


def test_the_end_of_a_visit_is_offered_although_it_is_no_quarter():
    taken = [OPENS + timedelta(minutes=5 * n) for n in range(2)]
    starts = list(offers(OPENS, OPENS + timedelta(minutes=40), taken, timedelta(minutes=10)))
    assert [start.minute for start in starts] == [10, 15, 30]


@given(st.sets(st.integers(0, 47)), st.integers(1, 12))
def test_nothing_offered_touches_what_is_taken(marks, cells):
    taken = {OPENS + timedelta(minutes=5 * mark) for mark in marks}
    length, closes = timedelta(minutes=5 * cells), OPENS + timedelta(hours=4)
    for start in offers(OPENS, closes, taken, length):
        needed = {start + timedelta(minutes=5 * n) for n in range(cells)}
        assert not needed & taken
        assert start >= OPENS
        assert start + length <= closes
