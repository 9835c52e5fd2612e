"""How one reader wants studies of a kind to hang."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base


class HangingRule(Base):
    """A reader's layout for one modality and body part; an empty body part is one not named."""

    __tablename__ = "hanging_rule"
    __table_args__ = (UniqueConstraint("user_pk", "modality", "body_part_examined"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("user.id"))
    modality: Mapped[str] = mapped_column(String(16))
    body_part_examined: Mapped[str] = mapped_column(String(16))
    # rows, columns, places and what is joined (``services.hanging.Hanging``).
    hanging: Mapped[dict[str, Any]] = mapped_column(default=dict)
    changed_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}
