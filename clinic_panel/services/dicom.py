"""What a modality sent becomes part of the index: many objects, one commit.

The bytes are durable before this is called, and Success is answered after it returns: an orphan
file is swept, an orphan row would be a lie.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import batched
from typing import Any

from sqlalchemy import Table, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.archive import Stored
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, NotFound
from clinic_panel.imaging.header import Header, read_header
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, InstanceConflict, Series, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, jobs, matching, sync

log = logging.getLogger(__name__)

# Without a new image for so long, a study is taken as complete; images that come later still count.
QUIET = timedelta(seconds=1)
ADOPT_AT_ONCE = 200
_MODALITIES_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Received:
    """One durable object that waits for its row."""

    header: Header
    stored: Stored
    source_ae_title: str = ""
    address: str = ""


class Verdict(StrEnum):
    """What became of a received object."""

    KEPT = "kept"
    AGAIN = "again"  # the same bytes were here before
    CONFLICT = "conflict"  # other bytes under a known SOP Instance UID: on disk, not indexed


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and the row that stands for the SOP Instance UID."""

    verdict: Verdict
    instance_id: int
    study_id: int | None = None


def index_batch(ctx: Context, received: Sequence[Received]) -> list[Outcome]:
    """Index what was received, in one transaction; sending the same again changes nothing.

    Each new series gets a thumbnail job and each study is settled once it has been quiet; what
    peers are to get is owed to them; bookings that match turn to *Images arriving*. The audit has
    one entry a series.

    Returns
    -------
    list of Outcome
        In the order of ``received``.

    Raises
    ------
    Forbidden, Unavailable
        The index is as it was.
    """
    ctx.require(Permission.DICOM_WRITE)
    with ctx.begin() as session:
        batch = _Batch(ctx, session)
        return batch.index(received)


