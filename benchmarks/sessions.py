"""What open pages cost the server while nobody touches them, and how soon the login page is there.

Run: ``python -m benchmarks.sessions``. `clinic demo`; each session is a page that was fetched and
whose document was pulled over its websocket, as a browser does. Memory is that of the web process.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright
from websockets.sync.client import ClientConnection, connect

from benchmarks.schedule import cpu_ms, settle, web_process
from tests.e2e.conftest import CHROMIUM_ARGUMENTS, PASSWORD, Clinic
from tests.integration.test_web import pull, token_of

IDLE_S = 20


def open_page(clinic: Clinic, client: httpx.Client, path: str) -> ClientConnection:
    """Open a page as a browser does; it stays open until the socket is closed."""
    token = token_of(client.get(path).text)
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    socket = connect(
        clinic.url.replace("http", "ws") + f"{path}/ws",
        subprotocols=["bokeh", token],
        additional_headers={"Cookie": cookies},
        origin=clinic.url,
        max_size=None,
        ping_interval=None,  # the client reads nothing on; the server pings by itself
    )
    pull(socket)
    return socket


def idle(clinic: Clinic, count: int, path: str) -> None:
    process = web_process(clinic)
    with httpx.Client(base_url=clinic.url, timeout=60) as client, ExitStack() as sockets:
        client.post("/login", data={"username": "reception", "password": PASSWORD})
        sockets.enter_context(open_page(clinic, client, path))
        settle(process)
        before = process.memory_info().rss
        for _ in range(count - 1):
            sockets.enter_context(open_page(clinic, client, path))
        settle(process)
        after, busy = process.memory_info().rss, cpu_ms(process)
        time.sleep(IDLE_S)
        cpu = (cpu_ms(process) - busy) / IDLE_S / 10
    each = (after - before) / (count - 1) / 2**20
    print(f"| memory, 1 open page / {count} | {before / 2**20:.0f} / {after / 2**20:.0f} MiB |")
    print(f"| ... each | {each:.2f} MiB |")
    print(f"| CPU while they are idle | {cpu:.1f} % of a core |")


def login(clinic: Clinic, browser: Browser, repetitions: int) -> None:
    process = web_process(clinic)
    settle(process)
    before, loads = cpu_ms(process), []
    for _ in range(repetitions):
        with browser.new_context() as context:
            page = context.new_page()
            began = time.perf_counter()
            page.goto(f"{clinic.url}/login")
            loads.append(1000 * (time.perf_counter() - began))
    settle(process)
    cpu = (cpu_ms(process) - before) / repetitions
    print(f"| login page, loaded in a new browser context | {statistics.median(loads):.0f} ms |")
    print(f"| ... server CPU | {cpu:.1f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--path", default="/schedule")
    parser.add_argument("--repetitions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        clinic = Clinic(Path(home) / "home")
        clinic.start()
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=CHROMIUM_ARGUMENTS
        )
        try:
            print("| what | figure |\n|---|---|")
            login(clinic, browser, options.repetitions)
            browser.close()
            idle(clinic, options.sessions, options.path)
        finally:
            clinic.stop()


if __name__ == "__main__":
    main()
