"""Which scripts and styles a page needs: asked once, not at every opening.

Panel 1.10 answers by walking some 220 component classes and resolving their paths, three times for
every page: 90 of the 150 ms a page costs. The answer changes only when a class is defined.
"""

import functools
from typing import Any

from bokeh.model import Model
from panel.io import resource_spec
from panel.io.resources import Resources
from panel.io.state import state


def _classes_known() -> int:
    return len(Model.model_class_reverse_map)


def remember() -> None:
    """Keep Panel's answers until a component class is added; calling again is harmless."""
    if getattr(Resources.extra_resources, "remembers", False):
        return
    walk = Resources.extra_resources
    declare = resource_spec.declared_specs

    @functools.lru_cache(maxsize=64)
    def found(mode: str, kind: str, rel_path: str, classes: int) -> tuple[Any, ...]:
        extra: list[Any] = []
        walk(Resources(mode=mode), extra, kind)
        return tuple(extra)

    def extra_resources(self: Any, resources: list[Any], resource_type: str) -> None:
        """Add what the components need, as Panel's own method does."""
        if self._jupyter_endpoint:
            walk(self, resources, resource_type)
            return
        known = found(self.mode, resource_type, state.rel_path or "", _classes_known())
        resources.extend(one for one in known if one not in resources)

    @functools.lru_cache(maxsize=8)
    def declared(mode: Any, rel_path: str, classes: int) -> dict[str, Any]:
        return declare(mode)

    extra_resources.remembers = True  # type: ignore[attr-defined]
    Resources.extra_resources = extra_resources
    resource_spec.declared_specs = lambda mode=None: declared(
        mode, state.rel_path or "", _classes_known()
    )