class _Batch:
    """One transaction's work, statement by statement."""

    def __init__(self, ctx: Context, session: Session) -> None:
        self._ctx = ctx
        self._session = session
        self._now = ctx.clock()
        self._topics = {Topic.STUDIES}

    def index(self, received: Sequence[Received]) -> list[Outcome]:
        known = self._known(received)
        fresh = {
            item.header.SOPInstanceUID: item
            for item in reversed(received)  # of two in one batch the first stays
            if item.header.SOPInstanceUID not in known
        }
        studies: dict[int, Study] = {}
        if fresh:
            studies = self._add(list(fresh.values()))
            known |= self._known(fresh.values())
            sources = {known[uid][0]: item.source_ae_title for uid, item in fresh.items()}
            sync.enqueue(self._ctx, self._session, sources)
        outcomes = []
        for item in received:
            uid = item.header.SOPInstanceUID
            row_id, sha256, study_id = known[uid]
            if fresh.get(uid) is item and study_id in studies and sha256 == item.stored.sha256:
                outcomes.append(Outcome(Verdict.KEPT, row_id, study_id))
            elif sha256 == item.stored.sha256:
                outcomes.append(Outcome(Verdict.AGAIN, row_id, study_id))
            else:
                self._note_conflict(item, row_id)
                outcomes.append(Outcome(Verdict.CONFLICT, row_id, study_id))
        if fresh or any(outcome.verdict is Verdict.CONFLICT for outcome in outcomes):
            changes.announce(self._session, *sorted(self._topics))
        return outcomes

    def _known(self, received: Iterable[Received]) -> dict[str, tuple[int, str, int]]:
        uids = {item.header.SOPInstanceUID for item in received}
        query = (
            select(Instance.sop_instance_uid, Instance.id, Instance.sha256, Series.study_pk)
            .join(Series, Instance.series_pk == Series.id)
            .where(Instance.sop_instance_uid.in_(uids))
        )
        return {uid: (pk, sha, study) for uid, pk, sha, study in self._session.execute(query)}

    def _add(self, fresh: Sequence[Received]) -> dict[int, Study]:
        studies = self._studies(fresh)
        series = self._series(fresh, studies)
        rows = [self._instance_row(item, series[_series_key(item, studies)].id) for item in fresh]
        self._insert_missing(Instance, rows)
        by_study: dict[int, int] = defaultdict(int)
        by_series: dict[int, list[Received]] = defaultdict(list)
        for item in fresh:
            key = _series_key(item, studies)
            by_study[key[0]] += 1
            by_series[series[key].id].append(item)
        self._count(Study, by_study, last_received_at=self._now)
        self._count(Series, {pk: len(items) for pk, items in by_series.items()})
        by_id = {study.id: study for study in studies.values()}
        self._move_bookings_on(by_id.values())
        jobs.enqueue(self._ctx, self._session, JobKind.SETTLE_STUDY, by_id, delay=QUIET)
        study_of = {row.id: by_id[row.study_pk] for row in series.values()}
        self._record(by_series, study_of)
        return by_id

    def _studies(self, fresh: Sequence[Received]) -> dict[str, Study]:
        """Return the studies by UID; missing ones are made and matched to a booking."""
        found = self._find_studies({item.header.StudyInstanceUID for item in fresh})
        first = {item.header.StudyInstanceUID: item for item in reversed(fresh)}
        missing = [item for uid, item in first.items() if uid not in found]
        if missing:
            self._insert_missing(Study, [self._study_row(item) for item in missing])
            uids = {item.header.StudyInstanceUID for item in missing}
            for uid, study in self._find_studies(uids).items():
                found[uid] = study
                if study.appointment_pk is None:
                    matching.match_study(self._session, study)
            self._session.flush()
        return found

    def _find_studies(self, uids: set[str]) -> dict[str, Study]:
        query = select(Study).where(Study.study_instance_uid.in_(uids))
        return {study.study_instance_uid: study for study in self._session.scalars(query)}

    def _series(
        self, fresh: Sequence[Received], studies: Mapping[str, Study]
    ) -> dict[tuple[int, str], Series]:
        """Return the series by study and UID; missing ones are made, with their thumbnail job."""
        found = self._find_series(fresh, studies)
        first = {_series_key(item, studies): item for item in reversed(fresh)}
        missing = {key: item for key, item in first.items() if key not in found}
        if missing:
            self._insert_missing(
                Series, [_series_row(item, key[0]) for key, item in missing.items()]
            )
            found = self._find_series(fresh, studies)
            made = [found[key].id for key in missing]
            jobs.enqueue(self._ctx, self._session, JobKind.THUMBNAIL, made)
            self._name_modalities({studies[i.header.StudyInstanceUID] for i in missing.values()})
        return found

    def _find_series(
        self, fresh: Sequence[Received], studies: Mapping[str, Study]
    ) -> dict[tuple[int, str], Series]:
        query = select(Series).where(
            Series.study_pk.in_({study.id for study in studies.values()}),
            Series.series_instance_uid.in_({item.header.SeriesInstanceUID for item in fresh}),
        )
        rows = self._session.scalars(query)
        return {(row.study_pk, row.series_instance_uid): row for row in rows}

    def _name_modalities(self, studies: Iterable[Study]) -> None:
        for study in studies:
            query = select(Series.modality).where(Series.study_pk == study.id).distinct()
            names = sorted(filter(None, self._session.scalars(query)))
            self._session.execute(
                update(Study)
                .where(Study.id == study.id)
                .values(modalities_in_study="\\".join(names)[:_MODALITIES_LENGTH])
                .execution_options(synchronize_session=False)
            )

    def _count(self, table: type[Any], counts: Mapping[int, int], **values: Any) -> None:
        # Past the version counter: images that arrive are no reason to refuse a person's change.
        # In the order of the keys, so that two listeners never wait for each other.
        for pk, count in sorted(counts.items()):
            self._session.execute(
                update(table)
                .where(table.id == pk)
                .values(number_of_instances=table.number_of_instances + count, **values)
                .execution_options(synchronize_session=False)
            )

    def _move_bookings_on(self, studies: Iterable[Study]) -> None:
        for study in studies:
            if study.appointment_pk is None:
                continue
            self._topics.add(Topic.SCHEDULE)
            booking = self._session.get_one(Appointment, study.appointment_pk)
            # Once is enough: every write to the row takes it from someone who is editing it.
            if booking.status not in (
                AppointmentStatus.IMAGES_ARRIVING,
                AppointmentStatus.REPORTED,
            ):
                booking.receive_images(self._now)

    def _record(
        self, by_series: Mapping[int, Sequence[Received]], study_of: Mapping[int, Study]
    ) -> None:
        for series_id, items in by_series.items():
            study, first = study_of[series_id], items[0]
            audit.record(
                self._from(first),
                self._session,
                Action.RECEIVE,
                study,
                patient_pk=study.patient_pk,
                series=series_id,
                instances=len(items),
                ae_title=first.source_ae_title,
            )

    def _note_conflict(self, item: Received, instance_id: int) -> None:
        row = {
            "instance_pk": instance_id,
            "sha256": item.stored.sha256,
            "path": item.stored.path,
            "size_bytes": item.stored.size_bytes,
            "source_ae_title": item.source_ae_title,
            "received_at": self._now,
        }
        if self._insert_missing(InstanceConflict, [row]):
            self._topics.add(Topic.ADMIN)
            audit.record(
                self._from(item),
                self._session,
                Action.CONFLICT,
                Instance(id=instance_id),
                ae_title=item.source_ae_title,
            )

    def _from(self, item: Received) -> Context:
        """The same clinic, with the peer's address for the audit."""
        return self._ctx.acting_as(replace(self._ctx.actor, address=item.address))

    def _insert(self, table: type[Any]) -> Any:
        dialect = self._session.get_bind().dialect.name
        into: Table = table.__table__
        return postgresql.insert(into) if dialect == "postgresql" else sqlite.insert(into)

    def _insert_missing(self, table: type[Any], rows: list[dict[str, Any]]) -> int:
        """Insert the rows that are not there yet; the unique constraints decide."""
        statement = self._insert(table).on_conflict_do_nothing()
        return int(self._session.connection().execute(statement, rows).rowcount)

    def _study_row(self, item: Received) -> dict[str, Any]:
        header = item.header
        return {
            "study_instance_uid": header.StudyInstanceUID,
            "patient_id": header.PatientID,
            "issuer_of_patient_id": header.IssuerOfPatientID,
            "patient_name": header.PatientName,
            "patient_birth_date": header.PatientBirthDate,
            "patient_sex": header.PatientSex,
            "accession_number": header.AccessionNumber,
            "study_id": header.StudyID,
            "study_date": header.StudyDate,
            "study_time": header.StudyTime,
            "timezone_offset_from_utc": header.TimezoneOffsetFromUTC,
            "study_description": header.StudyDescription,
            "referring_physician_name": header.ReferringPhysicianName,
            "modalities_in_study": header.Modality,
            "source_ae_title": item.source_ae_title,
            "search_name": validation.folded(header.PatientName),
            "first_received_at": self._now,
            "last_received_at": self._now,
        }

    def _instance_row(self, item: Received, series_pk: int) -> dict[str, Any]:
        header = item.header
        return {
            "series_pk": series_pk,
            "sop_instance_uid": header.SOPInstanceUID,
            "sop_class_uid": header.SOPClassUID,
            "transfer_syntax_uid": header.TransferSyntaxUID,
            "instance_number": header.InstanceNumber,
            "rows": header.Rows,
            "columns": header.Columns,
            "number_of_frames": header.NumberOfFrames,
            "sha256": item.stored.sha256,
            "path": item.stored.path,
            "size_bytes": item.stored.size_bytes,
            "source_ae_title": item.source_ae_title,
            "received_at": self._now,
        }


