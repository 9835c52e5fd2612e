"""One table for every list: the day, a worklist, jobs, conflicts, versions."""

from typing import Any

import param
from param.parameterized import discard_events

from clinic_panel.components.part import Part


class Board(Part):
    """Rows of data as a table, as cards on a phone. In: ``rows``. Out: ``action``, ``selected``.

    A changed row is rewritten in its place and lit for a moment; nothing scrolls or loses focus.

    A **row** is a dict with a unique `id`, a value for each column, and optionally `label` (how a
    screen reader names it), `tone="muted"`, `find` (more text to match), `<column>_tone`,
    `<column>_live` (a beating dot) and `<column>_sort` (what to order by).

    A **column** is a dict: `id`, `label`, `kind` (`text`, `time`, `number`, `chip`, `mark`,
    `image`, `actions`), `width` (CSS), `sub` (row key of a second line, of a chip too), `flag` (row
    key of a mark before it, with `<flag>_tone`), `strong`, `wrap`, `small`
    (a chip that is no status), `align="end"`, `tones` (value to tone), `sortable=False`,
    `hide="first"|"second"` (dropped when narrow), `shown` (buttons before the rest goes to a menu).
    Tones: `red amber blue green violet teal outline`.

    An **action** is a dict: `id`, `label`, and optionally `href` (a link instead), `new_tab`,
    `primary`, `danger`, `disabled`, `icon`, `title`.
    """

    _source = "board"
    _heard = ("selected",)
    _rename = {"action": None}

    rows = param.List(item_type=dict, doc="What is shown, in order; compared by `id`.")
    columns = param.List(item_type=dict, doc="How a row is shown.")
    title = param.String(doc="Heading above the table; empty for none.")
    label = param.String(doc="Accessible name when there is no title.")
    facets = param.List(
        item_type=dict,
        doc="Filters: dicts of `id` (row key, of one value or a list), `label`, and optionally "
        "`all`, `options` and `kind`: `list` for one to unfold, as many values do; else buttons.",
    )
    buttons = param.List(item_type=dict, doc="Actions beside the heading; their row id is None.")
    searchable = param.Boolean(default=False, doc="Show a field that filters the rows by text.")
    search_label = param.String(default="Filter", doc="Name of that field.")
    counted = param.Boolean(default=True, doc="Show the number of rows beside the heading.")
    selectable = param.Boolean(default=False, doc="A click or Enter selects a row.")
    selected = param.Parameter(default=None, doc="Id of the selected row, None for none.")
    row_action = param.String(doc="Action that a click or Enter on the row itself stands for.")
    empty_text = param.String(default="Nothing here yet.", doc="Said when there are no rows.")
    footer = param.String(doc="A line below the table; empty for none.")
    lit = param.Boolean(default=True, doc="Light rows that changed; off where rows come and go.")
    busy = param.Boolean(default=False, doc="Rows are being fetched.")
    action = param.Dict(
        default=None,
        doc="Out: `{id, action, n}` when an action is asked for; None again once told.",
    )

    def _handle_msg(self, data: dict[str, Any]) -> None:
        if data.get("kind") != "action" or not self.allows(data.get("id"), data.get("action")):
            return
        self.action = {"id": data["id"], "action": data["action"], "n": data.get("n", 0)}
        with discard_events(self):
            self.action = None

    def allows(self, row_id: Any, action: Any) -> bool:
        """Whether the action stands in the row now: a stale or forged click is dropped."""
        if row_id is None:
            return any(button["id"] == action for button in self.buttons)
        row = next((row for row in self.rows if row["id"] == row_id), None)
        columns = [column["id"] for column in self.columns if column.get("kind") == "actions"]
        if row is None:
            return False
        offered = [one for column in columns for one in row.get(column) or ()]
        if not columns:
            return bool(action) and action == self.row_action
        return any(one["id"] == action and not one.get("disabled") for one in offered)
