"""What arrived, said in the audit: one entry a second for each series and peer, and none lost.

An entry for every image would be most of the audit and a third of what a commit writes. So the
objects that continue a series are counted in the commit that indexes them, and the counts become
entries here: by the process that received them once a second, by any other after a crash.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.models.arrival import Arrival
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Series, Study
from clinic_panel.models.user import Permission
from clinic_panel.services import audit


def say(ctx: Context) -> int:
    """Turn the counts into audit entries, in one transaction; return how many.

    Raises
    ------
    Forbidden, Unavailable
        The counts are as they were.
    """
    ctx.require(Permission.DICOM_WRITE)
    query = (
        select(Arrival, Study.id, Study.patient_pk)
        .join(Series, Arrival.series_pk == Series.id)
        .join(Study, Series.study_pk == Study.id)
        .order_by(Arrival.series_pk, Arrival.ae_title, Arrival.address)
        # What another process counts at this moment is left for the next time.
        .with_for_update(of=Arrival, skip_locked=True)
    )
    with ctx.begin() as session:
        rows = session.execute(query).all()
        for arrival, study_id, patient_pk in rows:
            audit.record(
                ctx.acting_as(replace(ctx.actor, address=arrival.address)),
                session,
                Action.RECEIVE,
                Study(id=study_id),
                patient_pk=patient_pk,
                series=arrival.series_pk,
                instances=arrival.instances,
                ae_title=arrival.ae_title,
            )
            session.delete(arrival)
    return len(rows)
