"""Note other identities: objects of another person in a study are never unseen."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | Sequence[str] | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "other_identity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "patient_id", sa.String(length=64), nullable=False, comment="(0010,0020) Patient ID"
        ),
        sa.Column(
            "issuer_of_patient_id",
            sa.String(length=64),
            nullable=False,
            comment="(0010,0021) Issuer of Patient ID",
        ),
        sa.Column(
            "patient_name",
            sa.String(length=194),
            nullable=False,
            comment="(0010,0010) Patient's Name",
        ),
        sa.Column(
            "patient_birth_date",
            sa.Date(),
            nullable=True,
            comment="(0010,0030) Patient's Birth Date",
        ),
        sa.Column(
            "patient_sex", sa.String(length=16), nullable=False, comment="(0010,0040) Patient's Sex"
        ),
        sa.Column("differs", sa.String(length=128), nullable=False),
        sa.Column("source_ae_title", sa.String(length=16), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_pk"], ["study.id"], name=op.f("fk_other_identity_study_pk_study")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_other_identity")),
        sa.UniqueConstraint("study_pk", "digest", name=op.f("uq_other_identity_study_pk_digest")),
    )


def downgrade() -> None:
    op.drop_table("other_identity")
