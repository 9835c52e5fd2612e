"""What stands beside the pixels: headers and documents, to those who may see the images."""

# No postponed annotations: FastAPI would look for the router's own names among the module's.
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, Response

from clinic_panel.context import Context
from clinic_panel.models.user import Permission
from clinic_panel.services import documents
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.web.door import Door
from clinic_panel.web.media import FrameIndex, Key

Frame = Annotated[int, Query(ge=0, le=2**31)]
Second = Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False)]


# The browser's own viewer shows a PDF in our page and nowhere else; nothing in it may load.
PDF_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'"
)


def router(door: Door, lightbox: Lightbox) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    may_see = Depends(door.allows(Permission.IMAGE_READ))

    @routes.get("/headers/{instance_id}")
    def header(ctx: Annotated[Context, may_see], instance_id: Key, frame: Frame = 0) -> Response:
        return JSONResponse(documents.header(ctx, instance_id, frame=frame).as_dict())

    @routes.get("/documents/{instance_id}")
    def paper(ctx: Annotated[Context, may_see], instance_id: Key) -> Response:
        return JSONResponse(documents.paper(ctx, lightbox, instance_id).as_dict())

    @routes.get("/documents/{instance_id}/parts/{group}")
    def part(
        ctx: Annotated[Context, may_see], instance_id: Key, group: FrameIndex, start: Second = 0.0
    ) -> Response:
        return JSONResponse(documents.part(ctx, lightbox, instance_id, group, start).as_dict())

    @routes.get("/documents/{instance_id}/on/{image_id}/{frame}")
    def presented(
        ctx: Annotated[Context, may_see], instance_id: Key, image_id: Key, frame: FrameIndex
    ) -> Response:
        return JSONResponse(documents.presented(ctx, lightbox, instance_id, image_id, frame))

    @routes.get("/documents/{instance_id}/pdf")
    def pdf(ctx: Annotated[Context, may_see], instance_id: Key, save: bool = False) -> Response:
        how = "attachment" if save else "inline"
        return Response(
            documents.pdf(ctx, lightbox, instance_id).data,
            media_type="application/pdf",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'{how}; filename="document-{instance_id}.pdf"',
                "Content-Security-Policy": PDF_POLICY,
                "X-Frame-Options": "SAMEORIGIN",
            },
        )

    return routes
