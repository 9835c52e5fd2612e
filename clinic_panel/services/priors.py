"""A patient's earlier studies, and which of them to hang beside one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, load_only, selectinload

from clinic_panel.models.imaging import Series, Study

MOST_LISTED = 40


@dataclass(frozen=True, slots=True)
class Subject:
    """What a study is of, for hanging; an empty body part is one the device did not name."""

    modality: str
    body_part: str = ""

    @property
    def label(self) -> str:
        """As a person says it."""
        return " ".join(filter(None, (self.modality, self.body_part)))


@dataclass(frozen=True, slots=True)
class EarlierStudy:
    """A study of the same patient on an earlier day or, of that day, at an earlier time."""

    id: int
    study_date: date
    study_description: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]


def before(session: Session, row: Study) -> tuple[EarlierStudy, ...]:
    """Return the patient's studies before this one, the latest first.

    Only of a patient we know: what a modality sent as identity does not prove that two studies are
    of one person. Without a date no study is known to be earlier.
    """
    if row.patient_pk is None or row.study_date is None:
        return ()
    earlier = Study.study_date < row.study_date
    if row.study_time is not None:
        same_day = and_(Study.study_date == row.study_date, Study.study_time < row.study_time)
        earlier = or_(earlier, same_day)
    query = (
        select(Study)
        .where(
            Study.patient_pk == row.patient_pk,
            Study.id != row.id,
            Study.number_of_instances > 0,
            earlier,
        )
        .order_by(Study.study_date.desc(), Study.study_time.desc().nulls_last(), Study.id.desc())
        .limit(MOST_LISTED)
        .options(
            selectinload(Study.series).options(
                load_only(Series.study_pk, Series.body_part_examined)
            )
        )
    )
    return tuple(_earlier(found) for found in session.scalars(query))


def _earlier(row: Study) -> EarlierStudy:
    assert row.study_date is not None  # asked for in the query
    parts = {series.body_part_examined.strip().upper() for series in row.series}
    return EarlierStudy(
        id=row.id,
        study_date=row.study_date,
        study_description=row.study_description,
        modalities=row.modalities,
        body_parts=tuple(sorted(parts - {""})),
    )


def best(
    earlier: Iterable[EarlierStudy], subject: Subject, description: str
) -> EarlierStudy | None:
    """Return the latest earlier study of the same modality and body part.

    Where either does not name its body part, the same description counts as the same part.
    """
    words = description.strip().casefold()
    for study in earlier:
        if subject.modality not in study.modalities:
            continue
        if subject.body_part and study.body_parts:
            if subject.body_part in study.body_parts:
                return study
        elif words and study.study_description.strip().casefold() == words:
            return study
    return None
