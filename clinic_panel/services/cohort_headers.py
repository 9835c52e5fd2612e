"""Attributes of many instances as one table, as far as they cannot name a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from clinic_panel.context import Context
from clinic_panel.errors import Invalid
from clinic_panel.imaging.discreet import code, is_told
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
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except (InvalidDicomError, OSError, ValueError):
        return {}  # kept as received, but nothing pydicom can read
    return {keyword: _value(ctx, ds, keyword) for keyword in keywords}


def _value(ctx: Context, ds: Dataset, keyword: str) -> Any:
    value = ds.get(keyword)
    if value is None or value == "":
        return None
    element = ds[keyword]
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    kept = [_plain(ctx, keyword, element.VR, each) for each in values]
    return kept[0] if len(kept) == 1 else tuple(kept)


def _plain(ctx: Context, keyword: str, vr: str, value: Any) -> Any:
    """Return a plain Python value; what does not look like its VR is dropped."""
    if vr in ("IS", "SL", "SS", "UL", "US", "SV", "UV"):
        return int(value)
    if vr in ("DS", "FD", "FL"):
        return float(value)
    if vr == "UI":
        return str(value) if keyword in _CLASS_UIDS else pseudonym.uid(ctx, str(value))
    return code(str(value)) if vr == "CS" else str(value)
