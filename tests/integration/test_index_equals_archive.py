"""Whatever is sent, killed and sent again: the index equals the archive, and nothing is lost.

A real listener process is ended by kill -9 (or in order) while two modalities store: new objects,
the same again, other content under a known UID, objects that break off. Reliability note G1, F1.
"""

import contextlib
import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, replace
from io import BytesIO

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import CTImageStorage
from sqlalchemy import select

from clinic_panel.archive import Archive
from clinic_panel.config import Settings
from clinic_panel.models.imaging import Instance, InstanceConflict, Series, Study
from clinic_panel.services import dicom
from tests import factories
from tests.integration.peer import (
    PATIENCE_S,
    STATION,
    RawPeer,
    command,
    pdu,
    pdv,
    status_in,
    wait_for,
)
from tests.integration.test_listener_process import Listener

DATA, LAST, COMMAND = 0, 2, 3
FRAGMENT_BYTES = 16_000
OBJECTS, CONTENTS, SENDERS = 4, 3, 2


@dataclass(frozen=True)
class Send:
    """One C-STORE: which UID, which content, and whether the sender hangs up in the middle."""

    number: int
    content: int
    breaks_off: bool


@dataclass(frozen=True)
class Round:
    """The life of one listener process."""

    policy: str
    receiver: str
    sends: list[Send]
    killed_after: int | None  # so many answers; None: it ends in order once all is sent


SENDS = st.builds(
    Send,
    st.integers(0, OBJECTS - 1),
    st.integers(0, CONTENTS - 1),
    st.sampled_from([False, False, False, True]),
)
ROUNDS = st.builds(
    Round,
    st.sampled_from(["keep", "reject", "replace"]),
    st.sampled_from(["event-driven", "event-driven", "library"]),
    st.lists(SENDS, min_size=4, max_size=12),
    st.sampled_from([None, 0, 1, 2, 3, 4, 5, 6]),
)


class Modalities:
    """Both senders, and what they were told."""

    def __init__(self):
        self.prefix = generate_uid()[:40]
        self.acknowledged = []  # UID and digest of the data set, in the order of the answers
        self.answered, self.statuses = 0, set()
        self._encoded = {}

    def object(self, send):
        """UID and data set of one object; the contents differ in length too."""
        key = send.number, send.content
        if key not in self._encoded:
            data_set = Dataset()
            data_set.SOPClassUID = CTImageStorage
            data_set.SOPInstanceUID = f"{self.prefix}.{send.number}"
            data_set.StudyInstanceUID, data_set.SeriesInstanceUID = self.prefix, f"{self.prefix}.9"
            data_set.PatientID, data_set.Modality = "P1", "CT"
            data_set.add_new("PixelData", "OB", bytes([send.content]) * (40_000 << send.content))
            out = BytesIO()
            data_set.save_as(out, implicit_vr=False, little_endian=True)
            self._encoded[key] = data_set.SOPInstanceUID, out.getvalue()
        return self._encoded[key]

    def run(self, listener, sends):
        """Send one after the other, on as many associations as it takes, until nobody answers."""
        with contextlib.suppress(OSError, AssertionError):
            pending = list(sends)
            while pending:
                with RawPeer(listener) as peer:
                    peer.associate()
                    while pending and self._send(peer, pending.pop(0)):
                        pass

    def _send(self, peer, send):
        uid, data = self.object(send)
        peer.send(pdu(4, pdv(COMMAND, command(sop_instance=uid))))
        parts = [data[at : at + FRAGMENT_BYTES] for at in range(0, len(data), FRAGMENT_BYTES)]
        for part in parts[:-1]:
            peer.send(pdu(4, pdv(DATA, part)))
        if send.breaks_off:
            return False
        peer.send(pdu(4, pdv(LAST, parts[-1])))
        status = status_in(peer.answer())
        self.statuses.add(status)
        if status == 0x0000:
            self.acknowledged.append((uid, hashlib.sha256(data).hexdigest()))
        self.answered += 1
        return True


