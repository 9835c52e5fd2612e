"""Peers that lie, stall, stop in the middle or speak another language."""

import hashlib
import random
import resource
import select
import threading

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification
from sqlalchemy import func
from sqlalchemy import select as select_rows

from clinic_panel.archive import data_set_offset
from clinic_panel.models.imaging import Instance
from listener.limits import Limits
from listener.receiver import LibraryAssociation
from listener.server import Node
from tests import factories
from tests.integration.peer import (
    ABORT,
    PATIENCE_S,
    STATION,
    RawPeer,
    associated,
    command,
    pdu,
    pdv,
    status_in,
    wait_for,
)

pytestmark = pytest.mark.parametrize("database", ["sqlite"])

DATA, LAST, COMMAND = 0, 2, 3


@pytest.fixture
def start(ctx):
    factories.room(ctx, station_ae_title=STATION)
    started = []

    def begin(*, accelerated=True, **limits):
        node = Node(ctx, limits=Limits(**limits), accelerated=accelerated)
        node.start()
        started.append(node)
        return node

    yield begin
    for node in started:
        node.stop()


@pytest.fixture
def node(start):
    return start()


@pytest.fixture(params=[True, False], ids=["event-driven", "library"])
def either(request, start):
    """A node on each of the two receivers."""
    return start(accelerated=request.param, message_bytes=50_000)


@pytest.fixture(scope="module")
def data_set():
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        part10 = file.read()
    return part10[data_set_offset(memoryview(part10)) :]


def still_serves(node):
    with associated(node, (Verification, [ImplicitVRLittleEndian])) as association:
        return association.is_established and association.send_c_echo().Status == 0x0000


def kept(ctx):
    with ctx.read() as session:
        return session.scalar(select_rows(func.count()).select_from(Instance))


def temporaries(ctx):
    return list((ctx.store.root / "incoming").iterdir())


def test_the_raw_peer_can_store_so_that_the_lies_below_are_what_fails(either, ctx, data_set):
    with RawPeer(either) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(COMMAND, command())) + pdu(4, pdv(LAST, data_set)))
        assert status_in(peer.answer()) == 0x0000
    assert kept(ctx) == 1


def test_one_pdu_may_hold_command_and_data_and_the_next_command(node, ctx, data_set):
    with RawPeer(node) as peer:
        peer.associate()
        half = len(data_set) // 2
        first = pdv(COMMAND, command(1)) + pdv(DATA, data_set[:half]) + pdv(LAST, data_set[half:])
        peer.send(pdu(4, first))
        assert status_in(peer.answer()) == 0x0000
        peer.send(pdu(4, pdv(COMMAND, command(2))) + pdu(4, pdv(LAST, data_set)))
        assert status_in(peer.answer()) == 0x0000
    assert kept(ctx) == 1


def test_pdus_of_any_length_make_the_object_that_was_sent(node, ctx, data_set):
    """Up to the longest that is read, in an object that fills the buffer several times over."""
    dice = random.Random(11)
    head = data_set[: data_set.rindex(b"\xe0\x7f\x10\0OW")]
    pixels = dice.randbytes(6 << 20)
    whole = head + b"\xe0\x7f\x10\0OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    longest = node.limits.pdu_bytes - 6
    lengths = [longest, 1, longest - 1, 2, 131072] + [dice.randint(1, 1 << 18) for _ in range(99)]
    sent, pos = pdu(4, pdv(COMMAND, command())), 0
    for length in lengths:
        part = whole[pos : pos + length]
        pos += length
        sent += pdu(4, pdv(LAST if pos >= len(whole) else DATA, part))
        if pos >= len(whole):
            break
    with RawPeer(node) as peer:
        peer.associate()
        while sent:
            count = dice.randint(1, 300_000)
            peer.send(sent[:count])
            sent = sent[count:]
        assert status_in(peer.answer()) == 0x0000
    with ctx.read() as session:
        [row] = session.scalars(select_rows(Instance))
    assert row.sha256 == hashlib.sha256(whole).hexdigest()
    assert ctx.store.digests(row.path)[0] == row.sha256


def test_a_command_in_fragments_takes_the_library_s_way(either, ctx, data_set):
    with RawPeer(either) as peer:
        peer.associate()
        whole = command()
        peer.send(pdu(4, pdv(1, whole[:30])) + pdu(4, pdv(COMMAND, whole[30:])))
        peer.send(pdu(4, pdv(DATA, data_set[:9999])) + pdu(4, pdv(LAST, data_set[9999:])))
        assert status_in(peer.answer()) == 0x0000
    assert (kept(ctx), temporaries(ctx)) == (1, [])


