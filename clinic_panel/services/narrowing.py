"""Conditions that leave out what cannot fit a key, in words that the database's indexes know.

What is left is compared by ``imaging.matching``; nothing here decides alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select, union_all

from clinic_panel import validation
from clinic_panel.models.base import HAS_GROUPS
from clinic_panel.models.imaging import Study
from clinic_panel.models.patient import Patient


def begins(column: Any, pattern: str, dialect: str) -> ColumnElement[bool]:
    """Compare what an index helps with: the text up to the first wildcard, or a piece after it."""
    first = pattern.replace("?", "*").partition("*")[0]
    if first == pattern:
        return column == pattern
    if not first:
        return holds(column, pattern)
    if dialect == "sqlite":  # its LIKE knows no case, and so no index
        return column.op("GLOB")(first.replace("[", "[[]") + "*")
    return column.startswith(first, autoescape=True)


def holds(column: Any, pattern: str) -> ColumnElement[bool]:
    """Leave out texts in which the longest literal piece of a pattern does not occur."""
    longest = max(pattern.replace("?", "*").split("*"), key=len)
    return column.contains(longest, autoescape=True)


def name_fits(
    table: type[Study] | type[Patient], key: Any, pattern: str, dialect: str
) -> ColumnElement[bool]:
    """Leave out names of which no component group begins like a pattern, or holds its piece.

    Parameters
    ----------
    table
        Whose names they are, with their folded form.
    key
        The column that refers to the table.
    """
    told = max(pattern.replace("?", "*").split("="), key=lambda group: len(group.strip("*")))
    pieces = validation.folded(told).split("*")
    if not pieces[0].strip():
        longest = max((piece.strip() for piece in pieces), key=len)
        return table.search_name.contains(longest, autoescape=True)
    # Two searches that each have their index, which one with OR has not.
    first = select(table.id).where(begins(table.search_name, pieces[0] + "*", dialect))
    later = select(table.id).where(
        HAS_GROUPS, table.search_name.contains(" " + pieces[0], autoescape=True)
    )
    found: ColumnElement[bool] = key.in_(union_all(first, later))
    return found
