"""Remember orders of files to hand out."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | Sequence[str] | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "handout",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("ready_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["study_pk"], ["study.id"], name=op.f("fk_handout_study_pk_study")),
        sa.ForeignKeyConstraint(["user_pk"], ["user.id"], name=op.f("fk_handout_user_pk_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handout")),
    )
    op.create_index(op.f("ix_handout_study_pk"), "handout", ["study_pk"])
    op.create_index(op.f("ix_handout_asked_at"), "handout", ["asked_at"])


def downgrade() -> None:
    op.drop_table("handout")
