"""Files that wait to be fetched, as short lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import param

from clinic_panel.components.part import Part
from clinic_panel.context import Context
from clinic_panel.models.handout import HandoutKind
from clinic_panel.services.handout import Progress
from clinic_panel.services.prepared import PreparedFile

NAMES: Final = {HandoutKind.FILM: "Film sheet"}  # others are called as they are kept
URL: Final = "/handouts/{id}"


class FileList(Part):
    """A heading and its files; nothing at all where there are none. In: ``items``."""

    _source = "file_list"

    items = param.List(
        item_type=dict, doc="Dicts of `id`, `label`, `detail`, `href` once it is there, `state`."
    )
    label = param.String(default="Prepared files", doc="Heading and accessible name.")
    note = param.String(
        default="Kept for a day, for you alone.", doc="What is said of all; empty for nothing."
    )


def lines(
    ctx: Context, files: Iterable[PreparedFile], *, with_study: bool = False
) -> list[dict[str, Any]]:
    """Return the files as the list shows them.

    Parameters
    ----------
    with_study
        Say of which study each is.
    """
    return [_line(ctx, file, with_study=with_study) for file in files]


def _line(ctx: Context, file: PreparedFile, *, with_study: bool) -> dict[str, Any]:
    at = file.asked_at.astimezone(ctx.zone)
    day = "" if at.date() == ctx.today() else f"{at.day} {at:%b}, "
    of = (file.study_description or "Study") if with_study else ""
    state = {Progress.MAKING: "Being made", Progress.FAILED: "Failed"}.get(file.progress, "")
    return {
        "id": file.id,
        "label": NAMES.get(file.kind, f"{file.kind.value.capitalize()} file"),
        "detail": " · ".join(filter(None, (of, f"asked for {day}{at:%H:%M}"))),
        "href": URL.format(id=file.id) if file.progress is Progress.READY else "",
        "state": state,
        "tone": "red" if file.progress is Progress.FAILED else "blue",
    }
