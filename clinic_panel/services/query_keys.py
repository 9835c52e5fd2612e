"""What an archive query may ask at each level, where it is kept, and how it is read (PS3.4 C.6).

One table drives matching, the answers and the conformance statement; ``services.query`` runs what
is composed here. Attributes are those the modality sent, whoever the patient is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import ColumnElement, Text, and_, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import QueryableAttribute, aliased
from sqlalchemy.sql.functions import FunctionElement

from clinic_panel.errors import ClinicError
from clinic_panel.imaging import charset
from clinic_panel.imaging.encoding import Field, Template
from clinic_panel.imaging.identifiers import Asked, Key, date_text, time_text, vr_of
from clinic_panel.imaging.matching import has_wildcard, is_universal, text_of, values
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.services.query_levels import QueryLevel, QueryModel, model_of

LEVEL, RETRIEVE_AE_TITLE = "QueryRetrieveLevel", "RetrieveAETitle"
STUDY_MOMENT = ("StudyDate", "StudyTime")

type Row = tuple[Any, ...]


class WrongIdentifier(ClinicError):
    """The identifier does not fit its SOP class (PS3.4 Table C.4-1, A900)."""

    default = "The identifier does not fit the information model."

    def __init__(self, message: str = "", *, keyword: str = "") -> None:
        self.keyword = keyword
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ArchiveKey:
    """One attribute of a level: unique, required or optional there, and where it is kept."""

    level: QueryLevel
    keyword: str
    kind: str
    column: ColumnElement[Any] | QueryableAttribute[Any]

    @property
    def vr(self) -> str:
        """Value representation."""
        return vr_of(self.keyword)


class _Distinct(FunctionElement[str]):
    """The values there are, each once; between them a comma, which no UID holds."""

    type = Text()
    inherit_cache = True


@compiles(_Distinct, "sqlite")
def _group_concat(element: _Distinct, compiler: Any, **options: Any) -> str:
    return f"group_concat(DISTINCT {compiler.process(element.clauses, **options)})"


@compiles(_Distinct)
def _string_agg(element: _Distinct, compiler: Any, **options: Any) -> str:
    return f"string_agg(DISTINCT {compiler.process(element.clauses, **options)}, ',')"


_other, _parts, _images = aliased(Study), aliased(Series), aliased(Instance)


def same_patient(other: Any) -> ColumnElement[bool]:
    """Whether another study is of the same person: by ID and issuer, without an ID by name."""
    return and_(
        other.patient_id == Study.patient_id,
        other.issuer_of_patient_id == Study.issuer_of_patient_id,
        or_(Study.patient_id != "", other.patient_name == Study.patient_name),
    )


def _of_patient(number: Any) -> ColumnElement[Any]:
    query = select(number).select_from(_other).where(same_patient(_other))
    return query.correlate(Study).scalar_subquery()


_patient_series = select(func.count()).where(_parts.study_pk == _other.id).scalar_subquery()
_study_series = select(func.count()).where(_parts.study_pk == Study.id).correlate(Study)
_study_classes = (
    select(_Distinct(_images.sop_class_uid))
    .select_from(_images)
    .join(_parts, _images.series_pk == _parts.id)
    .where(_parts.study_pk == Study.id)
    .correlate(Study)
)
_P, _S, _E, _I = QueryLevel
KEYS: tuple[ArchiveKey, ...] = (
    ArchiveKey(_P, "PatientID", "U", Study.patient_id),
    ArchiveKey(_P, "PatientName", "R", Study.patient_name),
    ArchiveKey(_P, "IssuerOfPatientID", "O", Study.issuer_of_patient_id),
    ArchiveKey(_P, "PatientBirthDate", "O", Study.patient_birth_date),
    ArchiveKey(_P, "PatientSex", "O", Study.patient_sex),
    ArchiveKey(_P, "NumberOfPatientRelatedStudies", "O", _of_patient(func.count())),
    ArchiveKey(_P, "NumberOfPatientRelatedSeries", "O", _of_patient(func.sum(_patient_series))),
    ArchiveKey(
        _P,
        "NumberOfPatientRelatedInstances",
        "O",
        _of_patient(func.sum(_other.number_of_instances)),
    ),
    ArchiveKey(_S, "StudyInstanceUID", "U", Study.study_instance_uid),
    ArchiveKey(_S, "StudyDate", "R", Study.study_date),
    ArchiveKey(_S, "StudyTime", "R", Study.study_time),
    ArchiveKey(_S, "AccessionNumber", "R", Study.accession_number),
    ArchiveKey(_S, "StudyID", "R", Study.study_id),
    ArchiveKey(_S, "StudyDescription", "O", Study.study_description),
    ArchiveKey(_S, "ReferringPhysicianName", "O", Study.referring_physician_name),
    ArchiveKey(_S, "ModalitiesInStudy", "O", Study.modalities_in_study),
    ArchiveKey(_S, "SOPClassesInStudy", "O", _study_classes.scalar_subquery()),
    ArchiveKey(_S, "NumberOfStudyRelatedSeries", "O", _study_series.scalar_subquery()),
    ArchiveKey(_S, "NumberOfStudyRelatedInstances", "O", Study.number_of_instances),
    ArchiveKey(_S, "TimezoneOffsetFromUTC", "O", Study.timezone_offset_from_utc),
    ArchiveKey(_E, "SeriesInstanceUID", "U", Series.series_instance_uid),
    ArchiveKey(_E, "Modality", "R", Series.modality),
    ArchiveKey(_E, "SeriesNumber", "R", Series.series_number),
    ArchiveKey(_E, "SeriesDescription", "O", Series.series_description),
    ArchiveKey(_E, "BodyPartExamined", "O", Series.body_part_examined),
    ArchiveKey(_E, "NumberOfSeriesRelatedInstances", "O", Series.number_of_instances),
    ArchiveKey(_I, "SOPInstanceUID", "U", Instance.sop_instance_uid),
    ArchiveKey(_I, "InstanceNumber", "R", Instance.instance_number),
    ArchiveKey(_I, "SOPClassUID", "O", Instance.sop_class_uid),
    ArchiveKey(_I, "Rows", "O", Instance.rows),
    ArchiveKey(_I, "Columns", "O", Instance.columns),
    ArchiveKey(_I, "NumberOfFrames", "O", Instance.number_of_frames),
    ArchiveKey(_I, "AvailableTransferSyntaxUID", "O", Instance.transfer_syntax_uid),
)


class ArchiveQuery:
    """One C-FIND identifier: its level, what it asks, and what is answered."""

    def __init__(
        self,
        identifier: Dataset,
        sop_class_uid: str,
        *,
        retrieve_ae_title: str,
        relational: bool = False,
        combined: bool = False,
    ) -> None:
        """Read it.

        Parameters
        ----------
        retrieve_ae_title
            Where what is found can be retrieved: ourselves.
        relational, combined
            What was negotiated: queries without the unique keys of the upper levels; ranges of
            date and time matched as one (PS3.4 C.5.1.1.1).

        Raises
        ------
        WrongIdentifier
            It does not fit the model; its message names no value.
        Exception
            Whatever a value that breaks its VR makes pydicom raise.
        """
        self.identifier = identifier
        self.model = model_of(sop_class_uid)
        self.level = _level(self.model, identifier)
        if not relational:
            _check_unique_keys(identifier, self.model.above(self.level))
        shown = {QueryLevel.PATIENT, *self.model.above(self.level), self.level}
        self._unique = [level.unique_key for level in (*self.model.above(self.level), self.level)]
        self.chosen = [
            key
            for key in KEYS
            if key.level in shown and (key.keyword in identifier or key.keyword in self._unique)
        ]
        keys = [_read_from(index, key) for index, key in enumerate(self.chosen)]
        keys += [
            Key(RETRIEVE_AE_TITLE, "O", lambda _: retrieve_ae_title),
            Key("InstanceAvailability", "O", lambda _: "ONLINE"),
        ]
        self._asked = Asked(identifier, keys, as_one=STUDY_MOMENT if combined else None)
        self._keys = {key.keyword: key for key in keys}
        self.pending_status = self._asked.pending_status

    def compared(self) -> Iterator[tuple[ArchiveKey, list[str]]]:
        """Return the keys that have a value, with it or them, for the database to narrow by."""
        for key in self.chosen:
            if key.keyword in self.identifier:
                wanted = values(self.identifier[key.keyword].value)
                if not is_universal(wanted):
                    yield key, wanted

    def excluded_by(self, row: Row) -> str:
        """Return the keyword that keeps a row out of the answers; empty when it fits."""
        return self._asked.excluded_by(row)

    def template(self, *, explicit: bool) -> Template[Row]:
        """Return what encodes the answers: the keys asked for, level, unique keys and our title."""
        fields = {field.tag: field for field in self._asked.fields()}
        for keyword in (*self._unique, RETRIEVE_AE_TITLE):
            key = self._keys[keyword]
            fields.setdefault(key.tag, Field(key.tag, key.vr, key.source))
        level: Key[Row] = Key(LEVEL, "R", lambda _: str(self.level))
        fields[level.tag] = Field(level.tag, level.vr, level.source)
        return Template(
            tuple(fields.values()),
            explicit=explicit,
            character_sets=charset.declared(self.identifier),
        )


def _level(model: QueryModel, identifier: Dataset) -> QueryLevel:
    asked = text_of(identifier, LEVEL)
    if asked not in model.levels:
        raise WrongIdentifier(f"no such level in {model.name}", keyword=LEVEL)
    return QueryLevel(asked)


def _check_unique_keys(identifier: Dataset, above: tuple[QueryLevel, ...]) -> None:
    """Ask for one value of the unique key of each upper level (PS3.4 C.4.1.2.1)."""
    for level in above:
        keyword = level.unique_key
        given = values(identifier[keyword].value) if keyword in identifier else []
        if len(given) != 1 or not given[0] or has_wildcard(given[0]):
            raise WrongIdentifier(f"one value of {keyword} is needed", keyword=keyword)


@lru_cache(maxsize=1024)
def _read_from(index: int, key: ArchiveKey) -> Key[Row]:
    """Return a key of the model whose text is at ``index`` of the row."""
    text = _joined if key.keyword == "SOPClassesInStudy" else _TEXT_OF.get(key.vr)
    if text is None:
        return Key(key.keyword, key.kind, itemgetter(index))
    return Key(key.keyword, key.kind, lambda row: text(row[index]))


def _joined(value: str | None) -> str:
    return (value or "").replace(",", "\\")


def _number(value: int | None) -> str:
    return "" if value is None else str(int(value))


_TEXT_OF: dict[str, Callable[[Any], str]] = {
    "DA": date_text,
    "TM": time_text,
    "IS": _number,
    "US": _number,
}
