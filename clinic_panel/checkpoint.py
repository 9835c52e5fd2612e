"""What we put right in an association just requested: two races of pynetdicom's threads."""

from __future__ import annotations

import threading

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

_ACCEPTED = 0  # PS3.8 9.3.4: other results are rejections
PATIENCE_S = 5.0  # for a thread that ended in the same moment and comes no more


class Checkpoint(threading.Event):
    """What stands in for pynetdicom's ``Association._reactor_checkpoint``.

    The library clears an event and looks whether the association's thread counts as paused; it does
    so, too, while it is just leaving. It then takes an answer that comes at once off the queue
    itself, and whoever asked waits until the time is out. Here ``clear`` returns only once that
    thread stands still, or is the caller.
    """

    def __init__(self) -> None:
        """Begin open."""
        super().__init__()
        self._gate = threading.Condition()
        self._is_open, self._is_parked = True, False
        self._walker: int | None = None  # the association's own thread

    def is_set(self) -> bool:
        """Whether nobody is held here."""
        return self._is_open

    def set(self) -> None:
        """Let the association's thread go on."""
        with self._gate:
            self._is_open = True
            self._gate.notify_all()

    def clear(self) -> None:
        """Hold the association's thread, and wait until it stands here."""
        with self._gate:
            self._is_open = False
            if self._walker != threading.get_ident():
                self._gate.wait_for(lambda: self._is_parked or self._is_open, PATIENCE_S)

    def wait(self, timeout: float | None = None) -> bool:
        """Stand here while held; the association's thread alone does."""
        with self._gate:
            self._walker = threading.get_ident()
            self._is_parked = True
            self._gate.notify_all()
            is_open = self._gate.wait_for(self.is_set, timeout)
            self._is_parked = False
        return is_open


def mended(association: Association) -> Association:
    """Give an association just requested our checkpoint, and the refusal that was overlooked.

    A peer may refuse, and its connection be closed again, before the library looks whether it is
    connected: it then takes the peer for one that does not answer. The refusal lies in the queue.
    """
    association._reactor_checkpoint = Checkpoint()
    if not association.is_established and association.acceptor.primitive is None:
        for answer in tuple(association.dul.to_user_queue.queue):
            if isinstance(answer, A_ASSOCIATE) and answer.result != _ACCEPTED:
                association.acceptor.primitive = answer
                association.is_rejected, association.is_aborted = True, False
    return association
