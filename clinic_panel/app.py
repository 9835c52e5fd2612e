"""The composition root: settings become a running web server; the only place that wires."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import importlib
import inspect
import logging
import os
import pkgutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import panel as pn
import panel.ui  # sets the design of everything; once, before any page
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from panel.io.fastapi import add_applications
from starlette.exceptions import HTTPException
from starlette.responses import Response

from clinic_panel import logs, pages
from clinic_panel.config import Settings
from clinic_panel.context import Context, system
from clinic_panel.errors import ClinicError, Forbidden
from clinic_panel.feed import ChangeFeed
from clinic_panel.imaging.isolation import IsolatedDecoder
from clinic_panel.resources import build_context, build_engine, check_schema
from clinic_panel.secret import check_secret
from clinic_panel.services import auth
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.sessions import Visit
from clinic_panel.web import (
    account,
    documents,
    health,
    media,
    notices,
    page_resources,
    signin,
    together,
    wire,
)
from clinic_panel.web.door import Door, Gate
from clinic_panel.web.edge import Faults, StaticFiles
from clinic_panel.web.headers import ResponseHeaders
from clinic_panel.web.meters import Meters, Timing
from clinic_panel.web.open_pages import OpenPages, PageSpec

log = logging.getLogger(__name__)

ROUTES = ("/login", "/logout", "/password", "/healthz", "/readyz", "/metrics", "/static")
MEDIA = ("/frames", "/previews", "/thumbnails", "/reports", "/headers", "/documents", "/handouts")
STOP_S = 5


def page_specs(lightbox: Lightbox) -> list[PageSpec]:
    """Return the pages, one a module of ``clinic_panel.pages``."""
    specs = []
    for module_info in pkgutil.iter_modules(pages.__path__):
        module = importlib.import_module(f"{pages.__name__}.{module_info.name}")
        if not hasattr(module, "PATH"):
            continue
        build = module.page
        if "lightbox" in inspect.signature(build).parameters:
            build = partial(build, lightbox=lightbox)  # what this process knows of pixels
        specs.append(PageSpec(module.PATH, module.TITLE, module.PERMISSION, build))
    return specs


def build(
    ctx: Context,
    feed: ChangeFeed,
    specs: Sequence[PageSpec] | None = None,
    lightbox: Lightbox | None = None,
) -> FastAPI:
    """Join pages, routes and the door into one ASGI application.

    Parameters
    ----------
    ctx
        The clinic, as the web process itself.
    feed
        Tells of changes; started and stopped with the application.
    """
    decoder = IsolatedDecoder()
    room = ctx.settings.frame_cache_mb * 2**20
    lightbox = lightbox or Lightbox(decoder=decoder, frame_bytes=room)
    specs = page_specs(lightbox) if specs is None else specs
    door = Door(ctx, {spec.path: spec.permission for spec in specs})
    open_pages = OpenPages(door, feed)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        feed.start()
        sweeper = asyncio.create_task(open_pages.sweep_forever(served.core))
        try:
            yield
        finally:
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper
            feed.stop()
            open_pages.close()
            decoder.close()

    # The documentation pages load their script from another origin.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    pn.config.exception_handler = _callback_failed
    page_resources.remember()
    together.send_together()
    wire.guard()
    served = add_applications(
        {spec.path: open_pages.app(spec) for spec in specs},
        app=app,
        title={spec.path: f"{spec.title} · Clinic Panel" for spec in specs},
        auth_policy=door.policy,
        index_enabled=False,
        # Bokeh writes what it includes into the page, where a script could read the cookie.
        include_cookies=[],
        include_headers=["host", "user-agent"],
        secret_key=hmac.digest(ctx.settings.secret, b"bokeh sessions", hashlib.sha256),
        sign_sessions=True,
    )
    door.guard(served.core)
    meters = Meters(door, served.core)
    app.include_router(signin.router(door))
    app.include_router(account.router(door))
    app.include_router(health.router(door, meters))
    app.include_router(media.router(door, lightbox))
    app.include_router(documents.router(door, lightbox))
    app.add_exception_handler(ClinicError, partial(_clinic_error, door))
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _not_an_address)
    # Added after the pages, so that these stand in front of them; the last is the outermost.
    app.add_middleware(Gate, door=door)
    app.add_middleware(StaticFiles)
    app.add_middleware(Faults)
    app.add_middleware(Timing, meters=meters, kinds=[*ROUTES, *MEDIA, *door.pages])
    app.add_middleware(ResponseHeaders)
    return app


def serve(settings: Settings) -> None:
    """Run the web server until it is told to stop.

    Raises
    ------
    Unavailable
        The database does not answer or has another schema.
    SettingsError
        The secret key is not the one that the database is used with.
    """
    # A variable of the shell must not make pages load from elsewhere or open the websocket.
    os.environ["BOKEH_RESOURCES"] = "server"
    # Whether callbacks and documents are made as they should be is known from the tests: to look at
    # them again was a tenth of each page's cost.
    os.environ["BOKEH_PERFORM_ERROR_DIAGNOSTICS"] = os.environ["BOKEH_VALIDATE_DOC"] = "no"
    os.environ.pop("BOKEH_ALLOW_WS_ORIGIN", None)
    logs.configure()
    engine = build_engine(settings)
    try:
        check_schema(engine)
        check_secret(settings, engine)
        app = build(build_context(settings, engine, system("web")), ChangeFeed(engine))
        gc.collect()
        gc.freeze()  # what stays for good: to go through it again was a tenth of each page's cost
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn stops in order and then raises the signal again, which would kill us here.
            signal.signal(number, lambda *_: None)
        uvicorn.Server(server_config(app, settings)).run()
    finally:
        engine.dispose()


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        ssl_certfile=settings.http_tls_cert or None,
        ssl_keyfile=settings.http_tls_key or None,
        log_config=None,
        log_level="warning",
        access_log=False,  # the audit says who did what; addresses with keys need no second home
        server_header=False,
        proxy_headers=False,  # they say what the sender likes: the audit asks the socket
        ws="websockets-sansio",
        ws_max_size=wire.MOST_BYTES,
        timeout_graceful_shutdown=STOP_S,
    )


def _callback_failed(error: Exception) -> None:
    """Take what a page's callback raised: the page stays, the log says where."""
    log.error("a page's callback failed: %s", logs.where(error))


async def _clinic_error(door: Door, request: Request, error: ClinicError) -> Response:
    visit = request.scope.get("user")
    if isinstance(error, Forbidden) and isinstance(visit, Visit):
        first = "/" + request.url.path.split("/")[1]  # the rest may hold keys
        route = getattr(request.scope.get("route"), "path", first)
        await asyncio.to_thread(auth.audit_denied, door.acting_for(visit, request), route)
    return notices.problem(request, error)


async def _http_error(request: Request, error: HTTPException) -> Response:
    return notices.page(request, error.status_code)


async def _not_an_address(request: Request, _error: Exception) -> Response:
    # A key that is no number: nothing of what was sent goes into the answer or the log.
    return notices.page(request, 404)
