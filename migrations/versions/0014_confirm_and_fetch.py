"""Confirm what was forwarded, and fetch studies from other archives."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
STATES = ("waiting", "running", "done", "partly", "failed")


def upgrade() -> None:
    op.create_table(
        "confirmation",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("peer_pk", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["peer_pk"], ["peer.id"], name=op.f("fk_confirmation_peer_pk_peer")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_confirmation")),
        sa.UniqueConstraint("transaction_uid", name=op.f("uq_confirmation_transaction_uid")),
    )
    op.create_index("ix_confirmation_peer_pk", "confirmation", ["peer_pk"])
    with op.batch_alter_table("forwarding") as batch:
        batch.add_column(sa.Column("confirmed_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("confirmation_pk", BIG_KEY, nullable=True))
        batch.create_foreign_key(
            op.f("fk_forwarding_confirmation_pk_confirmation"),
            "confirmation",
            ["confirmation_pk"],
            ["id"],
        )
        batch.create_index("ix_forwarding_confirmation_pk", ["confirmation_pk"])
    with op.batch_alter_table("peer") as batch:
        batch.add_column(
            sa.Column("commits", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("peer") as batch:
        batch.alter_column("commits", server_default=None)
    op.create_table(
        "fetch",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("peer_pk", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "patient_id", sa.String(length=64), nullable=False, comment="(0010,0020) Patient ID"
        ),
        sa.Column(
            "patient_name",
            sa.String(length=194),
            nullable=False,
            comment="(0010,0010) Patient's Name",
        ),
        sa.Column(
            "study_description",
            sa.String(length=64),
            nullable=False,
            comment="(0008,1030) Study Description",
        ),
        sa.Column("study_date", sa.String(length=8), nullable=False),
        sa.Column("modalities", sa.String(length=128), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                *STATES, name="fetch_state", native_enum=False, create_constraint=True, length=24
            ),
            nullable=False,
        ),
        sa.Column("remaining", sa.Integer(), nullable=True),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(length=256), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["peer_pk"], ["peer.id"], name=op.f("fk_fetch_peer_pk_peer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetch")),
        sa.UniqueConstraint(
            "peer_pk",
            "study_instance_uid",
            name=op.f("uq_fetch_peer_pk_study_instance_uid"),
        ),
    )
    op.create_index("ix_fetch_asked_at", "fetch", ["asked_at"])


def downgrade() -> None:
    op.drop_table("fetch")
    with op.batch_alter_table("peer") as batch:
        batch.drop_column("commits")
    with op.batch_alter_table("forwarding") as batch:
        batch.drop_index("ix_forwarding_confirmation_pk")
        batch.drop_constraint(
            op.f("fk_forwarding_confirmation_pk_confirmation"), type_="foreignkey"
        )
        batch.drop_column("confirmation_pk")
        batch.drop_column("confirmed_at")
    op.drop_table("confirmation")
