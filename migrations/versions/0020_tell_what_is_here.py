"""Tell other systems of studies that are here."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | Sequence[str] | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("peer") as batch:
        batch.add_column(
            sa.Column("notifies", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("peer") as batch:
        batch.alter_column("notifies", server_default=None)
    op.create_table(
        "availability_notice",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("peer_pk", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column("number_of_instances", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["peer_pk"], ["peer.id"], name=op.f("fk_availability_notice_peer_pk_peer")
        ),
        sa.ForeignKeyConstraint(
            ["study_pk"], ["study.id"], name=op.f("fk_availability_notice_study_pk_study")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_availability_notice")),
        sa.UniqueConstraint(
            "peer_pk", "study_pk", name=op.f("uq_availability_notice_peer_pk_study_pk")
        ),
    )
    op.create_index(op.f("ix_availability_notice_study_pk"), "availability_notice", ["study_pk"])


def downgrade() -> None:
    # The program of the schema below cannot read this kind of job.
    op.execute("DELETE FROM job WHERE kind = 'notify'")
    op.drop_table("availability_notice")
    with op.batch_alter_table("peer") as batch:
        batch.drop_column("notifies")
