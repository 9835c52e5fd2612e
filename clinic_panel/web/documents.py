"""What stands beside the pixels: headers, to those who may see the images."""

# No postponed annotations: FastAPI would look for the router's own names among the module's.
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, Response

from clinic_panel.context import Context
from clinic_panel.models.user import Permission
from clinic_panel.services import documents
from clinic_panel.web.door import Door
from clinic_panel.web.media import Key

Frame = Annotated[int, Query(ge=0, le=2**31)]


def router(door: Door) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    may_see = Depends(door.allows(Permission.IMAGE_READ))

    @routes.get("/headers/{instance_id}")
    def header(ctx: Annotated[Context, may_see], instance_id: Key, frame: Frame = 0) -> Response:
        return JSONResponse(documents.header(ctx, instance_id, frame=frame).as_dict())

    return routes
