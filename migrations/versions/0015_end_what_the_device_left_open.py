"""End what the device left open: since when, and why, a step no longer holds its booking."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | Sequence[str] | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLE = "performed_step_request"


def upgrade() -> None:
    # Not in batch mode: adding a column needs no rebuilt table.
    op.add_column(TABLE, sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        TABLE,
        sa.Column("ended_reason", sa.String(length=256), nullable=False, server_default=""),
    )


def downgrade() -> None:
    op.drop_column(TABLE, "ended_reason")
    op.drop_column(TABLE, "ended_at")
