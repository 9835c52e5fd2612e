"""What every visible part shares: one script prelude, one set of colours, no margins."""

import functools
import textwrap
from pathlib import Path
from typing import Any, ClassVar

from clinic_panel.components.script import Script

HERE = Path(__file__).parent


@functools.cache
def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


class Part(Script):
    """One visible part rendered in the browser from data.

    A subclass names its script and style sheet by ``_source``: ``board`` stands for ``board.js``
    and ``board.css`` beside this module. The script follows ``dom.js`` and exports ``render``.
    ``_heard`` names the params that the script sets: no other is taken from a browser.
    """

    _source: ClassVar[str] = ""
    _heard: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls._source:
            cls._stylesheets = [_text("tokens.css") + _text(f"{cls._source}.css")]

    def __init__(self, **params: Any) -> None:
        params.setdefault("margin", 0)
        if not {"sizing_mode", "width"} & params.keys():
            params["sizing_mode"] = "stretch_width"
        super().__init__(**params)

    @classmethod
    def _hears(cls, name: str) -> bool:
        return name in cls._heard

    @classmethod
    def _is_whole(cls) -> bool:
        return bool(cls._source)

    @classmethod
    @functools.cache
    def _render_esm(cls, compiled: bool | str = True, server: bool = False) -> str:
        return textwrap.dedent(_text("dom.js") + _text(f"{cls._source}.js"))
