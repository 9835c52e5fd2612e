"""Chosen images as a key object selection (PS3.16 TID 2010)."""

from __future__ import annotations

import highdicom.ko as hd
from pydicom.dataset import Dataset

from clinic_panel.evidence import concepts
from clinic_panel.evidence.equipment import common, observers
from clinic_panel.evidence.order import DocumentOrder
from clinic_panel.evidence.sources import Sources, frame_numbers

SERIES_NUMBER = 9903


def build(order: DocumentOrder, sources: Sources) -> Dataset:
    """Return the selection of all images of an order, in their order.

    Raises
    ------
    NotUnderstood
        An image is damaged.
    """
    frames: dict[str, list[int]] = {}
    images: dict[str, Dataset] = {}
    for one in order.seen:
        header = sources.header(one.path)
        images[header.SOPInstanceUID] = header
        frames.setdefault(header.SOPInstanceUID, []).append(one.frame)
    content = hd.KeyObjectSelection(
        document_title=concepts.title_of(order.title),
        referenced_objects=list(images.values()),
        **observers(order.origin),
    )
    for item in content[0].ContentSequence:
        if item.ValueType == "IMAGE":
            [reference] = item.ReferencedSOPSequence
            uid = reference.ReferencedSOPInstanceUID
            # Of a multi-frame image only these frames were chosen (PS3.3 C.17.6.2).
            if numbers := frame_numbers(images[uid], frames[uid]):
                reference.ReferencedFrameNumber = numbers
    return hd.KeyObjectSelectionDocument(
        evidence=list(images.values()),
        content=content,
        series_number=SERIES_NUMBER,
        series_description="Key images",
        **common(order),
    )
