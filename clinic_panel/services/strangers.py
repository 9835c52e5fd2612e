"""Objects of another person in a study: kept where they were sent, and never unseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, select

from clinic_panel.models.imaging import OtherIdentity, Study
from clinic_panel.models.patient import Patient
from clinic_panel.services.identity import Identity, differences, listed

_FIELDS = len(Identity._fields)
IS_MIXED = exists(
    select(OtherIdentity.id).where(OtherIdentity.study_pk == Study.id).correlate(Study)
)
_STUDY, _PATIENT = Study.__table__, Patient.__table__
_KNOWN = (
    select(
        Study.id,
        *(_STUDY.c[name] for name in Identity._fields),
        *(_PATIENT.c[name].label(f"known_{name}") for name in Identity._fields),
    )
    .select_from(Study)
    .outerjoin(Study.patient)
)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A person that objects of a study name, though the study is of another."""

    study_id: int
    named: Identity
    differs: tuple[str, ...]

    def row(self, source_ae_title: str, now: datetime) -> dict[str, Any]:
        """Return the row that keeps it."""
        return {
            "study_pk": self.study_id,
            "digest": self.named.digest,
            **self.named._asdict(),
            "differs": "\\".join(self.differs),
            "source_ae_title": source_ae_title,
            "noted_at": now,
        }


def among(connection: Connection, named: Mapping[int, Iterable[Identity]]) -> list[Stranger]:
    """Return who of those that objects name, by study id, is not whose the study is."""
    found: list[Stranger] = []
    rows = connection.execute(_KNOWN.where(Study.id.in_(list(named)))) if named else ()
    for row in rows:
        sent, patient = row[1 : 1 + _FIELDS], row[1 + _FIELDS :]
        # What the first object left out is as the patient of its booking has it.
        known = Identity(*(mine or its or mine for mine, its in zip(sent, patient, strict=True)))
        # Who linked a study that was sent under other names has said that both are one person.
        is_linked = patient[0] is not None
        for identity in named[row.id]:
            if is_linked and not differences(identity, Identity(*patient)):
                continue
            if differs := differences(identity, known):
                found.append(Stranger(row.id, identity, differs))
    return found


def warning(rows: Iterable[OtherIdentity]) -> str:
    """Say in a sentence whom else objects of a study name; empty where nobody is."""
    said, ids = [], []
    for row in rows:
        differs = tuple(row.differs.split("\\"))
        if differs[0] == "patient ID":
            ids.append(row.patient_id)
        else:
            said.append(listed(differs))
    if ids:
        said.insert(0, f"patient ID ({', '.join(ids)})")
    said = list(dict.fromkeys(said))
    return f"Objects of another {', of another '.join(said)} are in this study" if said else ""
