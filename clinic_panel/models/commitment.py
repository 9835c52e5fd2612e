"""Storage Commitment: what devices asked us to keep safe, and what we found (PS3.4 J)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base, BigKey, enum


class CommitmentState(StrEnum):
    """How far one request has come."""

    CHECKING = "checking"
    TO_REPORT = "to report"
    REPORTED = "reported"
    GIVEN_UP = "given up"


class CommitmentRequest(Base):
    """One request (N-ACTION). It is answered once, however long the device is away."""

    __tablename__ = "commitment_request"
    __table_args__ = (UniqueConstraint("ae_title", "transaction_uid", "number"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64), default="")
    transaction_uid: Mapped[str] = mapped_column(String(64))
    # 0 for the transaction; above that, other instances under the same UID, which are refused.
    number: Mapped[int] = mapped_column(default=0)
    references_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[CommitmentState] = enum(
        CommitmentState, default=CommitmentState.CHECKING, index=True
    )
    instances: Mapped[int]
    # Failure Reason as four hexadecimal digits, to how many instances.
    failures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(String(256), default="")
    asked_at: Mapped[datetime] = mapped_column(index=True)
    # Until then the listener may report on the association that asked; nobody else does.
    held_until_at: Mapped[datetime | None]
    give_up_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class CommitmentItem(Base):
    """One instance of a request, until its result is reported."""

    __tablename__ = "commitment_item"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    request_pk: Mapped[int] = mapped_column(
        ForeignKey("commitment_request.id", ondelete="CASCADE"), index=True
    )
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    # None: not looked at yet; 0: safe; else the Failure Reason (PS3.3 C.14.1.1).
    reason: Mapped[int | None]
