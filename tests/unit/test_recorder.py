"""The flight recorder's own thread: what of an association it writes, and when."""

import threading
from datetime import UTC, datetime
from types import SimpleNamespace

from clinic_panel.models.flight import Service
from listener.recorder import Recorder

NOW = datetime(2026, 3, 16, 9, tzinfo=UTC)


class Association:
    """What the recorder reads of one that was accepted without a context."""

    def __init__(self):
        asked = SimpleNamespace(
            calling_ae_title="CT", called_ae_title="CLINIC", presentation_context_definition_list=[]
        )
        self.requestor = SimpleNamespace(
            primitive=asked,
            address="192.0.2.7",
            implementation_version_name="",
            implementation_class_uid="1.2.3",
        )
        self._accepted_cx, self._rejected_cx = {}, []


class Sink:
    """A sink in which every object is well."""

    def begin(self, request, transfer_syntax_uid):
        pass

    def finish(self):
        return 0x0000


def test_an_end_between_two_writes_does_not_count_twice():
    written = []

    def keep(flights):
        written.extend(flights)
        return [1 for _ in flights]

    recorder = Recorder(keep, lambda: None, lambda: NOW)
    one = Association()
    event = SimpleNamespace(assoc=one)
    recorder.requested(event)
    recorder.accepted(event)
    sink = recorder.counting(one, Sink())
    sink.begin(SimpleNamespace(sop_class_uid="1.2.3"), "1.2.840.10008.1.2")
    sink.finish()
    first = threading.Thread(target=recorder.flush)  # parts what waits in two writes
    first.start()
    while recorder._queue.qsize() < 2:
        first.join(0.01)
    recorder.ended(one)
    recorder.start()
    first.join()
    recorder.close()

    assert [flight.ended_at for flight in written] == [NOW, NOW]
    assert [asked.service for flight in written for asked in flight.asked] == [Service.STORE]
