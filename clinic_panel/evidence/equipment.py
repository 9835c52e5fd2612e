"""What all our documents say of themselves: identity, equipment, observer, and the moment."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, DT, TM

from clinic_panel.evidence.order import DocumentOrder, Origin

MANUFACTURER = "Clinic Panel"
MODEL = "Clinic Panel viewer"
_LO_CHARS = 64
# highdicom writes the moment it runs; a document says when it was asked for, however often made.
_DATES = ("InstanceCreationDate", "ContentDate", "SeriesDate", "PresentationCreationDate")
_TIMES = ("InstanceCreationTime", "ContentTime", "SeriesTime", "PresentationCreationTime")


def common(order: DocumentOrder) -> dict[str, Any]:
    """Return what every highdicom document takes."""
    identity, origin = order.identity, order.origin
    return {
        "series_instance_uid": identity.series_instance_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "instance_number": identity.number,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": origin.software_version,
        "device_serial_number": origin.device_uid[:_LO_CHARS],
        "institution_name": origin.institution[:_LO_CHARS],
        "specific_character_set": "ISO_IR 192",
    }


def observers(origin: Origin) -> dict[str, hd.ObserverContext]:
    """Return who measured, and with what."""
    return {
        "observer_person_context": hd.ObserverContext(
            codes.DCM.Person,
            hd.PersonObserverIdentifyingAttributes(
                name=person_name(origin.observer), organization_name=origin.institution[:_LO_CHARS]
            ),
        ),
        "observer_device_context": hd.ObserverContext(
            codes.DCM.Device,
            hd.DeviceObserverIdentifyingAttributes(
                uid=origin.device_uid, name=MODEL, manufacturer_name=MANUFACTURER
            ),
        ),
    }


def person_name(shown: str) -> str:
    """Return an account's name as PN: which part is the family's is not known, so all of it is."""
    return f"{shown.translate(str.maketrans('^=\\', '   '))[: _LO_CHARS - 1]}^"


def stamped(document: Dataset, origin: Origin) -> Dataset:
    """Put the moment of the order in place of that of the making, so that both make one object."""
    for keyword in _DATES:
        if keyword in document:
            setattr(document, keyword, DA(origin.local.date()))
    for keyword in _TIMES:
        if keyword in document:
            setattr(document, keyword, TM(origin.local.time().replace(microsecond=0)))
    for item in document.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = DT(origin.local.replace(microsecond=0))
    return document


def written(document: Dataset) -> bytes:
    """Return a document as a file (PS3.10)."""
    out = BytesIO()
    document.save_as(out, enforce_file_format=True)
    return out.getvalue()
