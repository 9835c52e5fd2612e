"""What the sections of the administrator's page have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar

from clinic_panel.components.tasks import TaskDialog
from clinic_panel.context import Context
from clinic_panel.models.site import Topic


class Section(ABC):
    """One tab: its parts are built when it is opened for the first time."""

    id: ClassVar[str] = ""
    label: ClassVar[str] = ""
    # What makes the open section read again.
    topics: ClassVar[frozenset[Topic]] = frozenset({Topic.ADMIN})

    def __init__(self, ctx: Context, tasks: TaskDialog) -> None:
        self.ctx, self.tasks = ctx, tasks
        self._parts: list[Any] = []

    @property
    def parts(self) -> list[Any]:
        """What is shown; building it asks no service yet."""
        if not self._parts:
            self._parts = self.build()
        return self._parts

    @abstractmethod
    def build(self) -> list[Any]:
        """Make the parts."""

    @abstractmethod
    def reload(self) -> None:
        """Ask the services and show the answer."""

    def moment(self, at: datetime | None) -> str:
        """Return a moment in the clinic's zone; empty for none."""
        return f"{at.astimezone(self.ctx.zone):%Y-%m-%d %H:%M:%S}" if at is not None else ""
