"""Count arrivals: what the audit is yet to name, kept with the objects' own commit."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "arrival",
        sa.Column("series_pk", sa.Integer(), nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_pk"], ["series.id"], name=op.f("fk_arrival_series_pk_series")
        ),
        sa.PrimaryKeyConstraint("series_pk", "ae_title", "address", name=op.f("pk_arrival")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("arrival")
