"""What goes out as C-STORE, byte by byte, read again by pynetdicom."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import _config
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from clinic_panel.dimse.messages import StoreAnswer, StoreOperation, store_status
from clinic_panel.dimse.objects import StoredObject, chosen, proposals
from clinic_panel.dimse.outgoing import MOST_CONTEXTS, Agreed
from clinic_panel.dimse.store import LinkLost, StoreSender

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, J2K = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"


@pytest.fixture(autouse=True, scope="module")
def whole():
    """A listener started by a test before has the library take data sets in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
        yield


class Bytes:
    def __init__(self, data: bytes, piece: int = 7000, size: int | None = None):
        self.size_bytes = len(data) if size is None else size
        self._left, self._piece = memoryview(data), piece

    def readinto(self, view: memoryview) -> int:
        count = min(len(view), len(self._left), self._piece)
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._left = memoryview(b"")


class Wire:
    """Takes what is sent and gives it to pynetdicom; answers as it is told."""

    def __init__(self, maximum_length: int | None):
        self.maximum_length = maximum_length
        self.sent = bytearray()

    def write(self, buffers) -> None:
        for each in buffers:
            self.sent += each

    def answer(self, message_id: int) -> int:
        return 0xB000

    def pdus(self) -> list[bytes]:
        found, at = [], 0
        while at < len(self.sent):
            end = at + 6 + int.from_bytes(self.sent[at + 2 : at + 6], "big")
            found.append(bytes(self.sent[at:end]))
            at = end
        return found

    def message(self) -> DIMSEMessage:
        message, done = DIMSEMessage(), False
        for data in self.pdus():
            assert not done
            pdu = P_DATA_TF()
            pdu.decode(data)
            done = message.decode_msg(pdu.to_primitive())
        assert done
        return message


@given(
    size=st.integers(1, 3000) | st.integers(1_000_000, 1_100_000),
    maximum=st.sampled_from([0, 1024, 1025, 16384, 1 << 20]),
)
def test_a_data_set_arrives_whole_in_pdus_the_peer_can_take(size, maximum):
    data = bytes(range(251)) * (size // 251 + 1)
    wire = Wire(maximum)

    status = StoreSender(wire, move_originator=("WORKSTATION", 4711)).send(
        5, (CT, "1.2.3"), Bytes(data[:size]), priority=1
    )

    assert status == 0xB000
    message = wire.message()
    assert isinstance(message, C_STORE_RQ)
    assert message.context_id == 5
    assert message.data_set.getvalue() == data[:size]
    primitive = message.message_to_primitive()
    assert (primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID) == (CT, "1.2.3")
    assert (primitive.MessageID, primitive.Priority) == (1, 1)
    assert primitive.MoveOriginatorApplicationEntityTitle == "WORKSTATION"
    assert primitive.MoveOriginatorMessageID == 4711
    pdus = wire.pdus()
    assert max(map(len, pdus)) - 6 <= (maximum or 1 << 18)
    assert all(len(pdu) % 2 == 0 for pdu in pdus[:-1])


def test_an_object_that_ends_too_early_ends_the_association():
    with pytest.raises(LinkLost):
        StoreSender(Wire(16384)).send(1, (CT, "1.2"), Bytes(b"0123", size=6))


def test_a_peer_that_takes_next_to_nothing_gets_nothing():
    with pytest.raises(LinkLost):
        StoreSender(Wire(20))


def answer(message_id: int, status: int) -> bytes:
    said = C_STORE()
    said.MessageIDBeingRespondedTo, said.Status = message_id, status
    said.AffectedSOPClassUID, said.AffectedSOPInstanceUID = CT, "1.2.3"
    message = C_STORE_RSP()
    message.primitive_to_message(said)
    [data] = message.encode_msg(1, 16384)
    pdu = P_DATA_TF()
    pdu.from_primitive(data)
    return pdu.encode()[6:]


@given(st.integers(0, 0xFFFF), st.integers(1, 0xFFFF), st.integers(1, 200))
def test_an_answer_is_understood_however_it_is_cut(status, message_id, fragment):
    command = answer(message_id, status)[6:]
    taker, said = StoreAnswer(message_id), []
    for at in range(0, len(command), fragment):
        part = command[at : at + fragment]
        last = 2 if at + fragment >= len(command) else 0
        said.append(taker.take(struct.pack(">LBB", len(part) + 2, 1, 1 | last) + part))

    assert said[-1] == status
    assert set(said[:-1]) <= {None}


@pytest.mark.parametrize(
    "body", [answer(2, 0), answer(1, 0)[:-3], answer(1, 0)[:4] + b"\x01\x00" + b"x" * 90, b"\0" * 9]
)
def test_what_is_no_answer_to_the_request_is_refused(body):
    with pytest.raises(ValueError, match=r"answer|command"):
        StoreAnswer(1).take(body)


@given(st.binary(max_size=64))
def test_any_command_set_is_an_answer_or_refused(command):
    with pytest.raises(ValueError, match=r"answer|command"):
        store_status(command, 1)


def test_a_long_uid_is_padded():
    command = StoreOperation(1, CT, "1.2.3").command()
    assert len(command) % 2 == 0
    assert b"1.2.3\0" in command


def test_kinds_are_divided_into_associations_of_128_contexts():
    kinds = [(CT, f"1.2.{n}") for n in range(200)] + [(f"1.9.{n}", IMPLICIT) for n in range(100)]

    batches = proposals(kinds * 2, decodes=True)

    assert sorted(kind for taken, _ in batches for kind in taken) == sorted(kinds)
    for taken, contexts in batches:
        assert len(contexts) <= MOST_CONTEXTS
        assert all((uid, [syntax]) in contexts for uid, syntax in taken)
        assert all((uid, [EXPLICIT, IMPLICIT]) in contexts for uid, _ in taken)


def test_an_object_goes_out_as_it_is_stored_where_that_is_accepted_and_plain_where_not():
    stored = StoredObject(Path("x"), CT, "1.2.3", J2K)
    plain = [Agreed(1, MR, J2K), Agreed(3, CT, IMPLICIT), Agreed(5, CT, EXPLICIT)]
    as_stored = Agreed(7, CT, J2K)

    assert chosen(stored, [*plain, as_stored], decodes=True) == as_stored
    assert chosen(stored, plain, decodes=True) == plain[2]
    assert chosen(stored, plain[:2], decodes=True) == plain[1]
    assert chosen(stored, plain[:1], decodes=True) is None
    assert chosen(stored, plain, decodes=False) is None
