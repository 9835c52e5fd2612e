"""Keep processes running, and leave nothing of them behind.

Each process leads a process group of its own, so that Ctrl-C reaches the supervisor alone and the
supervisor ends each group whole. A process that dies is started again, later each time. Should
the supervisor itself be killed, the kernel tells its children to end.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SLOW_START_S = 60.0

# Runs in the child before the program proper: asks the kernel for SIGTERM when the parent dies,
# ends if it died meanwhile, and becomes the program. Being a program of its own it needs no code
# between fork and exec, which is not safe beside threads.
_BOND = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to keep running; ready by its probe, by a line it prints, or once started."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]] | None = None
    ready_line: str = ""  # how that line begins
    stop_s: float = 10.0  # from SIGTERM to SIGKILL


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait before starting a process again that died."""

    first_s: float = 0.5
    last_s: float = 30.0
    steady_s: float = 60.0  # after so long in life a death counts as the first

    def delay_s(self, deaths: int) -> float:
        """Return the pause after so many deaths in a row, 1 or more."""
        return min(self.first_s * 2.0 ** min(deaths - 1, 20), self.last_s)


@dataclass(frozen=True, slots=True)
class _Child:
    """A process that was started, and what it prints.

    The pipe is ours and not asyncio's, whose ``wait`` does not return while a grandchild keeps the
    other end open.
    """

    process: Process
    output: asyncio.StreamReader
    transport: asyncio.BaseTransport


def say(text: str) -> None:
    """Print one line, at once."""
    print(text, flush=True)  # noqa: T201 - the terminal is where the supervisor reports


