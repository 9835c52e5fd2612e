"""What the clinic says of itself, and the counters that tell processes of a change."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from clinic_panel.models.base import Base


class SiteSetting(Base):
    """One value an administrator sets, such as the letterhead."""

    __tablename__ = "site_setting"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Topic(StrEnum):
    """What changed, for those who show it. It names no row: the reader asks again."""

    SCHEDULE = "schedule"
    STUDIES = "studies"
    REPORTS = "reports"
    JOBS = "jobs"
    ADMIN = "admin"
    DEVICES = "devices"


class NumberRange(Base):
    """The last number given out: patient IDs, orders. The row's lock makes each unique."""

    __tablename__ = "number_range"

    key: Mapped[str] = mapped_column(String(24), primary_key=True)
    last: Mapped[int]


class ChangeCounter(Base):
    """SQLite's substitute for NOTIFY: one row a topic, raised in the changing transaction."""

    __tablename__ = "change_counter"

    topic: Mapped[str] = mapped_column(String(24), primary_key=True)
    value: Mapped[int] = mapped_column(default=0)