def _series_key(item: Received, studies: Mapping[str, Study]) -> tuple[int, str]:
    return studies[item.header.StudyInstanceUID].id, item.header.SeriesInstanceUID


def _series_row(item: Received, study_pk: int) -> dict[str, Any]:
    header = item.header
    return {
        "study_pk": study_pk,
        "series_instance_uid": header.SeriesInstanceUID,
        "modality": header.Modality,
        "series_number": header.SeriesNumber,
        "series_description": header.SeriesDescription,
        "body_part_examined": header.BodyPartExamined,
    }


def settle_study(ctx: Context, study_id: int) -> bool:
    """Take a study as complete once it has been quiet: its booking turns to *To read*.

    Returns
    -------
    bool
        False when an image came meanwhile, and it is too early.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    """
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        study = session.get(Study, study_id)
        if study is None:
            raise NotFound("This study does not exist.")
        if ctx.clock() - study.last_received_at < QUIET:
            return False
        if study.appointment is not None:
            study.appointment.complete_images()
            changes.announce(session, Topic.SCHEDULE, Topic.STUDIES)
    return True


def adopt_orphans(ctx: Context) -> int:
    """Index the durable files that have no row: a crash came between the bytes and the commit.

    Temporaries of dead writers are removed. A file that cannot be read stays where it is, for
    `clinic verify` to name.

    Returns
    -------
    int
        How many objects were added to the index.
    """
    ctx.require(Permission.DICOM_WRITE)
    adopted = 0
    for batch in batched(_orphans(ctx), ADOPT_AT_ONCE):
        outcomes = index_batch(ctx, batch)
        adopted += sum(outcome.verdict is Verdict.KEPT for outcome in outcomes)
    return adopted


