"""Pixels and paper: frames, thumbnails and PDFs, to those who may see them."""

# No postponed annotations: FastAPI would look for the router's own names among the module's.
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from clinic_panel.context import Context
from clinic_panel.errors import NotFound
from clinic_panel.imaging.subtraction import AS_SAID
from clinic_panel.models.user import Permission
from clinic_panel.services import frames, handout, report_pdf
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.web.door import Door

# Instances never change; a shared computer's disk must still not hold them for long.
FRAMES_KEPT = "private, max-age=3600"
THUMBNAILS_KEPT = "private, max-age=60"

MOST_KEY = 2**53
MOST_MASK = 20  # characters
Key = Annotated[int, InPath(ge=1, le=MOST_KEY)]
FrameIndex = Annotated[int, InPath(ge=0, le=MOST_KEY)]


def router(door: Door, lightbox: Lightbox) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    may_see = door.allows(Permission.IMAGE_READ)
    may_look = Depends(may_see)
    signed_in = Depends(door.allows())  # what a file needs depends on its kind
    may_list = Depends(door.allows(Permission.SCHEDULE_READ, Permission.PATIENT_READ))
    may_read = Depends(door.allows(Permission.REPORT_READ))

    # A plain route: what FastAPI does for a request costs as much as all the rest of a slice.
    async def frame(request: Request) -> Response:
        ctx = await may_see(request)
        key = request.path_params["instance_id"], request.path_params["frame"]
        if max(key) > MOST_KEY:
            raise NotFound("This image does not exist.")
        mask = request.query_params.get("mask", AS_SAID)[:MOST_MASK]
        sent = frames.lately_sent(ctx, lightbox, *key, mask)
        if sent is None:
            sent = await run_in_threadpool(frames.sent_frame, ctx, lightbox, *key, mask)
        return Response(
            sent.frame.body,
            media_type="application/octet-stream",
            headers={"Cache-Control": FRAMES_KEPT, "X-Frame-Info": sent.info},
        )

    routes.add_route("/frames/{instance_id:int}/{frame:int}", frame)

    @routes.get("/previews/{instance_id}/{frame}")
    def preview(
        ctx: Annotated[Context, may_look],
        instance_id: Key,
        frame: FrameIndex,
        mask: str = AS_SAID,
    ) -> Response:
        small = frames.preview(ctx, lightbox, instance_id, frame, mask[:MOST_MASK])
        return Response(
            small.jpeg,
            media_type="image/jpeg",
            headers={"Cache-Control": FRAMES_KEPT, "X-Frame-Info": small.info},
        )

    @routes.get("/thumbnails/{series_id}")
    def thumbnail(ctx: Annotated[Context, may_list], series_id: Key) -> Response:
        small = frames.thumbnail(ctx, series_id)
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

    @routes.get("/handouts/{handout_id}")
    def made(ctx: Annotated[Context, signed_in], handout_id: Key) -> Response:
        file = handout.fetch(ctx, handout_id)
        return FileResponse(
            file.path,
            media_type=file.media_type,
            filename=file.filename,
            content_disposition_type="attachment",
            headers={"Cache-Control": "no-store"},
        )

    return routes
