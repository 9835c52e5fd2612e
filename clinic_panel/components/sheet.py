"""A sheet beside the page with all about one thing, while the page goes on living."""

from collections.abc import Iterator
from typing import Any

import param
from param.parameterized import discard_events

from clinic_panel.components.part import Part


class Sheet(Part):
    """A sheet at the right edge, the whole screen on a phone. In: ``content``. Out: ``action``.

    **Content** is a dict: `key` (the thing shown: another one scrolls to the top), `title`, `note`,
    `chip`, `tone`, `live`, `back` (an action), `verdict` (`tone`, `text`, `todo`), `blocks`,
    `buttons` (actions) and `copy` (text that a button copies).

    A **block** is a dict with its `kind`: `heading` (`text`, `note`), `text` and `caption` (`text`,
    `tone`), `steps` (`items`), `facts` (`items` of `label`, `value`, `tone`), `statuses` (`items`
    of `chip`, `tone`, `code`, `text`), `table` (`columns`, `rows` of texts or dicts of `text`,
    `title`, `tone`), `choices` (`items`, each an action), or what holds blocks itself: `entry`
    (`title`, `note`, `buttons`), `fold` (`key`, `title`, `chip`, `open`), `panel` (`title`,
    `tone`).

    An **action** is a dict: `action`, `id`, `label`, and optionally `icon`, `primary`.
    """

    _source = "sheet"
    _rename = {"action": None}

    content = param.Dict(default=None, doc="What is shown; None: the sheet is closed.")
    busy = param.Boolean(default=False, doc="What is shown is being fetched.")
    action = param.Dict(
        default=None,
        doc="Out: `{action, id}` when one is asked for; None again once told.",
    )

    def close(self) -> None:
        """Take the sheet away."""
        self.content = None

    def _handle_msg(self, data: dict[str, Any]) -> None:
        if data.get("kind") == "close":
            self.close()
        elif data.get("kind") == "action" and self.allows(data.get("action"), data.get("id")):
            self.action = {"action": data["action"], "id": data["id"]}
            with discard_events(self):
                self.action = None

    def allows(self, action: Any, id_: Any) -> bool:
        """Whether the action stands in the sheet now: a stale or forged click is dropped."""
        return (action, id_) in set(_actions(self.content or {}))


def _actions(part: dict[str, Any]) -> Iterator[tuple[str, int]]:
    offered = [*part.get("buttons", ()), *([part["back"]] if part.get("back") else [])]
    if part.get("kind") == "choices":
        offered += part["items"]
    for one in offered:
        yield one["action"], one["id"]
    for block in part.get("blocks", ()):
        yield from _actions(block)
