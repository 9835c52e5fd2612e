"""Count contexts: a list of associations need not read what each of them offered."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COUNTS = ("contexts_offered", "contexts_accepted")
records = sa.table(
    "association_record",
    sa.column("id", sa.BigInteger),
    sa.column("contexts", sa.JSON),
    *(sa.column(name, sa.Integer) for name in COUNTS),
)


def upgrade() -> None:
    with op.batch_alter_table("association_record") as batch:
        for name in COUNTS:
            batch.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    connection = op.get_bind()
    for id_, contexts in connection.execute(sa.select(records.c.id, records.c.contexts)).all():
        accepted = sum(context["result"] == 0 for context in contexts)
        counts = {"contexts_offered": len(contexts), "contexts_accepted": accepted}
        connection.execute(sa.update(records).where(records.c.id == id_).values(counts))
    with op.batch_alter_table("association_record") as batch:
        for name in COUNTS:
            batch.alter_column(name, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("association_record") as batch:
        for name in COUNTS:
            batch.drop_column(name)
