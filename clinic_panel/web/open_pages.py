"""Pages in browsers: built for a person, kept while that person is signed in."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import anyio
import panel as pn
import panel.ui as ui

from clinic_panel.components.heading import Heading
from clinic_panel.components.live import Live
from clinic_panel.components.script import offer_addresses
from clinic_panel.components.shell import TopBar, shell
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotFound, Unavailable
from clinic_panel.feed import ChangeFeed
from clinic_panel.logs import where
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import auth, sessions
from clinic_panel.services.sessions import Visit
from clinic_panel.web.door import Door

log = logging.getLogger(__name__)

SWEEP_S = 5.0
GRACE_S = 1.0  # for the browser to follow the redirect before its socket is closed


@dataclass(frozen=True, slots=True)
class PageSpec:
    """One page: where it is, what it asks for, and how it is built."""

    path: str
    title: str
    permission: Permission
    build: Callable[[Context, Live], Any]


@dataclass(frozen=True, slots=True)
class _OpenPage:
    visit: Visit
    path: str
    bar: TopBar | None


class OpenPages:
    """The pages of one process, and the sweeper that ends those of people who left."""

    def __init__(self, door: Door, feed: ChangeFeed) -> None:
        """Serve pages behind a door, live by a feed."""
        self._door, self._feed = door, feed
        self._open: dict[Any, _OpenPage] = {}
        self._lock = threading.Lock()
        self._core: Any = None
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="denials")

    def close(self) -> None:
        """Note the last denials, and no more."""
        self._clerk.shutdown()

    def app(self, spec: PageSpec) -> Callable[[], Any]:
        """Return the function Panel calls for each visitor of a page."""

        def build() -> Any:
            doc = pn.state.curdoc
            offer_addresses(doc)
            visit: Visit = doc.session_context.request.user
            ctx = replace(self._door.acting_for(visit), on_denied=self._denials_on(spec.path))
            live = Live(self._feed, doc)
            doc.on_session_destroyed(lambda _context: self._closed(doc, live))
            try:
                ctx.require(spec.permission)
                view = spec.build(ctx, live)
            except Exception as error:  # noqa: BLE001 - the edge: else the browser waits forever
                if not isinstance(error, ClinicError):
                    log.error("page %s failed: %s", spec.path, where(error))
                view = _apology(ctx, spec, doc.session_context.request.uri, error)
            bar = _bar_of(view)
            if bar is not None:
                self._fit(bar, ctx, visit)
            with self._lock:
                self._open[doc] = _OpenPage(visit, spec.path, bar)
            return view

        build.__name__ = spec.path.strip("/")
        return build

    def _denials_on(self, path: str) -> Callable[[Context], None]:
        """Return what notes a denial: a page only says it, and a request that ends with it is none.

        In a thread of its own, since whoever is refused may be in the midst of a transaction.
        """

        def note(ctx: Context) -> None:
            try:
                auth.audit_denied(ctx, path)
            except ClinicError as error:
                log.error("a denial could not be noted: %s", where(error))

        def denied(ctx: Context) -> None:
            with suppress(RuntimeError):  # closed: the server ends
                self._clerk.submit(note, ctx)

        return denied

    def _fit(self, bar: TopBar, ctx: Context, visit: Visit) -> None:
        # No entry leads to a refusal, whatever the navigation lists.
        pages = self._door.pages
        bar.entries = [
            e for e in bar.entries if e["href"] not in pages or ctx.may(pages[e["href"]])
        ]

        def touched() -> None:
            try:
                sessions.touch(self._door.ctx, visit.session_id)
            except Unavailable:
                log.warning("a session could not be kept alive: the database does not answer")

        bar.touched = touched
        bar.idle_s = int(sessions.IDLE.total_seconds())

    def _closed(self, doc: Any, live: Live) -> None:
        live.close()
        with self._lock:
            self._open.pop(doc, None)

    async def sweep_forever(self, core: Any) -> None:
        """End pages of ended sessions: at once when one is ended here or elsewhere, else in time.

        Parameters
        ----------
        core
            The Bokeh server whose websockets these pages use.
        """
        self._core = core
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def heard(topics: frozenset[Topic]) -> None:
            if Topic.ADMIN in topics:
                self._door.cache.clear()
                loop.call_soon_threadsafe(woken.set)

        unsubscribe = self._feed.subscribe(heard)
        try:
            while True:
                try:
                    async with asyncio.timeout(SWEEP_S):
                        await woken.wait()
                except TimeoutError:
                    pass
                woken.clear()
                try:
                    await self._sweep()
                except Exception as error:  # noqa: BLE001 - the edge: it must not end for good
                    log.error("ended pages could not be swept: %s", where(error))
        finally:
            unsubscribe()

    async def _sweep(self) -> None:
        with self._lock:
            pages = dict(self._open)
        ids = {page.visit.session_id for page in pages.values()}
        try:
            alive = await anyio.to_thread.run_sync(sessions.still_open, self._door.ctx, ids)
        except Unavailable:
            return  # nobody can do anything without the database anyway
        ended = {doc: page for doc, page in pages.items() if page.visit.session_id not in alive}
        if not ended:
            return
        for doc, page in ended.items():
            if page.bar is not None:
                doc.add_next_tick_callback(_send_away(page))
        await asyncio.sleep(GRACE_S)
        await self._close_sockets(set(ended))
        with self._lock:
            for doc in ended:
                self._open.pop(doc, None)

    async def _close_sockets(self, docs: set[Any]) -> None:
        for connection in list(self._core._clients):
            session = connection._session
            if session is not None and session.document in docs:
                session.request_expiration()
                await connection._socket.close(1008, "signed out")


def _send_away(page: _OpenPage) -> Callable[[], None]:
    def tell() -> None:
        if page.bar is not None:
            page.bar.ended = f"/login?next={quote(page.path)}&why=ended"

    return tell


def _bar_of(view: Any) -> TopBar | None:
    header = view.header if isinstance(view, ui.Page) else []
    return next((part for part in header if isinstance(part, TopBar)), None)


def _apology(ctx: Context, spec: PageSpec, address: str, error: Exception) -> Any:
    """Return what a person sees instead of a page that could not be built."""
    text, note = "This page could not be shown.", "The clinic's log says more."
    again = [{"id": "again", "label": "Try again", "icon": "refresh", "href": address}]
    if isinstance(error, ClinicError):
        text, note = error.message, ""
    if isinstance(error, NotFound):  # nor will it, however often one asks
        note, again = "The address may be old or mistyped: the lists show what is here.", []
    sorry = Heading(title=text, note=note, back={"label": "Start", "href": "/"}, buttons=again)
    return shell(
        spec.title,
        user=ctx.actor.display_name,
        role=ctx.actor.role.value,
        active=spec.path.strip("/"),
        main=[sorry],
    )
