"""Files made to be handed out: ordered by a person, made by a worker, fetched once, then gone."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base, enum


class HandoutKind(StrEnum):
    """What is made."""

    FILM = "film"  # images of a study on sheets, as PDF
    TEACHING = "teaching"  # images of a study without the person, as ZIP


class Handout(Base):
    """One order. The file lies in the home under the row's id, for a day."""

    __tablename__ = "handout"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("user.id"))
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    kind: Mapped[HandoutKind] = enum(HandoutKind, checked=False)
    content: Mapped[dict[str, Any]]  # all that it shows: nothing to look up later but files
    asked_at: Mapped[datetime] = mapped_column(index=True)
    ready_at: Mapped[datetime | None]
