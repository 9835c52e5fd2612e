"""What every answer says to the browser: where from, how long, and nothing from elsewhere."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Bokeh compiles its models in the page and Panel imports components from blobs; both style their
# shadow roots inline. What no page may do is reach another origin.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'{socket} blob: data:; object-src 'self'; base-uri 'self'; "
    "frame-ancestors 'none'; form-action 'self'"
)
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
HSTS = "max-age=31536000"

FOR_EVER = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"
NEVER = "no-store"

_HOST = re.compile(r"^[A-Za-z0-9._\[\]:-]{1,255}$")
_NAMED_BY_CONTENT = re.compile(r"-[0-9A-Z]{8}\.woff2?$|^/static/scripts/")


class ResponseHeaders:
    """ASGI middleware; pure, so that an image on its way is not copied through a task."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add what the answer does not say itself."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(scope, MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, sending)


def _add(scope: Scope, headers: MutableHeaders) -> None:
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)
    headers.setdefault("Content-Security-Policy", policy(scope))
    query = scope.get("query_string", b"").decode("latin-1")
    headers.setdefault("Cache-Control", cache_rule(scope["path"], query))
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = HSTS


def policy(scope: Scope) -> str:
    """Return the content security policy of a page at the address it was asked for."""
    # 'self' covers the websocket in new browsers only (CSP Level 3, 6.7.2.8).
    host = Headers(scope=scope).get("host", "")
    kind = "wss" if scope["scheme"] == "https" else "ws"
    return POLICY.format(socket=f" {kind}://{host}" if _HOST.match(host) else "")


def cache_rule(path: str, query: str) -> str:
    """Return how long a browser may keep an answer that does not say so itself.

    Product files that carry their version in the address or are named by their content stay for
    ever, the others are asked for again by their tag (an upgrade must not meet yesterday's
    scripts), and all the rest may hold what only this user may see on a shared computer.
    """
    if not path.startswith("/static/"):
        return NEVER
    return FOR_EVER if query or _NAMED_BY_CONTENT.search(path) else ASK_FIRST
