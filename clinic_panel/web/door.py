"""The door: who may pass, decided once for pages, websockets and routes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
from bokeh.server.auth import AuthPolicy
from bokeh.util.token import get_session_id
from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, Forbidden, LockedOut, Unauthenticated
from clinic_panel.models.user import Permission
from clinic_panel.services import auth, sessions
from clinic_panel.services.sessions import SessionCache, Visit
from clinic_panel.web import notices

log = logging.getLogger(__name__)

PUBLIC = ("/login", "/healthz", "/favicon.ico")
FOR_ALL = ("/", "/password")  # what everybody has who is signed in
STATIC = "/static/"
BASIC = ("/metrics", "/readyz", "/dicom-web")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_SUFFIXES = frozenset({"", "/", "/ws"})
EMBEDDING = re.compile(r"/(metadata|autoload\.js|static/.*)")  # Panel's, for other sites' pages
MODULES = "/components/"  # Panel's too: it imports whatever module such an address names
_NEXT = re.compile(r"^/(?![/\\])[\w/?=&.%~-]*$", re.ASCII)
HASHERS = 2  # sign-ins that may burn a core at once; others wait their turn


class Door:
    """Knows who sits behind a request and which page asks for which permission."""

    def __init__(self, ctx: Context, pages: Mapping[str, Permission]) -> None:
        """Stand at the door of a clinic.

        Parameters
        ----------
        ctx
            The clinic, as the web process itself.
        pages
            What each page's path asks for.
        """
        self.ctx = ctx
        self.pages = pages
        self.cache = SessionCache()
        self.policy = AuthPolicy(self._page_user, login_url="/login", logout_url="/logout")
        self.hashing = anyio.CapacityLimiter(HASHERS)
        self._basic: dict[bytes, str] = {}
        self._core: Any = None

    def guard(self, core: Any) -> None:
        """Learn which server's sessions the websockets belong to."""
        self._core = core

    def cookie(self, scheme: str) -> str:
        """Return the cookie's name: browsers share cookies among the ports of a host."""
        name = f"clinic_{self.ctx.settings.http_port}"
        return f"__Host-{name}" if scheme in ("https", "wss") else name

    def token(self, connection: HTTPConnection) -> str:
        """Return the token a browser sent, or nothing."""
        return connection.cookies.get(self.cookie(connection.url.scheme), "")

    async def visit(self, connection: HTTPConnection) -> Visit | None:
        """Return who sent a request, or None.

        Raises
        ------
        LockedOut, Unavailable
        """
        token = self.token(connection)
        if token:
            lately = sessions.known(self.ctx, token, self.cache)  # a frame costs no thread
            return lately or await anyio.to_thread.run_sync(
                sessions.resolve, self.ctx, token, self.cache
            )
        header = connection.headers.get("authorization", "")
        if header[:6].lower() == "basic " and connection.url.path.startswith(BASIC):
            return await anyio.to_thread.run_sync(
                self._basic_visit, header[6:], address_of(connection), limiter=self.hashing
            )
        return None

    def acting_for(self, visit: Visit, connection: HTTPConnection | None = None) -> Context:
        """Return the clinic as the person behind a request sees it."""
        actor = visit.actor
        if connection is not None:
            actor = replace(actor, address=address_of(connection))
        return self.ctx.acting_as(actor)

    def allows(self, *permissions: Permission) -> Callable[[Request], Awaitable[Context]]:
        """Return a FastAPI dependency: the clinic, for somebody who holds the permissions."""

        async def dependency(request: Request) -> Context:  # asks nobody: no thread is needed
            visit = request.scope.get("user")
            if not isinstance(visit, Visit):
                raise Unauthenticated
            ctx = self.acting_for(visit, request)
            ctx.require(*permissions)
            return ctx

        return dependency

    def page_of(self, path: str) -> str | None:
        """Return the page whose document or websocket a path is, or None."""
        for page in self.pages:
            if path.startswith(page) and path[len(page) :] in PAGE_SUFFIXES:
                return page
        return None

    def is_embedding(self, path: str) -> bool:
        """Whether a path would put one of our pages into another site."""
        return any(
            path.startswith(page) and EMBEDDING.fullmatch(path[len(page) :]) for page in self.pages
        )

    def _page_user(self, request: Any) -> Visit | None:
        """Answer Bokeh: the gate in front has decided; a websocket must be its page's own."""
        visit = request.user
        if not isinstance(visit, Visit):
            return None
        protocols = request.headers.get("sec-websocket-protocol", "")
        if protocols and self._core is not None:
            session_id = get_session_id(protocols.split(",")[-1].strip())
            for context in self._core.applications.values():
                session = context._sessions.get(session_id)
                if session is not None:
                    owner = session.document.session_context.request.user
                    return visit if owner.session_id == visit.session_id else None
        return visit

    def _basic_visit(self, credentials: str, address: str) -> Visit | None:
        key = hmac.digest(self.ctx.settings.secret, credentials.encode(), hashlib.sha256)
        token = self._basic.get(key)
        if token and (visit := sessions.resolve(self.ctx, token, self.cache)) is not None:
            return visit
        try:
            name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
            token = auth.sign_in(self.ctx, name, password, address).token
        except LockedOut:
            raise
        except (binascii.Error, UnicodeDecodeError, Unauthenticated):
            return None
        self._basic[key] = token
        return sessions.resolve(self.ctx, token, self.cache)


