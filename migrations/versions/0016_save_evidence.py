"""Remember what readers saved of a study as DICOM."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | Sequence[str] | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("ordered_at", MOMENT, nullable=False),
        sa.Column("saved_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["study_pk"], ["study.id"], name=op.f("fk_evidence_study_pk_study")
        ),
        sa.ForeignKeyConstraint(["user_pk"], ["user.id"], name=op.f("fk_evidence_user_pk_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_evidence_sop_instance_uid")),
        sa.UniqueConstraint(
            "user_pk",
            "study_pk",
            "kind",
            "number",
            name=op.f("uq_evidence_user_pk_study_pk_kind_number"),
        ),
    )
    op.create_index(op.f("ix_evidence_study_pk"), "evidence", ["study_pk"])


def downgrade() -> None:
    op.drop_table("evidence")
