"""What a viewer shows of an object that is no image, read from its file.

Who may see it is asked by `services.documents` and `services.cohort_papers`; how much of its text
is told, by the reader of words that they pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.imaging import presentation, structured, waveform
from clinic_panel.imaging.encapsulated import read_pdf
from clinic_panel.imaging.kinds import Kind, kind_of, name_of
from clinic_panel.imaging.legible import size_text
from clinic_panel.imaging.presentation import read_presentation, read_shown
from clinic_panel.imaging.structured import Document, Reference, Words
from clinic_panel.imaging.waveform import Group

MISSING = "The file of this object is missing from the archive."

type Places = Callable[[Iterable[Reference]], dict[str, int]]


class PaperSource(Protocol):
    """What stands in a study beside pixels, for a viewer that asks for it without a route.

    All raise NotFound or NotDisplayable where there is nothing to show, and say why.
    """

    def header(self, instance_id: int, frame: int) -> dict[str, Any]:
        """List the elements of an object."""

    def paper(self, instance_id: int) -> dict[str, Any]:
        """Return an object that is no image."""

    def part(self, instance_id: int, group: int, start_s: float) -> Group:
        """Return a part of one zero-based group of a recording."""

    def presented(self, instance_id: int, image_id: int, frame: int) -> dict[str, Any]:
        """Say how a presentation state wishes one zero-based frame to be seen."""

    def pdf(self, instance_id: int) -> bytes:
        """Return the PDF in an object."""


@dataclass(frozen=True, slots=True)
class Paper:
    """One object that is no image, ready to show; ``content`` is what its kind needs."""

    kind: Kind
    name: str
    title: str = field(repr=False)
    facts: tuple[tuple[str, str], ...] = field(repr=False)
    content: dict[str, Any] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the viewer takes it."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "title": self.title,
            "facts": [list(fact) for fact in self.facts],
            "content": self.content,
        }


def read[Value](path: Path, reader: Callable[[Path], Value]) -> Value:
    """Read a file of the archive.

    Raises
    ------
    NotDisplayable
        It is gone or damaged; the message says which.
    """
    try:
        return reader(path)
    except FileNotFoundError:
        raise NotDisplayable(MISSING) from None
    except NotUnderstood as error:
        raise NotDisplayable(error.message) from None


def paper_of(path: Path, sop_class_uid: str, places: Places, words: type[Words] = Words) -> Paper:
    """Read an object that is no image: a report, key images, a recording, a PDF.

    Parameters
    ----------
    places
        Finds our own numbers of the instances that a document refers to, by SOP Instance UID.
    words
        How text is read.

    Raises
    ------
    NotDisplayable
        The object cannot be shown; the message says why.
    """
    kind, name = kind_of(sop_class_uid), name_of(sop_class_uid)
    if kind in (Kind.REPORT, Kind.KEY_IMAGES):
        document = read(path, lambda source: structured.read_document(source, words))
        tree = _tree(document, places(document.references))
        return Paper(kind, name, document.content.name, _standing(document), tree)
    if kind is Kind.WAVEFORM:
        recording = read(path, lambda source: waveform.read_recording(source, words=words))
        return Paper(kind, name, name, (), recording.as_dict())
    if kind is Kind.PDF:
        wrapped = read(path, read_pdf)
        facts = (("Size", size_text(len(wrapped.data))),)
        return Paper(kind, name, wrapped.title or "Document", facts, {})
    raise NotDisplayable(f"This is no image but an object of the kind “{name}”.")


def part_of(
    path: Path, sop_class_uid: str, group: int, start_s: float, words: type[Words] = Words
) -> Group:
    """Read a part of one zero-based group of a recording, from ``start_s`` on.

    Raises
    ------
    NotDisplayable
        It is no recording, or has no such group.
    """
    if kind_of(sop_class_uid) is not Kind.WAVEFORM:
        raise NotDisplayable("This is no recording.")
    span = waveform.shown_from(start_s)
    return read(path, lambda source: waveform.read_group(source, group, span, words))


def presented_of(
    path: Path,
    sop_class_uid: str,
    image: Path,
    reference: Reference,
    words: type[Words] = Words,
) -> dict[str, Any]:
    """Say how a presentation state wishes one zero-based frame of an image to be seen.

    Parameters
    ----------
    image
        The image's file.
    reference
        Its UIDs, and the zero-based frame that is shown.

    Raises
    ------
    NotDisplayable
        It is no presentation state, or cannot be read.
    """
    if kind_of(sop_class_uid) is not Kind.PRESENTATION:
        raise NotDisplayable("This is no presentation state.")
    state = read(path, lambda source: read_presentation(source, words))
    said = (state.description, state.creator, state.created_on)
    left_out = f"Not applied: {', '.join(state.left_out)}" if state.left_out else ""
    [frame] = reference.frames
    shown = read(image, lambda source: read_shown(source, reference, frame))
    return presentation.as_dict(state, shown) | {
        "title": f"Presentation {state.label}".strip(),
        "note": "\n".join(filter(None, (" · ".join(filter(None, said)), left_out))),
    }


def _tree(document: Document, places: dict[str, int]) -> dict[str, Any]:
    return {
        "items": [structured.as_dict(item, places) for item in document.content.items],
        "images": [structured.place_of(one, places) for one in document.references],
        "cut": document.is_cut,
    }


def _standing(document: Document) -> tuple[tuple[str, str], ...]:
    """What the head of a document says: whether it is finished, who vouches for it, from when."""
    facts = []
    if document.content_at:
        facts.append(("Written", document.content_at))
    if document.is_complete is not None:
        facts.append(("State", "Complete" if document.is_complete else "Partial"))
    if document.is_verified is not None:
        by = "; ".join(document.verified_by)
        facts.append(("Verified", (by or "Yes") if document.is_verified else "No"))
    return tuple(facts)
