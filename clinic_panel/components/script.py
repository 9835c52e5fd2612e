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

    @classmethod
    @functools.cache
    def _digest(cls) -> str:
        """Name the script by its content: browsers keep a module under this for the page."""
        return hashlib.sha256(cls._render_esm().encode()).hexdigest()[:32]
