"""One object in place of another under the same SOP Instance UID, where the clinic wants that.

The new bytes get a row, and with it an id, of their own: whoever remembers a picture by its id (a
browser, a web process) never shows the old one as the new. The old bytes stay on disk, known as
superseded.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.orm import Session

from clinic_panel.context import Context
from clinic_panel.errors import Conflict
from clinic_panel.models.imaging import Instance, InstanceConflict, Series, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.peer import Forwarding
from clinic_panel.models.report import Report
from clinic_panel.services import jobs, sync
from clinic_panel.services.received import Received

# The tables that point at an instance, each of which is seen to in `_follow`.
FOLLOWED = frozenset({InstanceConflict.__tablename__, Forwarding.__tablename__})
_KEPT = (Instance.sha256, Instance.path, Instance.size_bytes, Instance.source_ae_title)
_OLD = (
    select(
        *_KEPT,
        Instance.received_at,
        Instance.sop_class_uid,
        Instance.series_pk,
        Series.series_instance_uid,
        Study.id.label("study_pk"),
        Study.study_instance_uid,
        Study.patient_id,
        Study.issuer_of_patient_id,
    )
    .join(Instance.series)
    .join(Series.study)
    .with_for_update(of=Instance)
)


def replace(
    ctx: Context, session: Session, instance_id: int, item: Received, row: dict[str, Any]
) -> int | None:
    """Index other bytes in place of an instance, in the caller's transaction.

    The series is pictured anew, and peers that studies go to are owed the new object. It must be
    of the same patient, study, series and SOP class; and what a signed report rests on, or a draft
    has marked as a key image, is never replaced.

    Parameters
    ----------
    row
        Columns of the new instance; its series is filled in here.

    Returns
    -------
    int or None
        Id of the new row. None when it may not be replaced: nothing changed.

    Raises
    ------
    Conflict
        Another process replaced it first.
    """
    old = session.execute(_OLD.where(Instance.id == instance_id)).one_or_none()
    if old is None:
        raise Conflict
    if not _is_same_thing(old, item) or _is_evidence(session, old.study_pk, instance_id):
        return None
    # The UID becomes free for the new row; nobody sees the old one between.
    parting = update(Instance).where(Instance.id == instance_id)
    session.execute(parting.values(sop_instance_uid=f"superseded {instance_id}"))
    statement = insert(Instance).returning(Instance.id)
    new_id = session.scalars(statement, [row | {"series_pk": old.series_pk}]).one()
    _follow(session, instance_id, new_id)
    beside = InstanceConflict.instance_pk == new_id
    session.execute(  # the new bytes may have come before, and been kept beside
        delete(InstanceConflict).where(beside, InstanceConflict.sha256 == item.stored.sha256)
    )
    superseded = {column.key: getattr(old, column.key) for column in (*_KEPT, Instance.received_at)}
    session.add(InstanceConflict(**superseded, instance_pk=new_id, superseded_at=ctx.clock()))
    session.execute(delete(Instance).where(Instance.id == instance_id))
    sync.enqueue(ctx, session, {new_id: item.source_ae_title})
    jobs.enqueue(ctx, session, JobKind.THUMBNAIL, [old.series_pk])
    return new_id


def _is_same_thing(old: Row[*tuple[Any, ...]], item: Received) -> bool:
    header = item.header
    return (
        (old.study_instance_uid, old.series_instance_uid) == item.parent_uids
        and old.sop_class_uid == header.SOPClassUID
        and old.patient_id == header.PatientID
        and old.issuer_of_patient_id == header.IssuerOfPatientID
    )


def _is_evidence(session: Session, study_id: int, instance_id: int) -> bool:
    """Whether a report rests on the instance; nobody signs or marks it until we are done."""
    report = session.scalar(select(Report).where(Report.study_pk == study_id).with_for_update())
    if report is None:
        return False
    return bool(report.versions) or any(
        image["instance_id"] == instance_id for image in report.key_images
    )


def _follow(session: Session, old_id: int, new_id: int) -> None:
    """See to what points at the old row; what peers are owed is owed anew."""
    beside = update(InstanceConflict).where(InstanceConflict.instance_pk == old_id)
    session.execute(beside.values(instance_pk=new_id))
    session.execute(delete(Forwarding).where(Forwarding.instance_pk == old_id))
