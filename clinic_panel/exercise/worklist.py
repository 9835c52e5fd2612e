"""Modality Worklist (PS3.4 K)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityWorklistInformationFind

from clinic_panel.exercise.bench import PENDING, SUCCESS, Bench, Came, accepts, some, status_of
from clinic_panel.exercise.lines import Line
from clinic_panel.validation import folded

WORKLIST = "Worklist"
CANCEL, OUT_OF_RESOURCES = 0xFE00, 0xA700
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
TYPE_1 = ("PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID")
TYPE_1_OF_STEP = (
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledProcedureStepID",
)
STATION, DAY = TYPE_1_OF_STEP[:2]
NOBODY = "ZZZ*"
ENOUGH = 200  # answers looked at; the rest is cancelled


def worklist(bench: Bench, today: datetime) -> Iterator[Line]:
    """Ask the worklist as consoles do."""
    with bench.associated((ModalityWorklistInformationFind, NATIVE)) as association:
        if not accepts(association, ModalityWorklistInformationFind):
            yield bench.not_offered(WORKLIST, "K.4", "scheduled steps")
            return
        asker = _Asker(association, bench.target.ae_title, f"{today:%Y%m%d}")
        complete = "type 1 keys in each answer, then 0x0000"
        yield bench.check(WORKLIST, "everything", "K.6.1.2", complete, asker.complete)
        yield bench.check(
            WORKLIST,
            "one station on one day",
            "K.6.1.2",
            "only that station and day",
            asker.narrowed,
        )
        yield bench.check(
            WORKLIST,
            "patient name with a wildcard",
            "C.2.2.2.4",
            "only names that begin so",
            asker.by_name,
        )
        yield bench.check(
            WORKLIST,
            "names in Latin and Unicode sets",
            "PS3.3 C.12.1.1.2",
            "names that can be read",
            asker.in_sets,
        )
        yield bench.check(
            WORKLIST,
            "cancel after the first answer",
            "C.4.1.2.3",
            "0xFE00, or 0x0000 if it was over",
            asker.cancelled,
        )


class _Asker:
    """Asks the worklist on one association; keeps of the first answer what to ask for next."""

    def __init__(self, association: Association, station: str, day: str) -> None:
        self.association = association
        self.pattern = NOBODY
        self.step = {STATION: station, DAY: day}

    def ask(self, step: dict[str, str], **keys: str) -> tuple[list[Dataset], int]:
        """Return the answers and the final status; of very many, the first."""
        answers: list[Dataset] = []
        identifier = _identifier(step, keys)
        final = SUCCESS
        responses = self.association.send_c_find(
            identifier, ModalityWorklistInformationFind, msg_id=11
        )
        for answer, data in responses:
            final = status_of(answer)
            if final in PENDING and data is not None:
                answers.append(data)
                if len(answers) == ENOUGH:
                    self.association.send_c_cancel(11, None, ModalityWorklistInformationFind)
        return answers, final

    def complete(self) -> Came:
        """Whether what must be there is there, in every answer."""
        answers, final = self.ask({})
        missing = sorted({key for one in answers for key in _missing(one)})
        if answers:
            self.step = {key: str(_step(answers[0]).get(key, "")) for key in (STATION, DAY)}
            self.pattern = f"{str(answers[0].get('PatientName', ''))[:2]}*"
        lacks = f", without {', '.join(missing)}" if missing else ""
        return Came(f"{some(len(answers))}, 0x{final:04X}{lacks}", not missing and _fine(final))

    def narrowed(self) -> Came:
        """Whether every answer is of the station and day asked for."""
        answers, final = self.ask(self.step)
        other = sum(
            str(_step(one).get(keyword, "")) != value
            for one in answers
            for keyword, value in self.step.items()
        )
        text = f"{some(len(answers))}, {other} of another, 0x{final:04X}"
        is_found = bool(answers) or self.pattern == NOBODY
        return Came(text, is_found and not other and _fine(final))

    def by_name(self) -> Came:
        """Whether the names begin as was asked; matching may fold case and accents."""
        answers, final = self.ask({}, PatientName=self.pattern)
        other = sum(not _begins(one, self.pattern.strip("*")) for one in answers)
        text = f"{some(len(answers))}, {other} of another name, 0x{final:04X}"
        is_found = bool(answers) == (self.pattern != NOBODY)
        return Came(text, is_found and not other and _fine(final))

    def in_sets(self) -> Came:
        """Whether names survive, whatever set is asked in."""
        broken, count = 0, 0
        for name in ("ISO_IR 192", "ISO_IR 100"):
            answers, final = self.ask({}, SpecificCharacterSet=name)
            broken += sum("\ufffd" in str(one.get("PatientName", "")) for one in answers)
            broken += not _fine(final)
            count += len(answers)
        return Came(f"{some(count)}, {broken} not readable", not broken)

    def cancelled(self) -> Came:
        """Whether a query can be called off."""
        final, count = SUCCESS, 0
        responses = self.association.send_c_find(
            _identifier({}, {}), ModalityWorklistInformationFind, msg_id=12
        )
        for answer, _ in responses:
            final = status_of(answer)
            if final in PENDING:
                count += 1
                if count == 1:
                    self.association.send_c_cancel(12, None, ModalityWorklistInformationFind)
        return Came(f"{some(count)}, 0x{final:04X}", final in (CANCEL, SUCCESS))


def _begins(answer: Dataset, prefix: str) -> bool:
    groups = str(answer.get("PatientName", "")).split("=")
    return any(folded(group).startswith(folded(prefix)) for group in groups)


def _fine(final: int) -> bool:
    return final in (SUCCESS, CANCEL, OUT_OF_RESOURCES)


def _identifier(step: dict[str, str], keys: dict[str, str]) -> Dataset:
    item, identifier = Dataset(), Dataset()
    for keyword in TYPE_1_OF_STEP:
        setattr(item, keyword, step.get(keyword, ""))
    for keyword in (*TYPE_1, "AccessionNumber", "PatientBirthDate", "PatientSex"):
        setattr(identifier, keyword, keys.get(keyword, ""))
    identifier.SpecificCharacterSet = keys.get("SpecificCharacterSet", "ISO_IR 192")
    identifier.ScheduledProcedureStepSequence = Sequence([item])
    return identifier


def _step(answer: Dataset) -> Any:
    items = answer.get("ScheduledProcedureStepSequence")
    return items[0] if items else Dataset()


def _missing(answer: Dataset) -> list[str]:
    step = _step(answer)
    return [
        *(keyword for keyword in TYPE_1 if not answer.get(keyword)),
        *(keyword for keyword in TYPE_1_OF_STEP if not step.get(keyword)),
    ]
