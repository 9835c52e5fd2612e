"""The statements of a batch: they run for every image, so they are composed once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BindParameter, Connection, Table, bindparam, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from clinic_panel.models.appointment import Appointment
from clinic_panel.models.imaging import Instance, InstanceConflict, OtherIdentity, Series, Study
from clinic_panel.models.performed import PerformedProcedureStep, PerformedStepRequest
from clinic_panel.services.received import Received


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


_instance, SERIES, STUDY = _table(Instance), _table(Series), _table(Study)
CONFLICT, STRANGER = _table(InstanceConflict), _table(OtherIdentity)
_appointment = _table(Appointment)
_uids: BindParameter[str] = bindparam("uids", expanding=True)
KNOWN = (
    select(_instance.c.sop_instance_uid, _instance.c.id, _instance.c.sha256, SERIES.c.study_pk)
    .join(SERIES, _instance.c.series_pk == SERIES.c.id)
    .where(_instance.c.sop_instance_uid.in_(_uids))
)
_step, _request = _table(PerformedProcedureStep), _table(PerformedStepRequest)
IS_OWED = exists(
    select(_step.c.id)
    .join(_request, _request.c.step_pk == _step.c.id)
    .where(_request.c.study_instance_uid == STUDY.c.study_instance_uid, _step.c.number_missing > 0)
    .correlate(STUDY)
)
PARENTS = (
    select(
        STUDY.c.study_instance_uid,
        SERIES.c.series_instance_uid,
        STUDY.c.id,
        SERIES.c.id,
        STUDY.c.patient_pk,
        STUDY.c.appointment_pk,
        _appointment.c.status,
        _appointment.c.images_at,
        IS_OWED,
    )
    .select_from(
        STUDY.join(SERIES, SERIES.c.study_pk == STUDY.c.id).outerjoin(
            _appointment, STUDY.c.appointment_pk == _appointment.c.id
        )
    )
    .where(
        STUDY.c.study_instance_uid.in_(bindparam("studies", expanding=True)),
        SERIES.c.series_instance_uid.in_(bindparam("series", expanding=True)),
    )
)
# Past the version counter: images that arrive are no reason to refuse a person's change.
COUNT_STUDY = (
    update(STUDY)
    .where(STUDY.c.id == bindparam("pk"))
    .values(
        number_of_instances=STUDY.c.number_of_instances + bindparam("more"),
        last_received_at=bindparam("at"),
    )
)
COUNT_SERIES = (
    update(SERIES)
    .where(SERIES.c.id == bindparam("pk"))
    .values(number_of_instances=SERIES.c.number_of_instances + bindparam("more"))
)
INSERT = {
    (dialect, table.name): insert(table).on_conflict_do_nothing()
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
    for table in (SERIES, CONFLICT, STRANGER)
}
MAKE_STUDIES = {
    dialect: insert(STUDY).on_conflict_do_nothing().returning(STUDY.c.id)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
KEEP = {
    dialect: insert(_instance)
    .on_conflict_do_nothing()
    .returning(_instance.c.sop_instance_uid, _instance.c.id)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def parents(
    connection: Connection, received: Iterable[Received]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the ids of study and series by their UIDs, of those that are there."""
    studies, series = zip(*(item.parent_uids for item in received), strict=True)
    uids = {"studies": list(set(studies)), "series": list(set(series))}
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(PARENTS, uids)}
