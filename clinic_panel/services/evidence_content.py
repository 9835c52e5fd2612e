"""What a document to be saved says, as one JSON value: composed from rows, and made an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import NotFound
from clinic_panel.evidence.order import (
    SOP_CLASSES,
    DocumentKind,
    DocumentOrder,
    Identity,
    KeyTitle,
    Mark,
    Origin,
    Seen,
)
from clinic_panel.imaging.calibration import Known
from clinic_panel.imaging.kinds import Kind, kind_of
from clinic_panel.imaging.measure import Shape
from clinic_panel.models.evidence import Evidence
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.markup import Markup
from clinic_panel.models.report import Report
from clinic_panel.services import pseudonym
from clinic_panel.services.markup import Drawn, Look, calibration_of
from clinic_panel.services.report_content import KeyImageRef, letterhead

type Content = dict[str, Any]
type Place = tuple[int, int]  # id of an instance and zero-based frame

DEVICE = "viewer of this clinic"


def compose(
    ctx: Context, session: Session, study_id: int, places: Sequence[Place], title: KeyTitle
) -> dict[DocumentKind, Content]:
    """Return what each kind of document would say; empty for one that would say nothing.

    Parameters
    ----------
    places
        The actor's key images; those of other studies are left out.
    """
    row = session.scalar(
        select(Markup).where(Markup.user_pk == ctx.actor.user_pk, Markup.study_pk == study_id)
    )
    home = home_of(session, study_id)
    shapes = shapes_of(row, home) if row else []
    aside = sections_of(row, home) if row else []
    chosen = [place for place in dict.fromkeys(places) if place[0] in home]
    drawn_on = [(one["instance_id"], one["frame"]) for one in shapes]
    windows = _Windows(session, study_id, row, home)
    seen = [windows.of(place) for place in dict.fromkeys([*drawn_on, *chosen])]
    key = [windows.of(place) for place in chosen]
    return {
        DocumentKind.MEASUREMENTS: {"shapes": [*shapes, *aside]} if shapes or aside else {},
        DocumentKind.PRESENTATION: {"shapes": shapes, "seen": seen} if seen else {},
        DocumentKind.KEY_OBJECTS: {"seen": key, "title": title.value} if key else {},
    }


def shapes_of(row: Markup, home: dict[int, int]) -> list[Content]:
    """Return what was measured on images, each with the calibration by hand that holds for it."""
    drawn = [Drawn.of(one) for one in row.shapes if one["instance_id"] in home]
    shapes = []
    for one in drawn:
        if one.kind is Shape.CALIBRATION or one.section is not None:
            continue
        series = [image for image, of in home.items() if of == home[one.instance_id]]
        known = calibration_of(drawn, one.instance_id, series)
        shapes.append(one.as_dict() | ({"known": asdict(known)} if known else {}))
    return shapes


def sections_of(row: Markup, home: dict[int, int]) -> list[Content]:
    """Return what was measured on sections of volumes, which no image of the study shows."""
    drawn = [Drawn.of(one) for one in row.shapes if one["instance_id"] in home]
    return [one.as_dict() for one in drawn if one.section is not None]


def signature(ctx: Context, session: Session) -> Content:
    """Return who says it and with what; not part of what is compared."""
    return {
        "observer": ctx.actor.display_name or ctx.actor.username,
        "institution": letterhead(session)["name"],
        "software_version": version("clinic-panel"),
    }


def order(
    ctx: Context, session: Session, row: Evidence, previous: Evidence | None
) -> DocumentOrder:
    """Turn a row into what a worker builds from.

    Raises
    ------
    NotFound
        An image it speaks of is gone.
    """
    content = row.content
    seen, shapes = content.get("seen", []), content.get("shapes", [])
    wanted = {one["instance_id"] for one in [*seen, *shapes]}
    query = select(Instance.id, Instance.path).where(Instance.id.in_(wanted))
    paths = {id_: ctx.store.path(path) for id_, path in session.execute(query)}
    if wanted - paths.keys():
        raise NotFound("An image that was measured is no longer in the archive.")
    stacks = _stacks(ctx, session, [one["instance_id"] for one in shapes if one.get("section")])
    replaces = row.kind is DocumentKind.MEASUREMENTS and previous is not None
    return DocumentOrder(
        kind=row.kind,
        identity=Identity(
            row.series_instance_uid,
            row.sop_instance_uid,
            row.number,
            (previous.series_instance_uid, previous.sop_instance_uid)
            if replaces and previous is not None
            else None,
            _report_class(previous.content if previous is not None else {}),
        ),
        origin=Origin(
            observer=content["observer"],
            institution=content["institution"],
            device_uid=pseudonym.uid(ctx, DEVICE),
            software_version=content["software_version"],
            at=row.ordered_at,
            zone=ctx.settings.timezone,
        ),
        marks=tuple(
            mark_of(
                one,
                paths[one["instance_id"]],
                _tracking_uid(ctx, row, one["id"]),
                stacks.get(one["instance_id"], ()),
            )
            for one in shapes
        ),
        seen=tuple(_seen(one, paths[one["instance_id"]]) for one in seen),
        title=KeyTitle(content.get("title", KeyTitle.OF_INTEREST)),
    )


def _stacks(
    ctx: Context, session: Session, instance_ids: Sequence[int]
) -> dict[int, tuple[Path, ...]]:
    """Return by instance the images of its series, in the order they were taken up."""
    query = select(Instance.id, Instance.series_pk).where(Instance.id.in_(instance_ids))
    homes = {row.id: row.series_pk for row in session.execute(query)}
    images = (
        select(Instance.series_pk, Instance.path, Instance.sop_class_uid)
        .where(Instance.series_pk.in_(set(homes.values())))
        .order_by(Instance.id)
    )
    found: dict[int, list[Path]] = {series: [] for series in homes.values()}
    for series, path, sop_class_uid in session.execute(images):
        if kind_of(sop_class_uid) is Kind.IMAGE:
            found[series].append(ctx.store.path(path))
    return {id_: tuple(found[series]) for id_, series in homes.items()}


def _report_class(content: Content) -> str:
    """The SOP class of a report: another where it places something in the patient."""
    plain, spatial = SOP_CLASSES[DocumentKind.MEASUREMENTS]
    return spatial if any(one.get("section") for one in content.get("shapes", ())) else plain


def mark_of(kept: Content, path: Path, tracking_uid: str, slices: tuple[Path, ...] = ()) -> Mark:
    """Read one shape back from JSON."""
    drawn, known = Drawn.of(kept), kept.get("known")
    return Mark(
        kind=drawn.kind,
        path=path,
        frame=drawn.frame,
        points=drawn.points,
        text=drawn.text,
        tracking_uid=tracking_uid,
        known=_known(known) if known else None,
        section=drawn.section,
        slices=slices,
    )


def _tracking_uid(ctx: Context, row: Evidence, shape_id: str) -> str:
    """The same shape is the same measurement, in every document that speaks of it."""
    return pseudonym.uid(ctx, f"mark {row.user_pk} {row.study_pk} {shape_id}")


def _known(kept: Content) -> Known:
    (x1, y1), (x2, y2) = kept["points"]
    return Known(((x1, y1), (x2, y2)), kept["length_mm"], kept["by"])


def _seen(kept: Content, path: Path) -> Seen:
    window = kept["window_center"], kept["window_width"]
    area = kept.get("area")
    return Seen(
        path,
        kept["frame"],
        *window,
        invert=kept["invert"],
        rotation=kept.get("rotation", 0),
        mirrored=kept.get("mirrored", False),
        area=(area[0], area[1], area[2], area[3]) if area else None,
        mask=kept.get("mask"),
    )


def home_of(session: Session, study_id: int) -> dict[int, int]:
    """Return the study's instances, each with its series."""
    query = select(Instance.id, Instance.series_pk).join(Instance.series)
    return {
        row.id: row.series_pk for row in session.execute(query.where(Series.study_pk == study_id))
    }


