"""Components whose script the browser runs as it stands."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from bokeh.document import Document
from panel.custom import JSComponent

SCRIPTS_AT: Final = "/static/scripts/"
"""Where a server that offers it has the scripts, each named by its content."""


class Script(JSComponent):
    """A component written as a plain module, in the language all browsers speak.

    Panel takes a script for TypeScript unless it is a bundle and translates it in every browser at
    every opening: half a second for the viewer, whose ``?.`` and ``??`` become slow calls. Where
    the server offers it, the browser gets the address alone, and keeps what it compiled.
    """

    _bundle_path: ClassVar[None] = None  # Panel would look for a file at every opening

    def _get_properties(self, doc: Document | None) -> dict[str, Any]:
        found = super()._get_properties(doc)
        if doc is not None and has_addresses(doc):
            return found | {"bundle": "url", "esm": self.address()}
        return found | {"bundle": self._digest()}

    @property
    def _linked_properties(self) -> tuple[str, ...]:  # Panel's name: what it takes from a browser
        return tuple(name for name in super()._linked_properties if self._hears(name))

    @classmethod
    def _hears(cls, name: str) -> bool:
        """Whether a browser may set a param; what is offered there is not its own to say."""
        del name
        return True

    @classmethod
    def address(cls) -> str:
        """Return where the script is, on a server that offers it."""
        return f"{SCRIPTS_AT}{cls._digest()}.js"

    @classmethod
    def _is_whole(cls) -> bool:
        """Whether this is a component, and not what several have in common."""
        return bool(cls._esm)

    @classmethod
    @functools.cache
    def _render_esm(cls, compiled: bool | str = True, server: bool = False) -> str:
        return str(super()._render_esm(compiled, server))

    def _comm_change(  # Bokeh asks for these names
        self, doc: Document, ref: str, comm: Any, subpath: str | None, attr: str, old: Any, new: Any
    ) -> None:
        """Take in one of the changes that a notebook sends together.

        Panel 1.10 leaves the document held behind the first, and the others never arrive.
        """
        is_held = doc.callbacks.hold_value is not None
        super()._comm_change(doc, ref, comm, subpath, attr, old, new)
        if not is_held:
            doc.unhold()

    @classmethod
    @functools.cache
    def _digest(cls) -> str:
        """Name the script by its content: browsers keep a module under this."""
        return hashlib.sha256(cls._render_esm().encode()).hexdigest()[:32]


def offer_addresses(doc: Document) -> None:
    """Let a page's components be told by their addresses: its server has them there."""
    doc.template_variables["scripts_at"] = SCRIPTS_AT


def has_addresses(doc: Document) -> bool:
    """Whether a page's server has the scripts at their addresses."""
    return "scripts_at" in doc.template_variables


def script_at(address: str) -> str | None:
    """Return the script at an address, or None."""
    return next((one._render_esm() for one in _kinds(Script) if one.address() == address), None)


def _kinds(base: type[Script]) -> Iterator[type[Script]]:
    for kind in base.__subclasses__():
        if kind._is_whole():
            yield kind
        yield from _kinds(kind)
