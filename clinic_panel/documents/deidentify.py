"""A data set without the person: the Basic Application Level Confidentiality Profile (PS3.15 E).

With it goes the option Retain Longitudinal Temporal Information With Modified Dates; presentation
states keep their graphics without text, key objects their tree without text. All other text goes.
Pixels are not looked at here: whoever calls has cleaned them (``imaging.cleaning``) and says so.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    UID_dictionary,
)

from clinic_panel import validation
from clinic_panel.documents.confidentiality import SCHEMES, Act, act_on, basic_act
from clinic_panel.documents.identity import Identity, every_element, identity_of, texts
from clinic_panel.documents.moments import shifted
from clinic_panel.documents.terms import (
    CLEAN_GRAPHICS,
    CLEAN_STRUCTURE,
    PIXELS,
    Terms,
    state,
)
from clinic_panel.errors import Invalid, NotUnderstood

DUMMY_TEXT: Final = "ANONYMIZED"
# What pydicom raises on values that are not what their VR says.
UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,  # a recursion too deep among them
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_CODE: Final = re.compile(r"[A-Z0-9_ ]{0,16}")
_LONG_NUMBER: Final = re.compile(r"\d{5}")
_UNTOUCHED: Final = frozenset(map(Tag, PIXELS))  # whoever cleaned them looked through them
# Terms that make an object what it is, though a person may be called so: they need only be terms.
_TERMS: Final = frozenset({Tag("Modality"), Tag("PhotometricInterpretation")})
_DUMMIES: Final[dict[str, Any]] = {
    **dict.fromkeys(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "CS"), DUMMY_TEXT),
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"), 0),
    **{"AS": "000D", "DA": "19000101", "TM": "000000", "DT": "19000101000000"},
    **dict.fromkeys(("OB", "OW", "OB or OW"), b"\0\0"),
}
_STEP: Final = Tag("ReferencedPerformedProcedureStepSequence")
_CONTENT, _ANNOTATIONS = Tag("ContentSequence"), Tag("GraphicAnnotationSequence")
# Kinds of content items without free text (PS3.3 C.17.3.2.1); the table names what else they hold.
_SAFE_ITEMS: Final = frozenset(
    {
        *("CODE", "COMPOSITE", "CONTAINER", "DATE", "DATETIME", "IMAGE", "NUM", "PNAME"),
        *("SCOORD", "SCOORD3D", "TIME", "UIDREF", "WAVEFORM"),
    }
)
_COUNTING: Final = frozenset({"DS", "IS", "SL", "SV", "UL", "UV"})


@dataclass(slots=True)
class _Work:
    """One object under way."""

    terms: Terms
    identity: Identity
    keeps_tree: bool
    options: set[str] = field(default_factory=set)


def deidentify(ds: Dataset, terms: Terms, *, pixels_clean: bool = False) -> Dataset:
    """Return a data set that leads back to nobody; what is given is used up.

    Parameters
    ----------
    ds
        As read from a file, in its own transfer syntax, with its pixels cleaned.
    pixels_clean
        Whether somebody made sure that no identity is drawn into the image.

    Returns
    -------
    Dataset
        With new file meta information and an empty preamble, and with what was done in
        (0012,0062) to (0012,0064), (0028,0301) and (0028,0303).

    Raises
    ------
    NotUnderstood
        It cannot be read to its end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their text quotes values
        try:
            return _deidentified(ds, terms, pixels_clean=pixels_clean)
        except UNREADABLE:
            raise NotUnderstood("The object is damaged.") from None


def _deidentified(ds: Dataset, terms: Terms, *, pixels_clean: bool) -> Dataset:
    syntax = _syntax_of(ds)
    sop_class = str(ds.SOPClassUID)
    if not (_is_uid(sop_class) and _is_uid(syntax)):
        raise NotUnderstood("The object does not say what it is.")
    _read_all(ds)
    work = _Work(
        terms,
        identity_of(every_element(ds), terms.known),
        keeps_tree=sop_class == KeyObjectSelectionDocumentStorage,
    )
    _clean(ds, work)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = ds.PatientID = terms.case
    if "StudyID" in ds:
        ds.StudyID = "1"  # a DICOMDIR wants one
    state(ds, work.options, pixels_clean=pixels_clean)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    ds.file_meta, ds.preamble = meta, b"\0" * 128
    return ds


def _syntax_of(ds: Dataset) -> UID:
    """Return the transfer syntax, of old files without one from how they were read."""
    named = getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", None)
    if named:
        return UID(str(named))
    is_implicit, is_little = ds.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _read_all(ds: Dataset) -> None:
    """Turn all values from bytes into what they say; what cannot be read goes."""
    for tag in list(ds.keys()):
        try:
            element = ds[tag]
            items = list(element.value or []) if element.VR == "SQ" else []
        except RecursionError:
            raise
        except UNREADABLE:
            del ds[tag]
            continue
        for item in items:
            _read_all(item)


# -- element by element ------------------------------------------------------------------------


def _clean(ds: Dataset, work: _Work) -> None:
    moved = dict(_moved(ds, work.terms.offset))  # while dates and times still stand side by side
    for tag in list(ds.keys()):
        element = ds[tag]
        act = _act_here(element, work)
        if act is Act.SHIFT:
            act = _shift(element, moved.get(tag), tag)
        _ACTS[act](ds, element, work)


