"""The one doorway to a clinic: ``ctx``, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import socketserver
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import cycle
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Error as BrowserError
from pynetdicom.association import Association
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine

from clinic_panel.checkpoint import Checkpoint
from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context, system
from clinic_panel.models.user import Role
from clinic_panel.resources import build_context, build_engine, upgrade
from clinic_panel.services import passwords
from tests import leftovers

# Processes must speak up by themselves, as on a machine where nobody set this.
os.environ.pop("PYTHONUNBUFFERED", None)
# A busy machine is slow, not wrong; what never comes is.
# The same examples each time: what a run finds, the next one finds, too. `search` looks for others.
hypothesis_settings.register_profile(
    "clinic", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
hypothesis_settings.register_profile(
    "search", hypothesis_settings.get_profile("clinic"), derandomize=False, max_examples=2000
)
hypothesis_settings.load_profile("clinic")
expect.set_options(timeout=60_000)
# Servers of sockets look twice a second whether they should stop; hundreds of tests wait for that.
socketserver.BaseServer.serve_forever.__defaults__ = (0.02,)

NOON = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
# In memory where there is room: what is synced with each answer waits for a disk otherwise.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4_000_000_000
ARTIFACTS = Path(__file__).parents[1] / "artifacts"
BELOW_EPHEMERAL = range(11_000, 32_000)  # and none that Chromium calls unsafe
PAGE_LENGTH = 8_000  # of what a failed test says of a page
LONGEST_FIRST = (
    *("e2e/", "_browser.py", "runner", "notebook", "index_equals", "together", "supervisor"),
    *("listener_process", "simulator", "exercise"),  # few tests, but whole processes
)


def scratch() -> Path:
    """Where tests write: never the disk while memory has room."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        return MEMORY
    return Path(tempfile.gettempdir())


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(scratch()))
    if not hasattr(config, "workerinput"):  # once a run, not in each of its processes
        leftovers.sweep(scratch())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long first and those of milliseconds last.

    The processes that share a run then end together. Within a file the order stays.
    """
    sizes = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[bool, int, int]:
        name = item.path.as_posix()
        rank = next((n for n, part in enumerate(LONGEST_FIRST) if part in name), len(LONGEST_FIRST))
        return "/unit/" in name, rank, -sizes[item.path]

    items.sort(key=place)


def hold_messages(context: BrowserContext) -> None:
    """Let a passing message stay, with its *Undo*: a busy machine may reach it too late."""
    context.add_init_script(
        """{
          const soon = window.setTimeout;
          window.setTimeout = (act, ms, ...rest) => soon(act, ms === 7000 ? 600000 : ms, ...rest);
        }"""
    )


def hold_answers(context: BrowserContext) -> None:
    """Let a test hold back what the server says: ``isHeld = true`` and later ``letGo()``.

    ``held("word")`` is the number of messages held back that have a word in them.
    """
    context.add_init_script(
        """{
          const Socket = window.WebSocket, back = [];
          window.isHeld = false;
          window.held = (word) => back.filter(([{ data }]) => String(data).includes(word)).length;
          window.letGo = () => {
            window.isHeld = false;
            for (const [event, take] of back.splice(0)) take(event);
          };
          window.WebSocket = class extends Socket {
            set onmessage(take) {
              super.onmessage = (event) => window.isHeld ? back.push([event, take]) : take(event);
            }
          };
        }"""
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what stood on the open pages when a test failed, and keep a picture of each."""
    report = yield
    if call.when == "call" and report.failed:
        for number, page in enumerate(_open_pages(item.funcargs.values())):
            with contextlib.suppress(BrowserError):
                said = page.locator("body").aria_snapshot(timeout=5_000)
                report.sections.append((f"Page {number}, {page.url}", said[:PAGE_LENGTH]))
                picture = ARTIFACTS / f"failed-{item.originalname}-{number}.png"
                page.screenshot(path=picture, timeout=5_000)
    return report


def _open_pages(values: Iterable[object]) -> list[Page]:
    found = []
    for value in values:
        if isinstance(value, Page):
            found.append(value)
        elif isinstance(value, Browser):
            found += [page for context in value.contexts for page in context.pages]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="session", autouse=True)
