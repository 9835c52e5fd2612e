"""A form in a dialog, described by data and judged by the server."""

from collections.abc import Sequence
from typing import Any

import param
from param.parameterized import discard_events

from clinic_panel.components.part import Part

MAX_QUERY = 256  # characters looked up
MAX_VALUE = 65536  # characters of one field: findings are long, but not longer


class FormDialog(Part):
    """One form. In: ``fields``, ``open``, ``problem``. Out: ``submitted``, ``changed``, ``open``.

    What is typed stays in the browser until it is submitted and never enters the page's state, so
    a password is not kept. Escape, *Cancel* and the cross close without asking the server.

    A **field** is a dict: `name`, `label`, `kind` (`text`, `date`, `time`, `number`, `select`,
    `textarea`, `password`, `email`, `checkbox`, `lookup`, `choice`, `section`, `note`), and
    optionally `value` (dates `YYYY-MM-DD`, times `HH:MM`), `required`, `options` (strings or dicts
    of `value`, `label`),
    `width` (`half`, `third`), `help`, `placeholder`, `disabled`, `max_length`, `min`, `max`,
    `rows`, `pattern` with `hint`, `autocomplete`, `focus`, `live` (tell `changed` while typing),
    `hidden` (asked only when another answer needs it).

    A `lookup` finds one of many: each pause in typing tells `changed` with the ``text``, the answer
    is a list of `options` with `value`, `label`, `detail`; its value is that of the row chosen, or
    empty. A `choice` shows its options as buttons, or side by side with `cards`.
    """

    _source = "form_dialog"
    _heard = ("open",)
    _rename = {"submitted": None, "changed": None}

    # The page takes in what changed together in the order that stands here: whose fields they are,
    # what they know of, what they are, that they show.
    serial = param.Integer(doc="Which form this is: what a former one still says is dropped.")
    answered = param.Integer(doc="Number of the browser's message that what is shown answers.")
    title = param.String(doc="Heading of the dialog.")
    intro = param.String(doc="One sentence below the heading; empty for none.")
    fields = param.List(item_type=dict, doc="What is asked, in order.")
    submit_label = param.String(default="Save", doc="Name of the button that submits.")
    cancel_label = param.String(default="Cancel", doc="Name of the button that closes.")
    danger = param.Boolean(default=False, doc="Submitting takes something away: a red button.")
    wide = param.Boolean(default=False, doc="A wider dialog, for long text.")
    open = param.Boolean(default=False, doc="Whether the dialog is shown.")
    busy = param.Boolean(default=False, doc="The answer is being worked on: no second submit.")
    problem = param.String(doc="One sentence on what went wrong; empty when all is well.")
    problems = param.Dict(default={}, doc="Field name to what is wrong with it.")
    warning = param.String(doc="One sentence that does not stop the form; empty for none.")
    warning_items = param.List(
        item_type=dict, doc="What the warning is about: dicts of `label`, optional `href`."
    )
    submitted = param.Dict(
        default=None, doc="Out: field name to value, when submitted; None again once told."
    )
    changed = param.Dict(
        default=None,
        doc="Out: `name` and `text` of a live field, all `values` but passwords; None once told.",
    )

    _submitted = 0  # number of the last message that submitted

    def ask(self, fields: Sequence[dict[str, Any]], **changes: Any) -> None:
        """Open the dialog afresh on these fields, without what was said last time."""
        clean = {"problem": "", "problems": {}, "warning": "", "warning_items": [], "busy": False}
        asked = {"fields": list(fields), "open": True, "serial": self.serial + 1}
        self.param.update(**{**clean, **changes, **asked})

    def refuse(self, problem: str = "", **problems: str) -> None:
        """Keep the dialog open and say why, for the whole form or by field name."""
        self.param.update(problem=problem, problems=problems, busy=False, open=True)

    def close(self) -> None:
        """Shut the dialog: it is done."""
        self.param.update(open=False, busy=False, problem="", problems={})

    def _handle_msg(self, data: dict[str, Any]) -> None:
        values = self._known(data.get("values"))
        if not self.open or data.get("serial", self.serial) != self.serial:
            return  # a second click, or a late word of the form before
        n = _whole(data.get("n"))
        if data.get("kind") == "submit":
            if _whole(data.get("seen", self._submitted)) < self._submitted:
                return  # a second click, before the answer to the first could be read
            self._submitted = n
            self.param.update(answered=n, problem="", problems={})
            self.submitted = values
            with discard_events(self):
                self.submitted = None
        elif data.get("kind") == "changed":
            text = str(data.get("text") or "")[:MAX_QUERY]
            self.answered = n
            self.changed = {"name": str(data.get("name", "")), "values": values, "text": text}
            with discard_events(self):
                self.changed = None

    def _known(self, values: Any) -> dict[str, Any]:
        """Take only the fields that were asked for, as text or truth, of bounded length."""
        given = values if isinstance(values, dict) else {}
        asked = [field for field in self.fields if field.get("name")]
        return {
            field["name"]: bool(given.get(field["name"]))
            if field.get("kind") == "checkbox"
            else str(given.get(field["name"]) or "")[:MAX_VALUE]
            for field in asked
        }


def _whole(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
