"""Who did what, in a chain that shows if an entry was changed or taken out."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base, BigKey, enum


class Action(StrEnum):
    """What happened to the subject (after PS3.15 A.5 and IHE ATNA)."""

    SIGN_IN = "sign in"
    SIGN_IN_FAILED = "sign in failed"
    SIGN_OUT = "sign out"
    DENIED = "denied"
    CREATE = "create"
    CHANGE = "change"
    CANCEL = "cancel"
    CHECK_IN = "check in"
    SEARCH = "search"
    VIEW = "view"
    RECEIVE = "receive"
    CONFLICT = "conflict"
    REPLACE = "replace"
    BEGIN = "begin exam"
    COMPLETE = "complete exam"
    DISCONTINUE = "discontinue exam"
    LINK = "link"
    FORWARD = "forward"
    RETRIEVE = "retrieve"
    DRAFT = "draft"
    SIGN = "sign"
    HAND_OUT = "hand out"
    RETRY = "retry"
    COMMIT = "commit"
    NOTIFY = "notify"
    FETCH = "fetch"
    REFUSED = "association refused"
    EXERCISE = "check service"


class AuditEntry(Base):
    """One entry. Triggers refuse UPDATE and DELETE; ``entry_hmac`` covers the one before."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    username: Mapped[str] = mapped_column(String(64), index=True)
    role: Mapped[str] = mapped_column(String(24))
    address: Mapped[str] = mapped_column(String(64), default="")
    action: Mapped[Action] = enum(Action, checked=False, index=True)
    subject_type: Mapped[str] = mapped_column(String(32), default="")
    subject_id: Mapped[int | None] = mapped_column(BigKey, index=True)
    # Which patient it concerned, so that "who looked at this person?" is one query.
    patient_pk: Mapped[int | None] = mapped_column(index=True)
    # Row ids, counts, names of changed fields: never the values.
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous_hmac: Mapped[str] = mapped_column(String(64))
    entry_hmac: Mapped[str] = mapped_column(String(64), unique=True)

    def seal(self, key: bytes, previous_hmac: str) -> None:
        """Tie this entry to the one before it."""
        self.previous_hmac = previous_hmac
        self.entry_hmac = self.computed_hmac(key)

    def computed_hmac(self, key: bytes) -> str:
        """Return HMAC-SHA-256 over all that the entry says and the entry before it."""
        said = [
            self.previous_hmac,
            self.at.astimezone(UTC).isoformat(),
            self.username,
            self.role,
            self.address,
            str(self.action),
            self.subject_type,
            self.subject_id,
            self.patient_pk,
            self.detail,
        ]
        text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
