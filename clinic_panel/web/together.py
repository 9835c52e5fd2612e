"""What one callback changed reaches a page in one message.

Bokeh 3.10 sends each changed property by itself, some milliseconds apart on a busy machine. Between
two of them a page shows half of what was said: a form that is open and still carries the number of
the one before, rows whose buttons are yet to come. What somebody presses then is answered from that
half, and is lost or means something else. A page takes one message in at one go, so nobody can act
in its midst.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from bokeh.io.doc import patch_curdoc
from bokeh.server import session


def send_together() -> None:
    """Let every page of this process be told so from now on; calling again is harmless."""
    session._serialize_patches = _messages


def _messages(pending: list[Any]) -> list[tuple[Any, tuple[Any, ...]]]:
    """Make one message of the changes in a row that go to the same browsers."""
    made = []
    for connections, group in groupby(pending, key=lambda patch: patch.connections):
        patches = list(group)
        with patch_curdoc(patches[0].event.document):
            message = patches[0].protocol.create("PATCH-DOC", [patch.event for patch in patches])
            message.prepare()
        made.append((message, connections))
    return made