def patient_requestors() -> Iterator[None]:
    """Give the associations that tests request our checkpoint; those of the product have it."""
    begin = Association.__init__

    def begun(self: Association, ae: object, mode: str) -> None:
        begin(self, ae, mode)
        if mode == "requestor":
            self._reactor_checkpoint = Checkpoint()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Association, "__init__", begun)
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Hash as cheaply as argon2 can: its cost is what production pays, not what tests check."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "HASHER", cheap)
        patch.setattr(passwords, "NOBODY", cheap.hash("nobody's"))
        yield


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _postgres_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.fail("PostgreSQL is not installed: run `make test`, which installs it.")
    return found[-1].parent


def own_ports() -> Iterator[int]:
    """The ports of this process of a shared run, in an order of its own, none twice in a round."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(BELOW_EPHEMERAL)[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    secrets.SystemRandom().shuffle(ports)
    return cycle(ports)


_PORTS = own_ports()


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def free_port() -> int:
    """Return a port nobody has; no connection that goes out will take it before its server does.

    Nor will another test, here or in the process beside this one: seconds may pass before a server
    binds what it was given, and nobody else is given the same.
    """
    return next(port for port in _PORTS if _is_free(port))


class PostgresServer:
    """A throw-away cluster; as root it runs as the user ``postgres``, which it insists on."""

    def __init__(self, folder: Path) -> None:
        self.bin = _postgres_bin()
        self.folder = folder
        self.port = free_port()
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if os.geteuid() != 0:
            self._as = []
        else:
            shutil.chown(folder, "postgres", "postgres")
        options = ("-U", "clinic", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._run("initdb", "-D", str(folder / "data"), *options)
        self.start()

    def start(self) -> None:
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c max_connections=200 "
            "-c dynamic_shared_memory_type=mmap"  # in its folder, and gone with it
        )
        self._control("-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._control("-m", mode, "stop")

    def _control(self, *arguments: str) -> None:
        """Do as told and wait for it: a minute, as it does by itself, may be short."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", "240", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as, str(self.bin / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def url(self, database: str) -> str:
        return URL.create(
            "postgresql+psycopg2",
            username="clinic",
            host="127.0.0.1",
            port=self.port,
            database=database,
        ).render_as_string()

    @cached_property
    def _administration(self) -> Engine:
        return create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", pool_pre_ping=True)

    def execute(self, sql: str) -> None:
        with self._administration.connect() as connection:
            connection.execute(text(sql))

    def copy(self, template: str, database: str) -> None:
        """Make a database; as files, which takes half the time where there is a choice."""
        way = " STRATEGY FILE_COPY" if int(self.bin.parent.name) >= 15 else ""
        self.execute(f"CREATE DATABASE {database} TEMPLATE {template}{way}")

    def close(self) -> None:
        """End for good."""
        self._administration.dispose()
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    # Not below pytest's own folder, which the user postgres may not enter.
    folder = scratch() / f"clinic-postgres-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o755)
    leftovers.claim(folder)
    server = PostgresServer(folder)
    try:
        server.execute("CREATE DATABASE clinic_template")
        _migrate(Settings.read({}, home=folder, database_url=server.url("clinic_template")))
        yield server
    finally:
        server.close()


def _migrate(settings: Settings) -> None:
    engine = build_engine(settings)
    upgrade(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    _migrate(Settings.read({}, home=home))
    return home / "clinic.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty, migrated clinic whose ports are free ones."""
    flags = {
        "home": tmp_path / "home",
        "http_port": free_port(),
        "dicom_port": free_port(),
        "dicom_host": "127.0.0.1",
        "timezone": "Europe/Berlin",
    }
    (tmp_path / "home").mkdir()
    if database == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "home" / "clinic.db")
        yield Settings.read({}, **flags)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"clinic_{uuid.uuid4().hex[:12]}"
    server.copy("clinic_template", name)
    yield Settings.read({}, database_url=server.url(name), **flags)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ctx(settings: Settings, clock: Clock) -> Iterator[Context]:
    """A clinic, as its own system process; ``ctx.acting_as`` or ``as_role`` for a person."""
    engine = build_engine(settings)
    yield build_context(settings, engine, system("test"), clock)
    engine.dispose()


@pytest.fixture
def as_role(ctx: Context) -> Callable[[Role], Context]:
    """Return a function that gives the same clinic to an account of a role (made when needed)."""
    from tests import factories

    def switch(role: Role) -> Context:
        user = factories.user(ctx, role)
        return ctx.acting_as(
            Actor(
                username=user.username,
                role=role,
                user_pk=user.id,
                display_name=user.display_name,
                address="127.0.0.1",
            )
        )

    return switch
