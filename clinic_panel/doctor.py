"""What could keep this clinic from working, and how to mend it."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from clinic_panel.config import Settings
from clinic_panel.context import AWAY, system
from clinic_panel.errors import ClinicError, Unavailable
from clinic_panel.models.appointment import Room
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.peer import Peer
from clinic_panel.models.user import Role, User
from clinic_panel.resources import build_context, build_engine, check_schema, now
from clinic_panel.secret import problem_of
from clinic_panel.services import status

# SQLite 3.7.0 to 3.51.2 can corrupt a WAL that several connections check-point.
SQLITE_LEAST = (3, 51, 3)
FREE_LEAST_BYTES = 5 << 30
CERTIFICATE_LEAST_DAYS = 30
CLOCK_MOST_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it is, and what to do when it is not well."""

    name: str
    is_well: bool
    found: str
    mend: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Look at everything a clinic needs; a look that fails is itself a finding."""
    yield from _home(settings)
    engine: Engine | None = None
    try:
        engine = build_engine(settings)
        yield from _database(settings, engine)
    except ClinicError as error:
        yield Check("database", False, error.message, "Correct CLINIC_DATABASE_URL.")
    finally:
        if engine is not None:
            engine.dispose()
    yield from _codecs()
    yield from _printing()
    for name, host, port in (
        ("dashboards' port", settings.http_host, settings.http_port),
        ("DICOM port", settings.dicom_host, settings.dicom_port),
    ):
        yield _port(name, host, port)
    yield from _certificates(settings)
    yield from _dask(settings)


def _home(settings: Settings) -> Iterator[Check]:
    home = settings.home
    parent = next(p for p in (home, *home.absolute().parents) if p.exists())
    disk = shutil.disk_usage(parent)
    yield Check(
        "disk",
        disk.free >= FREE_LEAST_BYTES,
        f"{disk.free / 2**30:.1f} GiB free for {home}",
        "Make room, or set CLINIC_HOME to a larger disk.",
    )
    if not home.exists():
        yield Check("home", True, f"{home} will be made at the first start")
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    yield Check(
        "home",
        not mode & 0o007,
        f"{home} has mode {mode:04o}",
        f"Others may read patients' data: run `chmod 700 {home}`.",
    )


def _database(settings: Settings, engine: Engine) -> Iterator[Check]:
    if engine.dialect.name == "sqlite":
        if not Path(engine.url.database or "").exists():
            yield Check("database", False, "there is none yet", "Run `clinic db upgrade`.")
            return
        yield _sqlite_version(engine)
    try:
        check_schema(engine)
    except ClinicError as error:
        yield Check("migrations", False, error.message, "Run `clinic db upgrade`.")
        return
    yield Check("migrations", True, "the schema is this program's")
    yield _secret(settings, engine)
    try:
        ctx = build_context(settings, engine, system("doctor"))
    except OSError as error:
        yield Check("archive", False, error.strerror or "", "Let this user write into the home.")
        return
    try:
        status.check_archive(ctx)
        yield Check("archive", True, f"{ctx.store.root} can be written")
    except ClinicError as error:
        yield Check("archive", False, error.message, "Let this user write there, or make room.")
    try:
        with ctx.read() as session:
            yield from _clock(engine, session)
            yield _accounts(session)
            yield from _ae_titles(settings, session)
    except ClinicError as error:
        yield Check("database", False, error.message, "Start it, and look into its own log.")


def _secret(settings: Settings, engine: Engine) -> Check:
    try:
        with Session(engine) as session:
            problem = problem_of(settings, session)
    except AWAY:
        return Check("secret key", False, Unavailable.default, "Look into the database's own log.")
    return Check(
        "secret key",
        not problem,
        problem or "the one that this database is used with",
        "With another key nobody can sign in, and the audit's chain breaks. "
        "Only if the old one is lost for good: run `clinic db renew-key`.",
    )


def _sqlite_version(engine: Engine) -> Check:
    version = engine.dialect.dbapi.sqlite_version_info  # type: ignore[union-attr]
    return Check(
        "SQLite",
        version >= SQLITE_LEAST,
        ".".join(map(str, version)),
        "This version can damage the database: install the package pysqlite3, or use PostgreSQL.",
    )


def _clock(engine: Engine, session: Session) -> Iterator[Check]:
    here = now()
    if engine.dialect.name == "postgresql":
        there = session.scalar(text("select clock_timestamp()"))
        apart = abs((there - here).total_seconds()) if there is not None else 0.0
        yield Check(
            "clock",
            apart < CLOCK_MOST_S,
            f"{apart:.1f} s from the database server's",
            "Let both machines set their clock by NTP.",
        )
    latest = session.scalar(select(func.max(AuditEntry.at)))
    yield Check(
        "time",
        latest is None or latest <= here,
        f"{here.astimezone():%Y-%m-%d %H:%M %Z}"
        + ("" if latest is None or latest <= here else ", before the audit's last entry"),
        "The clock was turned back, or was wrong before: set it by NTP.",
    )


def _accounts(session: Session) -> Check:
    admins = session.scalar(select(func.count()).where(User.role == Role.ADMIN, User.is_active))
    return Check(
        "administrator",
        bool(admins),
        f"{admins} account(s)",
        "Run `clinic user add NAME --role admin`.",
    )


def _ae_titles(settings: Settings, session: Session) -> Iterator[Check]:
    rooms = list(session.scalars(select(Room.station_ae_title).where(Room.is_active)))
    peers = list(session.scalars(select(Peer.ae_title).where(Peer.is_active)))
    mine = settings.ae_title in rooms + peers
    yield Check(
        "AE titles",
        not mine and bool(rooms + peers),
        f"{settings.ae_title} here, {len(rooms)} room(s), {len(peers)} peer(s)",
        "A room or peer has the clinic's own AE title: change one of them."
        if mine
        else "No device may call yet: add rooms or peers on the Admin page.",
    )
    for peer in session.scalars(select(Peer).where(Peer.is_active, Peer.forwards)):
        yield _reaches(f"peer {peer.ae_title}", peer.host, peer.port)


def _reaches(name: str, host: str, port: int) -> Check:
    try:
        socket.create_connection((host, port), 3).close()
        return Check(name, True, f"answers at {host}:{port}")
    except OSError:
        return Check(
            name,
            False,
            f"nothing answers at {host}:{port}",
            "Start it, or correct its address on the Admin page; studies wait meanwhile.",
        )


def _codecs() -> Iterator[Check]:
    from pydicom import uid
    from pydicom.pixels import get_decoder

    wanted = {
        "JPEG": uid.JPEGBaseline8Bit,
        "JPEG lossless": uid.JPEGLosslessSV1,
        "JPEG-LS": uid.JPEGLSLossless,
        "JPEG 2000": uid.JPEG2000Lossless,
        "HTJ2K": uid.HTJ2KLossless,
        "RLE": uid.RLELossless,
    }
    lacking = [name for name, syntax in wanted.items() if not get_decoder(syntax).is_available]
    yield Check(
        "codecs",
        not lacking,
        f"lacking: {', '.join(lacking)}" if lacking else ", ".join(wanted),
        "Run `uv sync`: the pylibjpeg packages are missing.",
    )


def _printing() -> Iterator[Check]:
    def pango() -> str:
        import weasyprint  # noqa: F401 - loads Pango

        return "Pango is there"

    yield _tried(
        "PDF",
        pango,
        (ImportError, OSError),
        "Run `apt-get install libpango-1.0-0 libpangoft2-1.0-0`.",
    )
    yield _tried(
        "fonts", _fonts, (OSError,), "Run `apt-get install fonts-noto-core fonts-noto-cjk`."
    )


def _fonts() -> str:
    import subprocess

    lister = shutil.which("fc-list")
    if lister is None:
        raise OSError("fc-list is missing")
    lacking = []
    for script in ("el", "ru", "ar", "he", "ja", "ko", "zh-cn", "hi", "th"):
        listed = subprocess.run(  # noqa: S603 - our own words
            [lister, f":lang={script}", "family"], capture_output=True, check=False, timeout=20
        )
        if not listed.stdout.strip():
            lacking.append(script)
    if lacking:
        raise OSError(f"no font for names in: {', '.join(lacking)}")
    return "names in Greek, Cyrillic, Arabic, Hebrew, CJK, Hindi and Thai can be printed"


def _tried(
    name: str, look: Callable[[], str], failures: tuple[type[Exception], ...], mend: str
) -> Check:
    try:
        return Check(name, True, look())
    except failures as error:
        return Check(name, False, str(error).splitlines()[0], mend)


def _port(name: str, host: str, port: int) -> Check:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError:
        return Check(name, False, f"{port} needs root", "Choose a port above 1023.")
    except OSError:
        return Check(name, True, f"{port} is in use: by this clinic, if it runs")
    return Check(name, True, f"{port} is free")


def _certificates(settings: Settings) -> Iterator[Check]:
    for name, path in (
        ("dashboards' certificate", settings.http_tls_cert),
        ("DICOM certificate", settings.dicom_tls_cert),
    ):
        if not path:
            continue
        try:
            days = _days_left(path)
        except (OSError, ssl.SSLError, ValueError, KeyError):
            yield Check(name, False, f"{path} cannot be read", "Correct the path, or the file.")
            continue
        yield Check(
            name,
            days >= CERTIFICATE_LEAST_DAYS,
            f"valid for {days} more days",
            "Renew it before browsers and devices refuse it.",
        )


def _days_left(path: str) -> int:
    decode: Any = ssl._ssl._test_decode_cert  # type: ignore[attr-defined] # the one way without OpenSSL's own package
    ends = ssl.cert_time_to_seconds(decode(path)["notAfter"])
    return (datetime.fromtimestamp(ends, UTC) - now()).days


def _dask(settings: Settings) -> Iterator[Check]:
    if not settings.dask_scheduler:
        return
    address = urlsplit(settings.dask_scheduler)
    try:
        socket.create_connection((address.hostname or "", address.port or 8786), 3).close()
        yield Check("Dask scheduler", True, f"answers at {settings.dask_scheduler}")
    except OSError:
        yield Check(
            "Dask scheduler",
            False,
            f"nothing answers at {settings.dask_scheduler}",
            "Start it, or leave CLINIC_DASK_SCHEDULER empty for a local one.",
        )
