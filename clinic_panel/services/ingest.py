"""The short way into the index: the next objects of series that are at hand.

Nearly every object a modality sends continues a series that came a moment ago. Its parents are
known, there is nothing to match or to make, and its commit takes a handful of statements. All
else - a new series, a known UID, another person than before, a booking to move on - goes the
general way of `indexing`, which takes its locks in the same order: instances, study, series.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.context import AWAY, Context
from clinic_panel.errors import Unavailable
from clinic_panel.models.imaging import QUIET
from clinic_panel.models.job import JobKind
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import arrivals, changes, dicom, jobs, sync
from clinic_panel.services.identity import Identity, identity_of
from clinic_panel.services.indexing_sql import parents
from clinic_panel.services.ingest_sql import Filed, Filing, SeriesAtHand, filing, translated
from clinic_panel.services.received import Outcome, Received, Verdict

SERIES_AT_HAND = 512


class _Otherwise(Exception):
    """Something is not as it was; nothing is written."""


def _open_books(connection: Connection) -> None:
    """Let SQLAlchemy know of the transaction: a unit of work that began it would end it as well."""
    if not connection.in_transaction():
        connection.begin()


class Ingest:
    """Indexes the batches of one process, one after the other."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._at_hand: OrderedDict[tuple[str, str], SeriesAtHand] = OrderedDict()
        # Whom the last object of a series named that was compared: another one's has to be, too.
        self._named: dict[tuple[str, str], Identity] = {}
        # When the job that settles a study is due: well before, it need not be asked for again.
        self._due: dict[int, datetime] = {}
        self._owes_audit = True  # at first for what a crash may have left
        # Kept: to take it from the pool and ask whether it lives costs as much as the statement.
        self._kept: tuple[Connection, Filing] | None = None

    def index(self, received: Sequence[Received]) -> list[Outcome]:
        """Index objects as `dicom.index_batch` does, in one transaction, and mostly faster.

        The audit names the objects that continue a series with the next `say_arrivals`.

        Raises
        ------
        Forbidden, Unavailable
            The index is as it was.
        """
        self._ctx.require(Permission.DICOM_WRITE)
        groups = self._groups(received)
        if groups:
            try:
                return self._continue(received, groups)
            except (_Otherwise, IntegrityError):  # the series may be gone, and its number as well
                for item in received:
                    self._forget(item.parent_uids)
        outcomes = dicom.index_batch(self._ctx, received)
        self._remember(received, outcomes)
        return outcomes

    def say_arrivals(self) -> None:
        """Write the audit entries that are owed.

        Raises
        ------
        Forbidden, Unavailable
            They are still owed.
        """
        if self._owes_audit:
            arrivals.say(self._ctx)
            self._owes_audit = False

    def close(self) -> None:
        """Give the connection back."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept[0].close()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, Filing]]:
        """Open a transaction on the connection that is kept.

        Raises
        ------
        _Otherwise
            The connection was lost: what was committed is known to the general way.
        Unavailable
            The database does not answer.
        """
        connection = self._kept[0] if self._kept else self._ctx.connect()
        try:
            with translated(connection):
                self._kept = self._kept or (connection, filing(connection))
                yield from self._within(*self._kept)
        except AWAY as error:
            self.close()
            connection.close()  # harmless twice: it may not have been kept yet
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise _Otherwise from None
            raise Unavailable from None

    def _within(
        self, connection: Connection, filing: Filing
    ) -> Iterator[tuple[Connection, Filing]]:
        filing.begin()
        try:
            yield connection, filing
            filing.end("COMMIT")
        except BaseException:
            filing.end("ROLLBACK")
            raise
        finally:
            if connection.in_transaction():
                connection.rollback()  # in SQLAlchemy's books only: it is over

    def _groups(self, received: Sequence[Received]) -> dict[SeriesAtHand, list[Received]]:
        """Return the objects by their series; nothing unless all of these are at hand."""
        groups: dict[SeriesAtHand, list[Received]] = defaultdict(list)
        for item in received:
            series = self._at_hand.get(item.parent_uids)
            if series is None or self._named.get(item.parent_uids) != identity_of(item.header):
                return {}
            groups[series].append(item)
        return groups if len({item.uid for item in received}) == len(received) else {}

    def _continue(
        self, received: Sequence[Received], groups: Mapping[SeriesAtHand, list[Received]]
    ) -> list[Outcome]:
        known: dict[str, Outcome] = {}
        studies = {series.study_id for series in groups}
        with self._transaction() as (connection, filing):
            now = self._ctx.clock()
            # In the order of the keys, so that two listeners never wait for each other.
            for series in sorted(groups, key=lambda one: (one.study_id, one.series_id)):
                filed = filing(series, groups[series], now)
                ids = self._checked(connection, filed, groups[series])
                for uid, id_ in ids.items():
                    known[uid] = Outcome(Verdict.KEPT, id_, series.study_id)
            due = self._settle_later(connection, studies)
        self._owes_audit = True
        self._due |= due
        return [known[item.uid] for item in received]

    def _checked(
        self, connection: Connection, filed: Filed | None, items: Sequence[Received]
    ) -> dict[str, int]:
        """Return the ids by UID, once booking and peers had their part as well."""
        if filed is None or filed.is_owed or len(filed.ids) != len(items):
            raise _Otherwise
        if filed.appointment_pk is not None:
            if not filed.has_moved_on:
                raise _Otherwise
            changes.announce_on(connection, Topic.SCHEDULE)
        if filed.is_forwarded:
            _open_books(connection)
            sources = {filed.ids[item.uid]: item.source_ae_title for item in items}
            with Session(connection, autoflush=False) as session:
                sync.enqueue(self._ctx, session, sources)
                session.flush()
        return filed.ids

    def _settle_later(self, connection: Connection, studies: set[int]) -> dict[int, datetime]:
        """Put off the settling of studies; return when it is due now.

        A job that is not due for a while yet cannot have been taken since: the study's row is ours
        by now, and `dicom.settle_study` waits for it and then sees that it is too early.
        """
        now = self._ctx.clock()
        late = {pk for pk in studies if now > self._due.get(pk, now) - QUIET / 2}
        late |= studies - self._due.keys()
        if not late:
            return {}
        _open_books(connection)
        with Session(connection, autoflush=False) as session:
            jobs.enqueue(self._ctx, session, JobKind.SETTLE_STUDY, late, delay=QUIET)
            session.flush()
        return dict.fromkeys(late, now + QUIET)

    def _remember(self, received: Sequence[Received], outcomes: Sequence[Outcome]) -> None:
        with self._ctx.read() as session:
            found = parents(session.connection(), received)
        for uids, (study_id, series_id) in found.items():
            self._at_hand[uids] = SeriesAtHand(study_id, series_id, *uids)
            self._at_hand.move_to_end(uids)
        self._named |= {
            item.parent_uids: identity_of(item.header)
            for item, outcome in zip(received, outcomes, strict=True)
            if item.parent_uids in found and outcome.verdict is Verdict.KEPT
        }
        while len(self._at_hand) > SERIES_AT_HAND:
            self._forget(next(iter(self._at_hand)))

    def _forget(self, uids: tuple[str, str]) -> None:
        self._named.pop(uids, None)
        series = self._at_hand.pop(uids, None)
        if series is not None:
            self._due.pop(series.study_id, None)
