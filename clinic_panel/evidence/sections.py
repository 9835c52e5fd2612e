"""Shapes on sections of a volume: no image shows them, so they are placed in the patient."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom.sr as hd
import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.evidence.order import Mark
from clinic_panel.evidence.outlines import Graphic
from clinic_panel.evidence.sources import Sources
from clinic_panel.imaging.cut import Cut
from clinic_panel.imaging.figures import Reading, read_shape
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.resection import Resection


class OnSection:
    """One shape on a section: what it says, and its graphics in the frame of reference."""

    def __init__(self, mark: Mark, cut: Cut, sources: Sources) -> None:
        """Find the section in its series.

        Raises
        ------
        NotDisplayable, NotUnderstood
            The series forms no volume (any more), names no frame of reference, or is damaged.
        """
        self._mark, self._cut = mark, cut
        self._uid = str(sources.header(mark.path).get("FrameOfReferenceUID") or "")
        if not self._uid:
            raise NotDisplayable(
                "The images name no frame of reference: what was measured on their sections "
                "cannot be placed in the patient."
            )
        slices, grid = sources.stack(mark.slices)
        self._resection = Resection(slices, grid, cut)
        self.frame: Frame = self._resection.plain()

    def read(self) -> Reading:
        """Measure it, as the viewer does."""
        mark = self._mark
        if mark.kind.is_region:
            frame, points = self._resection.about(mark.points)
            return read_shape(mark.kind, points, frame)
        return read_shape(mark.kind, mark.points, self.frame)

    @property
    def words(self) -> str:
        """What a reader has to know of the section."""
        change = self._resection.change if self._mark.kind.is_region else ""
        return "; ".join(filter(None, (f"{self._cut.name} section", change)))

    def region(self, graphic: Graphic) -> hd.ImageRegion3D:
        """Return a closed outline as a region in the patient."""
        kind, points = graphic
        shape = "ELLIPSE" if kind == "ELLIPSE" else "POLYGON"
        return hd.ImageRegion3D(shape, self._placed(points), self._uid)

    def coordinates(self, graphics: Sequence[Graphic]) -> list[hd.CoordinatesForMeasurement3D]:
        """Return lines in the patient."""
        return [
            hd.CoordinatesForMeasurement3D(kind, self._placed(points), self._uid)
            for kind, points in graphics
        ]

    def _placed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Patient coordinates (LPS, mm) of image coordinates on the section."""
        cut = self._cut
        row_mm, column_mm = cut.spacing
        across, down = np.reshape(cut.orientation, (2, 3))
        x, y = (points - 0.5).T[..., None]
        return np.asarray(cut.position) + x * column_mm * across + y * row_mm * down
