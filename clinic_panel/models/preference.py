"""How one person wants to read: keys, window presets, behaviour of the viewer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base


class Preference(Base):
    """What an account chose; what it did not choose follows the program."""

    __tablename__ = "preference"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("user.id"), unique=True)
    keys: Mapped[dict[str, Any]] = mapped_column(default=dict)  # action -> keys
    presets: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    behaviour: Mapped[dict[str, Any]] = mapped_column(default=dict)
    changed_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}
