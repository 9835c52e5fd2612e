"""What arrived and is not in the audit yet: counted with each commit, said once a second."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base


class Arrival(Base):
    """Objects of one series from one peer; the row goes with the audit entry that names them."""

    __tablename__ = "arrival"
    # One page on SQLite instead of two: this row is written with every image.
    __table_args__ = ({"sqlite_with_rowid": False},)

    series_pk: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16), primary_key=True)
    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    instances: Mapped[int]