class _Windows:
    """How images were seen: as a key image was marked, else as its series was looked at last."""

    def __init__(
        self, session: Session, study_id: int, row: Markup | None, home: dict[int, int]
    ) -> None:
        self._home = home
        self._look = Look.of(row.look) if row is not None and row.look else None
        report = session.scalar(select(Report).where(Report.study_pk == study_id))
        kept = [KeyImageRef.of(one) for one in report.key_images] if report else []
        self._marked = {(one.instance_id, one.frame): one for one in kept}

    def of(self, place: Place) -> Content:
        """Return an image with its window; without one it is seen with its own."""
        center = width = None
        invert, look, marked = False, self._look, self._marked.get(place)
        stands: Content = {}
        if look is not None and self._home.get(look.instance_id) == self._home[place[0]]:
            center, width, invert = look.window_center, look.window_width, look.invert
            stands = _stands(look)
        if marked is not None and marked.window_width:
            center, width = marked.window_center, marked.window_width
            stands.pop("mask", None)
            stands |= {"mask": marked.mask} if marked.mask else {}
        return {
            "instance_id": place[0],
            "frame": place[1],
            "window_center": center,
            "window_width": width,
            "invert": invert,
        } | stands


def _stands(look: Look) -> Content:
    """How the picture stands, where it does not as it came; only that makes another document."""
    stands: Content = {}
    if look.rotation or look.mirrored:
        stands |= {"rotation": look.rotation, "mirrored": look.mirrored}
    if look.area:
        stands["area"] = list(look.area)
    if look.mask:
        stands["mask"] = look.mask
    return stands
