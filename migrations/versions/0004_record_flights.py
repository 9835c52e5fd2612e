"""Record flights: associations and requests of devices; an index for worklist queries."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
counter = sa.table("change_counter", sa.column("topic"), sa.column("value"))


def upgrade() -> None:
    op.create_table(
        "association_record",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("called_ae_title", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("implementation", sa.String(length=96), nullable=False),
        sa.Column("ending", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=160), nullable=False),
        sa.Column("contexts", sa.JSON(), nullable=False),
        sa.Column("requests", sa.JSON(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_association_record")),
    )
    for column in ("started_at", "calling_ae_title"):
        op.create_index(f"ix_association_record_{column}", "association_record", [column])
    op.create_table(
        "request_record",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("association_pk", BIG_KEY, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("service", sa.String(length=24), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("statuses", sa.JSON(), nullable=False),
        sa.Column("comment", sa.String(length=160), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("character_set", sa.String(length=96), nullable=False),
        sa.Column("considered", sa.Integer(), nullable=False),
        sa.Column("fates", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["association_pk"],
            ["association_record.id"],
            name=op.f("fk_request_record_association_pk_association_record"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_record")),
    )
    for column in ("association_pk", "at"):
        op.create_index(f"ix_request_record_{column}", "request_record", [column])
    op.create_index("ix_request_record_service_at", "request_record", ["service", "at"])
    op.create_index("ix_appointment_status_start_at", "appointment", ["status", "start_at"])
    op.bulk_insert(counter, [{"topic": "devices", "value": 0}])


def downgrade() -> None:
    op.execute(counter.delete().where(counter.c.topic == "devices"))
    op.drop_index("ix_appointment_status_start_at", "appointment")
    op.drop_table("request_record")
    op.drop_table("association_record")
