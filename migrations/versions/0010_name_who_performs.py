"""Name who performs: the performing physician of a booking."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMN = "scheduled_performing_physician_name"


def upgrade() -> None:
    # Not in batch mode: a rebuilt table would take what refers to it along.
    op.add_column(
        "appointment",
        sa.Column(
            COLUMN,
            sa.String(length=194),
            nullable=False,
            server_default="",
            comment="(0040,0006) Scheduled Performing Physician's Name",
        ),
    )


def downgrade() -> None:
    op.drop_column("appointment", COLUMN)
