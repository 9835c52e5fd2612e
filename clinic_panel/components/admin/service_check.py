"""Every DICOM service exercised, of this clinic or a peer, with a list of what passed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import panel as pn
from panel.io.state import set_curdoc

from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.tasks import Done
from clinic_panel.errors import Invalid
from clinic_panel.exercise.lines import Line, Outcome, Target, has_failed, summary
from clinic_panel.exercise.run import exercise
from clinic_panel.models.site import Topic
from clinic_panel.services import exercises
from clinic_panel.services.exercises import Subject

SUBJECT_COLUMNS: list[dict[str, Any]] = [
    {"id": "name", "label": "Name", "sub": "ae_title", "strong": True, "width": "26%"},
    {"id": "what", "label": "What is checked", "wrap": True, "hide": "second"},
    {"id": "address", "label": "Address", "width": "190px", "hide": "first"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "130px", "shown": 1},
]
COLUMNS: list[dict[str, Any]] = [
    {"id": "service", "label": "Service", "strong": True, "sub": "section", "width": "146px"},
    {"id": "asked", "label": "Asked for", "wrap": True},
    {"id": "expected", "label": "Expected", "wrap": True, "hide": "first"},
    {"id": "came", "label": "Came", "wrap": True},
    {"id": "took", "label": "Took", "kind": "number", "width": "84px", "hide": "second"},
    {
        "id": "outcome",
        "label": "Outcome",
        "kind": "chip",
        "width": "132px",
        "tones": {"Passed": "green", "Failed": "red", "Not offered": "outline"},
    },
]
WORDS = {
    Outcome.PASSED: "Passed",
    Outcome.FAILED: "Failed",
    Outcome.NOT_OFFERED: "Not offered",
}
OURS = (
    "Every service, as modalities and workstations ask. It leaves one small study of the patient "
    "“Service Check”, always the same, which waits for no booking."
)
THEIRS = "Verification, a study query, and one test object of the patient “Service Check” stored."


class ServiceCheck(Section):
    """Whom to check, and what came of it."""

    id = "check"
    label = "Service check"
    topics = frozenset({Topic.ADMIN})

    def build(self) -> list[Any]:
        """Make the two tables."""
        self.lines: list[Line] = []
        self.thread: threading.Thread | None = None
        self.subjects = Board(
            title="Service check", columns=SUBJECT_COLUMNS, counted=False, lit=False
        )
        self.board = Board(
            title="Result",
            columns=COLUMNS,
            facets=[{"id": "outcome", "label": "Outcome", "options": list(WORDS.values())}],
            empty_text="Nothing was checked yet.",
            lit=False,
        )
        self.subjects.param.watch(self._acted, "action")
        return [self.subjects, self.board]

    def reload(self) -> None:
        """Show whom there is to check."""
        self.known = {one.id: one for one in exercises.subjects(self.ctx)}
        self.subjects.rows = [self._line(one) for one in self.known.values()]

    def _line(self, one: Subject) -> dict[str, Any]:
        check = {"id": "check", "label": "Check", "primary": not one.id}
        return {
            "id": one.id,
            "label": one.name,
            "name": one.name,
            "ae_title": one.ae_title,
            "what": THEIRS if one.id else OURS,
            "address": one.address or "no address",
            "actions": [{**check, "disabled": self.board.busy or not one.address}],
        }

    def _acted(self, event: Any) -> None:
        if event.new and event.new["id"] in self.known:
            self.tasks.attempt(lambda: self._begin(self.known[event.new["id"]]))

    def _begin(self, one: Subject) -> Done:
        if self.board.busy:
            raise Invalid("A check is running already.")
        target = exercises.begin(self.ctx, one.id)
        self.lines = []
        self.board.param.update(
            title=f"Result: {one.name}", rows=[], busy=True, footer="", empty_text="Checking…"
        )
        self.reload()
        at = _hand_over()
        now = self.ctx.clock().astimezone(self.ctx.zone)
        self.thread = threading.Thread(
            target=self._run, args=(target, now, at), name="service-check", daemon=True
        )
        self.thread.start()
        return Done("")

    def _run(self, target: Target, now: datetime, at: Callable[[Callable[[], None]], None]) -> None:
        """In a thread of its own: sockets wait, the page does not."""
        try:
            exercise(target, now, lambda line: at(lambda: self._add(line)))
        finally:
            at(self._end)

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        rows = [_row(number, one) for number, one in enumerate(self.lines)]
        self.board.param.update(rows=rows, footer=f"{summary(self.lines)} so far")

    def _end(self) -> None:
        self.board.param.update(
            busy=False, footer=summary(self.lines), empty_text="Nothing was checked yet."
        )
        self.reload()
        kind = "problem" if has_failed(self.lines) else "success"
        self.tasks.notice.say(f"Checked: {summary(self.lines)}.", kind)


def _hand_over() -> Callable[[Callable[[], None]], None]:
    """Return how a thread has something done in the page's turn."""
    doc = pn.state.curdoc
    if doc is None:  # no page is served: a test, or a notebook
        return lambda act: act()

    def in_turn(act: Callable[[], None]) -> None:
        with set_curdoc(doc):
            act()

    return lambda act: doc.add_next_tick_callback(partial(in_turn, act))


def _row(number: int, line: Line) -> dict[str, Any]:
    return {
        "id": number,
        "label": f"{line.service}, {line.asked}",
        "service": line.service,
        "section": line.section if line.section.startswith("PS") else f"PS3.4 {line.section}",
        "asked": line.asked[:1].upper() + line.asked[1:],
        "expected": line.expected,
        "came": line.came,
        "took": f"{line.duration_ms} ms" if line.outcome is not Outcome.NOT_OFFERED else "",
        "took_sort": line.duration_ms,
        "outcome": WORDS[line.outcome],
    }
