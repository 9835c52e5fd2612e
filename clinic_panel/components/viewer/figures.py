"""What the viewer shows, for the analyst: HoloViews elements and tables, one property away."""

from __future__ import annotations

from typing import Any, Final

import holoviews as hv
import pandas as pd

from clinic_panel.components.viewer import errands, plots
from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.calibration import pixel_size
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.measure import Shape
from clinic_panel.services import markup
from clinic_panel.services.markup import Drawn
from clinic_panel.services.paper_content import PaperSource

HEADER_COLUMNS: Final = (
    *("depth", "tag", "vr", "keyword", "name", "value", "length", "note", "private"),
)


class Figures:
    """The half of a ``StudyViewer`` that reads its state; the other half declares it."""

    index: Any
    window_center: Any
    window_width: Any
    invert: Any
    colour_map: Any
    mask: Any
    measurements: Any
    selected_measurement: Any
    document_id: Any
    waveform_group: Any
    waveform_start_s: Any
    papers: PaperSource | None
    stack: Any
    _frame: Any

    @property
    def image(self) -> hv.Image | hv.RGB:
        """The current view as a HoloViews element, in millimetres where the image is calibrated.

        Raises
        ------
        NotDisplayable
            There is no image, or no ``source`` to read it from.
        """
        stack = self.stack()
        if not 0 <= self.index < len(stack):
            raise NotDisplayable("There is no image to show.")
        frame = self._frame(*stack[self.index], self.mask or "")
        window = self.window_center, self.window_width
        return plots.image_of(frame, *window, inverted=self.invert, colours=self.colour_map or "")

    @property
    def profile(self) -> hv.Curve:
        """The values along the chosen line, or the last drawn on this image.

        Raises
        ------
        NotDisplayable
            There is no line on this image, or it is a colour image.
        """
        shape, frame = self._shape_here(Shape.LENGTH, Shape.ARROW)
        drawn = [Drawn.of(one) for one in self.measurements]
        near = [instance_id for instance_id, _ in self.stack()]
        known = markup.calibration_of(drawn, shape["instance_id"], near)
        size = pixel_size(frame.info, shape["points"], known)
        return plots.profile_of(frame, shape["points"], size)

    @property
    def histogram(self) -> hv.Histogram:
        """How often each value stands in the chosen region, or the last drawn on this image.

        Raises
        ------
        NotDisplayable
            There is no region on this image, it holds no pixel, or it is a colour image.
        """
        shape, frame = self._shape_here(Shape.RECTANGLE, Shape.ELLIPSE, Shape.POLYGON)
        return plots.histogram_of(frame, Shape(shape["kind"]), shape["points"])

    @property
    def waveform(self) -> hv.Layout:
        """The part of the recording that is seen: a curve a channel, over seconds.

        Raises
        ------
        NotDisplayable
            There is no recording in the active pane, or no ``papers`` to read it from.
        """
        return plots.waveform_of(
            self._papers().part(self._document(), self.waveform_group, self.waveform_start_s)
        )

    @property
    def header(self) -> pd.DataFrame:
        """The header of what is in the active pane, one row an element.

        Raises
        ------
        NotDisplayable
            There is nothing in it, or no ``papers`` to read it from.
        """
        stack = self.stack()
        frame = stack[self.index] if 0 <= self.index < len(stack) else None
        instance_id, number = (
            (self.document_id, 0) if self.document_id is not None else frame or (0, 0)
        )
        rows = self._papers().header(instance_id or 0, number)["rows"]
        return pd.DataFrame(rows, columns=HEADER_COLUMNS)

    def _papers(self) -> PaperSource:
        if self.papers is None:
            raise NotDisplayable(errands.NOT_AT_HAND)
        return self.papers

    def _document(self) -> int:
        if self.document_id is None:
            raise NotDisplayable("There is no document in the active pane.")
        return self.document_id

    def _shape_here(self, *kinds: Shape) -> tuple[dict[str, Any], Frame]:
        """The chosen shape of these kinds on the image shown, else the last; and the image."""
        stack = self.stack()
        place = stack[self.index] if 0 <= self.index < len(stack) else None
        here = [
            one
            for one in self.measurements
            if (one["instance_id"], one["frame"]) == place
            and one["kind"] in kinds
            and not one.get("section")
        ]
        if place is None or not here:
            raise NotDisplayable("There is no such shape on this image.")
        chosen = [one for one in here if one["id"] == self.selected_measurement]
        return (chosen or here)[-1], self._frame(*place, self.mask or "")

    def hv_view(self) -> hv.DynamicMap:
        """The current view, following this viewer's params."""
        watched = ["selected_series", "index", "window_center", "window_width", "invert"]
        streams = [hv.streams.Params(self, [*watched, "colour_map", "mask"])]
        return hv.DynamicMap(lambda **_: self.image, streams=streams)
