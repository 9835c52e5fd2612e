"""What a killed run leaves in memory: its servers, folders and semaphores, until the next begins.

Only what is ours goes, and only when its owner is dead.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import time
from pathlib import Path

import psutil

OWNER = "owner"  # a file that says which process made a folder, and when that process began
SEMAPHORE_AGE_S = 3600.0  # younger ones may be on their way to a process that has yet to open them
STOP_S = 20.0


def claim(folder: Path) -> None:
    """Say in a folder that it is this process's."""
    (folder / OWNER).write_text(f"{os.getpid()} {psutil.Process().create_time()}")


def sweep(root: Path) -> None:
    """Take away what dead runs left in a folder that all of them share."""
    for folder in root.glob("clinic-postgres-*"):
        if _is_orphaned(folder / OWNER):
            _stop_server(folder / "data")
            shutil.rmtree(folder, ignore_errors=True)
    for folder in root.glob(f"pytest-of-{getpass.getuser()}/pytest-*"):
        if not folder.is_symlink() and _is_orphaned(folder / ".lock"):  # pytest's own; holds a pid
            shutil.rmtree(folder, ignore_errors=True)
    _sweep_semaphores(root)


def _is_orphaned(mark: Path) -> bool:
    """Whether a mark names a process that is gone, or whose number another one has by now."""
    try:
        pid, *began = mark.read_text().split()
        process = psutil.Process(int(pid))
        return bool(began) and abs(process.create_time() - float(began[0])) > 1
    except psutil.NoSuchProcess:
        return True
    except (OSError, ValueError, psutil.Error):
        return False


def _stop_server(data: Path) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if str(data) in server.cmdline():
            server.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown
            server.wait(STOP_S)


def _sweep_semaphores(root: Path) -> None:
    """Remove semaphores of `multiprocessing` that no process has open any more."""
    old = time.time() - SEMAPHORE_AGE_S
    found = [path for path in root.glob("sem.mp-*") if _is_own_and_before(path, old)]
    if not found:
        return
    mapped = "".join(_mapped_semaphores())
    for path in found:
        if path.name not in mapped:
            path.unlink(missing_ok=True)


def _is_own_and_before(path: Path, moment: float) -> bool:
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return status.st_uid == os.geteuid() and status.st_mtime < moment
    return False


def _mapped_semaphores() -> list[str]:
    lines = []
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # it ended, or is another user's and cannot have ours
            lines += [line for line in maps.read_text().splitlines() if "sem.mp-" in line]
    return lines
