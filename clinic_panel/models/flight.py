"""The flight recorder: what devices asked of us and how it ended, for a while.

Rows name no patient: of a key that describes a person the value is not kept (``services.flight``).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.models.base import Base, BigKey, enum


class Ending(StrEnum):
    """How an association ended."""

    OPEN = "open"
    RELEASED = "released"
    ABORTED_BY_PEER = "aborted by the device"
    ABORTED = "aborted here"
    REFUSED = "refused"
    LOST = "connection lost"
    TIMED_OUT = "timed out"
    UNASKED = "nothing asked"


class Service(StrEnum):
    """What was asked, in the words of the standard."""

    ECHO = "C-ECHO"
    STORE = "C-STORE"
    WORKLIST = "Worklist"
    FIND = "C-FIND"
    MOVE = "C-MOVE"
    GET = "C-GET"
    MPPS = "MPPS"
    COMMITMENT = "Commitment"
    OTHER = "Other"


class AssociationRecord(Base):
    """One association, from A-ASSOCIATE-RQ to its end (PS3.8 7.1)."""

    __tablename__ = "association_record"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(index=True)
    # Written again while it is open: a listener that died leaves it behind.
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="", index=True)
    called_ae_title: Mapped[str] = mapped_column(String(16), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    implementation: Mapped[str] = mapped_column(String(96), default="")
    ending: Mapped[Ending] = enum(Ending, checked=False, default=Ending.OPEN)
    reason: Mapped[str] = mapped_column(String(160), default="")
    # `abstract`, `offered` (transfer syntaxes), `accepted` (one or empty), `result` (PS3.8 9.3.3).
    contexts: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    contexts_offered: Mapped[int] = mapped_column(default=0)
    contexts_accepted: Mapped[int] = mapped_column(default=0)
    # Service to number of requests, and of those that failed.
    requests: Mapped[dict[str, Any]] = mapped_column(default=dict)
    failures: Mapped[int] = mapped_column(default=0)
    received_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    instances: Mapped[int] = mapped_column(default=0)

    asked: Mapped[list[RequestRecord]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="RequestRecord.id"
    )


class RequestRecord(Base):
    """One request, or all those of one kind in an association whose number only matters."""

    __tablename__ = "request_record"
    __table_args__ = (Index("ix_request_record_service_at", "service", "at"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    association_pk: Mapped[int] = mapped_column(
        ForeignKey("association_record.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime] = mapped_column(index=True)
    service: Mapped[Service] = enum(Service, checked=False)
    sop_class_uid: Mapped[str] = mapped_column(String(64), default="")
    duration_ms: Mapped[int] = mapped_column(default=0)
    received_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    answers: Mapped[int] = mapped_column(default=0)
    # Final DIMSE status as four hexadecimal digits, to how many requests ended so.
    statuses: Mapped[dict[str, Any]] = mapped_column(default=dict)
    comment: Mapped[str] = mapped_column(String(160), default="")
    # `keyword`, `is_step`, and `value` or, for what describes a person, `how` and `like`.
    keys: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    character_set: Mapped[str] = mapped_column(String(96), default="")
    considered: Mapped[int] = mapped_column(default=0)
    # Keyword that excluded them (empty: answered) to ids of bookings.
    fates: Mapped[dict[str, list[int]]] = mapped_column(JSON, default=dict)
