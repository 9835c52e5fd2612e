"""The objects this implementation makes itself (PS3.2 A.7.1)."""

from clinic_panel.evidence.order import SOP_CLASSES, DocumentKind
from listener.conformance.markup import named, table

_WHAT = {
    DocumentKind.MEASUREMENTS: "A reader's measurements: template TID 1500, regions as SCOORD, on "
    "sections of a volume as SCOORD3D (then Comprehensive 3D SR), units in UCUM, where millimetres "
    "come from as text; a later version names its predecessor.",
    DocumentKind.PRESENTATION: "Window, inversion, and the measurements as graphics and text.",
    DocumentKind.KEY_OBJECTS: "Key images with a title of CID 7010: template TID 2010.",
}


def created() -> str:
    """Return the chapter."""
    rows = [
        (named(uid), f"`{uid}`", _WHAT[kind]) for kind, uids in SOP_CLASSES.items() for uid in uids
    ]
    text = (
        "When a reader saves their work as DICOM, new objects of the study are made, each kind in "
        "a series of its own, in Explicit VR Little Endian and `ISO_IR 192`. They are kept, found, "
        "retrieved and forwarded like objects received."
    )
    return text + "\n\n" + table(("Object", "UID", "Holds"), rows)
