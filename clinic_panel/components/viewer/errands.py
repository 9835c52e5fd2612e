"""What the viewer asks for over the comm, where no HTTP route exists: frames and papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from clinic_panel.errors import ClinicError, NotDisplayable
from clinic_panel.services.paper_content import PaperSource

type Errand = Callable[[PaperSource, dict[str, Any]], dict[str, Any]]

NOT_AT_HAND: Final = "This is not at hand here."
_ERRANDS: Final[dict[str, Errand]] = {
    "header": lambda source, wish: {
        "found": source.header(int(wish["id"]), int(wish.get("frame", 0)))
    },
    "paper": lambda source, wish: {"found": source.paper(int(wish["id"]))},
    "part": lambda source, wish: {
        "found": source.part(int(wish["id"]), int(wish["group"]), float(wish["start"])).as_dict()
    },
    "presented": lambda source, wish: {
        "found": source.presented(int(wish["id"]), int(wish["image"]), int(wish["frame"]))
    },
    "pdf": lambda source, wish: {"bytes": source.pdf(int(wish["id"]))},
}


def answer(source: PaperSource | None, wish: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the browser is told: what was found, or why there is nothing.

    Parameters
    ----------
    wish
        ``errand`` (its number, by which the answer is known), ``what`` and what that needs. None
        is answered to what is no wish of ours.
    """
    errand = _ERRANDS.get(str(wish.get("what")))
    if errand is None or not isinstance(number := wish.get("errand"), int):
        return None
    try:
        if source is None:
            raise NotDisplayable(NOT_AT_HAND)
        found = errand(source, wish)
    except ClinicError as error:
        found = {"problem": error.message}
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return {"errand": number} | found