class Gate:
    """Middleware in front of everything: nobody passes whom the door does not know."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            refusal = await self._refusal(scope)
        except ClinicError as error:
            refusal = notices.problem(HTTPConnection(scope), error)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    async def _refusal(self, scope: Scope) -> Response | None:
        connection, path = HTTPConnection(scope), scope["path"]
        is_safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if not is_safe and not same_origin(connection):
            raise Forbidden("This request comes from another site.")
        if path in PUBLIC or path.startswith(STATIC):
            return None
        visit = await self._door.visit(connection)
        if visit is None:
            return self._ask_to_sign_in(connection)
        scope["user"] = visit
        if path.startswith(MODULES) or self._door.is_embedding(path):
            return notices.page(connection, 404)
        page = self._door.page_of(path)
        if page is None:
            return None
        ctx = self._door.acting_for(visit, connection)
        if not ctx.may(self._door.pages[page]):
            await anyio.to_thread.run_sync(auth.audit_denied, ctx, path)
            raise Forbidden
        return None

    def _ask_to_sign_in(self, connection: HTTPConnection) -> Response | None:
        path = connection.url.path
        if path == "/logout":
            return RedirectResponse("/login", 303)
        if path == "/readyz":
            return None  # says to everybody that it is not ready; the rest asks to sign in
        wants_page = path in FOR_ALL or self._door.page_of(path) is not None
        if wants_page and connection.scope.get("method") == "GET":
            target = f"{path}?{connection.url.query}" if connection.url.query else path
            return RedirectResponse(f"/login?next={quote(safe_next(target))}", 303)
        response = notices.problem(connection, Unauthenticated())
        if path.startswith(BASIC):
            response.headers["WWW-Authenticate"] = 'Basic realm="clinic", charset="UTF-8"'
        return response


def same_origin(connection: HTTPConnection) -> bool:
    """Whether a request that may change something comes from our own pages.

    Browsers send ``Origin`` with every POST and websocket; programs, which nobody can trick into
    a request, may leave it out.
    """
    origin = connection.headers.get("origin")
    if origin is None:
        return connection.headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    return urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower() != ""


def safe_next(target: str) -> str:
    """Return where to go after signing in: a path of ours, or the start."""
    return target if len(target) <= 256 and _NEXT.match(target) else "/"


def address_of(connection: HTTPConnection) -> str:
    """Return the address a request came from."""
    return connection.client.host if connection.client else ""
