"""Keep what a reader drew on a study, and how they looked at it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "markup",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column("shapes", sa.JSON(), nullable=False),
        sa.Column("look", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_pk"], ["study.id"], name=op.f("fk_markup_study_pk")),
        sa.ForeignKeyConstraint(["user_pk"], ["user.id"], name=op.f("fk_markup_user_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_markup")),
        sa.UniqueConstraint("user_pk", "study_pk", name=op.f("uq_markup_user_pk_study_pk")),
    )
    op.create_index(op.f("ix_markup_study_pk"), "markup", ["study_pk"])


def downgrade() -> None:
    op.drop_table("markup")
