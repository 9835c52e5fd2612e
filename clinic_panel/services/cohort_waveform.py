"""Recordings as tables for analysts: calibrated samples, one column a channel."""

from __future__ import annotations

from collections import Counter

import pandas as pd
from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.errors import Invalid, NotFound
from clinic_panel.imaging import waveform
from clinic_panel.imaging.discreet import Discreet
from clinic_panel.imaging.kinds import WAVEFORM_CLASSES
from clinic_panel.imaging.waveform import Group, Span
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, paper_content, pseudonym

MOST_SAMPLES = 2**28  # all channels: a gigabyte


def samples(
    ctx: Context, instance_uid: str, group: int, start_s: float, seconds: float | None
) -> pd.DataFrame:
    """Return one zero-based group of a recording, or a part of it.

    Parameters
    ----------
    instance_uid
        SOP Instance UID, or its pseudonym as `cohort.instances` shows it.
    start_s, seconds
        Which part; without ``seconds`` all from there on.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``time_s``, seconds from the start of the recording; a column a channel, float32
        in physical units (PS3.3 C.10.9.1.4), NaN where nothing was recorded. ``attrs`` hold
        ``units``, ``skew_s`` (how much later a channel was sampled) and ``filters`` by channel,
        ``frequency_hz`` and ``seconds`` of the whole recording.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such recording.
    Invalid
        The group or the part is none.
    NotDisplayable
        The recording cannot be read; the message says why.
    """
    ctx.require(Permission.COHORT_READ)
    if group < 0 or not 0 <= start_s < float("inf") or not (seconds is None or seconds > 0):
        raise Invalid("A part of a recording begins at 0 s or later and is longer than that.")
    query = (
        select(Instance.sop_instance_uid, Instance.id)
        .where(Instance.sop_class_uid.startswith(WAVEFORM_CLASSES))
        .order_by(Instance.id)
    )
    with ctx.read() as session:
        found = pseudonym.original(ctx, instance_uid, session.execute(query))
    if found is None:
        raise NotFound("There is no such recording.")
    with ctx.begin() as session:
        row = session.get_one(Instance, found)
        patient_pk = session.get_one(Series, row.series_pk).study.patient_pk
        audit.record(ctx, session, Action.VIEW, row, patient_pk=patient_pk, list="cohort waveform")
        path = ctx.store.path(row.path)
    wanted = MOST_SAMPLES if seconds is None else seconds
    span = Span(start_s, seconds=wanted, samples=MOST_SAMPLES)
    return _table(
        paper_content.read(path, lambda file: waveform.read_group(file, group, span, Discreet))
    )


def _table(group: Group) -> pd.DataFrame:
    names = _unique([channel.label for channel in group.channels])
    table = pd.DataFrame(
        dict(zip(names, (channel.values for channel in group.channels), strict=True)),
        index=pd.Index(group.times_s, name="time_s"),
    )
    by_name = dict(zip(names, group.channels, strict=True))
    table.attrs = {
        "units": {name: channel.unit for name, channel in by_name.items()},
        "skew_s": {name: channel.skew_s for name, channel in by_name.items()},
        "filters": {name: channel.filters for name, channel in by_name.items()},
        "frequency_hz": group.frequency_hz,
        "seconds": group.seconds,
    }
    return table


def _unique(labels: list[str]) -> list[str]:
    """Number the channels of one name."""
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        seen[label] += 1
        names.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return names
