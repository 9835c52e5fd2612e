"""What a person does in a dialog, step by step, and how it ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.notice import Notice
from clinic_panel.errors import ClinicError, Invalid, Unconfirmed

Field = dict[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What was achieved, in a sentence, and what may follow: most often to take it back.

    Without a sentence nothing was changed and nothing is said.
    """

    text: str
    then: Callable[[], Done | Task] | None = None
    label: str = "Undo"


@dataclass(frozen=True, slots=True)
class Change:
    """What the dialog becomes while a person types."""

    fields: Sequence[Field] | None = None
    warning: str = ""
    items: Sequence[dict[str, str]] = ()


class Task(ABC):
    """One form: what it asks, what it does with the answers. It keeps what was typed."""

    title: ClassVar[str] = ""
    submit_label: str = "Save"
    anyway_label: ClassVar[str] = "Save anyway"
    intro: str = ""
    danger: ClassVar[bool] = False
    wide: ClassVar[bool] = False
    # What is offered may have changed when a try fails: ask for the fields again.
    follows: ClassVar[bool] = False

    @abstractmethod
    def fields(self) -> list[Field]:
        """Return what is asked."""

    def changed(self, name: str, values: Values, text: str) -> Change:
        """Answer a change of a live field; ``text`` is what stands in it."""
        del name, values, text
        return Change()

    @abstractmethod
    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Do it; a task is returned when another question follows.

        Parameters
        ----------
        agreed
            The warnings the person has seen for just these values.

        Raises
        ------
        ClinicError
            Nothing was done; the dialog stays as it is and says why.
        """

    def items(self, warning: Unconfirmed) -> list[dict[str, str]]:
        """Return what a warning is about, as dicts of `label` and `href`."""
        del warning
        return []


class TaskDialog:
    """Runs tasks in one dialog and tells how they ended in a passing message."""

    def __init__(self, done: Callable[[], None]) -> None:
        """Make the two parts.

        Parameters
        ----------
        done
            Called when something was changed, to show it.
        """
        self.dialog, self.notice = FormDialog(), Notice()
        self._done = done
        self._task: Task | None = None
        self._agreed: tuple[Values, frozenset[type[Unconfirmed]]] = ({}, frozenset())
        self._then: tuple[int, Callable[[], Done | Task]] | None = None
        self.dialog.param.watch(self._submitted, "submitted")
        self.dialog.param.watch(self._changed, "changed")
        self.notice.param.watch(self._taken, "taken")

    @property
    def parts(self) -> list[Any]:
        """The overlays of the page."""
        return [self.dialog, self.notice]

    def open(self, task: Task) -> None:
        """Ask what the task needs."""
        self._task, self._agreed = task, ({}, frozenset())
        try:
            fields = task.fields()
        except ClinicError as error:
            self.notice.say(error.message, "problem")
            return
        self.dialog.ask(
            fields,
            title=task.title,
            intro=task.intro,
            submit_label=task.submit_label,
            danger=task.danger,
            wide=task.wide,
        )

    def attempt(self, act: Callable[[], Done | Task]) -> None:
        """Do something that needs no question, and say how it ended."""
        try:
            outcome = act()
        except ClinicError as error:
            self.notice.say(error.message, "problem")
            self._done()  # what the person saw may have been out of date
            return
        if isinstance(outcome, Task):
            self.open(outcome)
        else:
            self.finish(outcome)

    def finish(self, done: Done) -> None:
        """Say what was achieved, with a button for what may follow."""
        if not done.text:
            return
        n = self.notice.say(done.text, "success", done.label if done.then else "")
        self._then = (n, done.then) if done.then else None
        self._done()

    def _submitted(self, event: Any) -> None:
        task, values = self._task, event.new
        if task is None or values is None:
            return
        agreed = self._agreed[1] if self._agreed[0] == values else frozenset()
        try:
            outcome = task.submit(values, agreed)
        except Unconfirmed as question:
            self._agreed = (values, agreed | {type(question)})
            self.dialog.param.update(
                warning=question.message,
                warning_items=task.items(question),
                submit_label=task.anyway_label,
            )
            self._follow(task)
        except ClinicError as error:
            self._refuse(error)
            self._follow(task)
        else:
            self._end(outcome)

    def _follow(self, task: Task) -> None:
        if task.follows:
            self.dialog.fields = task.fields()

    def _refuse(self, error: ClinicError) -> None:
        asked = {field.get("name") for field in self.dialog.fields}
        if isinstance(error, Invalid) and error.field in asked:
            self.dialog.refuse(**{error.field: error.message})
        else:
            self.dialog.refuse(error.message)

    def _end(self, outcome: Done | Task) -> None:
        if isinstance(outcome, Task):
            self.open(outcome)
            self._done()
            return
        self._task = None
        self.dialog.close()
        self.finish(outcome)

    def _changed(self, event: Any) -> None:
        task = self._task
        if task is None or event.new is None:
            return
        try:
            change = task.changed(event.new["name"], event.new["values"], event.new["text"])
        except ClinicError as error:
            self.dialog.refuse(error.message)
            return
        update: dict[str, Any] = {
            "warning": change.warning,
            "warning_items": list(change.items),
            "submit_label": task.submit_label,
            "problem": "",
        }
        if change.fields is not None:
            update["fields"] = list(change.fields)
        self.dialog.param.update(**update)

    def _taken(self, event: Any) -> None:
        if event.new is None or self._then is None or self._then[0] != event.new:
            return
        then, self._then = self._then[1], None
        self.attempt(then)


def typed_day(text: str, field: str) -> date | None:
    """Return the date of a date field; empty is None.

    Raises
    ------
    Invalid
        It is no date.
    """
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid("This is not a date.", field=field) from None


def key(text: Any, field: str, message: str) -> int:
    """Return the row id a field holds.

    Raises
    ------
    Invalid
        Nothing was chosen; the message says what to choose.
    """
    try:
        return int(text)
    except (TypeError, ValueError):
        raise Invalid(message, field=field) from None
