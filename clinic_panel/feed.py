"""Tells a process that something changed: one thread, whatever the number of sessions."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy import select as sql_select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from clinic_panel.models.site import ChangeCounter, Topic

log = logging.getLogger(__name__)

CHANNEL = "clinic_change"
SQLITE_INTERVAL_S = 0.1  # PRAGMA data_version costs microseconds
POSTGRES_INTERVAL_S = 0.5  # how soon a stop is noticed; a change wakes at once
RETRY_S = 2.0

Callback = Callable[[frozenset[Topic]], None]


class ChangeFeed:
    """Calls its subscribers, from its own thread, with the topics that changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._callbacks: set[Callback] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._was_deaf = False
        self.ready = threading.Event()  # set once changes from now on are heard
        self._thread = threading.Thread(target=self._run, name="change-feed", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._bell = os.pipe()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            os.write(self._bell[1], b"\0")  # out of the wait for PostgreSQL, at once
            self._thread.join()
            for end in self._bell:
                os.close(end)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Register a callback; call what is returned to take it back."""
        with self._lock:
            self._callbacks.add(callback)

        def unsubscribe() -> None:
            with self._lock:
                self._callbacks.discard(callback)

        return unsubscribe

    def _publish(self, topics: frozenset[Topic]) -> None:
        with self._lock:
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            try:
                callback(topics)
            except Exception as error:  # noqa: BLE001 - one closed page must not deafen the others
                log.warning("a change subscriber failed: %s", type(error).__name__)

    def _run(self) -> None:
        watch = (
            self._watch_sqlite if self._engine.dialect.name == "sqlite" else self._watch_postgres
        )
        while not self._stop.is_set():
            try:
                watch()
            except SQLAlchemyError as error:  # also a pool that is empty just after an outage
                log.warning("the change feed lost the database: %s", type(error).__name__)
                self._was_deaf = True
                self._stop.wait(RETRY_S)
                self._publish(frozenset(Topic))  # so that those who look see that it is away

    def _hears(self) -> None:
        """Say that changes from now on are heard, and after an outage whatever happened before."""
        self.ready.set()
        if self._was_deaf:
            self._was_deaf = False
            self._publish(frozenset(Topic))

    def _watch_sqlite(self) -> None:
        seen: dict[str, int] | None = None
        version = None
        driver = self._engine.dialect.loaded_dbapi
        with self._engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
            raw: Any = connection.connection.driver_connection
            while not self._stop.wait(SQLITE_INTERVAL_S):
                try:  # below SQLAlchemy: ten times cheaper, and it shows the commits of others
                    [current] = raw.execute("PRAGMA data_version").fetchone()
                except driver.Error:
                    raise OperationalError("PRAGMA", {}, Exception("database lost")) from None
                if current != version:
                    version = current
                    rows = connection.execute(sql_select(ChangeCounter.topic, ChangeCounter.value))
                    counters = {row.topic: row.value for row in rows}
                    if seen is None:
                        self._hears()
                    else:
                        changed = {t for t, value in counters.items() if seen.get(t) != value}
                        if changed:
                            self._publish(_known(changed))
                    seen = counters
                    connection.rollback()  # the pragma shows commits of others between transactions

    def _watch_postgres(self) -> None:
        import psycopg2

        raw: Any = self._engine.raw_connection()
        try:
            connection = raw.driver_connection
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self._hears()
            while not self._stop.is_set():
                watched = [connection, self._bell[0]]
                ready, _, _ = select.select(watched, [], [], POSTGRES_INTERVAL_S)
                if connection in ready:
                    connection.poll()
                    said = {note.payload for note in connection.notifies}
                    connection.notifies.clear()
                    if said:
                        self._publish(_known(said))
        except psycopg2.Error:
            raise OperationalError("LISTEN", {}, Exception("connection lost")) from None
        finally:
            raw.invalidate()


def _known(said: Iterable[str]) -> frozenset[Topic]:
    """Return the topics among what was said: a newer program may speak of others."""
    return frozenset(Topic(text) for text in said if text in Topic)
