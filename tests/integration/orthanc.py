"""Orthanc as the other side: a plain configuration, its REST interface, stopped at the end."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import free_port
from tests.integration.peer import PATIENCE_S, wait_for


def until_it_answers(process: subprocess.Popen, *ports: int) -> None:
    """Wait until a program listens on its ports; it must not end before."""

    def answers(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    wait_for(lambda: process.poll() is not None or all(map(answers, ports)))
    assert process.poll() is None


class Orthanc:
    """A running one."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, address: str) -> None:
        self.process, self.port, self.address = process, port, address

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.address}{path}", timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def post(self, path: str, body: bytes | Mapping[str, Any]) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        request = urllib.request.Request(f"{self.address}{path}", method="DELETE")
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()


@contextlib.contextmanager
def orthanc(
    folder: Path,
    *,
    ae_title: str = "ARCHIVE",
    port: int = 0,
    peers: Mapping[str, Any] | None = None,
) -> Iterator[Orthanc]:
    """Run one until the block ends.

    Parameters
    ----------
    port
        Of its DICOM node; 0: a free one.
    peers
        ``DicomModalities`` of its configuration.
    """
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, "Orthanc is not installed: run `make test`, which installs it"
    http, port = free_port(), port or free_port()
    folder.mkdir(exist_ok=True)
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "data"),
                "IndexDirectory": str(folder / "data"),
                "DicomAet": ae_title,
                "DicomPort": port,
                "DicomAlwaysAllowStore": True,
                "DicomModalities": dict(peers or {}),
                "HttpPort": http,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "Plugins": [],
            }
        )
    )
    process = subprocess.Popen(
        [program, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until_it_answers(process, port, http)
        yield Orthanc(process, port, f"http://127.0.0.1:{http}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
