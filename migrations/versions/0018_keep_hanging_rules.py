"""Keep how a reader wants studies to hang."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | Sequence[str] | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "hanging_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("body_part_examined", sa.String(length=16), nullable=False),
        sa.Column("hanging", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_pk"], ["user.id"], name=op.f("fk_hanging_rule_user_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hanging_rule")),
        sa.UniqueConstraint(
            "user_pk",
            "modality",
            "body_part_examined",
            name=op.f("uq_hanging_rule_user_pk_modality_body_part_examined"),
        ),
    )


def downgrade() -> None:
    op.drop_table("hanging_rule")