LIES_BEFORE_SIGN_ON = [
    pdu(1, b"", length=0xFFFFFFFF),
    pdu(4, b"", length=0xFFFFFFFF),
    pdu(1, bytes(100), length=2 << 20),
    pdu(1, bytes(100), length=(1 << 18) + 1),  # no request for an association is so long
    b"GET / HTTP/1.1\r\nHost: clinic\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    bytes(range(256)) * 10,
    pdu(1, bytes(200)),
    pdu(1, b"\0\1\0\0" + b" " * 32 + bytes(32) + b"\x10\0\xff\xff"),
]
LIES_AFTER_SIGN_ON = [
    pdu(4, pdv(COMMAND, command()), length=0xFFFFFFF0),
    pdu(4, pdv(DATA, b"x", length=0xFFFFFFF0)),
    pdu(4, pdv(DATA, b"", length=0)),
    pdu(4, pdv(COMMAND, b"\0\0\0\0\xff\xff\xff\xff")),
    pdu(4, pdv(COMMAND, command(), context_id=99)) + pdu(4, pdv(LAST, b"1", context_id=99)),
    pdu(4, pdv(COMMAND, command())) + pdu(4, pdv(COMMAND, command())),
    pdu(9, b"what"),
    pdu(1, bytes(80)),
]


@pytest.mark.parametrize("accelerated", [True, False])
def test_a_lie_before_sign_on_ends_the_connection_soon(start, accelerated):
    node = start(accelerated=accelerated, artim_s=0.5)
    for lie in LIES_BEFORE_SIGN_ON:
        with RawPeer(node) as peer:
            peer.send(lie)
            kind, _ = peer.answer()
            assert kind in (0, 3, ABORT), lie[:20]
    wait_for(lambda: still_serves(node))  # half a second may pass before a busy machine asks


def test_a_lie_after_sign_on_aborts_the_association(either, ctx):
    for lie in LIES_AFTER_SIGN_ON:
        with RawPeer(either) as peer:
            peer.associate()
            peer.send(lie)
            kind, _ = peer.answer()
            assert kind in (0, ABORT), lie[:20]
    assert still_serves(either)
    wait_for(lambda: temporaries(ctx) == [])
    assert kept(ctx) == 0


def test_a_declared_length_is_not_believed_with_memory(node):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        with RawPeer(node) as peer:
            peer.send(pdu(1, bytes(1 << 20), length=0xFFFFFFFF))
            peer.answer()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 << 10


@pytest.mark.parametrize("end", ["abort", "close"])
def test_an_object_that_stops_in_the_middle_leaves_nothing(
    either, ctx, data_set, end, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with RawPeer(either) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(COMMAND, command())) + pdu(4, pdv(DATA, data_set[:5000])))
        if end == "abort":
            peer.send(pdu(ABORT, b"\0\0\0\0"))
            peer.answer()
    wait_for(lambda: either.admission.associations == 0 and temporaries(ctx) == [])
    assert list(tmp_path.glob("*.dcm")) == []
    assert kept(ctx) == 0
    assert still_serves(either)


@pytest.mark.parametrize("is_associated", [False, True])
def test_a_pdu_that_drips_in_is_not_waited_for(start, is_associated):
    """Slowloris: a byte now and then keeps no association open."""
    for accelerated in (True, False):
        # Time to say who it is where that is not what is waited for.
        node = start(accelerated=accelerated, artim_s=30 if is_associated else 0.4, idle_s=0.4)
        with RawPeer(node) as peer:
            if is_associated:
                peer.associate()
            peer.send(pdu(4 if is_associated else 1, b"", length=1000))
            for _ in range(1000):
                peer.send(b"x")
                if select.select([peer.socket], [], [], 0.05)[0]:
                    break
            else:
                pytest.fail("it would have waited for ever")
            assert peer.answer()[0] in (0, 3, ABORT)
        node.stop()


@pytest.mark.parametrize("accelerated", [True, False])
def test_who_says_nothing_is_hung_up_on(start, accelerated):
    node = start(accelerated=accelerated, artim_s=0.5)
    with RawPeer(node) as peer:
        kind, _ = peer.answer()
        assert kind in (0, ABORT)
    wait_for(lambda: node.admission.connections == 0)


@pytest.mark.parametrize("accelerated", [True, False])
def test_who_goes_before_anything_was_agreed_leaves_no_thread_waiting(start, accelerated):
    node = start(accelerated=accelerated, artim_s=300)
    with RawPeer(node):
        pass
    with RawPeer(node) as peer:
        assert peer.ask(version=2)[0] == 3  # by now the first was accepted as well
    wait_for(lambda: node.admission.connections == 0)


