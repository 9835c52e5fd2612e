"""``clinic demo``: the sample clinic, running, with a modality that sends images by itself."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from clinic_panel.config import Settings
from clinic_panel.context import Context, system
from clinic_panel.demo.cast import ACCOUNTS
from clinic_panel.demo.fill import Filled, fill
from clinic_panel.errors import Unavailable
from clinic_panel.models.job import JobState
from clinic_panel.resources import open_context
from clinic_panel.services import jobs
from clinic_panel.supervisor.clinic import up
from clinic_panel.supervisor.ports import reachable
from clinic_panel.supervisor.watch import ProcessSpec, Supervisor, say

INTERVAL_S = 20  # from one study the modality sends to the next
PATIENCE_S = 600  # how long it goes on looking for patients who were checked in
QUIET_S = 60.0  # how long it waits at most for the worker to catch up with the past


def run_demo(settings: Settings, tell: Callable[[str], None] = say) -> None:
    """Fill the home if need be and run everything until Ctrl-C.

    Anyone may send to it: an association from an unknown AE title is accepted, so that a visitor's
    own tools work at once.

    Raises
    ------
    Unavailable
        A port is taken or the home is in use; nothing was started.
    Conflict
        The home holds a clinic that is no demo; nothing was changed.
    """
    settings = welcoming(settings)
    filled: list[Filled] = []
    sending: list[asyncio.Task[None]] = []

    def prepare() -> None:
        tell(f"filling {settings.home}")
        filled.append(fill(settings))

    async def greet(supervisor: Supervisor) -> None:
        for line in account_table(filled[0].password):
            tell(line)
        sending.append(asyncio.create_task(_send(supervisor, settings, tell)))

    up(settings, prepare=prepare, on_ready=greet, tell=tell)


def welcoming(settings: Settings) -> Settings:
    """Return the settings with a door that is open to unknown AE titles."""
    values = {name: getattr(settings, name) for name in settings.names()}
    return Settings(**values | {"unknown_ae": "accept"})


def account_table(password: str) -> list[str]:
    """Return the accounts as lines: user name, password, role, person."""
    rows = [("sign in as", "password", "role", "name")]
    rows += [(a.username, password, a.role.value, a.display_name) for a in ACCOUNTS]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [
        "  " + "  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]) for row in rows
    ]


def modality_spec(settings: Settings) -> ProcessSpec:
    """Return the simulated modality as a process of its own, over real sockets."""
    options = {
        "--host": reachable(settings.dicom_host),
        "--port": settings.dicom_port,
        "--count": settings.demo_studies,
        "--interval": INTERVAL_S,
        "--patience": PATIENCE_S,
    }
    words = [str(word) for pair in options.items() for word in pair]
    argv = (sys.executable, "-m", "clinic_panel", "simulate", "modality", *words, "--arrived-only")
    return ProcessSpec("modality", argv)


async def _send(supervisor: Supervisor, settings: Settings, tell: Callable[[str], None]) -> None:
    if not settings.demo_studies:
        return
    if settings.dicom_tls_cert:
        tell("modality: not started, since it speaks no TLS")
        return
    # The first start leaves thumbnails and PDFs of the past to make; what is live should not queue
    # behind them, so that a row changes as fast as it does on any other day.
    try:
        await _worker_is_idle(settings)
    except Unavailable as error:
        tell(f"modality: {error.message}")
    await supervisor.run_once(modality_spec(settings))


async def _worker_is_idle(settings: Settings) -> None:
    until = time.monotonic() + QUIET_S
    with open_context(settings, system("demo")) as ctx:
        while time.monotonic() < until:
            waiting = await asyncio.to_thread(_open_jobs, ctx)
            if not waiting:
                return
            await asyncio.sleep(0.5)


def _open_jobs(ctx: Context) -> int:
    still_open = (JobState.QUEUED, JobState.RUNNING)
    return sum(count for (_, state), count in jobs.counts(ctx).items() if state in still_open)
