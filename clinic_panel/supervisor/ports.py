"""Ports: whether one may be listened on, and whether something answers there."""

import asyncio
import contextlib
import errno
import socket
import ssl

import psutil

from clinic_panel.errors import Unavailable


def reachable(host: str) -> str:
    """Return where to reach a server on this machine that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def free_port(host: str) -> int:
    """Return a port that nobody listens on now."""
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int, option: str) -> None:
    """Refuse a port that cannot be listened on.

    Raises
    ------
    Unavailable
        The message names the port, who has it where that can be known, and what to do.
    """
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                problem = f"Port {port} is taken{_by_whom(port)}"
            elif error.errno == errno.EACCES:
                problem = f"Port {port} is for the system administrator"
            else:
                raise Unavailable(f"{host} is no address of this machine.") from None
            raise Unavailable(f"{problem}: choose another with {option}.") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,):
                if connection.pid is None:
                    break
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""


async def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def answers_http(host: str, port: int, *, encrypted: bool) -> bool:
    """Whether ``/readyz`` there says that it is ready, or asks who wants to know."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=_unverified() if encrypted else None
            )
            writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            status = (await reader.readline()).split(b" ")[1:2]
            writer.close()
    except (OSError, TimeoutError):
        return False
    return bool(status) and status[0] in (b"200", b"302", b"303", b"307", b"401", b"403")


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False  # our own process on this machine, under a name it has outside
    context.verify_mode = ssl.CERT_NONE
    return context
