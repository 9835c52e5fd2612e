"""One order in, the bytes of its objects out; the same order makes the same bytes."""

from __future__ import annotations

import warnings

from pydicom.dataset import Dataset

from clinic_panel.errors import NotUnderstood
from clinic_panel.evidence import key_objects, measurement_report, presentation
from clinic_panel.evidence.equipment import stamped, written
from clinic_panel.evidence.order import DocumentKind, DocumentOrder
from clinic_panel.evidence.sources import Sources


def build(order: DocumentOrder) -> tuple[bytes, ...]:
    """Return the objects of an order, each as a file (PS3.10).

    A presentation may take several: one can only speak of images that are shown alike.

    Raises
    ------
    NotUnderstood, NotDisplayable
        An image it speaks of is damaged, or of a kind that cannot be referred to.
    """
    sources = Sources()
    try:
        # What is odd about a sender's values is repeated as it came; each would warn of it again.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            documents = _documents(order, sources)
            return tuple(written(stamped(document, order.origin)) for document in documents)
    except (KeyError, AttributeError, TypeError, ValueError):
        # Of highdicom: a SOP class it does not know, or an attribute with no value it can be.
        raise NotUnderstood("An image is of a kind that no document can refer to.") from None


def _documents(order: DocumentOrder, sources: Sources) -> list[Dataset]:
    match order.kind:
        case DocumentKind.MEASUREMENTS:
            return [measurement_report.build(order, sources)]
        case DocumentKind.KEY_OBJECTS:
            return [key_objects.build(order, sources)]
        case DocumentKind.PRESENTATION:
            return presentation.build(order, sources)
