"""Keep ids beside names: who is called so is read from the index alone."""

from collections.abc import Sequence

from alembic import op

revision: str = "0022"
down_revision: str | Sequence[str] | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME = "ix_patient_search_name"


def upgrade() -> None:
    _create(["id"])


def downgrade() -> None:
    _create([])


def _create(include: list[str]) -> None:
    if op.get_bind().dialect.name != "postgresql":  # an index of SQLite's holds the id by itself
        return
    op.drop_index(NAME, "patient")
    op.create_index(
        NAME,
        "patient",
        ["search_name"],
        postgresql_ops={"search_name": "text_pattern_ops"},
        postgresql_include=include,
    )