def _orphans(ctx: Context) -> Iterator[Received]:
    for stored in ctx.store.sweep(lambda paths: _indexed(ctx, paths)):
        try:
            header = read_header(ctx.store.path(stored.path))
        except ClinicError as error:
            log.warning("a file without a row cannot be indexed: %s", type(error).__name__)
            continue
        yield Received(header, stored)


def _indexed(ctx: Context, paths: Sequence[str]) -> set[str]:
    found: set[str] = set()
    with ctx.read() as session:
        for some in batched(paths, 500):
            query = union_all(
                select(Instance.path).where(Instance.path.in_(some)),
                select(InstanceConflict.path).where(InstanceConflict.path.in_(some)),
            )
            found.update(session.scalars(query))
    return found


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """Other bytes that came under a SOP Instance UID we hold; for the administrator."""

    id: int
    instance_id: int
    study_id: int
    source_ae_title: str
    received_at: datetime
    size_bytes: int
    acknowledged_at: datetime | None


def conflicts(ctx: Context, *, acknowledged: bool = False) -> list[ConflictRow]:
    """Return what was refused as a duplicate with other content, the newest first.

    Parameters
    ----------
    acknowledged
        Whether those an administrator has dealt with are wanted too.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = (
        select(InstanceConflict, Series.study_pk)
        .join(Instance, InstanceConflict.instance_pk == Instance.id)
        .join(Series, Instance.series_pk == Series.id)
        .order_by(InstanceConflict.received_at.desc())
    )
    if not acknowledged:
        query = query.where(InstanceConflict.acknowledged_at.is_(None))
    with ctx.read() as session:
        return [
            ConflictRow(
                id=row.id,
                instance_id=row.instance_pk,
                study_id=study_pk,
                source_ae_title=row.source_ae_title,
                received_at=row.received_at,
                size_bytes=row.size_bytes,
                acknowledged_at=row.acknowledged_at,
            )
            for row, study_pk in session.execute(query)
        ]


def acknowledge_conflict(ctx: Context, conflict_id: int) -> None:
    """Note that an administrator has seen a conflict; both files stay.

    Raises
    ------
    Forbidden, NotFound
        Nothing changed.
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        row = session.get(InstanceConflict, conflict_id)
        if row is None:
            raise NotFound
        if row.acknowledged_at is None:
            row.acknowledged_at = ctx.clock()
            audit.record(ctx, session, Action.CHANGE, row, fields=["acknowledged_at"])
            changes.announce(session, Topic.ADMIN)
