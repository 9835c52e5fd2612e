"""Markdown, as much of it as the statement needs."""

from collections.abc import Iterable, Sequence

from pydicom.datadict import dictionary_description, tag_for_keyword

from clinic_panel.imaging.legible import uid_name


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def named(uid: str) -> str:
    """Return the name of a UID in the standard's registry, or the UID."""
    return uid_name(uid)


def uid_table(uids: Iterable[str]) -> str:
    """Return names and UIDs."""
    return table(("Name", "UID"), ((named(uid), f"`{uid}`") for uid in uids))


def attribute(keyword: str) -> str:
    """Return name and tag of an attribute."""
    tag = tag_for_keyword(keyword) or 0
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
