"""The signals that end a process, heard whichever thread the kernel gives them to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

STOPPING = (signal.SIGINT, signal.SIGTERM)


def on_stop(act: Callable[[], object]) -> None:
    """Call ``act``, in a thread of its own, each time the process is told to end.

    Python runs a handler in the main thread alone, and only once that wakes. The kernel may give a
    signal to another thread, as when a debugger or ``strace`` holds the main one at that moment;
    then nothing wakes a main thread that waits for a lock, and the process would never end. Here
    the byte is read that Python writes for each signal.
    """
    said, heard = os.pipe()
    os.set_blocking(heard, False)
    signal.set_wakeup_fd(heard, warn_on_full_buffer=False)
    for number in STOPPING:
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        while number := os.read(said, 1):
            if number[0] in STOPPING:
                act()

    threading.Thread(target=listen, name="signals", daemon=True).start()
