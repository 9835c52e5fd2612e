"""The supervisor with toy processes: real forks, real signals, real ports."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import psutil
import pytest

from clinic_panel.config import Settings
from clinic_panel.errors import Unavailable
from clinic_panel.supervisor.clinic import up, with_ports
from clinic_panel.supervisor.ports import check_port, free_port
from clinic_panel.supervisor.watch import BackOff

LINE_S = 120

# A process that says who it is and stays; the second form brings a child that will not go. What is
# said from a handler goes past Python's buffer, which may just be giving out the line before.
STAYS = "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()"
STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-c',
    'import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(0, flush=True); '
    'signal.pause()'], stdout=subprocess.PIPE)
child.stdout.readline()
print('pid', os.getpid(), flush=True)
print('pid', child.pid, flush=True)
signal.pause()
"""

SUPERVISE = """
import asyncio, sys
from clinic_panel.supervisor.watch import BackOff, ProcessSpec, Supervisor, say

def toy(name, code, **options):
    return ProcessSpec(name, (sys.executable, "-c", code), **options)

async def main():
    async def on_ready():
        say("all ready")
        {on_ready}
    supervisor = Supervisor({specs}, back_off=BackOff(0.01, 0.05))
    await supervisor.run(on_ready)
    say("end")

asyncio.run(main())
"""


