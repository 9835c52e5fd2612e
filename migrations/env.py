"""Alembic's entry: online only, on the engine handed in or on the one of the settings."""

from typing import Any

from alembic import context
from sqlalchemy.types import BigInteger

from clinic_panel.config import Settings
from clinic_panel.models.base import Base, UtcDateTime
from clinic_panel.resources import build_engine


def render_item(kind: str, item: Any, autogen: Any) -> str | bool:
    """Write product types as plain SQLAlchemy, so that old revisions never import the product."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, BigInteger) and item._variant_mapping:
        return 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
    return False


engine = context.config.attributes.get("engine") or build_engine(Settings.read())
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
