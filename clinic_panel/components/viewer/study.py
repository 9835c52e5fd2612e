"""From what a service says of a study to what the viewer shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final

import numpy as np

from clinic_panel import validation
from clinic_panel.imaging import window
from clinic_panel.models.performed import PerformedStatus
from clinic_panel.services.viewing import FrameView, PaperView, SeriesView, StudyView

FRAME_URL = "/frames/{id}/{frame}"
HEADER_URL = "/headers/{id}"
PREVIEW_URL = "/previews/{id}/{frame}"
PAPER_URL = "/documents/{id}"
MICRONS: Final = 3  # digits of a millimetre that a position is sent with
SEX = {"M": "male", "F": "female", "O": "other"}  # PS3.3 C.7.1.1


def series_of(view: StudyView) -> list[dict[str, Any]]:
    """Return the viewer's ``series`` of a study."""
    return [
        {
            "id": str(series.id),
            "label": _label(series),
            "modality": series.modality,
            "thumbnail_url": f"/thumbnails/{series.id}" if series.has_thumbnail else "",
            "kind": _kind(series),
            "frames": [
                *_runs(series.frames),
                *(entry for paper in series.papers for entry in _entries(paper)),
            ],
            "problem": series.problem,
            "grid": series.grid.as_dict() if series.grid else None,
            "no_volume": series.no_volume,
            "frame_of_reference": series.frame_of_reference_uid,
            "planes": planes_of(series.frames),
        }
        | _windows(series)
        for series in view.series
    ]


def _windows(series: SeriesView) -> dict[str, Any]:
    """The usual windows, those for the body part first; without one, the viewer knows them."""
    if not series.body_part:
        return {}
    usual = window.presets(series.modality, series.body_part)
    return {"body_part": series.body_part.upper(), "presets": [asdict(one) for one in usual]}


def planes_of(frames: Sequence[FrameView]) -> dict[str, Any] | None:
    """Return where the images of a stack lie, or None unless all do and are parallel."""
    planes = [frame.traits.plane for frame in frames if frame.traits.plane is not None]
    if not planes or len(planes) < len(frames):
        return None
    axes = np.array([plane.orientation for plane in planes])
    if not np.allclose(axes, axes[0], atol=1e-3):
        return None
    positions = np.round([plane.position for plane in planes], MICRONS)
    return {"orientation": list(planes[0].orientation), "positions": positions.tolist()}


def banner_of(view: StudyView) -> dict[str, str]:
    """Return whose images these are, as the viewer writes it on every view."""
    return {
        "name": validation.display_name(view.patient_name),
        "id": view.patient_id,
        "birth_date": str(view.patient_birth_date or ""),
        "sex": SEX.get(view.patient_sex, ""),
        "study_date": str(view.study_date or ""),
        "study": view.study_description,
        "state": _state(view),
    }


def _state(view: StudyView) -> str:
    """What whoever reads has to know: whose it is said to be, whether it is over and all here."""
    parts = [view.strangers] if view.strangers else []
    if view.patient_pk is None:
        parts.append("Matches no booking: identity as the device sent it")
    if view.exam_status is PerformedStatus.IN_PROGRESS:
        parts.append("Examination in progress")
    elif view.exam_status is PerformedStatus.DISCONTINUED:
        parts.append(f"Discontinued: {view.discontinuation or 'no reason given'}")
    if view.missing:
        parts.append(f"{view.missing} of {view.announced} still missing")
    return " · ".join(parts)


def _label(series: SeriesView) -> str:
    number = "" if series.number is None else str(series.number)
    if not series.description:
        return f"Series {number}".strip()
    return f"{number} {series.description}".strip()


def _kind(series: SeriesView) -> str:
    has_images = series.frames or any(paper.images for paper in series.papers)
    return "images" if has_images or not series.papers else "papers"


def _entries(paper: PaperView) -> Iterator[dict[str, Any]]:
    """A presentation state stands for the images it is for, anything else for itself."""
    for instance_id, frame in paper.images:
        entry = {"id": instance_id, "frame": frame, "presentation": paper.instance_id}
        yield entry | {"mask": f"of-{paper.instance_id}"} if paper.subtracts else entry
    if not paper.images:
        yield _paper(paper)


def _paper(paper: PaperView) -> dict[str, Any]:
    return {
        "id": paper.instance_id,
        "paper": paper.kind.value,
        "name": paper.name,
        "problem": paper.problem,
    }


def _runs(frames: tuple[FrameView, ...]) -> list[dict[str, Any]]:
    """Write frames of one instance that follow each other as one entry."""
    numbered = groupby(
        enumerate(frames), key=lambda pair: (pair[1].instance_id, pair[1].frame - pair[0])
    )
    return [
        {"id": instance_id, "frame": run[0].frame, "count": len(run)}
        for (instance_id, _), found in numbered
        for run in ([frame for _, frame in found],)
    ]
