"""Count changes: one counter a topic, which SQLite's processes watch instead of NOTIFY."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

counter = sa.table("change_counter", sa.column("topic"), sa.column("value"))
TOPICS = ("schedule", "studies", "reports", "jobs", "admin")


def upgrade() -> None:
    op.bulk_insert(counter, [{"topic": topic, "value": 0} for topic in TOPICS])


def downgrade() -> None:
    op.execute(counter.delete())
