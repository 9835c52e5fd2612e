"""Storage commitment: requests of devices, and how each device is called."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
STATES = ("checking", "to report", "reported", "given up")


def upgrade() -> None:
    op.create_table(
        "commitment_request",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("references_sha256", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                *STATES,
                name="commitment_state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("failures", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=256), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("held_until_at", MOMENT, nullable=True),
        sa.Column("give_up_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_request")),
        sa.UniqueConstraint(
            "ae_title",
            "transaction_uid",
            "number",
            name=op.f("uq_commitment_request_ae_title_transaction_uid_number"),
        ),
    )
    for column in ("state", "asked_at"):
        op.create_index(f"ix_commitment_request_{column}", "commitment_request", [column])
    op.create_table(
        "commitment_item",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("request_pk", BIG_KEY, nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["request_pk"],
            ["commitment_request.id"],
            name=op.f("fk_commitment_item_request_pk_commitment_request"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_item")),
    )
    op.create_index("ix_commitment_item_request_pk", "commitment_item", ["request_pk"])
    with op.batch_alter_table("peer") as batch:
        for name in ("uses_tls", "reports_on_same"):
            batch.add_column(
                sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
            )
    with op.batch_alter_table("peer") as batch:
        for name in ("uses_tls", "reports_on_same"):
            batch.alter_column(name, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("peer") as batch:
        batch.drop_column("reports_on_same")
        batch.drop_column("uses_tls")
    op.drop_table("commitment_item")
    op.drop_table("commitment_request")
