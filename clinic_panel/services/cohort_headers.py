"""Attributes of many instances as one table, as far as they cannot name a person."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from clinic_panel.context import Context
from clinic_panel.documents.deidentify import UNREADABLE
from clinic_panel.errors import Invalid
from clinic_panel.imaging.discreet import class_uid, is_number, is_told, is_whole, told
from clinic_panel.models.audit_log import Action
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, pseudonym
from clinic_panel.services.cohort_find import find_study, in_order

_CLASS_UIDS = frozenset({"SOPClassUID", "MediaStorageSOPClassUID"})


def headers(ctx: Context, study_uid: str, keywords: Sequence[str]) -> pd.DataFrame:
    """Return one row an instance with the attributes asked for; absent ones are missing values.

    Parameters
    ----------
    study_uid
        As `cohort.studies` shows it.
    keywords
        DICOM keywords of top-level attributes: numbers, codes, UIDs (as pseudonyms), equipment,
        and the examination's dates and times.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such study.
    Invalid
        A keyword is none, or may name a person; the message says which.
    """
    ctx.require(Permission.COHORT_READ)
    for keyword in keywords:
        _check(keyword)
    with ctx.read() as session:
        study = find_study(ctx, session, study_uid)
        found = [
            (
                {
                    "series_uid": pseudonym.uid(ctx, series.series_instance_uid),
                    "instance_uid": pseudonym.uid(ctx, row.sop_instance_uid),
                    "instance_number": row.instance_number,
                },
                ctx.store.path(row.path),
            )
            for series in sorted(study.series, key=lambda each: (each.series_number or 0, each.id))
            for row in in_order(series.instances)
        ]
    with ctx.begin() as session:
        audit.record(
            ctx,
            session,
            Action.VIEW,
            study,
            patient_pk=study.patient_pk,
            list="cohort headers",
            found=len(found),
            keywords=sorted(keywords),
        )
    rows = [keys | _values(ctx, path, keywords) for keys, path in found]
    names = dict.fromkeys(["series_uid", "instance_uid", "instance_number", *keywords])
    frame = pd.DataFrame(rows, columns=list(names))
    return frame.astype(
        {"series_uid": "string", "instance_uid": "string", "instance_number": "Int64"}
    )


def _check(keyword: str) -> None:
    if tag_for_keyword(keyword) is None:
        raise Invalid(f"{keyword[:64]} is no DICOM keyword.")
    if not is_told(keyword):
        raise Invalid(f"{keyword} may name a person or hold free text; it is not handed out.")


def _values(ctx: Context, path: Path, keywords: Sequence[str]) -> dict[str, Any]:
    """Read what is told of one file; what cannot be read, or does not fit, is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their text quotes values
        try:
            ds = dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
        except (InvalidDicomError, OSError, *UNREADABLE):
            return {}  # kept as received, but nothing pydicom can read
        return {keyword: _value(ctx, ds, keyword) for keyword in keywords}


def _value(ctx: Context, ds: Dataset, keyword: str) -> Any:
    """Return a plain Python value, or a tuple of them; None for each that is not of its kind."""
    try:
        value = ds.get(keyword)
    except UNREADABLE:
        return None
    listed = list(value) if isinstance(value, MultiValue | list) else [value]
    kept = [_plain(ctx, keyword, one) for one in listed]
    if all(one is None for one in kept):
        return None
    return kept[0] if len(kept) == 1 else tuple(kept)


def _plain(ctx: Context, keyword: str, value: Any) -> int | float | str | None:
    """Return one value by the VR of the standard: a file may name another and write at will."""
    if is_number(keyword):
        return _number(value, whole=is_whole(keyword))
    if not isinstance(value, str):
        return None
    if keyword in _CLASS_UIDS:
        return class_uid(value) or None
    return told(keyword, value, lambda uid: pseudonym.uid(ctx, uid)) or None


def _number(value: Any, *, whole: bool) -> int | float | None:
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    if not whole or not number.is_integer():
        return number
    return int(value) if isinstance(value, int) else int(number)
