"""One study: its images beside its report."""

from __future__ import annotations

from typing import Any

import panel as pn

from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.live import Live
from clinic_panel.components.notice import Notice
from clinic_panel.components.report_editor import ReportEditor
from clinic_panel.components.viewer.kept import Kept
from clinic_panel.components.viewer.preferred import Preferred
from clinic_panel.components.viewer.sharing import Sharing
from clinic_panel.components.viewer.study import (
    FRAME_URL,
    HEADER_URL,
    PAPER_URL,
    PREVIEW_URL,
    banner_of,
    series_of,
)
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotFound
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import viewing
from clinic_panel.services.report_content import KeyImageRef

PATH = "/study"
TITLE = "Study"
PERMISSION = Permission.IMAGE_READ
EDITOR_PX = 420
BELOW_THE_BAR = "calc(100dvh - var(--clinic-around))"


def page(ctx: Context, live: Live, lightbox: viewing.Lightbox) -> Any:
    """Build the page of the study named by the address's ``id``.

    Raises
    ------
    Forbidden, NotFound
        The error page says so.
    """
    study_id = _asked()
    view = viewing.study(ctx, lightbox, study_id)
    notice = Notice()
    viewer = StudyViewer(
        series=series_of(view),
        banner=banner_of(view),
        frame_url=FRAME_URL,
        preview_url=PREVIEW_URL,
        reader=ctx.actor.display_name or ctx.actor.username,
        header_url=HEADER_URL,
        paper_url=PAPER_URL,
        sizing_mode="stretch_width",
        margin=0,
        styles={"height": BELOW_THE_BAR, "min-height": "460px"},
    )
    editor = ReportEditor(
        ctx=ctx,
        study_id=study_id,
        modalities="\\".join(view.modalities),
        description=view.study_description,
        styles={"max-height": BELOW_THE_BAR, "overflow-y": "auto"},
    )
    viewer.key_images = _marked(viewer, editor.key_images)

    def choose(_: object) -> None:
        wanted = [(image["instance_id"], image["frame"]) for image in viewer.key_images]
        if wanted != [(image["instance_id"], image["frame"]) for image in editor.key_images]:
            editor.choose([_as_seen(viewer, image) for image in viewer.key_images])

    def mark(_: object) -> None:
        viewer.key_images = _marked(viewer, editor.key_images)

    def more_images() -> None:
        try:
            now = viewing.study(ctx, lightbox, study_id, again=True)
        except ClinicError as error:
            notice.say(error.message, "problem")
            return
        fresh = {"series": series_of(now), "banner": banner_of(now)}
        viewer.param.update(
            **{name: value for name, value in fresh.items() if value != getattr(viewer, name)}
        )

    document = pn.state.curdoc
    Preferred(ctx, viewer, say=notice.say)
    kept = Kept(ctx, study_id, viewer, say=notice.say, later=document.add_timeout_callback)
    pn.state.on_session_destroyed(lambda _: kept.keep_look())
    form = FormDialog()
    sharing = Sharing(ctx, study_id, viewer, form, say=notice.say, keep=kept.keep_look)
    viewer.param.watch(choose, "key_images")
    editor.param.watch(mark, "key_images")
    editor.param.watch(lambda event: event.new and notice.say(event.new, "problem"), "problem")
    live.on(Topic.STUDIES, more_images)  # performed steps tell this topic too
    live.on(Topic.REPORTS, editor.refresh)
    live.on(Topic.STUDIES, sharing.refresh)
    live.on(Topic.JOBS, sharing.refresh)
    if view.patient_pk is None:
        notice.say(
            "This study matches no booking: the identity is what the modality sent.", "warning"
        )
    return framed(
        ctx,
        TITLE,
        "reports" if ctx.may(Permission.REPORT_WRITE) else "schedule",
        main=[viewer],
        aside=[editor],
        aside_px=EDITOR_PX,
        overlays=[form, notice],
    )


def _asked() -> int:
    [given] = pn.state.session_args.get("id", [b""])[:1]
    if not given.isdigit() or len(given) > 9:
        raise NotFound("This study does not exist.")
    return int(given)


def _as_seen(viewer: StudyViewer, image: dict[str, Any]) -> KeyImageRef:
    """Keep the window of the image in the viewport; others print with their own."""
    stack = viewer.stack()
    here = 0 <= viewer.index < len(stack) and stack[viewer.index] == (
        image["instance_id"],
        image["frame"],
    )
    windowed = here and viewer.window_width > 0
    return KeyImageRef(
        instance_id=image["instance_id"],
        frame=image["frame"],
        window_center=viewer.window_center if windowed else None,
        window_width=viewer.window_width if windowed else None,
    )


def _marked(viewer: StudyViewer, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each key image in which series it is."""
    home = {place: series["id"] for series in viewer.series for place in viewer.stack(series["id"])}
    return [
        {
            "series_id": home.get((image["instance_id"], image["frame"]), ""),
            "instance_id": image["instance_id"],
            "frame": image["frame"],
        }
        for image in images
    ]
