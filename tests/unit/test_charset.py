"""Character sets that the library leaves out: as the standard's own examples have them."""

import pytest

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
]


@pytest.mark.parametrize(("declared", "tag", "vr", "text", "encoded"), EXAMPLES)
def test_a_text_is_written_and_read_as_the_standard_says(declared, tag, vr, text, encoded):
    terms = declared.split("\\")
    template = Template((Field(tag, vr, lambda row: row),), explicit=False, character_sets=terms)
    padded = encoded + b" " * (len(encoded) % 2)

    assert template.encode(text).endswith(padded)
    assert decode(encoded, [python_encoding[term] for term in terms]) == text
