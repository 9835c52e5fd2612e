"""What one reader left on one study: shapes they drew, and how they looked at it last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base


class Markup(Base):
    """Measurements and view of a reader; the images themselves never change."""

    __tablename__ = "markup"
    __table_args__ = (UniqueConstraint("user_pk", "study_pk"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("user.id"))
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    # Each: id, kind, instance_id, frame (zero-based), points, text; of a calibration also known_mm,
    # scope and by (``services.markup.Drawn``).
    shapes: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    # instance_id, frame, window, invert, how it was turned (``services.markup.Look``).
    look: Mapped[dict[str, Any]] = mapped_column(default=dict)
    changed_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}
