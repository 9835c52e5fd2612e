"""What stands before everything else: static files from memory, and faults without values."""

from __future__ import annotations

import gzip
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinic_panel.components.script import SCRIPTS_AT, script_at
from clinic_panel.errors import ClinicError
from clinic_panel.logs import where
from clinic_panel.web import notices
from clinic_panel.web.headers import NEVER

log = logging.getLogger(__name__)

OURS = Path(__file__).parent / "static"
OURS_AT = "/static/clinic/"
COMPRESSED = (".js", ".css", ".map", ".svg", ".json", ".html", ".wasm", ".txt")
MOST_KEPT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    packed: bytes  # gzip; empty for what is compressed already
    media_type: str
    etag: str


class StaticFiles:
    """Middleware: static files are read and compressed once a process, and have a tag."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._assets: dict[str, _Asset] = {}
        self._kept_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a static file; anything else passes."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/static/"):
            await self._app(scope, receive, send)
        elif path.startswith(OURS_AT):
            await _own(path.removeprefix(OURS_AT))(scope, receive, send)
        elif scope["method"] != "GET":
            await self._app(scope, receive, send)
        else:
            await (await self._answer(scope, receive))(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path = scope["path"]
        asset = self._assets.get(path)
        if asset is None:
            is_script = path.startswith(SCRIPTS_AT)
            answer = _script(path) if is_script else await _collect(self._app, scope, receive)
            if answer.status_code != 200:
                return answer
            asset = await anyio.to_thread.run_sync(
                _pack, bytes(answer.body), answer.headers.get("content-type", ""), path
            )
            size = len(asset.body) + len(asset.packed)
            if self._kept_bytes + size <= MOST_KEPT_BYTES:
                self._assets[path] = asset
                self._kept_bytes += size
        return _respond(scope, asset)


def _own(name: str) -> Response:
    file = OURS / name
    if "/" in name or name.startswith(".") or not file.is_file():
        return Response("Not found", 404, media_type="text/plain")
    return FileResponse(file)


def _script(path: str) -> Response:
    found = script_at(path)
    if found is None:
        # Said with its rule: what stands at this address otherwise may be kept for ever.
        return Response("Not found", 404, {"Cache-Control": NEVER}, "text/plain")
    return Response(found, media_type="text/javascript")


def _respond(scope: Scope, asset: _Asset) -> Response:
    asked = Headers(scope=scope)
    headers = {"ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.etag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = asset.media_type
    if not asset.packed or "gzip" not in asked.get("accept-encoding", ""):
        return Response(asset.body, headers=headers)
    return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"})


def _pack(body: bytes, media_type: str, path: str) -> _Asset:
    packed = gzip.compress(body, 6, mtime=0) if path.endswith(COMPRESSED) else b""
    return _Asset(body, packed, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    answer, parts = Response(), []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status_code = message["status"]
            answer.raw_headers = [h for h in message["headers"] if h[0] != b"content-length"]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, sending)
    answer.body = b"".join(parts)
    answer.headers["content-length"] = str(len(answer.body))
    return answer


class Faults:
    """Middleware: what nobody caught becomes an error page, and a log line without values."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a request that failed."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the edge: the text may quote a patient
            log.error("a request failed: %s", where(error))
            if begun or scope["type"] != "http":
                return
            connection = HTTPConnection(scope)
            answer = (
                notices.problem(connection, error)
                if isinstance(error, ClinicError)
                else notices.page(connection, 500)
            )
            await answer(scope, receive, send)
