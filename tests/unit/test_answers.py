"""Answers encoded from rows are what pydicom would have written."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pynetdicom.dsutils import decode

from clinic_panel.imaging.encoding import Field, Items, Template
from listener.answers import FindResponses

TEXT = st.text("abc Äößłπжא山田ﾔﾏ^=", max_size=9).map(lambda text: text.strip(" ="))
NAME = TEXT.filter(lambda text: text.count("=") < 3)  # pydicom warns of a fourth group
FIELDS = (
    Field(0x00100010, "PN", lambda row: row[0]),
    Field(0x00080090, "PN"),
    Field(0x00280010, "US", lambda row: row[2]),
    Items(
        0x00400100,
        (
            Field(0x00400007, "LO", lambda row: row[1]),
            Items(0x00400008, (Field(0x00080104, "LO", lambda row: row[1]),)),
        ),
    ),
    Field(0x0020000D, "UI", lambda _: "1.2.3"),
    Field(0x00081032, "SQ"),
)


def by_pydicom(row, chosen, *, explicit):
    data = Dataset()
    if chosen:
        data.SpecificCharacterSet = chosen
    data.PatientName, data.ReferringPhysicianName = row[0], ""
    data.Rows = int(row[2]) if row[2] else None
    code, step = Dataset(), Dataset()
    code.CodeMeaning = step.ScheduledProcedureStepDescription = row[1]
    step.ScheduledProtocolCodeSequence = [code]
    data.ScheduledProcedureStepSequence = [step]
    data.StudyInstanceUID, data.ProcedureCodeSequence = "1.2.3", []
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = not explicit, True
    write_dataset(stream, data)
    return stream.getvalue()


@pytest.mark.parametrize("explicit", [True, False])
@given(name=NAME, text=TEXT, rows=st.sampled_from(["", "512"]))
def test_what_pydicom_writes(explicit, name, text, rows):
    template = Template(FIELDS, explicit=explicit, character_sets=["ISO_IR 192"])
    row = (name, text, rows)
    assert template.encode(row) == by_pydicom(row, "ISO_IR 192", explicit=explicit)


@pytest.mark.parametrize(
    ("declared", "name", "chosen"),
    [
        ((), "Weber^Anna", None),
        ((), "Müller", "ISO_IR 192"),
        (("ISO_IR 100",), "Müller", "ISO_IR 100"),
        (("ISO_IR 100",), "Wałęsa", "ISO_IR 192"),
        (("ISO_IR 999",), "Müller", "ISO_IR 192"),
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎", ["", "ISO 2022 IR 87"]),
    ],
)
def test_the_set_that_was_declared_unless_it_cannot_say_it(declared, name, chosen):
    template = Template(FIELDS[:1], explicit=False, character_sets=declared)
    answer = read_dataset(BytesIO(template.encode((name,))), True, True)
    assert answer.get("SpecificCharacterSet") == chosen
    assert str(answer.PatientName) == name


@given(st.lists(st.binary(max_size=700), min_size=1, max_size=4), st.sampled_from([0, 128, 300]))
def test_pdus_are_no_longer_than_the_peer_takes(identifiers, peer_pdu_bytes):
    responses = FindResponses(5, 7, "1.2.3", peer_pdu_bytes=peer_pdu_bytes)
    batches = list(responses.batches(0xFF00, identifiers))
    assert sum(count for count, _ in batches) == len(identifiers)
    messages = messages_of(b"".join(pdus for _, pdus in batches), peer_pdu_bytes)
    assert [kind for kind, _ in messages] == [1, 0] * len(identifiers)
    assert [part for kind, part in messages if not kind] == identifiers


@pytest.mark.parametrize("peer_pdu_bytes", [0, 128])
@pytest.mark.parametrize(
    ("said", "comment", "offends"),
    [
        ((0x0000,), None, None),
        (
            (0xA700, "more than 2 match: narrow the query"),
            "more than 2 match: narrow the query",
            None,
        ),
        ((0xA900, "no such level", "QueryRetrieveLevel"), "no such level", 0x00080052),
        ((0xA900, "x" * 99), "x" * 64, None),
    ],
)
def test_the_final_response_is_what_the_library_reads(peer_pdu_bytes, said, comment, offends):
    responses = FindResponses(5, 7, "1.2.840.1", peer_pdu_bytes=peer_pdu_bytes)

    [(kind, command)] = messages_of(responses.final(*said), peer_pdu_bytes)

    read = decode(BytesIO(command), True, True)
    assert kind == 1
    assert read.CommandGroupLength == len(command) - 12
    assert (read.CommandField, read.CommandDataSetType) == (0x8020, 0x0101)
    assert (read.MessageIDBeingRespondedTo, read.AffectedSOPClassUID) == (7, "1.2.840.1")
    assert read.Status == said[0]
    assert (read.get("ErrorComment"), read.get("OffendingElement")) == (comment, offends)


def messages_of(stream, peer_pdu_bytes):
    """The messages in the PDUs of context 5: whether each is a command, and its bytes."""
    messages, parts = [], b""
    while stream:
        length = int.from_bytes(stream[2:6], "big")
        assert stream[0] == 4
        assert length <= (peer_pdu_bytes or 1 << 17)
        pdv, stream = stream[6 : 6 + length], stream[6 + length :]
        assert (int.from_bytes(pdv[:4], "big"), pdv[4]) == (length - 4, 5)
        parts += pdv[6:]
        if pdv[5] & 2:
            messages.append((pdv[5] & 1, parts))
            parts = b""
    return messages
