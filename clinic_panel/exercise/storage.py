"""Verification and Storage (PS3.4 A, B)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from clinic_panel.exercise.bench import SUCCESS, Bench, Broken, Came, accepts, statuses
from clinic_panel.exercise.lines import Line
from clinic_panel.exercise.specimens import specimens, unknown_uid

ECHO, STORE = "C-ECHO", "C-STORE"
WRONG = "0xA9xx or 0xCxxx, not kept"


def echo(bench: Bench) -> Iterator[Line]:
    """Verify; what fails here fails everywhere."""

    def act() -> Came:
        with bench.associated() as association:
            return statuses(association.send_c_echo(), SUCCESS)

    yield bench.check(ECHO, "verification", "A.4", "0x0000", act)


def store_one(bench: Bench) -> Iterator[Line]:
    """Store one test object: what is asked of somebody else's archive."""
    yield from _stored(bench, specimens()[:1])


def store(bench: Bench) -> Iterator[Line]:
    """Store some classes in some syntaxes, again, and what must not be kept."""
    yield from _stored(bench, specimens())
    with bench.associated((CTImageStorage, [ExplicitVRLittleEndian])) as association:
        if not accepts(association, CTImageStorage):
            return
        _, ct = specimens()[0]
        again = "the same object again"
        yield bench.check(STORE, again, "B.2.3", "0x0000", lambda: _send(association, ct))
    ct.SOPInstanceUID = unknown_uid()
    yield _refused(bench, "another UID than announced", ct, announced="1.2.3.4.5")
    yield _refused(bench, "a data set that breaks off", None, announced=unknown_uid())


def _stored(bench: Bench, objects: Sequence[tuple[str, Dataset]]) -> Iterator[Line]:
    for name, ds in objects:
        syntax = ds.file_meta.TransferSyntaxUID
        with bench.associated((ds.SOPClassUID, [syntax])) as association:
            if not accepts(association, ds.SOPClassUID):
                yield bench.not_offered(STORE, "B.5", name)
                continue
            yield bench.check(STORE, name, "B.2.3", "0x0000", partial(_send, association, ds))


def _send(association: Association, ds: Dataset) -> Came:
    return statuses(association.send_c_store(ds), SUCCESS)


def _refused(bench: Bench, asked: str, ds: Dataset | None, announced: str) -> Line:
    def act() -> Came:
        data = b"\x08\x00\x05\x00CS\xff\xff" if ds is None else encode(ds, False, True) or b""
        with bench.associated((CTImageStorage, [ExplicitVRLittleEndian])) as association:
            status = _send_raw(association, data, announced)
        return Came(f"0x{status:04X}", status & 0xFF00 == 0xA900 or status & 0xF000 == 0xC000)

    return bench.check(STORE, asked, "B.2.3", WRONG, act)


def _send_raw(association: Association, data: bytes, announced: str) -> int:
    """Send bytes under any UID, which the library would not do."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, announced
    request.DataSet = BytesIO(data)
    [context] = [
        one for one in association.accepted_contexts if one.abstract_syntax == CTImageStorage
    ]
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    if answer is None or answer.Status is None:
        raise Broken("no answer: the association was ended by the other side")
    return int(answer.Status)
