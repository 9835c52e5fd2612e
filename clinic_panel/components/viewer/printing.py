"""Images that leave the clinic as pictures: sheets to print, and the view as it is."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from clinic_panel.components.viewer.offers import Desk, Offer, following
from clinic_panel.errors import ClinicError
from clinic_panel.imaging.subtraction import mask_wished
from clinic_panel.services import film, handout
from clinic_panel.services.film import Layout, Pictured

GRIDS: Final = ((1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (4, 4), (4, 5), (4, 6))
WHICH: Final = {
    "series": "The whole series",
    "every": "Every so many of the series",
    "key": "Key images",
    "measured": "Images with measurements",
    "this": "This image",
}
IDENTITIES: Final = {"burnt": "On the image", "beside": "Beside the image", "none": "Left out"}


class Film(Offer):
    """Sheets of the study's images as PDF."""

    offer: ClassVar = {
        "id": "film",
        "label": "Film sheet…",
        "hint": "Images on pages as PDF, 1 × 1 to 4 × 6, with identity",
    }

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._view: dict[str, Any] = {}

    def ask(self, view: dict[str, Any] | None) -> None:
        """Ask how the sheets are to be."""
        self._view = view or {}
        is_long = len(self._desk.viewer.stack()) > film.MOST_IMAGES
        self._desk.ask(
            self._fields({"which": "every" if is_long else "series"}),
            self._submit,
            self._fields,
            title="Film sheet",
            intro="Identity, orientation and window stand on every image.",
            submit_label="Make PDF",
        )

    def _fields(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what is asked; how many to leave out, only where some are."""
        count = len(self._desk.viewer.stack())
        options = [{"value": key, "label": label} for key, label in WHICH.items()]
        grids = [{"value": f"{c}x{r}", "label": f"{c} × {r}"} for c, r in GRIDS]
        half = {"width": "half", "required": True}
        return [
            {"name": "which", "kind": "select", "label": "Images", "options": options}
            | {"value": values["which"], "required": True, "live": True},
            {"name": "grid", "kind": "select", "label": "Columns × rows", "options": grids}
            | {"value": "3x4" if count > 6 else "2x2"}
            | half,
            {"name": "every", "kind": "number", "label": "Every", "min": 2, "max": 500}
            | {"value": str(max(2, -(-count // 60))), "help": "Of the series: 2 is every second"}
            | {"width": "half", "hidden": values["which"] != "every"},
            {"name": "marks", "kind": "checkbox", "label": "With my measurements", "value": True},
        ]

    def _submit(self, values: dict[str, Any]) -> None:
        columns, _, rows = values["grid"].partition("x")
        try:
            images = self._images(values["which"], values["every"])
            layout = Layout(
                rows=int(rows or 0),
                columns=int(columns or 0),
                annotated=values["marks"],
                notice=self._desk.viewer.notice,
            )
            made = film.ask(self._desk.ctx, self._desk.study_id, images, layout)
        except ClinicError as error:
            self._desk.form.refuse(error.message)
            return
        except ValueError:
            self._desk.form.refuse("Please choose columns and rows.")
            return
        self._desk.form.close()
        self._desk.follow(following(made, "The film sheet", "Open PDF"))

    def _images(self, which: str, every: str) -> list[Pictured]:
        viewer, view = self._desk.viewer, self._view
        here = viewer.stack()
        if which == "key":
            wanted = self._desk.places
        elif which == "measured":
            wanted = list(
                dict.fromkeys(
                    (one["instance_id"], one["frame"])
                    for one in viewer.measurements
                    if not one.get("section")
                )
            )
        elif which == "this":
            wanted = [(view["instance_id"], view["frame"])] if view else []
        else:
            wanted = here
        if which == "every":
            wanted = wanted[:: max(2, int(every) if every.isdigit() else 2)]
        captions = _captions(viewer.series)
        shown = set(here)
        return [self._pictured(place, captions.get(place, ""), place in shown) for place in wanted]

    def _pictured(self, place: tuple[int, int], caption: str, is_shown: bool) -> Pictured:
        view = self._view if is_shown else {}
        return Pictured(
            instance_id=place[0],
            frame=place[1],
            caption=caption,
            window_center=view.get("center"),
            window_width=view.get("width"),
            invert=bool(view.get("invert")),
            mask=mask_wished(view.get("mask")),
        )


class Picture(Offer):
    """The active view as one picture, made where the view is."""

    offer: ClassVar = {
        "id": "picture",
        "label": "Picture of this view…",
        "hint": "PNG or JPEG, as it is on the screen",
    }

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.viewer.param.watch(self._made, "pictured")

    def ask(self, view: dict[str, Any] | None) -> None:
        """Ask what is to be on it."""
        del view
        identities = [{"value": key, "label": label} for key, label in IDENTITIES.items()]
        self._desk.ask(
            [
                {"name": "format", "kind": "select", "label": "Format", "required": True}
                | {"options": ["PNG", "JPEG"], "value": "PNG", "width": "half"},
                {"name": "identity", "kind": "select", "label": "Name and ID", "required": True}
                | {"options": identities, "value": "beside", "width": "half"},
                {"name": "marks", "kind": "checkbox", "label": "With measurements", "value": True},
                {
                    "kind": "note",
                    "label": "What the device itself wrote into the image stays in the picture.",
                },
            ],
            self._submit,
            title="Picture of this view",
            intro="",
            submit_label="Save picture",
        )

    def _submit(self, values: dict[str, Any]) -> None:
        desk, identity = self._desk, values["identity"]
        if identity not in IDENTITIES or values["format"] not in ("PNG", "JPEG"):
            desk.form.refuse("Please choose a format, and where the name stands.")
            return
        try:
            handout.note_picture(desk.ctx, desk.study_id, identity=identity, marks=values["marks"])
        except ClinicError as error:
            desk.form.refuse(error.message)
            return
        desk.form.close()
        desk.viewer.picture(
            f"view-{desk.study_id}",
            format=values["format"].lower(),
            identity=identity,
            marks=values["marks"],
        )

    def _made(self, event: Any) -> None:
        if event.new is False:
            self._desk.say("There is no image in this view to make a picture of.", "problem")


def _captions(series: list[dict[str, Any]]) -> dict[tuple[int, int], str]:
    """Where each image stands: its series, not a presentation of it, and its place there."""
    captions = {}
    for one in series:
        places = [
            (int(entry["id"]), int(entry.get("frame", 0)) + offset)
            for entry in one.get("frames", [])
            if "presentation" not in entry
            for offset in range(int(entry.get("count", 1)))
        ]
        for number, place in enumerate(places, start=1):
            captions[place] = f"{one['label']} · {number} / {len(places)}"
    return captions
