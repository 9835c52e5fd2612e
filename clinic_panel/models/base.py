"""What every table shares: names of constraints, moments in UTC, columns typed by keyword."""

from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, ClassVar

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from sqlalchemy import JSON, Date, DateTime, Enum, Integer, MetaData, String, Text, Time, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column
from sqlalchemy.types import BigInteger, TypeDecorator, TypeEngine

# Characters of one value (PS3.5 Table 6.2-1); PN: three groups of 64 and two separators.
_LENGTH = {"AE": 16, "CS": 16, "DS": 16, "IS": 12, "LO": 64, "PN": 194, "SH": 16, "UI": 64}

# Of a name: that it has more than one component group. Asked in these words an index knows it.
HAS_GROUPS = text("patient_name LIKE '%=%'")
# SQLite counts up only a plain INTEGER key; PostgreSQL's audit and slot tables outgrow 32 bits.
BigKey = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; a naive one raises."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment and turn an aware one to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive moment reached the database")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment its zone back."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class Base(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any]]] = {
        datetime: UtcDateTime(),
        date: Date(),
        time: Time(),
        dict[str, Any]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


def dicom(keyword: str, *, index: bool = False, default: str | None = None) -> MappedColumn[Any]:
    """Return a column for one attribute: type and length from its VR, the tag as comment.

    Text columns are never NULL: an absent value is the empty string, as on the wire.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no DICOM keyword")
    vr = dictionary_VR(tag)
    comment = f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {dictionary_description(tag)}"
    if vr == "DA":
        return mapped_column(Date, nullable=True, index=index, comment=comment)
    if vr == "TM":
        return mapped_column(Time, nullable=True, index=index, comment=comment)
    if vr in ("IS", "US", "UL"):
        return mapped_column(Integer, nullable=True, index=index, comment=comment)
    kind: TypeEngine[Any] = String(_LENGTH[vr]) if vr in _LENGTH else Text()
    return mapped_column(kind, default=default or "", index=index, comment=comment)


def enum(kind: type[StrEnum], *, checked: bool = True, **options: Any) -> MappedColumn[Any]:
    """Return a column that stores an enumeration as its text.

    The database checks it too, unless the vocabulary grows with every feature (``checked=False``).
    """
    stored = Enum(
        kind,
        native_enum=False,
        length=24,
        create_constraint=checked,
        name=_snake(kind.__name__),
        values_callable=lambda members: [member.value for member in members],
    )
    return mapped_column(stored, **options)


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