@contextlib.contextmanager
def half_sent(listener, modalities, incoming):
    """A third modality that has sent half an object, and is in no hurry."""
    uid, data = modalities.object(Send(0, CONTENTS - 1, breaks_off=False))
    with RawPeer(listener) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(COMMAND, command(sop_instance=uid))))
        peer.send(pdu(4, pdv(DATA, data[:FRAGMENT_BYTES])))
        wait_for(lambda: any(incoming.iterdir()))
        yield


def live(clinic, modalities, plan):
    """One process: started, stored to, and ended as planned."""
    values = {name: getattr(clinic, name) for name in Settings.names()}
    options = ["--library-receiver"] if plan.receiver == "library" else []
    with contextlib.ExitStack() as stack:
        policy = {"duplicates": plan.policy}
        listener = stack.enter_context(Listener(Settings(**values | policy), *options))
        if plan.killed_after is not None:
            incoming = clinic.archive_path / "incoming"
            stack.enter_context(half_sent(listener, modalities, incoming))
        threads = [
            threading.Thread(target=modalities.run, args=(listener, plan.sends[first::SENDERS]))
            for first in range(SENDERS)
        ]
        before = modalities.answered
        for thread in threads:
            thread.start()
        if plan.killed_after is not None:
            wanted = before + plan.killed_after
            wait_for(
                lambda: (
                    modalities.answered >= wanted
                    or not any(thread.is_alive() for thread in threads)
                )
            )
            listener.process.kill()
        for thread in threads:
            thread.join()
        if plan.killed_after is None:
            listener.process.terminate()
            listener.process.wait(PATIENCE_S)


def check(ctx, modalities):
    """After the sweep of a new start, files and rows speak of the same objects."""
    store = Archive(ctx.store.root, reserve_bytes=0)
    dicom.adopt_orphans(replace(ctx, store=store))
    with ctx.read() as session:
        rows = list(session.scalars(select(Instance)))
        beside = list(session.scalars(select(InstanceConflict)))
        counts = {
            series.id: series.number_of_instances for series in session.scalars(select(Series))
        }
        studies = {study.id: study.number_of_instances for study in session.scalars(select(Study))}
        parents = dict(session.execute(select(Series.id, Series.study_pk)).all())
    known = {row.path: row.sha256 for row in (*rows, *beside)}
    files = {str(path.relative_to(store.root)) for path in store.root.glob("?/?/*")}
    assert files == set(known)
    assert all(store.digests(path)[0] == digest for path, digest in known.items())
    assert list((store.root / "incoming").iterdir()) == []
    assert counts == Counter(row.series_pk for row in rows)
    assert studies == Counter(parents[row.series_pk] for row in rows)
    uid_of = {row.id: row.sop_instance_uid for row in rows}
    held = {(row.sop_instance_uid, row.sha256) for row in rows}
    held |= {(uid_of[row.instance_pk], row.sha256) for row in beside}
    assert set(modalities.acknowledged) <= held
    assert modalities.statuses <= {0x0000, 0x0111}


@pytest.fixture
def station(ctx):
    return factories.room(ctx, station_ae_title=STATION)


@settings(
    max_examples=2,
    derandomize=False,  # a race is no property of the example: others each time
    database=None,
    phases=[Phase.generate],  # what a race did once is not found again by shrinking
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rounds=st.lists(ROUNDS, min_size=2, max_size=2))
def test_any_sequence_of_stores_kills_and_resends_leaves_the_index_equal_to_the_archive(
    ctx, station, tmp_path, monkeypatch, rounds
):
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir(exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    modalities = Modalities()
    for plan in rounds:
        live(ctx.settings, modalities, plan)
        check(ctx, modalities)
        assert list(elsewhere.iterdir()) == [], "what is received is written where it is swept"
