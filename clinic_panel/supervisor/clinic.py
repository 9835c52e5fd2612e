"""``clinic up`` and ``clinic demo``: web, listener and worker as watched processes."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

from filelock import FileLock, Timeout

from clinic_panel.config import PREFIX, Settings
from clinic_panel.errors import Unavailable
from clinic_panel.supervisor.ports import (
    answers,
    answers_http,
    check_port,
    free_port,
    reachable,
)
from clinic_panel.supervisor.watch import ProcessSpec, Supervisor, say


def up(
    settings: Settings,
    *,
    prepare: Callable[[], None] | None = None,
    on_ready: Callable[[Supervisor], Awaitable[None]] | None = None,
    tell: Callable[[str], None] = say,
) -> None:
    """Run web, listener and worker of one home until Ctrl-C.

    Parameters
    ----------
    prepare
        Called once home and ports are ours and before anything starts: migrations, sample data.
    on_ready
        Awaited when all are ready, before the line ``ready``: what a demo prints and sends.

    Raises
    ------
    Unavailable
        A port is taken or the home is in use; nothing was started.
    """
    for port, host, option in (
        (settings.http_port, settings.http_host, "--port"),
        (settings.dicom_port, settings.dicom_host, "--dicom-port"),
    ):
        check_port(host, port, option)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(settings.home / "supervisor.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise Unavailable(
            f"The clinic in {settings.home} is already running: choose another with --home."
        ) from None
    with held:
        if prepare is not None:
            prepare()
        asyncio.run(_up(settings, on_ready, tell))
    tell("stopped")


async def _up(
    settings: Settings,
    on_ready: Callable[[Supervisor], Awaitable[None]] | None,
    tell: Callable[[str], None],
) -> None:
    supervisor = Supervisor(clinic_specs(settings), environ=clinic_environ(settings), tell=tell)

    async def greet() -> None:
        tell(f"web: {web_address(settings)}")
        tell(f"DICOM: {settings.ae_title} at {settings.dicom_host}:{settings.dicom_port}")
        if on_ready is not None:
            await on_ready(supervisor)
        tell("ready")

    await supervisor.run(greet)


def clinic_specs(settings: Settings) -> list[ProcessSpec]:
    """Return the three processes of a clinic, in starting order."""
    python = sys.executable
    dicom = (reachable(settings.dicom_host), settings.dicom_port)
    http = (reachable(settings.http_host), settings.http_port)
    encrypted = bool(settings.http_tls_cert)
    return [
        # The worker needs longest to stop: a computation under way is awaited.
        ProcessSpec(
            "worker", (python, "-m", "clinic_panel", "work"), ready_line="ready", stop_s=20.0
        ),
        ProcessSpec(
            "web",
            (python, "-m", "clinic_panel", "serve"),
            lambda: answers_http(*http, encrypted=encrypted),
        ),
        ProcessSpec("listener", (python, "-m", "listener"), lambda: answers(*dicom)),
    ]


def clinic_environ(settings: Settings) -> dict[str, str]:
    """Return this process's variables with the clinic's settings in place of any it had."""
    others = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return others | settings.environ()


def web_address(settings: Settings) -> str:
    """Return the address to open in a browser on this machine."""
    scheme = "https" if settings.http_tls_cert else "http"
    host = reachable(settings.http_host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


def with_ports(settings: Settings) -> Settings:
    """Return the settings with a free port wherever they say 0."""
    values = {name: getattr(settings, name) for name in settings.names()}
    for kind in ("http", "dicom"):
        if values[f"{kind}_port"] == 0:
            values[f"{kind}_port"] = free_port(values[f"{kind}_host"])
    return Settings(**values)