class Supervisor:
    """Keep processes running until told to stop.

    Parameters
    ----------
    specs
        In the order of their start; they are stopped in the reverse.
    environ
        Variables of the processes; this process's own by default.
    back_off
        Pauses between a death and the next start.
    tell
        Takes each line: what happened, and what the processes print.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        environ: Mapping[str, str] | None = None,
        back_off: BackOff | None = None,
        tell: Callable[[str], None] = say,
    ) -> None:
        self._specs = list(specs)
        self._environ = dict(os.environ if environ is None else environ) | {"PYTHONUNBUFFERED": "1"}
        self._back_off = back_off or BackOff()
        self._tell = tell
        self._processes: dict[str, Process] = {}
        self._guests: set[asyncio.Task[int]] = set()
        self._ready = {spec.name: asyncio.Event() for spec in self._specs}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, on_ready: Callable[[], Awaitable[None]] | None = None) -> None:
        """Start everything, watch it, and return when a signal or ``stop`` has ended it all.

        Parameters
        ----------
        on_ready
            Awaited once, when every process has become ready for the first time; what it raises
            stops everything and is raised here.
        """
        _adopt_orphans()
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self.stop)
        keepers = [asyncio.create_task(self._keep(spec)) for spec in self._specs]
        greeting = asyncio.create_task(self._greet(on_ready))
        greeting.add_done_callback(self._stop_if_failed)
        try:
            await self._stop.wait()
        finally:
            first = [greeting, *self._guests]
            for task in first:
                task.cancel()
            await asyncio.wait(first)
            for spec, keeper in reversed(list(zip(self._specs, keepers, strict=True))):
                await self._end(spec, keeper)
            for number in signals:
                loop.remove_signal_handler(number)
        if not greeting.cancelled():
            greeting.result()

    def stop(self) -> None:
        """End everything in order; asked a second time, at once."""
        if self._stop.is_set():
            self._hurry.set()
        else:
            self._tell("stopping")
            self._stop.set()

    async def run_once(self, spec: ProcessSpec) -> int:
        """Run one more process to its end and return its exit code.

        When all is to stop it is ended first, since it may need the others, and without a word.
        """
        visit = asyncio.create_task(self._host(spec))
        self._guests.add(visit)
        visit.add_done_callback(self._guests.discard)
        return await visit

    async def _host(self, spec: ProcessSpec) -> int:
        child = await self._start(spec)
        listening = asyncio.create_task(self._listen(spec, child))
        try:
            return await child.process.wait()
        except asyncio.CancelledError:
            listening.cancel()
            raise
        finally:
            await self._clear_up(child, listening)

    async def _greet(self, on_ready: Callable[[], Awaitable[None]] | None) -> None:
        for ready in self._ready.values():
            await ready.wait()
        if on_ready is not None:
            await on_ready()

    def _stop_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._stop.set()

    async def _keep(self, spec: ProcessSpec) -> None:
        """Start one process, and again after each death, until all is to stop."""
        clock = asyncio.get_running_loop().time
        deaths = 0
        while not self._stop.is_set():
            began = clock()
            child = await self._start(spec)
            if self._stop.is_set():
                _terminate(child.process)
            listening = asyncio.create_task(self._listen(spec, child))
            probing = asyncio.create_task(self._probe(spec, again=deaths > 0))
            code = await child.process.wait()
            probing.cancel()
            await self._clear_up(child, listening)
            self._ready[spec.name].clear()
            if self._stop.is_set():
                return
            deaths = 1 if clock() - began > self._back_off.steady_s else deaths + 1
            delay_s = self._back_off.delay_s(deaths)
            self._tell(f"{spec.name} {_how_it_ended(code)}; starting it again in {delay_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay_s)

    async def _start(self, spec: ProcessSpec) -> _Child:
        bond = (sys.executable, "-IS", "-c", _BOND, str(os.getpid()))
        ours, theirs = os.pipe()
        output = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(ours, "rb", buffering=0)
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(bond if sys.platform == "linux" else ()),
                *spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=STDOUT,
                env=self._environ,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._processes[spec.name] = process
        return _Child(process, output, transport)

    async def _listen(self, spec: ProcessSpec, child: _Child) -> None:
        """Pass on what a process prints, line by line."""
        rest = b""
        while chunk := await child.output.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                if spec.ready_line and text.startswith(spec.ready_line):
                    self._ready[spec.name].set()
                else:
                    self._tell(f"{spec.name}: {text}")
        if rest:
            self._tell(f"{spec.name}: {rest.decode(errors='replace')}")

    async def _clear_up(self, child: _Child, listening: asyncio.Task[None]) -> None:
        """End what is left of a group, which could hold the port, and hear it out."""
        await _end_group(child.process)
        await asyncio.wait([listening], timeout=1.0)
        listening.cancel()
        child.transport.close()

    async def _probe(self, spec: ProcessSpec, *, again: bool) -> None:
        """Find out when a process that was started is ready."""
        ready = self._ready[spec.name]
        slow = asyncio.get_running_loop().call_later(
            SLOW_START_S, self._tell, f"{spec.name} is not ready after {SLOW_START_S:g} s"
        )
        try:
            if spec.ready is not None:
                while not await spec.ready():
                    await asyncio.sleep(0.1)
                ready.set()
            elif not spec.ready_line:
                ready.set()
            await ready.wait()
        finally:
            slow.cancel()
        if again:
            self._tell(f"{spec.name} is ready again")

    async def _end(self, spec: ProcessSpec, keeper: asyncio.Task[None]) -> None:
        """Ask one process to end, make it end when it takes too long, and wait for its keeper."""
        process = self._processes.get(spec.name)
        if process is not None:
            _terminate(process)
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait(
            [keeper, hurry], timeout=spec.stop_s, return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        if not keeper.done() and (process := self._processes.get(spec.name)) is not None:
            self._tell(f"{spec.name} does not end by itself; ending it")
            _kill_group(process)
        await keeper


def _adopt_orphans() -> None:
    """Let what our children leave behind come to us instead of to PID 1, so that it is reaped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _terminate(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()


def _kill_group(process: Process) -> bool:
    """Return whether anything was left of the group, zombies included."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def _end_group(process: Process) -> None:
    """Leave nothing of a process and its children, neither running nor as a zombie."""
    with contextlib.suppress(TimeoutError):  # one that waits for a dead disk cannot be killed
        async with asyncio.timeout(5):
            await _kill_until_gone(process)


async def _kill_until_gone(process: Process) -> None:
    while _kill_group(process):
        if process.returncode is None:
            await process.wait()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-process.pid, os.WNOHANG) != (0, 0):
                pass
        await asyncio.sleep(0.01)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
