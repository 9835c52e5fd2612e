"""A batch of received objects put into the index, in the caller's transaction.

What runs for every image goes past the unit of work (``indexing_sql``); the few statements that
make a new study or series are written as elsewhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import QUIET, Instance, Study
from clinic_panel.models.job import JobKind
from clinic_panel.models.site import Topic
from clinic_panel.services import (
    announced,
    audit,
    changes,
    jobs,
    matching,
    replacement,
    strangers,
    sync,
)
from clinic_panel.services.identity import Identity, identity_of
from clinic_panel.services.indexing_sql import (
    CONFLICT,
    COUNT_SERIES,
    COUNT_STUDY,
    INSERT,
    KEEP,
    KNOWN,
    MAKE_STUDIES,
    PARENTS,
    SERIES,
    STRANGER,
    STUDY,
)
from clinic_panel.services.received import Duplicates, Outcome, Received, Verdict, instance_row

_MODALITIES_LENGTH = 128
# The booking says already that images came: no need to take the row from someone who edits it.
MOVED_ON = (AppointmentStatus.IMAGES_ARRIVING, AppointmentStatus.REPORTED)


@dataclass(frozen=True, slots=True)
class _Parent:
    """Study and series of an object, where the booking stands, and whether objects are owed."""

    study_id: int
    series_id: int
    patient_pk: int | None
    appointment_pk: int | None
    status: AppointmentStatus | None
    images_at: datetime | None
    is_owed: bool


class Batch:
    """One transaction's work."""

    def __init__(self, ctx: Context, session: Session, duplicates: Duplicates) -> None:
        self._ctx = ctx
        self._session = session
        self._duplicates = duplicates
        self._connection = session.connection()
        self._dialect = self._connection.dialect.name
        self._now = ctx.clock()
        self._topics: set[Topic] = set()

    def index(self, received: Sequence[Received]) -> list[Outcome]:
        """Index the objects; the outcomes are in their order."""
        known = self._known(item.uid for item in received)
        # Of two in one batch under one UID the first stays.
        fresh = {item.uid: item for item in reversed(received) if item.uid not in known}
        if fresh:
            known |= self._add(list(fresh.values()))
        outcomes = []
        for item in received:
            row_id, sha256, study_id = known[item.uid]
            if sha256 != item.stored.sha256:
                verdict, row_id = self._differs(item, row_id)
                if verdict is Verdict.REPLACED:
                    known[item.uid] = (row_id, item.stored.sha256, study_id)
            else:
                verdict = Verdict.KEPT if fresh.get(item.uid) is item else Verdict.AGAIN
            outcomes.append(Outcome(verdict, row_id, study_id))
        if self._topics:
            changes.announce(self._session, *sorted(self._topics))
        return outcomes

    def _known(self, uids: Iterable[str]) -> dict[str, tuple[int, str, int]]:
        found = self._connection.execute(KNOWN, {"uids": list(set(uids))})
        return {uid: (pk, sha256, study_pk) for uid, pk, sha256, study_pk in found}

    def _add(self, fresh: Sequence[Received]) -> dict[str, tuple[int, str, int]]:
        """Insert what is new; return what stands under the UIDs now."""
        parents = self._parents(fresh)
        missing = [item for item in fresh if item.parent_uids not in parents]
        if missing:
            self._make_parents(missing)
            parents = self._parents(fresh)
        rows = [self._instance_row(item, parents[item.parent_uids].series_id) for item in fresh]
        made = self._connection.execute(KEEP[self._dialect], rows)
        inserted: dict[str, int] = {row[0]: row[1] for row in made}
        kept = [item for item in fresh if item.uid in inserted]
        if kept:
            self._follow_up(kept, parents)
            sources = {inserted[item.uid]: item.source_ae_title for item in kept}
            sync.enqueue(self._ctx, self._session, sources)
        known = {
            item.uid: (
                inserted[item.uid],
                item.stored.sha256,
                parents[item.parent_uids].study_id,
            )
            for item in kept
        }
        if len(kept) < len(fresh):  # another listener was faster
            known |= self._known(item.uid for item in fresh if item.uid not in inserted)
        return known

    def _parents(self, fresh: Sequence[Received]) -> dict[tuple[str, str], _Parent]:
        studies, series = zip(*(item.parent_uids for item in fresh), strict=True)
        uids = {"studies": list(set(studies)), "series": list(set(series))}
        return {
            (row[0], row[1]): _Parent(*row[2:]) for row in self._connection.execute(PARENTS, uids)
        }

    def _follow_up(
        self, kept: Sequence[Received], parents: Mapping[tuple[str, str], _Parent]
    ) -> None:
        """Do what follows from new instances: counts, booking, settling, audit."""
        by_series: dict[_Parent, list[Received]] = defaultdict(list)
        for item in kept:
            by_series[parents[item.parent_uids]].append(item)
        studies: Counter[int] = Counter()
        for parent, items in by_series.items():
            studies[parent.study_id] += len(items)
        self._count(COUNT_STUDY, studies, at=self._now)
        self._count(
            COUNT_SERIES, {parent.series_id: len(items) for parent, items in by_series.items()}
        )
        self._topics |= {Topic.STUDIES}
        self._note_strangers(kept, parents)
        owed = [item.uid for parent, items in by_series.items() if parent.is_owed for item in items]
        served = announced.strike(self._session, owed) if owed else []
        for parent, items in by_series.items():
            if not all(item.made_here for item in items):
                self._move_booking_on(parent)
        announced.complete_all(self._session, served)
        jobs.enqueue(self._ctx, self._session, JobKind.SETTLE_STUDY, studies, delay=QUIET)
        for parent, items in by_series.items():
            audit.record(
                self._from(items[0]),
                self._session,
                Action.RECEIVE,
                Study(id=parent.study_id),
                patient_pk=parent.patient_pk,
                series=parent.series_id,
                instances=len(items),
                ae_title=items[0].source_ae_title,
            )

    def _note_strangers(
        self, kept: Sequence[Received], parents: Mapping[tuple[str, str], _Parent]
    ) -> None:
        """Mark studies that objects of another person came into: said once for each."""
        named: dict[int, dict[Identity, Received]] = defaultdict(dict)
        for item in kept:
            if not item.made_here:
                people = named[parents[item.parent_uids].study_id]
                people.setdefault(identity_of(item.header), item)
        for stranger in strangers.among(self._connection, named):
            item = named[stranger.study_id][stranger.named]
            if self._insert(STRANGER, [stranger.row(item.source_ae_title, self._now)]):
                audit.record(
                    self._from(item),
                    self._session,
                    Action.CONFLICT,
                    Study(id=stranger.study_id),
                    patient_pk=parents[item.parent_uids].patient_pk,
                    differs=list(stranger.differs),
                    kept=True,
                    ae_title=item.source_ae_title,
                )

    def _count(self, statement: Any, counts: Mapping[int, int], **values: Any) -> None:
        # In the order of the keys, so that two listeners never wait for each other.
        rows = [{"pk": pk, "more": more} | values for pk, more in sorted(counts.items())]
        self._connection.execute(statement, rows)

    def _move_booking_on(self, parent: _Parent) -> None:
        if parent.appointment_pk is None:
            return
        self._topics.add(Topic.SCHEDULE)
        if parent.status not in MOVED_ON or parent.images_at is None:
            announced.held(self._session, parent.appointment_pk).receive_images(self._now)

    def _make_parents(self, missing: Sequence[Received]) -> None:
        """Make studies, matched to their bookings, and series, with their thumbnail job."""
        first = {item.header.StudyInstanceUID: item for item in reversed(missing)}
        rows = [self._study_row(item) for item in first.values()]
        new_studies = set(self._connection.scalars(MAKE_STUDIES[self._dialect], rows))
        query = select(Study).where(Study.study_instance_uid.in_(first))
        studies = {study.study_instance_uid: study for study in self._session.scalars(query)}
        for study in studies.values():
            # A person may have taken an older one from its booking: that stands.
            if study.id in new_studies:
                source = self._from(first[study.study_instance_uid])
                matching.match_study(source, self._session, study)
        self._session.flush()
        new = {item.parent_uids: item for item in reversed(missing)}
        rows = [_series_row(item, studies[uids[0]].id) for uids, item in new.items()]
        self._insert(SERIES, rows)
        made = {parent.series_id for parent in self._parents(missing).values()}
        jobs.enqueue(self._ctx, self._session, JobKind.THUMBNAIL, made)
        for study in studies.values():
            self._name_modalities(study.id)

    def _name_modalities(self, study_id: int) -> None:
        query = select(SERIES.c.modality).where(SERIES.c.study_pk == study_id).distinct()
        names = "\\".join(sorted(filter(None, self._connection.scalars(query))))
        values = {"modalities_in_study": names[:_MODALITIES_LENGTH]}
        self._connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(values))

    def _differs(self, item: Received, instance_id: int) -> tuple[Verdict, int]:
        """Apply the policy to other bytes under a UID; return the verdict and the row's id."""
        if self._duplicates is Duplicates.REJECT:
            # Told each time: nothing of the object is left but this entry.
            self._record(item, Action.CONFLICT, instance_id, kept=False)
            return Verdict.REJECTED, instance_id
        if self._duplicates is Duplicates.REPLACE:
            row = self._instance_row(item, series_pk=0)
            made = replacement.replace(self._ctx, self._session, instance_id, item, row)
            if made is not None:
                self._record(item, Action.REPLACE, made, previous=instance_id)
                self._topics |= {Topic.STUDIES, Topic.ADMIN}
                return Verdict.REPLACED, made
        self._note_conflict(item, instance_id)
        return Verdict.CONFLICT, instance_id

    def _note_conflict(self, item: Received, instance_id: int) -> None:
        row = {
            "instance_pk": instance_id,
            "sha256": item.stored.sha256,
            "path": item.stored.path,
            "size_bytes": item.stored.size_bytes,
            "source_ae_title": item.source_ae_title,
            "received_at": self._now,
        }
        if self._insert(CONFLICT, [row]):
            self._topics |= {Topic.ADMIN}
            self._record(item, Action.CONFLICT, instance_id, kept=True)

    def _record(self, item: Received, action: Action, instance_id: int, **detail: Any) -> None:
        subject = Instance(id=instance_id)
        source = self._from(item)
        audit.record(
            source, self._session, action, subject, ae_title=item.source_ae_title, **detail
        )

    def _from(self, item: Received) -> Context:
        """The same clinic, with the peer's address for the audit."""
        return self._ctx.acting_as(replace(self._ctx.actor, address=item.address))

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> int:
        """Insert the rows that are not there yet; the unique constraints decide."""
        statement = INSERT[self._dialect, table.name]
        return int(self._connection.execute(statement, rows).rowcount)

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
        return instance_row(item, series_pk, self._now)


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
