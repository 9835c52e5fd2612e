"""Query/Retrieve, Study Root (PS3.4 C)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from clinic_panel.exercise.bench import PENDING, SUCCESS, Bench, Came, accepts, some, status_of
from clinic_panel.exercise.lines import Line
from clinic_panel.exercise.specimens import PATIENT_ID, STUDY_UID, fixed_uid

FIND, MOVE, GET = "C-FIND", "C-MOVE", "C-GET"
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
UNKNOWN_DESTINATION = 0xA801
SERIES_UID, INSTANCE_UID = fixed_uid("series ct"), fixed_uid("ct")
PATIENT = ("PATIENT", {"PatientID": PATIENT_ID})
LEVELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("STUDY", {"StudyInstanceUID": STUDY_UID}),
    ("SERIES", {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID}),
    (
        "IMAGE",
        {
            "StudyInstanceUID": STUDY_UID,
            "SeriesInstanceUID": SERIES_UID,
            "SOPInstanceUID": INSTANCE_UID,
        },
    ),
)


def find_any(bench: Bench) -> Iterator[Line]:
    """Ask somebody else's archive for the test patient, who may not be there."""
    with bench.associated((StudyRootQueryRetrieveInformationModelFind, NATIVE)) as association:
        if not accepts(association, StudyRootQueryRetrieveInformationModelFind):
            yield bench.not_offered(FIND, "C.4.1", "studies")
            return
        yield bench.check(
            FIND,
            "studies of the test patient",
            "C.4.1",
            "answers of that patient, then 0x0000",
            lambda: _studies(association),
        )


def find(bench: Bench) -> Iterator[Line]:
    """Ask for the test study at each level, and without the key that a level needs."""
    yield from find_any(bench)
    models = (
        StudyRootQueryRetrieveInformationModelFind,
        PatientRootQueryRetrieveInformationModelFind,
    )
    with bench.associated(*((model, NATIVE) for model in models)) as association:
        if not accepts(association, StudyRootQueryRetrieveInformationModelFind):
            return
        for level, keys in LEVELS:
            yield bench.check(
                FIND,
                f"the test object at level {level}",
                "C.4.1.3.1",
                "one answer, then 0x0000",
                partial(_one, association, level, keys),
            )
        if accepts(association, PatientRootQueryRetrieveInformationModelFind):
            yield bench.check(
                FIND,
                "the test patient, Patient Root",
                "C.6.1",
                "one answer, then 0x0000",
                partial(_one, association, *PATIENT, PatientRootQueryRetrieveInformationModelFind),
            )
        else:
            yield bench.not_offered(FIND, "C.6.1", "Patient Root")
        yield bench.check(
            FIND,
            "a level that does not exist",
            "C.4.1.1.4",
            "0xA9xx or 0xCxxx",
            lambda: _refused(association),
        )


def get(bench: Bench) -> Iterator[Line]:
    """Fetch one object over the same association."""
    received: list[str] = []

    def keep(event: Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return SUCCESS

    contexts = (
        (StudyRootQueryRetrieveInformationModelGet, NATIVE),
        (CTImageStorage, NATIVE),
    )
    handlers = [(evt.EVT_C_STORE, keep)]
    with bench.associated(*contexts, roles=[CTImageStorage], handlers=handlers) as association:
        if not accepts(association, StudyRootQueryRetrieveInformationModelGet):
            yield bench.not_offered(GET, "C.4.3", "one object")
            return

        def act() -> Came:
            final = SUCCESS
            for answer, _ in association.send_c_get(
                _identifier(*LEVELS[2]), StudyRootQueryRetrieveInformationModelGet
            ):
                final = status_of(answer)
            text = f"{len(received)} received, 0x{final:04X}"
            return Came(text, final == SUCCESS and received == [INSTANCE_UID])

        yield bench.check(GET, "one object", "C.4.3", "that object, then 0x0000", act)


def move(bench: Bench) -> Iterator[Line]:
    """Ask for a transfer to a destination that nobody knows: nothing must be sent anywhere."""
    with bench.associated((StudyRootQueryRetrieveInformationModelMove, NATIVE)) as association:
        if not accepts(association, StudyRootQueryRetrieveInformationModelMove):
            yield bench.not_offered(MOVE, "C.4.2", "to another archive")
            return

        def act() -> Came:
            final = SUCCESS
            for answer, _ in association.send_c_move(
                _identifier(*LEVELS[0]), "NOBODYKNOWSME", StudyRootQueryRetrieveInformationModelMove
            ):
                final = status_of(answer)
            return Came(f"0x{final:04X}", final == UNKNOWN_DESTINATION)

        yield bench.check(MOVE, "to an unknown destination", "C.4.2.1.5", "0xA801", act)


def _identifier(level: str, keys: dict[str, str]) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


def _answers(
    association: Association,
    identifier: Dataset,
    model: str = StudyRootQueryRetrieveInformationModelFind,
) -> tuple[list[Dataset], int]:
    found, final = [], SUCCESS
    for answer, data in association.send_c_find(identifier, model):
        final = status_of(answer)
        if final in PENDING and data is not None:
            found.append(data)
    return found, final


def _studies(association: Association) -> Came:
    keys = {"PatientID": PATIENT_ID, "StudyInstanceUID": "", "StudyDate": "", "PatientName": ""}
    found, final = _answers(association, _identifier("STUDY", keys))
    others = sum(str(one.get("PatientID", "")) != PATIENT_ID for one in found)
    text = f"{some(len(found))}, {others} of others, 0x{final:04X}"
    return Came(text, not others and final == SUCCESS)


def _one(
    association: Association,
    level: str,
    keys: dict[str, str],
    model: str = StudyRootQueryRetrieveInformationModelFind,
) -> Came:
    found, final = _answers(association, _identifier(level, keys), model)
    fits = all(str(one.get(k, "")) == value for one in found for k, value in keys.items())
    return Came(f"{some(len(found))}, 0x{final:04X}", len(found) == 1 and fits and final == SUCCESS)


def _refused(association: Association) -> Came:
    found, final = _answers(association, _identifier("NOWHERE", {"StudyInstanceUID": STUDY_UID}))
    refused = final & 0xFF00 == 0xA900 or final & 0xF000 == 0xC000
    return Came(f"{some(len(found))}, 0x{final:04X}", refused and not found)
