"""Components whose script the browser runs as it stands."""

import functools
import hashlib
from typing import Any

from bokeh.document import Document
from panel.custom import JSComponent


class Script(JSComponent):
    """A component written as a plain module, in the language all browsers speak.

    Panel takes a script for TypeScript unless it is a bundle and translates it in every browser at
    every opening: half a second for the viewer, whose ``?.`` and ``??`` become slow calls.
    """

    def _get_properties(self, doc: Document | None) -> dict[str, Any]:
        return super()._get_properties(doc) | {"bundle": self._digest()}

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
        """Name the script by its content: browsers keep a module under this for the page."""
        return hashlib.sha256(cls._render_esm().encode()).hexdigest()[:32]
