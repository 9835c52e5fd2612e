"""The place where an association's thread is held; pynetdicom's own lets it slip away."""

import threading

from clinic_panel.checkpoint import Checkpoint


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
        come_back.wait(10)
        checkpoint.wait()
        rounds.append(True)

    walker = started(walk)
    assert passed.wait(10)
    holder = started(checkpoint.clear)
    holder.join(0.2)
    assert holder.is_alive()
    come_back.set()
    holder.join(10)
    assert not holder.is_alive()
    assert rounds == []  # it stands there
    checkpoint.set()
    walker.join(10)
    assert rounds == [True]


def test_the_associations_own_thread_may_hold_itself():
    checkpoint, done = Checkpoint(), threading.Event()

    def serve():
        checkpoint.wait()
        checkpoint.clear()  # as it does to send what a C-GET asks for
        checkpoint.set()
        done.set()

    started(serve)
    assert done.wait(2)


def test_nobody_is_held_at_first():
    assert Checkpoint().is_set()
    assert Checkpoint().wait(0)
