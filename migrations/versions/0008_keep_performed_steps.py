"""Keep performed procedure steps: what modalities say they do, and the objects they announce.

The column is added and dropped as such: a batch would rebuild the bookings, and rows elsewhere
hang on them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "performed_procedure_step",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "performed_procedure_step_status",
            sa.Enum(
                "IN PROGRESS",
                "COMPLETED",
                "DISCONTINUED",
                name="performed_status",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "performed_procedure_step_id",
            sa.String(length=16),
            nullable=False,
            comment="(0040,0253) Performed Procedure Step ID",
        ),
        sa.Column(
            "performed_station_ae_title",
            sa.String(length=16),
            nullable=False,
            comment="(0040,0241) Performed Station AE Title",
        ),
        sa.Column(
            "performed_station_name",
            sa.String(length=16),
            nullable=False,
            comment="(0040,0242) Performed Station Name",
        ),
        sa.Column(
            "performed_location",
            sa.String(length=16),
            nullable=False,
            comment="(0040,0243) Performed Location",
        ),
        sa.Column(
            "performed_procedure_step_start_date",
            sa.Date(),
            nullable=True,
            comment="(0040,0244) Performed Procedure Step Start Date",
        ),
        sa.Column(
            "performed_procedure_step_start_time",
            sa.Time(),
            nullable=True,
            comment="(0040,0245) Performed Procedure Step Start Time",
        ),
        sa.Column(
            "performed_procedure_step_end_date",
            sa.Date(),
            nullable=True,
            comment="(0040,0250) Performed Procedure Step End Date",
        ),
        sa.Column(
            "performed_procedure_step_end_time",
            sa.Time(),
            nullable=True,
            comment="(0040,0251) Performed Procedure Step End Time",
        ),
        sa.Column(
            "timezone_offset_from_utc",
            sa.String(length=16),
            nullable=False,
            comment="(0008,0201) Timezone Offset From UTC",
        ),
        sa.Column(
            "performed_procedure_step_description",
            sa.String(length=64),
            nullable=False,
            comment="(0040,0254) Performed Procedure Step Description",
        ),
        sa.Column("discontinuation_code_value", sa.String(length=64), nullable=False),
        sa.Column("discontinuation_coding_scheme", sa.String(length=16), nullable=False),
        sa.Column("discontinuation_code_meaning", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False, comment="(0008,0060) Modality"),
        sa.Column("study_id", sa.String(length=16), nullable=False, comment="(0020,0010) Study ID"),
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
        sa.Column("patient_pk", sa.Integer(), nullable=True),
        sa.Column("source_ae_title", sa.String(length=16), nullable=False),
        sa.Column("number_announced", sa.Integer(), nullable=False),
        sa.Column("number_missing", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_pk"], ["patient.id"], name=op.f("fk_performed_procedure_step_patient_pk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performed_procedure_step")),
        sa.UniqueConstraint(
            "sop_instance_uid", name=op.f("uq_performed_procedure_step_sop_instance_uid")
        ),
    )
    op.create_index(
        "ix_performed_procedure_step_patient_pk", "performed_procedure_step", ["patient_pk"]
    )

    op.create_table(
        "performed_series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("step_pk", sa.Integer(), nullable=False),
        sa.Column(
            "series_instance_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0020,000E) Series Instance UID",
        ),
        sa.Column(
            "protocol_name",
            sa.String(length=64),
            nullable=False,
            comment="(0018,1030) Protocol Name",
        ),
        sa.Column(
            "series_description",
            sa.String(length=64),
            nullable=False,
            comment="(0008,103E) Series Description",
        ),
        sa.Column(
            "operators_name",
            sa.String(length=194),
            nullable=False,
            comment="(0008,1070) Operators' Name",
        ),
        sa.Column(
            "performing_physician_name",
            sa.String(length=194),
            nullable=False,
            comment="(0008,1050) Performing Physician's Name",
        ),
        sa.Column(
            "retrieve_ae_title",
            sa.String(length=16),
            nullable=False,
            comment="(0008,0054) Retrieve AE Title",
        ),
        sa.ForeignKeyConstraint(
            ["step_pk"],
            ["performed_procedure_step.id"],
            name=op.f("fk_performed_series_step_pk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performed_series")),
        sa.UniqueConstraint(
            "step_pk",
            "series_instance_uid",
            name=op.f("uq_performed_series_step_pk_series_instance_uid"),
        ),
    )
    op.create_index(
        "ix_performed_series_series_instance_uid", "performed_series", ["series_instance_uid"]
    )

    op.create_table(
        "performed_step_message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("step_pk", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_ae_title", sa.String(length=16), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("attributes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_pk"],
            ["performed_procedure_step.id"],
            name=op.f("fk_performed_step_message_step_pk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performed_step_message")),
    )
    op.create_index("ix_performed_step_message_step_pk", "performed_step_message", ["step_pk"])

    op.create_table(
        "performed_step_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("step_pk", sa.Integer(), nullable=False),
        sa.Column(
            "study_instance_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0020,000D) Study Instance UID",
        ),
        sa.Column(
            "accession_number",
            sa.String(length=16),
            nullable=False,
            comment="(0008,0050) Accession Number",
        ),
        sa.Column(
            "requested_procedure_id",
            sa.String(length=16),
            nullable=False,
            comment="(0040,1001) Requested Procedure ID",
        ),
        sa.Column(
            "scheduled_procedure_step_id",
            sa.String(length=16),
            nullable=False,
            comment="(0040,0009) Scheduled Procedure Step ID",
        ),
        sa.Column("appointment_pk", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["appointment_pk"],
            ["appointment.id"],
            name=op.f("fk_performed_step_request_appointment_pk"),
        ),
        sa.ForeignKeyConstraint(
            ["step_pk"],
            ["performed_procedure_step.id"],
            name=op.f("fk_performed_step_request_step_pk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performed_step_request")),
    )
    op.create_index(
        "ix_performed_step_request_appointment_pk", "performed_step_request", ["appointment_pk"]
    )
    op.create_index("ix_performed_step_request_step_pk", "performed_step_request", ["step_pk"])
    op.create_index(
        "ix_performed_step_request_study_instance_uid",
        "performed_step_request",
        ["study_instance_uid"],
    )

    op.create_table(
        "announced_object",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_pk", sa.Integer(), nullable=False),
        sa.Column(
            "sop_class_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0008,0016) SOP Class UID",
        ),
        sa.Column(
            "sop_instance_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0008,0018) SOP Instance UID",
        ),
        sa.Column("is_image", sa.Boolean(), nullable=False),
        sa.Column("is_missing", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_pk"],
            ["performed_series.id"],
            name=op.f("fk_announced_object_series_pk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announced_object")),
    )
    op.create_index(
        "ix_announced_object_missing",
        "announced_object",
        ["sop_instance_uid"],
        sqlite_where=sa.text("is_missing = 1"),
        postgresql_where=sa.text("is_missing"),
    )
    op.create_index("ix_announced_object_series_pk", "announced_object", ["series_pk"])

    op.add_column(
        "appointment",
        sa.Column(
            "exam_status",
            sa.Enum(
                "IN PROGRESS",
                "COMPLETED",
                "DISCONTINUED",
                name="performed_status",
                native_enum=False,
                length=24,
            ),
            nullable=True,
        ),
    )


def downgrade() -> None:
    op.drop_column("appointment", "exam_status")
    for table in (
        "announced_object",
        "performed_step_request",
        "performed_step_message",
        "performed_series",
        "performed_procedure_step",
    ):
        op.drop_table(table)
