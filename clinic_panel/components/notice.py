"""What just happened, said once in the corner of the page."""

from typing import Any

import param
from param.parameterized import discard_events

from clinic_panel.components.part import Part


class Notice(Part):
    """A passing message, with an action such as *Undo*. In: ``message``. Out: ``taken``.

    A problem stays until it is dismissed or replaced; anything else leaves after some seconds.
    """

    _source = "notice"
    _rename = {"taken": None}

    message = param.Dict(
        default=None, doc="What is shown: `text`, `kind`, `action`, `href`, `n`; None for none."
    )
    taken = param.Integer(
        default=None, doc="Out: `n` of the message whose action was pressed; None again once told."
    )

    def say(self, text: str, kind: str = "success", action: str = "", href: str = "") -> int:
        """Show a sentence: `success`, `info`, `warning` or `problem`.

        Parameters
        ----------
        href
            Where the action leads, a path of this origin; it stays until it is dismissed.

        Returns
        -------
        int
            Number of the message, as found in `taken` when its action is pressed.
        """
        n = (self.message or {"n": 0})["n"] + 1
        self.message = {"text": text, "kind": kind, "action": action, "href": href, "n": n}
        return n

    def clear(self) -> None:
        """Take the message away."""
        if self.message and self.message["text"]:
            self.message = {**self.message, "text": "", "n": self.message["n"] + 1}

    def _handle_msg(self, data: dict[str, Any]) -> None:
        message = self.message
        if not message or not message["action"] or data.get("n") != message["n"]:
            return
        self.taken = message["n"]
        with discard_events(self):
            self.taken = None
