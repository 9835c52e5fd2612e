"""C-FIND as the one who asks: studies, single instances, worklists (PS3.4 C.4.1, K.4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from clinic_panel.dimse.association import Proposal, associated
from clinic_panel.dimse.model import Caller, FoundStudy, Remote, StudyQuery
from clinic_panel.errors import PeerFailure, PeerUnavailable

PATIENT_ROOT = PatientRootQueryRetrieveInformationModelFind
STUDY_ROOT = StudyRootQueryRetrieveInformationModelFind
WORKLIST = ModalityWorklistInformationFind
PENDING = frozenset({0xFF00, 0xFF01})
CANCELLED = 0xFE00
_MESSAGE_ID = 1


def find(
    caller: Caller, remote: Remote, keys: Dataset, model: str = STUDY_ROOT, *, limit: int = 500
) -> Iterator[Dataset]:
    """Yield what matches; beyond the limit the other side is told to stop.

    Parameters
    ----------
    keys
        The identifier: what to match, and empty what to return.
    model
        UID of the information model: `STUDY_ROOT`, `PATIENT_ROOT` or `WORKLIST`.

    Raises
    ------
    PeerUnavailable, PeerFailure
        There is no association, it ended early, or the answer is a failure.
    """
    with associated(caller, remote, [Proposal(model)]) as association:
        yield from _answers(association, keys, model, limit)


def _answers(association: Association, keys: Dataset, model: str, limit: int) -> Iterator[Dataset]:
    count = 0
    for status, item in association.send_c_find(keys, model, msg_id=_MESSAGE_ID):
        code = status.get("Status")
        if code in PENDING:
            count += 1
            if item is not None and count <= limit:
                yield item
            elif count == limit + 1:
                association.send_c_cancel(_MESSAGE_ID, query_model=model)
        elif code is None:
            raise PeerUnavailable("The other system ended the association in mid-answer.")
        elif code not in (0x0000, CANCELLED):
            raise PeerFailure(f"The query is answered with 0x{code:04X}.", status=code)


def studies(
    caller: Caller, remote: Remote, query: StudyQuery, *, limit: int = 200
) -> tuple[list[FoundStudy], bool]:
    """Return the studies of another archive that match, and whether there are more.

    Raises
    ------
    PeerUnavailable, PeerFailure
        It could not be asked.
    """
    found: list[FoundStudy] = []
    for item in find(caller, remote, _keys(query), limit=limit + 1):
        uid = str(item.get("StudyInstanceUID") or "")
        if uid:
            found.append(_study(uid, item))
    return found[:limit], len(found) > limit


def holds(caller: Caller, remote: Remote, uids: tuple[str, str, str]) -> bool | None:
    """Whether another archive has one instance; None when it cannot be asked.

    Parameters
    ----------
    uids
        Study, Series and SOP Instance UID.

    Raises
    ------
    PeerUnavailable
        There is no association.
    """
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    keys.StudyInstanceUID, keys.SeriesInstanceUID, keys.SOPInstanceUID = uids
    try:
        return uids[2] in [item.get("SOPInstanceUID") for item in find(caller, remote, keys)]
    except PeerFailure:
        return None


def _keys(query: StudyQuery) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    for keyword in (
        "AccessionNumber",
        "IssuerOfPatientID",
        "NumberOfStudyRelatedInstances",
        "PatientBirthDate",
        "PatientSex",
        "StudyDescription",
        "StudyInstanceUID",
        "StudyTime",
    ):
        setattr(keys, keyword, None)
    keys.PatientID = query.patient_id
    keys.PatientName = f"{query.patient_name.rstrip('*')}*" if query.patient_name else ""
    keys.StudyDate = _range(query.first_day, query.last_day)
    keys.ModalitiesInStudy = query.modality
    if not f"{query.patient_id}{query.patient_name}".isascii():
        keys.SpecificCharacterSet = "ISO_IR 192"
    return keys


def _range(first: date | None, last: date | None) -> str:
    if first is None and last is None:
        return ""
    if first == last and first is not None:
        return f"{first:%Y%m%d}"
    return "-".join(f"{day:%Y%m%d}" if day is not None else "" for day in (first, last))


def _study(uid: str, item: Dataset) -> FoundStudy:
    modalities = item.get("ModalitiesInStudy") or ""
    listed = [modalities] if isinstance(modalities, str) else list(modalities)
    count = item.get("NumberOfStudyRelatedInstances")
    return FoundStudy(
        study_instance_uid=uid,
        patient_id=_text(item, "PatientID"),
        patient_name=_text(item, "PatientName"),
        patient_birth_date=_text(item, "PatientBirthDate"),
        study_date=_text(item, "StudyDate"),
        study_description=_text(item, "StudyDescription"),
        accession_number=_text(item, "AccessionNumber"),
        modalities="\\".join(sorted(filter(None, listed))),
        instances=int(count) if count is not None and str(count).strip() else None,
    )


def _text(item: Dataset, keyword: str) -> str:
    return str(item.get(keyword) or "")
