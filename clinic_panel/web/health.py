"""For the machines that watch: alive, ready, figures."""

# No postponed annotations: FastAPI would look for the router's own names among the module's.
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from clinic_panel.context import Context
from clinic_panel.errors import Unavailable
from clinic_panel.models.user import Permission
from clinic_panel.services import status
from clinic_panel.services.sessions import Visit
from clinic_panel.web.door import Door
from clinic_panel.web.meters import Meters


def router(door: Door, meters: Meters) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("ok")

    @routes.get("/readyz")
    async def readyz(request: Request) -> Response:
        try:
            await anyio.to_thread.run_sync(status.check_ready, door.ctx)
        except Unavailable as error:
            return PlainTextResponse(f"not ready: {error.message}", 503)
        if not isinstance(request.scope.get("user"), Visit):
            # That it is not ready may be known to all; that it is, to those who sign in.
            return PlainTextResponse(
                "Please sign in.", 401, {"WWW-Authenticate": 'Basic realm="clinic"'}
            )
        return PlainTextResponse("ready")

    @routes.get("/metrics")
    def metrics(ctx: Annotated[Context, Depends(door.allows(Permission.ADMIN))]) -> Response:
        return Response(meters.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
