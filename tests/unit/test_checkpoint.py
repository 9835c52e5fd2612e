"""The place where an association's thread is held; pynetdicom's own lets it slip away."""

import threading

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket

from clinic_panel.checkpoint import Checkpoint, mended

PATIENCE_S = 120


def started(act):
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_a_thread_that_is_just_leaving_does_not_count_as_held():
    checkpoint, passed, come_back = Checkpoint(), threading.Event(), threading.Event()
    rounds = []

    def walk():
        checkpoint.wait()
        passed.set()  # and now it would look for messages
        come_back.wait(PATIENCE_S)
        checkpoint.wait()
        rounds.append(True)

    walker = started(walk)
    assert passed.wait(PATIENCE_S)
    holder = started(checkpoint.clear)
    holder.join(0.2)
    assert holder.is_alive()
    come_back.set()
    holder.join(PATIENCE_S)
    assert not holder.is_alive()
    assert rounds == []  # it stands there
    checkpoint.set()
    walker.join(PATIENCE_S)
    assert rounds == [True]


def test_the_associations_own_thread_may_hold_itself():
    checkpoint, done = Checkpoint(), threading.Event()

    def serve():
        checkpoint.wait()
        checkpoint.clear()  # as it does to send what a C-GET asks for
        checkpoint.set()
        done.set()

    started(serve)
    assert done.wait(PATIENCE_S)


def test_nobody_is_held_at_first():
    assert Checkpoint().is_set()
    assert Checkpoint().wait(0)


class LateReader(threading.Event):
    """Wakes who waits for the connection only when that is over."""

    def __init__(self, association):
        super().__init__()
        self.association = association

    def wait(self, timeout=None):
        super().wait(timeout)
        self.association.dul.join(PATIENCE_S)
        return True


@pytest.fixture
def choosy():
    """A node that refuses whoever calls it by another name."""
    entity = AE("CHOOSY")
    entity.require_called_aet = True
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    yield server
    server.shutdown()


def test_a_refusal_before_the_requestor_looked_is_a_refusal(choosy, monkeypatch):
    begin = AssociationSocket.__init__

    def begun(self, association, *arguments, **options):
        begin(self, association, *arguments, **options)
        if association.is_requestor:
            self._ready = LateReader(association)

    monkeypatch.setattr(AssociationSocket, "__init__", begun)
    entity = AE("CALLER")
    entity.add_requested_context(Verification)
    association = entity.associate(*choosy.server_address, ae_title="OTHER")
    assert not association.is_rejected  # as the library has it
    mended(association)
    assert association.is_rejected
    assert association.acceptor.primitive.diagnostic == 7


def test_who_is_let_in_stays_in(choosy):
    entity = AE("CALLER")
    entity.add_requested_context(Verification)
    association = mended(entity.associate(*choosy.server_address, ae_title="CHOOSY"))
    assert (association.is_established, association.is_rejected) == (True, False)
    assert association.send_c_echo().Status == 0x0000
    association.release()
