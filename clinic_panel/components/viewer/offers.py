"""What the viewer's offers share: the study, the form that asks, and files that are waited for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.notice import Notice
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.services import handout
from clinic_panel.services.handout import Progress

HANDOUT_URL = "/handouts/{id}"

# Looks whether something is done, says so, and is asked no more once it returns True.
type Follow = Callable[["Desk"], bool]


class Offer(ABC):
    """One thing that can be done with a study."""

    offer: ClassVar[dict[str, str]]  # id, label and hint, as ``StudyViewer.offers`` has them

    @abstractmethod
    def ask(self, view: dict[str, Any] | None) -> None:
        """Ask how it is to be done."""


class Desk:
    """One viewer, its study and what is asked of the person before it."""

    def __init__(
        self,
        ctx: Context,
        study_id: int,
        viewer: StudyViewer,
        form: FormDialog,
        notice: Notice,
    ) -> None:
        self.ctx, self.study_id, self.viewer = ctx, study_id, viewer
        self.form, self.notice, self.say = form, notice, notice.say
        self._submit: Callable[[dict[str, Any]], None] = lambda _: None
        self._follow_up: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None
        self._followed: list[Follow] = []
        form.param.watch(self._submitted, "submitted")
        form.param.watch(self._changed, "changed")

    @property
    def places(self) -> list[tuple[int, int]]:
        """The key images: instance and zero-based frame."""
        return [(one["instance_id"], one["frame"]) for one in self.viewer.key_images]

    def ask(
        self,
        fields: Sequence[dict[str, Any]],
        submit: Callable[[dict[str, Any]], None],
        follow_up: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None,
        **form: Any,
    ) -> None:
        """Open the form; what is submitted goes to ``submit``.

        Parameters
        ----------
        follow_up
            Told the answers when a live field changes; returns what is asked then.
        """
        self._submit, self._follow_up = submit, follow_up
        self.form.ask(fields, **{"danger": False, **form})  # one form for all

    def follow(self, look: Follow) -> None:
        """Look now, and whenever something changed, until it is done."""
        if not look(self):
            self._followed.append(look)

    def refresh(self) -> None:
        """Look at all that is waited for."""
        self._followed = [look for look in self._followed if not look(self)]

    def _submitted(self, event: Any) -> None:
        if event.new is not None:
            self._submit(event.new)

    def _changed(self, event: Any) -> None:
        if event.new is not None and self._follow_up is not None:
            self.form.fields = self._follow_up(event.new["values"])


def following(handout_id: int, name: str, action: str) -> Follow:
    """Return what waits for a file and then leads to it."""
    said: list[bool] = []

    def look(desk: Desk) -> bool:
        state = handout.state(desk.ctx, handout_id)
        if state.progress is Progress.READY:
            href = HANDOUT_URL.format(id=handout_id)
            desk.notice.say(f"{name} is ready.", "success", action, href)
        elif state.progress is Progress.FAILED:
            reason = state.error or "Please ask for help."
            desk.say(f"{name} could not be made. {reason}", "problem")
        elif not said:
            said.append(True)
            desk.say(f"{name} is being made…", "info")
        return state.progress is not Progress.MAKING

    return look