def _act_here(element: DataElement, work: _Work) -> Act:
    if element.tag == _STEP and work.keeps_tree:
        return Act.EMPTY  # Type 2 in documents alone (PS3.3 C.17.6.1)
    if element.tag == _CONTENT and work.keeps_tree:
        work.options.add(CLEAN_STRUCTURE)
        element.value = Sequence(
            item for item in element.value if item.get("ValueType") in _SAFE_ITEMS
        )
        return Act.DESCEND
    if element.tag == _ANNOTATIONS:
        work.options.add(CLEAN_GRAPHICS)
        for item in element.value:
            item.pop("TextObjectSequence", None)
        element.value = Sequence(item for item in element.value if "GraphicObjectSequence" in item)
        return Act.DESCEND
    return act_on(element.tag, element.VR)


def _moved(ds: Dataset, offset: timedelta) -> Iterator[tuple[BaseTag, list[str] | None]]:
    for tag in list(ds.keys()):
        element = ds[tag]
        if act_on(tag, element.VR) is Act.SHIFT:
            yield tag, shifted(ds, tag, offset)


def _shift(element: DataElement, values: list[str] | None, tag: BaseTag) -> Act:
    """Move a moment; one that is not understood gets what the profile says without the option."""
    if values is None:
        return basic_act(tag)
    element.value = values if len(values) > 1 else "".join(values)
    return Act.SHIFT


def _remove(ds: Dataset, element: DataElement, work: _Work) -> None:
    del work
    del ds[element.tag]


def _empty(ds: Dataset, element: DataElement, work: _Work) -> None:
    del work, ds
    element.value = Sequence() if element.VR == "SQ" else None


def _dummy(ds: Dataset, element: DataElement, work: _Work) -> None:
    if element.VR == "UI":
        _new_uid(ds, element, work)
    elif element.VR not in _DUMMIES:
        _remove(ds, element, work)
    elif not element.is_empty:
        value = _DUMMIES[element.VR]
        element.value = [value] * element.VM if element.VM > 1 else value


def _new_uid(ds: Dataset, element: DataElement, work: _Work) -> None:
    del ds
    new = [
        one if one in UID_dictionary or not one else work.terms.new_uid(one)
        for one in (text.strip(" \0") for text in texts(element.value))
    ]
    element.value = new if len(new) > 1 else "".join(new)


def _descend(ds: Dataset, element: DataElement, work: _Work) -> None:
    if element.VR != "SQ":
        _remove(ds, element, work)
        return
    for item in element.value:
        _hide_code(item)
        _clean(item, work)
        item.pop("SpecificCharacterSet", None)


def _hide_code(item: Dataset) -> None:
    """Let a code say nothing unless its registry is one that everybody shares (PS3.3 8.8)."""
    if "CodeMeaning" not in item or item.get("CodingSchemeDesignator") in SCHEMES:
        return
    for keyword in ("LongCodeValue", "URNCodeValue", "EquivalentCodeSequence"):
        item.pop(keyword, None)
    item.CodeValue = item.CodeMeaning = DUMMY_TEXT
    item.CodingSchemeDesignator = "99ANON"


def _keep(ds: Dataset, element: DataElement, work: _Work) -> None:
    """Keep what stays unless it names the person all the same."""
    vr, value = element.VR, element.value
    if element.is_empty or element.tag in _UNTOUCHED:
        return
    if element.tag in _TERMS:
        if not all(_CODE.fullmatch(text) for text in texts(value)):
            element.value = DUMMY_TEXT
    elif vr == "CS":
        kept = [text for text in texts(value) if _is_code(text, work.identity)]
        if len(kept) < element.VM:
            element.value = kept or DUMMY_TEXT
    elif vr == "UI":
        if any(work.identity.is_in(text) or not _is_uid(text) for text in texts(value)):
            del ds[element.tag]
    elif vr in _COUNTING:
        if any(work.identity.is_number(text) for text in texts(value)):
            del ds[element.tag]
    elif isinstance(value, bytes):
        if work.identity.is_in_bytes(value):
            del ds[element.tag]
    elif vr in _DUMMIES and any(work.identity.is_in(text) for text in texts(value)):
        _dummy(ds, element, work)


def _is_code(text: str, identity: Identity) -> bool:
    """Whether a coded string looks like a term of the standard."""
    return bool(
        _CODE.fullmatch(text) and not _LONG_NUMBER.search(text) and not identity.is_in(text)
    )


def _is_uid(text: str) -> bool:
    """Whether a text is a UID; of what an object is, the standard's or anybody's."""
    try:
        return bool(validation.uid(text))
    except Invalid:
        return False


def _stay(ds: Dataset, element: DataElement, work: _Work) -> None:
    del ds, element, work


_ACTS: Final[dict[Act, Callable[[Dataset, DataElement, _Work], None]]] = {
    Act.KEEP: _keep,
    Act.REMOVE: _remove,
    Act.EMPTY: _empty,
    Act.DUMMY: _dummy,
    Act.SHIFT: _stay,
    Act.NEW_UID: _new_uid,
    Act.DESCEND: _descend,
}
