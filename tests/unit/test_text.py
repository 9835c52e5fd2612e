"""Free text on its way to paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_panel.documents import text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Lindqvist, Petra", "ltr"),
        ("حداد، سامي", "rtl"),
        ("כהן, שרה", "rtl"),
        ("12. 4 mm", "ltr"),
        ("(34) עברית", "rtl"),
        ("", "ltr"),
    ],
)
def test_direction_follows_the_first_strong_letter(value, expected):
    assert text.direction(value) == expected


@pytest.mark.parametrize(
    ("names", "otherwise", "expected"),
    [
        ("Yamada, Taro 山田、太郎 やまだ、たろう", "en", "ja"),
        ("Hong, Gildong 洪, 吉洞 홍, 길동", "en", "ko"),
        ("Wang, Xiaoming 王, 小明", "en", "zh"),
        ("Wang, Xiaoming 王, 小明", "ja-JP", "ja-JP"),
        ("Lindqvist, Petra", "sv", "sv"),
    ],
)
def test_the_phonetic_group_says_whose_han_letters_they_are(names, otherwise, expected):
    assert text.language_of(names, otherwise) == expected


def test_a_bidi_override_cannot_turn_a_finding_around():
    assert text.plain("no \u202emass\u202c seen\u2066\u2069") == "no mass seen"


def test_joiners_that_shape_letters_are_kept():
    assert text.plain("می\u200cخواهم") == "می\u200cخواهم"


@given(st.text())
def test_plain_text_holds_no_control_but_line_and_tab(value):
    kept = text.plain(value)
    assert not [letter for letter in kept if ord(letter) < 32 and letter not in "\n\t"]
    assert text.plain(kept) == kept


@given(st.text(alphabet=st.sampled_from("ab- \n•*")))
def test_blocks_lose_no_word(value):
    words = [line for block in text.blocks(value) for line in block.lines]
    letters = "".join(words).replace(" ", "")
    assert letters.count("a") == value.count("a")
    assert letters.count("b") == value.count("b")


def test_lists_and_paragraphs_are_told_apart():
    found = text.blocks("Lungs: clear.\nPleura:\n- no effusion\n- no air\nBones.\n\nEnd.")
    assert [(block.bulleted, block.lines) for block in found] == [
        (False, ("Lungs: clear.", "Pleura:")),
        (True, ("no effusion", "no air")),
        (False, ("Bones.",)),
        (False, ("End.",)),
    ]
