"""Instance Availability Notification as user: a study is here, and where to get it (PS3.4 R)."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from clinic_panel.dimse.association import Proposal, associated
from clinic_panel.dimse.model import Available, Caller, Reference, Remote
from clinic_panel.errors import PeerUnavailable

SOP_CLASS = InstanceAvailabilityNotification


@contextlib.contextmanager
def notifying(caller: Caller, remote: Remote) -> Iterator[Callable[[Available], int]]:
    """Open an association; what is yielded tells of one study and returns the DIMSE status.

    Raises
    ------
    PeerUnavailable, PeerRefuses
        There is no association, or no answer; the service is not offered.
    """
    with associated(caller, remote, [Proposal(SOP_CLASS)]) as association:

        def tell(study: Available) -> int:
            said = notification(study, caller.ae_title)
            # One instance a notification, known to nobody before (PS3.4 R.3.2.1).
            answer, _ = association.send_n_create(said, SOP_CLASS, f"2.25.{uuid.uuid4().int}")
            if "Status" not in answer:
                raise PeerUnavailable("The other system does not answer the notification.")
            return int(answer.Status)

        yield tell


def notification(study: Available, retrieve_ae_title: str) -> Dataset:
    """Return the attributes of a notification (PS3.4 Table R.3.2-1); it names no patient."""
    ds = Dataset()
    ds.StudyInstanceUID = study.study_instance_uid
    ds.ReferencedPerformedProcedureStepSequence = DicomSequence(map(_step, study.steps))
    ds.ReferencedSeriesSequence = DicomSequence(
        _series(uid, references, retrieve_ae_title) for uid, references in study.series
    )
    return ds


def _step(sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = ModalityPerformedProcedureStep
    item.ReferencedSOPInstanceUID = sop_instance_uid
    item.PerformedWorkitemCodeSequence = DicomSequence()
    return item


def _series(uid: str, references: Sequence[Reference], retrieve_ae_title: str) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid
    items = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        item.InstanceAvailability = "ONLINE"
        item.RetrieveAETitle = retrieve_ae_title
        items.append(item)
    series.ReferencedSOPSequence = DicomSequence(items)
    return series
