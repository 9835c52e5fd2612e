"""What of an object is told to those who must not learn whose it is.

A list of what is told, not of what is kept back: numbers, codes that the standard itself lists,
what describes the equipment, when the examination was. Whatever a sender wrote freely may hold a
name, whatever its label says (PS3.15 E.3.5, E.3.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Final, override

from pydicom.datadict import dictionary_keyword, dictionary_VR, tag_for_keyword

from clinic_panel import validation
from clinic_panel.errors import Invalid
from clinic_panel.imaging.legible import uid_name, uid_names
from clinic_panel.imaging.listing import HeaderRow, Listing
from clinic_panel.imaging.structured import Words

WITHHELD: Final = "(withheld)"
_WHOLE: Final = frozenset({"IS", "SL", "SS", "UL", "US", "SV", "UV"})
_NUMERIC: Final = _WHOLE | {"DS", "FD", "FL"}
_EQUIPMENT: Final = frozenset({"ConvolutionKernel", "Manufacturer", "ManufacturerModelName"})
_EXAMINATION: Final = frozenset(
    f"{of}{what}"
    for of in ("Acquisition", "Content", "Series", "Study")
    for what in ("Date", "Time")
)
_OF_A_PERSON: Final = frozenset(
    {
        *("PatientSex", "PregnancyStatus", "SmokingStatus", "ResponsiblePersonRole"),
        "ContentLabel",  # a code string, but its writer's own
    }
)
_CODE: Final = re.compile(r"[A-Z0-9_ ]{0,16}")  # a Code String (PS3.5 6.2)
_NUMBER: Final = re.compile(r"[-+0-9.eE]{1,16}")
_MOMENT: Final = re.compile(r"[0-9.:+-]{1,26}")
# Units as `realworld.rescale_unit` and `traits` write them; those of UCUM stand in a list.
_UNITS: Final = frozenset(
    {
        *("HU", "HU_MOD", "mOD", "mg/ml", "%", "Z_EFF", "ED", "EDW", "Gy", "Bq/ml", "g/ml"),
        *("counts", "mm²/s", "µm²/s"),
    }
)
# What a document is there to say: of this it is said that there is something.
_SAID: Final = frozenset(
    {0x0040A120, 0x0040A121, 0x0040A122, 0x0040A123, 0x0040A124, 0x0040A160, 0x00700006}
)
_CODED_VALUE: Final = 0x0040A168
_TAG: Final = re.compile(r" \([a-z/ ]+\)$")  # SNOMED's own: "(body structure)"
_UID_ROOT: Final = "1.2.840.10008."

type NewUid = Callable[[str], str]


def code(text: str) -> str:
    """Return a Code String; a device that wrote something else there may have written a name."""
    return text if _CODE.fullmatch(text) else ""


def is_told(keyword: str) -> bool:
    """Whether the values of an attribute are handed out, as far as they look like its VR."""
    vr = _vr_of(keyword)
    if not vr or keyword in _OF_A_PERSON:
        return False
    return vr in _NUMERIC or vr in ("CS", "UI") or keyword in _EQUIPMENT | _EXAMINATION


def _vr_of(keyword: str) -> str:
    """The VR by the standard, whatever an object says; nothing for what is no keyword."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else dictionary_VR(tag)


def is_number(keyword: str) -> bool:
    """Whether the standard's values of an attribute are numbers."""
    return _vr_of(keyword) in _NUMERIC


def is_whole(keyword: str) -> bool:
    """Whether they are whole numbers."""
    return _vr_of(keyword) in _WHOLE


def class_uid(text: str) -> str:
    """Return the UID of a kind of thing, whoever gave it; nothing if it is none."""
    try:
        return validation.uid(text)
    except Invalid:
        return ""


def unit(text: str) -> str:
    """Return a unit that everybody knows; in its place a device may have written a name."""
    return text if not text or text in _UNITS or listed_meaning(text, "UCUM") else ""