class Running:
    """A supervisor in a process of its own, heard line by line."""

    def __init__(self, specs: str, on_ready: str = "pass") -> None:
        code = textwrap.dedent(SUPERVISE).format(specs=specs, on_ready=on_ready)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.heard: list[str] = []

    def hear(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.heard.append(line.rstrip())
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"never heard {pattern!r}; heard {self.heard}")

    def hear_pid(self, name: str) -> psutil.Process:
        return psutil.Process(int(self.hear(rf"^{name}: pid (\d+)").group(1)))

    def ask_to_stop(self, number: int = signal.SIGINT) -> list[str]:
        """Send a signal and return the lines that followed."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        rest = [line.rstrip() for line in self.process.stdout]
        assert self.process.wait(LINE_S) == 0
        return rest


@pytest.fixture
def supervise() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(specs: str, on_ready: str = "pass") -> Running:
        started.append(Running(specs, on_ready))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()


def is_gone(process: psutil.Process) -> bool:
    """Whether a process ended and was reaped; a zombie is still there."""
    try:
        process.wait(LINE_S)
    except psutil.TimeoutExpired:
        return False
    return not process.is_running()


def test_a_process_that_is_killed_is_started_again_and_said_so(supervise):
    running = supervise(f"[toy('web', {STAYS!r})]")
    first = running.hear_pid("web")

    first.kill()

    assert running.hear("^web was ended by SIGKILL; starting it again in 0.01 s$")
    second = running.hear_pid("web")
    assert second.pid != first.pid
    assert is_gone(first)
    second.kill()
    assert running.hear("^web was ended by SIGKILL; starting it again in 0.02 s$")


def test_a_process_that_fails_at_once_is_tried_later_each_time(supervise):
    running = supervise("[toy('web', 'raise SystemExit(3)')]")

    for pause in ("0.01", "0.02", "0.04", "0.05", "0.05"):
        assert running.hear(f"^web ended with exit code 3; starting it again in {pause} s$")
    running.ask_to_stop()


def test_ready_is_said_once_and_after_every_process(supervise):
    prints = (
        "import signal; print('ready now', flush=True); print('on', flush=True); signal.pause()"
    )
    running = supervise(f"[toy('worker', {prints!r}, ready_line='ready'), toy('web', {STAYS!r})]")

    running.hear("^all ready$")
    web = running.hear_pid("web") if not any("pid" in h for h in running.heard) else None
    assert "worker: ready now" not in running.heard  # it is a signal to us, not news for a person
    if web is None:
        [pid] = [line.split()[-1] for line in running.heard if line.startswith("web: pid")]
        web = psutil.Process(int(pid))
    web.kill()
    running.hear("^web is ready again$")
    assert "all ready" not in running.ask_to_stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_reverse_order_and_leaves_nothing(supervise, number):
    ends = (
        "import os, signal, sys\n"
        "def end(*_):\n    os.write(1, b'bye\\n')\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('pid', os.getpid(), flush=True)\n"
        "while True: signal.pause()"
    )
    running = supervise(f"[toy('first', {ends!r}, ready_line='pid'), toy('second', {ends!r})]")
    second = running.hear_pid("second")
    running.hear("^all ready$") if "all ready" not in running.heard else None

    rest = running.ask_to_stop(number)

    assert [line for line in rest if "bye" in line] == ["second: bye", "first: bye"]
    assert rest[0] == "stopping"
    assert rest[-1] == "end"
    assert is_gone(second)


def test_one_that_will_not_end_is_ended_with_its_children(supervise):
    running = supervise(f"[toy('web', {STUBBORN!r}, stop_s=0.2)]")
    leader, child = running.hear_pid("web"), running.hear_pid("web")

    rest = running.ask_to_stop()

    assert "web does not end by itself; ending it" in rest
    assert is_gone(leader)
    assert is_gone(child)


def test_children_that_a_dead_process_left_are_ended_before_it_starts_again(supervise):
    running = supervise(f"[toy('web', {STUBBORN!r}, stop_s=0.2)]")
    leader, child = running.hear_pid("web"), running.hear_pid("web")

    leader.kill()
    running.hear("^web was ended by SIGKILL")

    assert is_gone(child)
    running.ask_to_stop()


def test_a_second_signal_ends_everything_at_once(supervise):
    running = supervise(f"[toy('web', {STUBBORN!r}, stop_s=50)]")
    leader = running.hear_pid("web")
    running.hear_pid("web")

    running.process.send_signal(signal.SIGINT)
    running.hear("^stopping$")
    running.ask_to_stop()

    assert is_gone(leader)


def test_killing_the_supervisor_ends_its_processes(supervise):
    running = supervise(f"[toy('web', {STAYS!r}), toy('worker', {STAYS!r})]")
    processes = [psutil.Process(int(running.hear(r"pid (\d+)").group(1))) for _ in range(2)]

    running.process.kill()

    assert all(is_gone(process) for process in processes)


def test_a_failure_in_the_greeting_stops_everything_and_is_raised(supervise):
    running = supervise(f"[toy('web', {STAYS!r})]", on_ready="raise SystemError('demo')")
    assert running.process.stdout is not None
    heard = running.process.stdout.read()

    assert running.process.wait(LINE_S) == 1
    assert "all ready\n" in heard
    pid = re.search(r"pid (\d+)", heard)
    assert pid is None or not psutil.pid_exists(int(pid.group(1)))


def test_a_process_run_once_gives_its_exit_code_and_its_lines(supervise):
    modality = "toy('modality', 'print(42); raise SystemExit(7)')"
    running = supervise("[]", on_ready=f"say(await supervisor.run_once({modality}))")

    running.hear("^modality: 42$")
    running.hear("^7$")
    running.ask_to_stop()


def test_a_process_run_once_ends_before_those_it_may_need_and_without_a_word(supervise):
    complains = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'lost them\\n'))\n"
        "print('pid', os.getpid(), flush=True)\n"
        "while True: signal.pause()"
    )
    ends = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'bye\\n'), sys.exit()))\n"
        "print('pid', os.getpid(), flush=True)\n"
        "while True: signal.pause()"
    )
    running = supervise(
        f"[toy('web', {ends!r}, ready_line='pid')]",
        on_ready=f"await supervisor.run_once(toy('modality', {complains!r}))",
    )
    modality = running.hear_pid("modality")

    assert running.ask_to_stop() == ["stopping", "web: bye", "end"]

    assert is_gone(modality)


def test_a_taken_port_is_one_sentence_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(home=tmp_path / "home", http_port=port, dicom_port=free_port("0.0.0.0"))

        with pytest.raises(Unavailable) as caught:
            up(settings, prepare=lambda: pytest.fail("something was started"))

    assert f"Port {port} is taken" in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert caught.value.message.endswith("choose another with --port.")
    assert not (tmp_path / "home").exists()


def test_a_port_left_in_time_wait_is_free(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the side that closes first waits
    check_port("127.0.0.1", port, "--port")


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(Unavailable, match="no address of this machine"):
        check_port("192.0.2.1", 5006, "--port")


def test_two_supervisors_on_one_home_refuse(tmp_path):
    settings = with_ports(
        Settings(home=tmp_path, http_port=0, dicom_port=0, dicom_host="127.0.0.1")
    )
    second: list[str] = []

    def start_another() -> None:
        with pytest.raises(Unavailable) as caught:
            up(settings, prepare=lambda: pytest.fail("two on one home"))
        second.append(caught.value.message)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        up(settings, prepare=start_another)

    assert "already running" in second[0]


def test_a_port_of_zero_becomes_a_free_one(tmp_path):
    settings = with_ports(Settings(home=tmp_path, http_port=0, dicom_port=0, ae_title="OTHER"))

    assert settings.http_port > 0
    assert settings.dicom_port > 0
    assert (settings.home, settings.ae_title) == (tmp_path, "OTHER")


def test_the_pause_doubles_up_to_its_bound():
    back_off = BackOff(first_s=0.5, last_s=30)

    assert [back_off.delay_s(n) for n in (1, 2, 3, 7, 1000)] == [0.5, 1, 2, 30, 30]
