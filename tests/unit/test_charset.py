"""Character sets that the library leaves out: as the standard's own examples have them."""

import re
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.charset import CODES_TO_ENCODINGS
from pydicom.filereader import read_dataset

from clinic_panel.imaging.charset import declared as declared_in
from clinic_panel.imaging.charset import python_encoding
from clinic_panel.imaging.encoding import Field, Template
from clinic_panel.imaging.header import decode

NAME, COMMENTS = 0x00100010, 0x00104000
EXAMPLES = [
    # PS3.5 K.2 and K.3: Simplified Chinese with code extensions, of a name and of a text in lines.
    (
        "\\ISO 2022 IR 58",
        NAME,
        "PN",
        "Zhang^XiaoDong=张^小东",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
    ),
    (
        "\\ISO 2022 IR 58",
        COMMENTS,
        "LT",
        "第一行\r\n第二行",
        b"\x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\r\n\x1b$)A\xb5\xda\xb6\xfe\xd0\xd0",
    ),
    # PS3.5 I.2: Korean.
    (
        "\\ISO 2022 IR 149",
        NAME,
        "PN",
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    ("ISO_IR 203", NAME, "PN", "Œuvré^Ÿ", b"\xbcuvr\xe9^\xbe"),
    (
        "ISO 2022 IR 100\\ISO 2022 IR 203",
        NAME,
        "PN",
        "Müller^Œ",
        b"M\xfcller^\x1b-b\xbc",
    ),
    # The default repertoire has no letter beyond ASCII: each needs the set that was declared.
    ("\\ISO 2022 IR 100", NAME, "PN", "Müller^Jörg", b"\x1b-AM\xfcller^\x1b-AJ\xf6rg"),
    ("\\ISO 2022 IR 58", NAME, "PN", "Hübner", b"\x1b$)AH\xa8\xb9bner"),
    ("\\ISO 2022 IR 149", NAME, "PN", "Bæk", b"\x1b$)CB\xa9\xa1k"),
]


@pytest.mark.parametrize(("declared", "tag", "vr", "text", "encoded"), EXAMPLES)
def test_a_text_is_written_and_read_as_the_standard_says(declared, tag, vr, text, encoded):
    terms = declared.split("\\")
    template = Template((Field(tag, vr, lambda row: row),), explicit=False, character_sets=terms)
    padded = encoded + b" " * (len(encoded) % 2)

    assert template.encode(text).endswith(padded)
    assert decode(encoded, [python_encoding[term] for term in terms]) == text


ASKED = (
    ["", "ISO 2022 IR 100"],
    ["", "ISO 2022 IR 87"],
    ["", "ISO 2022 IR 87", "ISO 2022 IR 159"],
    ["", "ISO 2022 IR 159"],
    ["ISO 2022 IR 13", "ISO 2022 IR 87"],
    ["", "ISO 2022 IR 149"],
    ["", "ISO 2022 IR 58"],
    ["ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 126"],
    ["GB18030"],
    ["ISO_IR 144"],
)


@given(st.text("aB üæ×¥жΩא山田丂髙张东홍똠ﾔﾏ", min_size=1), st.sampled_from(ASKED))
def test_what_is_written_can_be_read_with_what_was_declared(text, terms):
    template = Template((Field(0x00324000, "LT", str),), explicit=False, character_sets=terms)
    encoded = template.encode(text.strip())

    answer = read_dataset(BytesIO(encoded), True, True)
    said = declared_in(answer)
    raw = answer.get_item(0x00324000).value or b""
    assert decode(raw, [python_encoding[term] for term in said]).strip() == text.strip()
    codecs = {python_encoding[term] for term in said} | {"iso8859"}
    escapes = re.findall(rb"\x1b(?:\$[()]?.|[(),\-.].)", raw)
    assert {CODES_TO_ENCODINGS[escape] for escape in escapes} <= codecs
    if len(said) > 1 and not said[0]:  # before the first escape sequence there is ASCII alone
        assert raw.partition(b"\x1b")[0].isascii()


def test_a_first_set_named_as_if_it_stood_alone_is_understood():
    asked = Dataset()
    asked.SpecificCharacterSet = ["ISO_IR 100", "ISO 2022 IR 87"]
    template = Template(
        (Field(NAME, "PN", str),), explicit=False, character_sets=declared_in(asked)
    )
    answer = read_dataset(BytesIO(template.encode("Müller=山田")), True, True)
    assert answer.SpecificCharacterSet == ["ISO 2022 IR 100", "ISO 2022 IR 87"]
    assert str(answer.PatientName) == "Müller=山田"
