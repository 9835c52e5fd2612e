"""The reactor without sleeps: waits on the socket and on who has something to send."""

import select
import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Callable

from pynetdicom.association import Association

from listener.bounds import BoundedDUL
from listener.limits import Limits
from listener.waking import Waker, WakingQueue

WAIT_MS = 500  # how late a timer may be noticed
_MAY_SEND = frozenset({"Sta6", "Sta8"})  # states in which P-DATA leaves, PS3.8 9.2.3
_ENCODED_WAITING = 4  # blocks of PDUs handed over and not yet sent, for each association
_ARTIM_EXPIRED = "Evt18"  # PS3.8 9.2.2


class _Encoded:
    """P-DATA-TF PDUs as they go out, in the place of a primitive."""

    __slots__ = ("pdus",)

    def __init__(self, pdus: bytes) -> None:
        self.pdus = pdus


class Reactor(BoundedDUL):
    """Serves one connection; what arrives on it is read by who inherits."""

    def __init__(self, assoc: Association, limits: Limits, wake: Callable[[], None]) -> None:
        super().__init__(assoc, limits)
        self.waker = Waker()
        self.to_provider_queue = WakingQueue(self.waker.set)
        self.to_user_queue = WakingQueue(wake)
        self._room = threading.Semaphore(_ENCODED_WAITING)

    def send_encoded(self, pdus: bytes) -> bool:
        """Have whole P-DATA-TF PDUs sent as they are, after all that was handed over before.

        Waits while too many are on their way: a peer that reads slowly slows its own service down.
        False when the association has ended. Not for the reactor's own thread.
        """
        while not self._room.acquire(timeout=WAIT_MS / 1000):
            if not self.is_alive():
                return False
        if not self.is_alive() or self.assoc._sent_abort or not self.assoc.is_established:
            self._room.release()
            return False
        self.to_provider_queue.put(_Encoded(pdus))
        return True

    def kill_dul(self) -> None:
        """End the reactor at its next turn."""
        self._kill_thread = True
        self.waker.set()

    def stop_dul(self) -> bool:
        """End the reactor if the state machine is idle, and wait for it."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        self.join(self.limits.idle_s)
        return True

    def run_reactor(self) -> None:
        """Serve the connection, and leave nothing behind."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        super().run_reactor()

    def let_go(self) -> None:
        """The connection is over: leave nothing behind, and nobody who waits for an answer."""
        self.forget()
        self.waker.close()
        super().let_go()
        self.assoc.dimse.msg_queue.put((None, None))

    def _serve(self) -> None:
        sock: socket.socket = self.socket.socket
        sock.settimeout(self.limits.idle_s)  # a peer that stops in mid-record holds us no longer
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        poll.register(self.waker.fd, select.POLLIN)
        while not self._kill_thread:
            self.run_events()
            if not self.is_open():
                return
            if self.artim_timer.expired:
                self.event_queue.put(_ARTIM_EXPIRED)
                continue
            closing = self.state_machine.current_state == "Sta13"
            ready = poll.poll(0 if closing else WAIT_MS)
            if not ready and closing:  # nothing more to read: PS3.8 AA-2 without the wait
                self.socket.close()
            for fd, _ in ready:
                if fd == self.waker.fd:
                    self.waker.clear()
                elif self.socket.socket is not None:
                    self.read(sock)

    def run_events(self) -> None:
        """Let the state machine act on what came in and on what the service user wants sent."""
        events, primitives = self.event_queue, self.to_provider_queue
        while not self._kill_thread:
            if events.queue:  # looked at first: to find a queue empty costs more than all else here
                self.state_machine.do_action(events.get(block=False))
            elif not primitives.queue or not self._process_recv_primitive():
                return

    def _process_recv_primitive(self) -> bool:
        waiting = self.to_provider_queue.queue
        if not waiting or not isinstance(waiting[0], _Encoded):
            return super()._process_recv_primitive()
        encoded = self.to_provider_queue.get(block=False)
        try:
            if self.state_machine.current_state in _MAY_SEND and self.is_open():
                self._send_all(memoryview(encoded.pdus))
        finally:
            self._room.release()
        self.waker.set()  # come back, but look first what the peer says: it may be a C-CANCEL
        return False

    def _send_all(self, view: memoryview) -> None:
        """Send to a peer that may be slow; one that takes nothing for too long is cut off."""
        sock = self.socket.socket
        last = time.monotonic()
        sock.settimeout(WAIT_MS / 1000)
        try:
            while view:
                try:
                    view = view[sock.send(view) :]
                    last = time.monotonic()
                except TimeoutError:
                    is_late = time.monotonic() - last > self.limits.idle_s
                    if is_late or self._kill_thread or self.assoc._sent_abort:
                        raise
            sock.settimeout(self.limits.idle_s)
        except OSError:
            self.socket.close()
        self._idle_timer.restart()  # it was we who took the time

    def is_open(self) -> bool:
        """Whether there is still something to read and a reason to."""
        return not self._kill_thread and self.socket.socket is not None

    @abstractmethod
    def read(self, sock: socket.socket) -> None:
        """Read once what the socket has, and act on it."""

    @abstractmethod
    def forget(self) -> None:
        """The association is over: let go of what it held."""
