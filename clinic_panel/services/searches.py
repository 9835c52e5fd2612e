"""The audit of searches that devices make: written when they are answered, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from clinic_panel.context import Context
from clinic_panel.models.audit_log import Action
from clinic_panel.models.user import Permission
from clinic_panel.services import audit


@dataclass(frozen=True, slots=True)
class Search:
    """One query that was answered: what was searched, by whom, and how much was found."""

    at: datetime
    searched: str
    found: int
    level: str = ""
    ae_title: str = ""
    address: str = ""


def record(ctx: Context, searches: Sequence[Search]) -> None:
    """Add one entry for each search, at its own time, in one transaction.

    Raises
    ------
    Forbidden, Unavailable
        None was added.
    """
    ctx.require(Permission.PATIENT_READ)
    with ctx.begin() as session:
        entries = [(_then(ctx, search), _detail(search)) for search in searches]
        audit.record_together(session, Action.SEARCH, entries)


def _detail(search: Search) -> dict[str, Any]:
    detail: dict[str, Any] = {"list": search.searched, "found": search.found}
    if search.level:
        detail["level"] = search.level
    if search.ae_title:
        detail["ae_title"] = search.ae_title
    return detail


def _then(ctx: Context, search: Search) -> Context:
    """The clinic when the search was made, with the peer's address."""
    actor = replace(ctx.actor, address=search.address or ctx.actor.address)
    return replace(ctx, actor=actor, clock=lambda: search.at)
