"""Ties a viewer to its reader's preferences: read when it opens, kept when they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clinic_panel.components.viewer.palettes import USUAL
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, Conflict
from clinic_panel.services import preferences
from clinic_panel.services.preferences import Preferences


def as_params(chosen: Preferences) -> dict[str, Any]:
    """Return the viewer's params a reader's preferences set, beside ``tool`` at its start."""
    colours = {"NM": chosen.behaviour.nm_colours, "PT": chosen.behaviour.pt_colours}
    return {"preferences": chosen.as_dict(), "usual_colours": USUAL | colours}


class Preferred:
    """The preferences of one page's reader."""

    def __init__(
        self, ctx: Context, viewer: StudyViewer, *, say: Callable[[str, str], Any]
    ) -> None:
        """Set the viewer as its reader wants it, and keep what they change from now on.

        Parameters
        ----------
        say
            Shows a sentence and its tone.
        """
        self._ctx, self._viewer, self._say = ctx, viewer, say
        self._chosen = preferences.mine(ctx)
        viewer.param.update(**as_params(self._chosen), tool=self._chosen.behaviour.tool)
        viewer.param.watch(self._changed, "preferences")

    def _changed(self, event: Any) -> None:
        if event.new == self._chosen.as_dict():
            return
        try:
            wanted = Preferences.of(event.new, version=self._chosen.version)
            self._chosen = preferences.keep(self._ctx, wanted)
        except Conflict as error:
            self._chosen = preferences.mine(self._ctx)
            self._say(error.message, "problem")
        except ClinicError as error:
            self._say(error.message, "problem")
        else:
            self._say("Your viewer settings are saved.", "success")
        self._viewer.param.update(**as_params(self._chosen))
