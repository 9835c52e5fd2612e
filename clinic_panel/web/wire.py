"""What a browser may say over a page's websocket, and what it is told when that fails.

Bokeh's protocol lets either side do anything to the page's document: add models of any kind, among
them such as open a file by its name, send any number of buffers, have texts unpacked. Our pages say
far less: a value of a model that is there has changed, or somebody did something to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from bokeh.core.property.bases import ParameterizedProperty, Property
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.core.property.visual import Image
from bokeh.model import Model
from bokeh.protocol.exceptions import ValidationError
from bokeh.protocol.message import Message
from bokeh.protocol.receiver import Receiver
from bokeh.server import asgi
from bokeh.server.protocol_handler import ProtocolHandler

log = logging.getLogger(__name__)

MOST_BYTES: Final = 4 << 20
"""Of one part of a message: 500 shapes of 200 corners, the most that is kept, are somewhat less."""

SPOKEN = ("PULL-DOC-REQ", "PATCH-DOC")
EVENTS = ("ModelChanged", "MessageSent")
# Neither an object, which makes a model, nor bytes and arrays, which grow when they are unpacked.
VALUES = ("map", "number", "event")
REFUSED, FAILED = "This message is not taken.", "This message could not be dealt with."

type Find = Callable[[Any], Model | None]


def guard() -> None:
    """Let every page of this process be spoken to so from now on; calling again is harmless."""
    asgi.ProtocolHandler = Guarded
    asgi.Receiver = Plain


class Plain(Receiver):
    """Takes messages without buffers: none of our pages sends one."""

    _partial: Message[Any] | None

    async def consume(self, fragment: Any) -> Message[Any] | None:
        """Take a part of a message in; return the message once it is whole.

        Raises
        ------
        ValidationError
            Buffers were announced; the socket is closed.
        """
        message = await super().consume(fragment)
        if self._partial is not None and self._partial.header.get("num_buffers"):
            self._partial = self._message = None
            raise ValidationError("no buffers are taken")
        return message


class Guarded(ProtocolHandler):
    """Does what a message asks if our pages may ask for it, and answers without a word of it."""

    async def handle(self, message: Message[Any], connection: Any) -> Any:
        """Return the answer to a message, or None."""
        session = connection.session
        find = _nothing if session.destroyed else session.document.models.get_by_id
        if not may_be_said(message, find):
            log.warning("a message of a browser was refused")
            return connection.error(message, REFUSED)
        answer = await super().handle(message, connection)
        if isinstance(answer, Message) and answer.msgtype == "ERROR":
            return connection.error(message, FAILED)  # its own text and traceback quote the message
        return answer


def may_be_said(message: Message[Any], find: Find) -> bool:
    """Whether our pages may send such a message.

    Parameters
    ----------
    find
        Returns a model of the page's document by its id, or None.
    """
    if message.msgtype not in SPOKEN:
        return False
    if message.msgtype != "PATCH-DOC":
        return True
    content = message.content
    events = content.get("events") if isinstance(content, dict) else None
    if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
        return False
    # What says its type is read as that, and not by the names we look at.
    if any("type" in one for one in (content, *events)):
        return False
    if any(one.get("type", "map") not in VALUES for one in _dicts(events)):
        return False
    return all(_is_ours(event, find) for event in events)


def _nothing(_model_id: Any) -> None:
    """Find no model: the page is closed."""


def _is_ours(event: dict[str, Any], find: Find) -> bool:
    if event.get("kind") != "ModelChanged":
        return event.get("kind") in EVENTS
    return not _opens_files(event, find)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Go through all that stands in what JSON made; not by recursion, which the sender controls."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _opens_files(event: dict[str, Any], find: Find) -> bool:
    """Whether a change is of a property that takes a text for the name of a file, and reads it."""
    wanted, name = event.get("model"), event.get("attr")
    model_id = wanted.get("id") if isinstance(wanted, dict) else None
    model = find(model_id) if isinstance(model_id, str) else None
    found = (
        getattr(type(model), name, None) if model is not None and isinstance(name, str) else None
    )
    return isinstance(found, PropertyDescriptor) and _is_image(found.property)


def _is_image(kind: Property[Any]) -> bool:
    inner = kind.type_params if isinstance(kind, ParameterizedProperty) else []
    return isinstance(kind, Image) or any(_is_image(one) for one in inner)
