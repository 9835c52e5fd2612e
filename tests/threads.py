"""A signal for one thread of a process: the kernel may choose any, and so do the tests."""

import ctypes
import sys
from pathlib import Path


def end_by_another_thread(pid: int, number: int) -> None:
    """Send a signal that the main thread does not see, as when a debugger holds that one."""
    if not sys.platform.startswith("linux"):
        raise NotImplementedError("only Linux tells the threads of another process")
    threads = {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.tgkill(pid, max(threads - {pid}), int(number)) == 0, ctypes.get_errno()
