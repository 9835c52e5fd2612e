"""A whole clinic of real processes, a real browser, and a proxy that sees what leaves it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
PASSWORD = "demo-password-for-tests"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
]
# The browser's own errands, at start-up and for its spell checker's dictionary; they come from no
# page.
CHROMIUM_ERRANDS = re.compile(
    r"(accounts\.google\.com|update\.googleapis\.com|content-autofill\.googleapis\.com"
    r"|optimizationguide-pa\.googleapis\.com|clients2\.google\.com|android\.clients\.google\.com"
    r"|redirector\.gvt1\.com)"
)


class SinkProxy:
    """Notes each request the browser tries to send off this machine, and answers none.

    Playwright's own request events miss favicons and preconnects; a proxy sees them.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.requests: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                line = connection.recv(4096).split(b"\r\n")[0].decode(errors="replace")
                if not CHROMIUM_ERRANDS.search(line):
                    self.requests.append(line)
                connection.sendall(b"HTTP/1.1 502 Off\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self._server.close()


def zone_of_morning() -> str:
    """Return a zone where the clinic's day has begun and midnight is far, whenever this runs."""
    ahead = 10 - datetime.now(UTC).hour
    ahead += 24 if ahead < -12 else 0
    return f"Etc/GMT{-ahead:+d}"  # POSIX counts to the west


@dataclass
class Clinic:
    """`clinic demo` as a process."""

    home: Path
    checkout: Path = ROOT  # whose code it runs
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("CLINIC_")}
        environ |= {
            "CLINIC_DEMO_PASSWORD": PASSWORD,
            # Else it takes whom the test checks in for its own patient, now and then.
            "CLINIC_DEMO_STUDIES": "0",
            "CLINIC_TIMEZONE": zone_of_morning(),
            "PYTHONUNBUFFERED": "1",
        }
        self._ready.clear()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "clinic_panel", "demo"),
                *("--home", str(self.home)),
                *("--port", str(self.http_port)),
                *("--dicom-port", str(self.dicom_port)),
            ],
            cwd=self.checkout,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(180) or self.process.poll() is not None:
            self.stop()
            pytest.fail("the demo did not become ready:\n" + "\n".join(self.lines[-40:]))

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line.rstrip())
                if line.strip() == "ready":
                    self._ready.set()
        self._ready.set()  # it ended: whoever waits sees that it is not running

    def stop(self) -> int:
        """End it as Ctrl-C does; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait(10)
        finally:
            if self._reader is not None:
                self._reader.join(10)


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    for tool in ("storescu", "chromium"):
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is not installed: run `make test`, which installs it.")
    running = Clinic(tmp_path_factory.mktemp("clinic"))
    running.start()
    yield running
    ARTIFACTS.mkdir(exist_ok=True)
    (ARTIFACTS / "demo.log").write_text("\n".join(running.lines))
    running.stop()


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkProxy]:
    proxy = SinkProxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")  # two Playwrights in one thread do not go together
def browser(sink: SinkProxy) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[*CHROMIUM_ARGUMENTS, "--proxy-bypass-list=127.0.0.1"],
            proxy={"server": f"http://127.0.0.1:{sink.port}", "bypass": "127.0.0.1"},
        )
        yield launched
        launched.close()


def sign_in(context: BrowserContext, clinic: Clinic, username: str) -> Page:
    """Sign in as a demo account and return the page it lands on."""
    page = context.new_page()
    page.goto(f"{clinic.url}/login")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/(schedule|patients|reports|analytics|admin)"))
    return page


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot beside the test's other artefacts."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
