"""What runs and the processes of one leave to each other: nothing for good, and no port twice."""

import getpass
import mmap
import os
import subprocess
import sys
from itertools import islice

import psutil

from tests import leftovers
from tests.conftest import BELOW_EPHEMERAL, own_ports


def dead_pid() -> int:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def folder(root, name, mark, text):
    made = root / name
    made.mkdir(parents=True)
    (made / mark).write_text(text)
    return made


def test_only_what_dead_processes_of_ours_left_is_taken_away(tmp_path):
    began = psutil.Process().create_time()
    runs = f"pytest-of-{getpass.getuser()}"
    gone = [
        folder(tmp_path, "clinic-postgres-dead", "owner", f"{dead_pid()} {began}"),
        folder(tmp_path, "clinic-postgres-reused", "owner", f"{os.getpid()} {began - 100}"),
        folder(tmp_path, f"{runs}/pytest-1", ".lock", str(dead_pid())),
    ]
    stay = [
        folder(tmp_path, "clinic-postgres-unmarked", "other", ""),
        folder(tmp_path, f"{runs}/pytest-2", ".lock", str(os.getpid())),
        folder(tmp_path, f"{runs}/pytest-3", "unlocked", ""),
        folder(tmp_path, "somebody-else", "owner", str(dead_pid())),
    ]
    mine = folder(tmp_path, "clinic-postgres-mine", "unused", "")
    leftovers.claim(mine)

    leftovers.sweep(tmp_path)

    assert [path for path in gone if path.exists()] == []
    assert [path for path in [*stay, mine] if not path.exists()] == []


def test_a_semaphore_goes_when_it_is_old_and_nobody_has_it_open(tmp_path):
    old, held, young = (tmp_path / f"sem.mp-{name}" for name in ("old", "held", "young"))
    for path in (old, held, young):
        path.write_bytes(bytes(32))
        if path != young:
            os.utime(path, (0, 0))
    with held.open("r+b") as file, mmap.mmap(file.fileno(), 32):
        leftovers.sweep(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["sem.mp-held", "sem.mp-young"]


def test_no_port_is_given_twice_nor_in_two_processes_of_a_run(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    given = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        given += islice(own_ports(), len(BELOW_EPHEMERAL) // 2)

    assert sorted(given) == list(BELOW_EPHEMERAL)