def test_a_long_pdu_is_refused_unread_on_both_receivers(either):
    with RawPeer(either) as peer:
        peer.associate()
        peer.send(pdu(4, bytes(100), length=2 << 20))
        assert peer.answer()[0] in (0, ABORT)
    assert still_serves(either)


def test_who_falls_silent_is_aborted(start):
    node = start(idle_s=0.5)
    with RawPeer(node) as peer:
        peer.associate()
        assert peer.answer()[0] in (0, ABORT)
    wait_for(lambda: node.admission.associations == 0)


def test_an_identifier_without_end_is_cut_off(either):
    """A message other than C-STORE is assembled in memory, so its size has a limit."""
    with RawPeer(either) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(COMMAND, command(field=0x20))))
        for _ in range(20):
            peer.send(pdu(4, pdv(DATA, bytes(10_000))))
        assert peer.answer()[0] in (0, ABORT)
    assert still_serves(either)


def test_who_asks_on_without_waiting_for_answers_is_aborted(either, monkeypatch):
    """What waits is in memory: some ask before the answer, none may do so without end."""
    taken, answering = [], threading.Event()

    def serve(association, message, context_id):
        taken.append(association)
        answering.wait(PATIENCE_S)

    monkeypatch.setattr(LibraryAssociation, "_serve_request", serve)
    with RawPeer(either) as peer:
        peer.associate()
        request = pdu(4, pdv(COMMAND, command(field=0x20))) + pdu(4, pdv(LAST, bytes(10_000)))
        most = either.limits.messages_waiting
        peer.send(request * most)
        wait_for(lambda: taken and taken[0].dimse.msg_queue.qsize() == most - 1)
        assert taken[0].is_established
        peer.send(request * 200)
        assert peer.answer()[0] in (0, ABORT)
        assert taken[0].dimse.msg_queue.qsize() <= most + 2  # the end's own word is among them
    answering.set()
    monkeypatch.undo()
    assert still_serves(either)


def test_a_good_modality_stores_beside_stalled_connections(node, ctx, data_set):
    stalled = [RawPeer(node) for _ in range(40)]
    with associated(node) as association:
        answer = association.send_c_store(dcmread(get_testdata_file("CT_small.dcm")))
    for peer in stalled:
        peer.socket.close()
    assert answer.Status == 0x0000


def test_one_machine_leaves_room_for_the_others(start):
    node = start(connections_per_address=4)
    held = [RawPeer(node) for _ in range(4)]
    wait_for(lambda: node.admission.connections == 4)
    with RawPeer(node) as peer:
        assert peer.socket.recv(1) == b"", "closed unanswered"
    assert node.admission.connect("192.0.2.1"), "another machine gets in"
    node.admission.disconnect("192.0.2.1")
    for peer in held:
        peer.socket.close()
    wait_for(lambda: node.admission.connections == 0)
    assert still_serves(node)


@pytest.mark.parametrize(("accelerated", "senders", "limit"), [(True, 200, 48), (False, 40, 16)])
def test_many_associations_at_once_are_stored_or_told_to_come_again(
    start, ctx, data_set, accelerated, senders, limit
):
    """More than the limit allows: the others are rejected for now, try again and are stored."""
    node = start(accelerated=accelerated, associations=limit)
    uid = dcmread(get_testdata_file("CT_small.dcm")).SOPInstanceUID
    statuses, rejections, turn = [], [], threading.Condition()
    ready = threading.Barrier(senders)

    def send(number):
        ready.wait()
        own = f"{uid[:-4]}{number:04}"
        data = data_set.replace(uid.encode(), own.encode())
        while True:
            with RawPeer(node) as peer:
                kind, body = peer.ask()
                if kind == 2:
                    with turn:  # the door stays full until somebody was told so
                        turn.wait_for(lambda: rejections)
                    peer.send(pdu(4, pdv(COMMAND, command(sop_instance=own))))
                    peer.send(pdu(4, pdv(LAST, data)))
                    statuses.append(status_in(peer.answer()))
                    peer.send(pdu(5, bytes(4)))  # A-RELEASE-RQ
                    peer.answer()
            with turn:
                if kind == 2:
                    turn.notify_all()
                    return
                rejections.append(tuple(body[1:4]))
                turn.notify_all()
                turn.wait(0.2)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [0x0000] * senders
    assert set(rejections) == {(2, 3, 2)}
    assert (kept(ctx), temporaries(ctx)) == (senders, [])
