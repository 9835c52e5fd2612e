"""Storage Commitment, push model (PS3.4 J.3)."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from clinic_panel.exercise.bench import SUCCESS, Bench, Came, accepts, status_of
from clinic_panel.exercise.lines import Line
from clinic_panel.exercise.specimens import specimens, unknown_uid

COMMITMENT = "Commitment"
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
PATIENCE_S = 30.0
NO_SUCH_INSTANCE = 0x0112

type Reference = tuple[str, str]


def commitment(bench: Bench) -> Iterator[Line]:
    """Ask for what was stored, and for something that was not; wait for the reports."""
    reports: queue.Queue[Dataset] = queue.Queue()

    def heard(event: Event) -> tuple[int, None]:
        reports.put(event.event_information)
        return SUCCESS, None

    handlers = [(evt.EVT_N_EVENT_REPORT, heard)]
    context = (StorageCommitmentPushModel, NATIVE)
    silence_s = 2 * PATIENCE_S  # it is we who would hang up while a report is on its way
    with bench.associated(context, handlers=handlers, silence_s=silence_s) as association:
        if not accepts(association, StorageCommitmentPushModel):
            yield bench.not_offered(COMMITMENT, "J.3", "stored objects")
            return
        kept = [(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for _, ds in specimens()[:1]]
        lost = (kept[0][0], unknown_uid())
        yield bench.check(
            COMMITMENT,
            "an object that was stored",
            "J.3.3",
            "0x0000, then a report of success",
            lambda: _ask(association, reports, kept, failed=0),
        )
        yield bench.check(
            COMMITMENT,
            "the same and one never sent",
            "J.3.3",
            "0x0000, then one failed with 0x0112",
            lambda: _ask(association, reports, [*kept, lost], failed=1),
        )


def _ask(
    association: Association,
    reports: queue.Queue[Dataset],
    references: list[Reference],
    *,
    failed: int,
) -> Came:
    uid = generate_uid()
    ds = Dataset()
    ds.TransactionUID = uid
    ds.ReferencedSOPSequence = Sequence([_reference(*one) for one in references])
    answer, _ = association.send_n_action(
        ds, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    status = status_of(answer)
    if status != SUCCESS:
        return Came(f"0x{status:04X}", is_expected=False)
    report = _report(reports, uid)
    if report is None:
        text = f"0x0000, but no report on this association within {PATIENCE_S:.0f} s"
        return Came(text, is_expected=False)
    good = len(report.get("ReferencedSOPSequence") or ())
    reasons = [int(one.FailureReason) for one in report.get("FailedSOPSequence") or ()]
    text = f"0x0000, {good} committed, {len(reasons)} failed"
    if reasons:
        text += " with " + ", ".join(f"0x{reason:04X}" for reason in reasons)
    right = good == len(references) - failed and reasons == [NO_SUCH_INSTANCE] * failed
    return Came(text, right)


def _report(reports: queue.Queue[Dataset], uid: str) -> Dataset | None:
    until = time.monotonic() + PATIENCE_S
    while (left := until - time.monotonic()) > 0:
        try:
            report = reports.get(timeout=left)
        except queue.Empty:
            return None
        if report.get("TransactionUID") == uid:
            return report
    return None


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return ds
