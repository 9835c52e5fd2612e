"""Pixels and paper: frames, thumbnails and PDFs, to those who may see them."""

# No postponed annotations: FastAPI would look for the router's own names among the module's.
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from starlette.responses import Response

from clinic_panel.context import Context
from clinic_panel.models.user import Permission
from clinic_panel.services import report_pdf, viewing
from clinic_panel.services.viewing import Lightbox
from clinic_panel.web.door import Door

# Instances never change; a shared computer's disk must still not hold them for long.
FRAMES_KEPT = "private, max-age=3600"
THUMBNAILS_KEPT = "private, max-age=60"

Key = Annotated[int, InPath(ge=1, le=2**53)]
FrameIndex = Annotated[int, InPath(ge=0, le=2**31)]


def router(door: Door, lightbox: Lightbox) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    may_see = Depends(door.allows(Permission.IMAGE_READ))
    may_list = Depends(door.allows(Permission.SCHEDULE_READ, Permission.PATIENT_READ))
    may_read = Depends(door.allows(Permission.REPORT_READ))

    @routes.get("/frames/{instance_id}/{frame}")
    def frame(ctx: Annotated[Context, may_see], instance_id: Key, frame: FrameIndex) -> Response:
        pixels = viewing.frame(ctx, lightbox, instance_id, frame)
        return Response(
            pixels.data,
            media_type="application/octet-stream",
            headers={"Cache-Control": FRAMES_KEPT, "X-Frame-Info": pixels.info.as_header()},
        )

    @routes.get("/thumbnails/{series_id}")
    def thumbnail(ctx: Annotated[Context, may_list], series_id: Key) -> Response:
        small = viewing.thumbnail(ctx, series_id)
        return Response(
            small.picture,
            media_type=small.media_type,
            headers={"Cache-Control": THUMBNAILS_KEPT},
        )

    @routes.get("/reports/{report_id}.pdf")
    def report(ctx: Annotated[Context, may_read], report_id: Key) -> Response:
        document = report_pdf.pdf(ctx, report_id)
        return Response(
            document.pdf,
            media_type="application/pdf",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'inline; filename="{document.filename}"',
            },
        )

    return routes
