"""One study: its images beside its report."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import panel as pn

from clinic_panel.components.file_list import FileList, lines
from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.live import Live
from clinic_panel.components.notice import Notice
from clinic_panel.components.report_editor import ReportEditor
from clinic_panel.components.shell import begin_early
from clinic_panel.components.viewer.hanging import Wall
from clinic_panel.components.viewer.kept import Kept
from clinic_panel.components.viewer.preferred import Preferred
from clinic_panel.components.viewer.sharing import Sharing
from clinic_panel.components.viewer.study import (
    FRAME_URL,
    HEADER_URL,
    PAPER_URL,
    PREVIEW_URL,
    banner_of,
)
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotFound
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import prepared, viewing
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.report_content import KeyImageRef

PATH = "/study"
TITLE = "Study"
PERMISSION = Permission.IMAGE_READ
EDITOR_PX = 420
BELOW_THE_BAR = "calc(100dvh - var(--clinic-around))"
# Their distance is a margin of the files: a gap would stand below the report without any, too.
_SHOWN = {"display": "block", "flex": "none", "margin-top": "12px"}
_HIDDEN = {"display": "none"}
_ASIDE = {"gap": "0", "max-height": BELOW_THE_BAR, "flex-wrap": "nowrap"}


def page(ctx: Context, live: Live, lightbox: Lightbox) -> Any:
    """Build the page of the study named by the address's ``id``.

    With ``second`` it is the window on a second monitor: the images alone.

    Raises
    ------
    Forbidden, NotFound
        The error page says so.
    """
    study_id, is_second = _asked(), b"1" in pn.state.session_args.get("second", [])
    view = viewing.study(ctx, lightbox, study_id)
    notice = Notice()
    viewer = StudyViewer(
        banner=banner_of(view),
        notice=ctx.settings.notice,
        cache_mb=ctx.settings.viewer_cache_mb,
        frame_url=FRAME_URL,
        preview_url=PREVIEW_URL,
        reader=ctx.actor.display_name or ctx.actor.username,
        header_url=HEADER_URL,
        paper_url=PAPER_URL,
        is_second=is_second,
        can_mark=not is_second,
        second_url="" if is_second else f"{PATH}?id={study_id}&second=1",
        sizing_mode="stretch_width",
        margin=0,
        styles={"height": BELOW_THE_BAR, "min-height": "460px"},
    )
    form = FormDialog()
    _hang(ctx, live, lightbox, view, viewer, form, notice)
    whole = framed(
        ctx,
        TITLE,
        "reports" if ctx.may(Permission.REPORT_WRITE) else "schedule",
        main=[viewer],
        aside=[] if is_second else [_aside(ctx, live, view, viewer, notice)],
        aside_px=EDITOR_PX,
        overlays=[form, notice],
    )
    begin_early(pn.state.curdoc, viewer, viewer.opening(), 0 if is_second else EDITOR_PX)
    return whole


def _hang(
    ctx: Context,
    live: Live,
    lightbox: Lightbox,
    view: viewing.StudyView,
    viewer: StudyViewer,
    form: FormDialog,
    notice: Notice,
) -> None:
    """Put the images into the viewer, as their reader left and wants them, with ways to share."""
    later = pn.state.curdoc.add_timeout_callback

    def keep_prior(prior_id: int) -> None:
        Kept(ctx, prior_id, viewer, say=notice.say, later=later, is_prior=True, with_look=False)

    def more_images() -> None:
        try:
            wall.refresh(viewing.study(ctx, lightbox, view.id, again=True))
        except ClinicError as error:
            notice.say(error.message, "problem")

    Preferred(ctx, viewer, say=notice.say)
    wall = Wall(ctx, lightbox, view, viewer, say=notice.say, opened=keep_prior)
    kept = Kept(ctx, view.id, viewer, say=notice.say, later=later, with_look=not viewer.is_second)
    pn.state.on_session_destroyed(lambda _: kept.keep_look())
    sharing = Sharing(ctx, view.id, viewer, form, notice, keep=kept.keep_look)
    live.on(Topic.STUDIES, more_images)  # performed steps tell this topic too
    live.on(Topic.STUDIES, sharing.refresh)
    live.on(Topic.JOBS, sharing.refresh)


def _aside(
    ctx: Context, live: Live, view: viewing.StudyView, viewer: StudyViewer, notice: Notice
) -> pn.Column:
    """Return the report, and below it what was prepared to hand out; together one screen high."""
    report = _report(ctx, live, view, viewer, notice)
    return pn.Column(
        report, _prepared(ctx, live, view.id), sizing_mode="stretch_width", margin=0, styles=_ASIDE
    )


def _prepared(ctx: Context, live: Live, study_id: int) -> FileList:
    """Return the reader's files of this study, followed as they are made."""
    files = FileList()

    def reload() -> None:
        with suppress(ClinicError):  # looked at again with the next change
            items = lines(ctx, prepared.of_study(ctx, study_id))
            files.param.update(items=items, styles=_SHOWN if items else _HIDDEN)

    live.on(Topic.JOBS, reload)
    reload()
    return files


def _report(
    ctx: Context, live: Live, view: viewing.StudyView, viewer: StudyViewer, notice: Notice
) -> ReportEditor:
    """Return the report, which shares its key images with the viewer."""
    editor = ReportEditor(
        ctx=ctx,
        study_id=view.id,
        modalities="\\".join(view.modalities),
        description=view.study_description,
        styles={
            "flex": "0 1 auto",
            "min-height": "0",
            "overflow-y": "auto",
            "border-radius": "10px",
        },
    )
    viewer.key_images = _marked(viewer, editor.key_images)

    def choose(_: object) -> None:
        wanted = [(image["instance_id"], image["frame"]) for image in viewer.key_images]
        if wanted != [(image["instance_id"], image["frame"]) for image in editor.key_images]:
            editor.choose([_as_seen(viewer, image) for image in viewer.key_images])

    def mark(_: object) -> None:
        viewer.key_images = _marked(viewer, editor.key_images)

    viewer.param.watch(choose, "key_images")
    editor.param.watch(mark, "key_images")
    editor.param.watch(lambda event: event.new and notice.say(event.new, "problem"), "problem")
    live.on(Topic.REPORTS, editor.refresh)
    live.on(Topic.STUDIES, editor.refresh)  # images may come when the report is signed already
    return editor


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
        mask=viewer.mask if windowed else None,
    )


def _marked(viewer: StudyViewer, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each key image in which series it is; a presentation state only shows it again."""
    home = {
        place: series["id"]
        for series in viewer.series
        if not any("presentation" in entry for entry in series["frames"])
        for place in viewer.stack(series["id"])
    }
    return [
        {
            "series_id": home.get((image["instance_id"], image["frame"]), ""),
            "instance_id": image["instance_id"],
            "frame": image["frame"],
        }
        for image in images
    ]