def told(keyword: str, value: str, new_uid: NewUid = lambda _: "") -> str:
    """Return what is handed out of a value as text: all of it, or nothing.

    Parameters
    ----------
    keyword
        Of its attribute; the VR is the standard's, whatever the object says.
    value
        As DICOM writes it, several joined by a backslash.
    new_uid
        The UID that stands for one that is not the standard's own.
    """
    if not is_told(keyword):
        return ""
    vr = _vr_of(keyword)
    parts = value.split("\\")
    if vr == "UI":
        return "\\".join(one if is_public_uid(one) else new_uid(one) for one in parts if one)
    if keyword in _EQUIPMENT:
        return value
    form = _CODE if vr == "CS" else _MOMENT if keyword in _EXAMINATION else _NUMBER
    return value if all(form.fullmatch(one) or not one for one in parts) else ""


def is_public_uid(uid: str) -> bool:
    """Whether a UID is one that the standard gave to a thing of its own."""
    return uid.startswith(_UID_ROOT) and uid_name(uid) != uid


def discreet_listing(listing: Listing, new_uid: NewUid) -> Listing:
    """Return a header with the values that are told; the others' elements are listed without."""
    return replace(
        listing,
        sop_class=_named(listing.sop_class),
        transfer_syntax=_named(listing.transfer_syntax),
        rows=tuple(_discreet_row(row, new_uid) for row in listing.rows),
    )


def _named(text: str) -> str:
    return text if text in uid_names() else ""


def _discreet_row(row: HeaderRow, new_uid: NewUid) -> HeaderRow:
    if not row.tag or row.vr == "SQ":  # an item, or how many there are: our own words
        return replace(row, name=row.name if row.keyword or not row.tag else "Private sequence")
    if not row.keyword:
        name = "Private" if row.private else row.name
        return replace(row, name=name, vr=_vr(row.vr), value="", note="withheld")
    value = told(row.keyword, row.value, new_uid)
    if row.value and not value:
        return replace(row, vr=_vr(row.vr), value="", note="withheld")
    return replace(row, vr=_vr(row.vr), value=value)


def _vr(written: str) -> str:
    return written if len(written) == 2 and written.isascii() and written.isupper() else "UN"


class Discreet(Words):
    """Reads of an item what is told: no text but codes that the standard lists, and numbers."""

    @override
    def text(self, tag: int) -> str:
        found = super().text(tag)
        if not found:
            return ""
        if tag in _SAID:
            return WITHHELD
        return told(dictionary_keyword(tag), found)

    @override
    def as_code(self) -> tuple[str, str, str]:
        value, scheme, _ = Words(self.found, self.encodings).as_code()
        meaning = listed_meaning(value, scheme)
        return (value, scheme, meaning) if meaning else ("", "", "")

    @override
    def code(self, tag: int) -> tuple[str, str]:
        meaning, said = super().code(tag)
        if not meaning and tag == _CODED_VALUE and self.found.first(tag) is not None:
            return WITHHELD, ""
        return meaning, said

    @override
    def among(self, text: str, names: frozenset[str]) -> str:
        return text if text in names else ""


def listed_meaning(value: str, scheme: str) -> str:
    """What a code means by the standard's own lists, not by the object's words; else nothing."""
    return _meanings().get((scheme, value), "")


@cache
def _meanings() -> dict[tuple[str, str], str]:
    # Here and not above: some twenty thousand codes take two seconds to load, and few need them.
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import snomed_mapping

    found = {
        (str(each.scheme_designator), str(each.value)): _TAG.sub("", str(each.meaning))
        for scheme in codes.schemes()
        for each in getattr(codes, scheme).concepts.values()
    }
    older = {
        ("SRT", old): found["SCT", new]
        for old, new in snomed_mapping["SRT"].items()
        if ("SCT", new) in found
    }
    return older | found
