"""What a peer may cost us: bounded before anything is parsed."""

import threading
from collections import Counter
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the listener; the defaults are those of our conformance statement."""

    pdu_bytes: int = 1 << 20  # longest PDU that is read; a longer declared length aborts
    request_pdu_bytes: int = 1 << 18  # the same before an association is accepted
    advertised_pdu_bytes: int = 1 << 18  # maximum length we negotiate (PS3.8 D.1)
    object_bytes: int = 4 << 30  # one data set; beyond it the answer is A700
    # Data set of any message other than C-STORE; one N-SET names every image of an examination.
    message_bytes: int = 1 << 22
    # Messages that came before the answer to the first; without negotiation one is allowed (PS3.7
    # D.3.3.3). More abort.
    messages_waiting: int = 8
    connections: int = 512  # sockets, associated or not; more are closed unanswered
    connections_per_address: int = 256  # of them, so that one machine leaves room for the others
    associations: int = 64  # more are rejected as transient, local limit exceeded
    associations_per_address: int = 48
    artim_s: float = 30.0  # from connection to A-ASSOCIATE-RQ (PS3.8 9.1.5)
    idle_s: float = 60.0  # without a byte from the peer
    index_s: float = 60.0  # for the index to commit before the answer is A700

    def shared_by(self, processes: int) -> "Limits":
        """Return the part of one among several processes; an idle one accepts before a busy one."""
        return replace(
            self,
            connections=-(-self.connections // processes),
            connections_per_address=-(-self.connections_per_address // processes),
            associations=-(-self.associations // processes),
            associations_per_address=-(-self.associations_per_address // processes),
        )


class Admission:
    """Counts who is connected and associated."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._associations: Counter[str] = Counter()

    def connect(self, address: str) -> bool:
        """Count a new connection; False when there are too many, in all or from there."""
        with self._lock:
            if (
                self._connections.total() >= self._limits.connections
                or self._connections[address] >= self._limits.connections_per_address
            ):
                return False
            self._connections[address] += 1
            return True

    def disconnect(self, address: str) -> None:
        """Count a connection that ended."""
        with self._lock:
            _take_one(self._connections, address)

    def associate(self, address: str) -> bool:
        """Count a new association; False when there are too many, in all or from there."""
        with self._lock:
            if (
                self._associations.total() >= self._limits.associations
                or self._associations[address] >= self._limits.associations_per_address
            ):
                return False
            self._associations[address] += 1
            return True

    def dissociate(self, address: str) -> None:
        """Count an association that ended."""
        with self._lock:
            _take_one(self._associations, address)

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        with self._lock:
            return self._connections.total()

    @property
    def associations(self) -> int:
        """How many associations there are now."""
        with self._lock:
            return self._associations.total()


def _take_one(counts: Counter[str], address: str) -> None:
    counts[address] -= 1
    if not counts[address]:
        del counts[address]
