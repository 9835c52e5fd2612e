"""What a reader does in the viewer, kept for them as they go, and put back when they return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, Conflict
from clinic_panel.services import markup
from clinic_panel.services.markup import Drawn, Look

AS_SEEN = (
    *("window_center", "window_width", "invert", "rotation", "mirrored", "area", "colour_map"),
    "mask",
)
LOOKED = ("selected_series", "index", *AS_SEEN)
REST_MS = 1500  # of the hand, before the view is kept

type Shapes = list[dict[str, Any]]


class Kept:
    """Ties one viewer to what its reader left on the study."""

    def __init__(
        self,
        ctx: Context,
        study_id: int,
        viewer: StudyViewer,
        *,
        say: Callable[[str, str], Any],
        later: Callable[[Callable[[], Any], int], Any],
        is_prior: bool = False,
        with_look: bool = True,
    ) -> None:
        """Put back what was kept, and keep what changes from now on.

        Parameters
        ----------
        say
            Shows a sentence and its tone.
        later
            Calls a function after so many milliseconds, in the page's own turn.
        is_prior
            Whether the viewer shows this study beside another.
        with_look
            Whether the view is kept too: of one study, in one window.
        """
        self._ctx, self._study_id, self._viewer = ctx, study_id, viewer
        self._say, self._later = say, later
        self._is_due, self._is_prior = False, is_prior
        found = markup.of_study(ctx, study_id)
        self._version = found.version
        self._known = [one.as_dict() for one in found.shapes]
        viewer.bring(self._known)
        viewer.param.watch(self._drawn, ["measurements", "brought"])
        if not with_look:
            return
        if found.look is not None:
            self._put_back(found.look)
        viewer.param.watch(self._looked, list(LOOKED))

    def _parted(self, shapes: Shapes) -> tuple[Shapes, Shapes]:
        """The shapes of this study, and those of studies that hang beside it."""
        homes = self._viewer.homes
        unknown = "" if self._is_prior else str(self._study_id)
        mine: Shapes = []
        others: Shapes = []
        for one in shapes:
            home = homes.get(int(one["instance_id"])) or unknown
            (mine if home == str(self._study_id) else others).append(one)
        return mine, others

    def _put_back(self, look: Look) -> None:
        for series in self._viewer.series:
            stack = self._viewer.stack(series["id"])
            if (look.instance_id, look.frame) in stack:
                self._viewer.param.update(
                    selected_series=series["id"],
                    index=stack.index((look.instance_id, look.frame)),
                    **({name: getattr(look, name) for name in AS_SEEN} | {"area": [*look.area]}),
                )
                return

    def _drawn(self, *_: object) -> None:
        mine, _others = self._parted(self._viewer.measurements)
        if self._viewer.is_behind:  # not all of ours reached the browser: none was removed there
            mine = list((_by_id(self._known) | _by_id(mine)).values())
        if _by_id(mine) == _by_id(self._known):
            return
        try:
            self._keep(mine)
        except Conflict:
            self._join(mine)
        except ClinicError as error:
            self._say(error.message, "problem")

    def _keep(self, measurements: list[dict[str, Any]]) -> None:
        shapes = [Drawn.of(one) for one in measurements]
        self._version = markup.keep_shapes(self._ctx, self._study_id, shapes, version=self._version)
        self._known = list(measurements)

    def _join(self, mine: list[dict[str, Any]]) -> None:
        """Another window of the same reader was faster: nothing of either is lost."""
        try:
            found = markup.of_study(self._ctx, self._study_id)
            self._version = found.version
            theirs = [one.as_dict() for one in found.shapes]
            before = {one["id"] for one in self._known}
            held = {one["id"] for one in theirs}
            joined = theirs + [one for one in mine if one["id"] not in held | before]
            self._keep(joined)
        except ClinicError as error:
            self._say(error.message, "problem")
            return
        left = _by_id(joined)
        gone = [one["id"] for one in mine if one["id"] not in left]
        self._viewer.bring([one for one in joined if one not in mine], gone)
        self._say("Measurements made in another window are shown too.", "info")

    def _looked(self, *_: object) -> None:
        if not self._is_due:
            self._is_due = True
            self._later(self.keep_look, REST_MS)

    def keep_look(self) -> None:
        """Keep where the reader stands now, if that changed."""
        if not self._is_due:
            return
        self._is_due = False
        viewer = self._viewer
        stack = viewer.stack()
        if not 0 <= viewer.index < len(stack) or viewer.window_width <= 0:
            return
        if viewer.document_id is not None:
            return  # the window is that of a presentation state, not the reader's
        instance_id, frame = stack[viewer.index]
        if viewer.homes.get(instance_id) not in (None, "", str(self._study_id)):
            return  # they look at a prior now
        seen = {name: getattr(viewer, name) for name in AS_SEEN} | {"area": tuple(viewer.area)}
        if viewer.colour_map not in ("", *viewer.palettes):
            seen["colour_map"] = None
        look = Look(instance_id=instance_id, frame=frame, **seen)
        try:
            self._version = markup.keep_look(self._ctx, self._study_id, look, version=self._version)
        except ClinicError:  # a convenience: not worth a word while they read
            return


def _by_id(shapes: Shapes) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in shapes}
