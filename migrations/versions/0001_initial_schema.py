"""initial schema"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "sign in",
                "sign in failed",
                "sign out",
                "denied",
                "create",
                "change",
                "cancel",
                "check in",
                "search",
                "view",
                "receive",
                "conflict",
                "link",
                "forward",
                "draft",
                "sign",
                "hand out",
                "export",
                "retry",
                "association refused",
                name="action",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("subject_type", sa.String(length=32), nullable=False),
        sa.Column(
            "subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("patient_pk", sa.Integer(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_hmac", sa.String(length=64), nullable=False),
        sa.Column("entry_hmac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
        sa.UniqueConstraint("entry_hmac", name=op.f("uq_audit_entry_entry_hmac")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entry_action"), ["action"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_patient_pk"), ["patient_pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_subject_id"), ["subject_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_username"), ["username"], unique=False)

    op.create_table(
        "change_counter",
        sa.Column("topic", sa.String(length=24), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_change_counter")),
    )
    op.create_table(
        "number_range",
        sa.Column("key", sa.String(length=24), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_number_range")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "thumbnail",
                "report pdf",
                "forward",
                "settle study",
                name="job_kind",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "failed",
                name="job_state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=False),
        sa.Column("lease_until_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("kind", "subject_id", name=op.f("uq_job_kind_subject_id")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_state_not_before_at", ["state", "not_before_at"], unique=False
        )

    op.create_table(
        "login_attempt",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempt")),
    )
    with op.batch_alter_table("login_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_attempt_address"), ["address"], unique=False)
        batch_op.create_index(batch_op.f("ix_login_attempt_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_login_attempt_username"), ["username"], unique=False)

    op.create_table(
        "patient",
        sa.Column("id", sa.Integer(), nullable=False),
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
        sa.Column(
            "patient_telephone_numbers",
            sa.String(length=16),
            nullable=False,
            comment="(0010,2154) Patient's Telephone Numbers",
        ),
        sa.Column(
            "patient_address",
            sa.String(length=64),
            nullable=False,
            comment="(0010,1040) Patient's Address",
        ),
        sa.Column(
            "patient_comments", sa.Text(), nullable=False, comment="(0010,4000) Patient Comments"
        ),
        sa.Column(
            "allergies", sa.String(length=64), nullable=False, comment="(0010,2110) Allergies"
        ),
        sa.Column("search_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
        sa.UniqueConstraint(
            "issuer_of_patient_id",
            "patient_id",
            name=op.f("uq_patient_issuer_of_patient_id_patient_id"),
        ),
    )
    with op.batch_alter_table("patient", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_patient_patient_birth_date"), ["patient_birth_date"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_patient_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_patient_search_name"), ["search_name"], unique=False)

    op.create_table(
        "peer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer_name", sa.String(length=64), nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("forwards", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("port between 0 and 65535", name=op.f("ck_peer_port")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_peer")),
        sa.UniqueConstraint("ae_title", name=op.f("uq_peer_ae_title")),
        sa.UniqueConstraint("peer_name", name=op.f("uq_peer_peer_name")),
    )
    op.create_table(
        "procedure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code_value", sa.String(length=16), nullable=False),
        sa.Column(
            "requested_procedure_description",
            sa.String(length=64),
            nullable=False,
            comment="(0032,1060) Requested Procedure Description",
        ),
        sa.Column("modality", sa.String(length=16), nullable=False, comment="(0008,0060) Modality"),
        sa.Column(
            "body_part_examined",
            sa.String(length=16),
            nullable=False,
            comment="(0018,0015) Body Part Examined",
        ),
        sa.Column("duration_min", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.CheckConstraint("duration_min between 5 and 600", name=op.f("ck_procedure_duration")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_procedure")),
        sa.UniqueConstraint("code_value", name=op.f("uq_procedure_code_value")),
    )
    op.create_table(
        "room",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("room_name", sa.String(length=64), nullable=False),
        sa.Column("station_ae_title", sa.String(length=16), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False, comment="(0008,0060) Modality"),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room")),
        sa.UniqueConstraint("room_name", name=op.f("uq_room_room_name")),
        sa.UniqueConstraint("station_ae_title", name=op.f("uq_room_station_ae_title")),
    )
    op.create_table(
        "site_setting",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_site_setting")),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=128), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "receptionist",
                "technologist",
                "clinician",
                "analyst",
                "admin",
                "system",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("username", name=op.f("uq_user_username")),
    )
    op.create_table(
        "appointment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_pk", sa.Integer(), nullable=False),
        sa.Column("room_pk", sa.Integer(), nullable=False),
        sa.Column("procedure_pk", sa.Integer(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "booked",
                "arrived",
                "images arriving",
                "to read",
                "reported",
                "cancelled",
                "no-show",
                name="appointment_status",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "priority",
            sa.Enum(
                "STAT",
                "HIGH",
                "ROUTINE",
                name="priority",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("accession_number", sa.String(length=16), nullable=False),
        sa.Column("scheduled_procedure_step_id", sa.String(length=16), nullable=False),
        sa.Column(
            "requested_procedure_id",
            sa.String(length=16),
            nullable=False,
            comment="(0040,1001) Requested Procedure ID",
        ),
        sa.Column(
            "referring_physician_name",
            sa.String(length=194),
            nullable=False,
            comment="(0008,0090) Referring Physician's Name",
        ),
        sa.Column(
            "reason_for_the_requested_procedure",
            sa.String(length=64),
            nullable=False,
            comment="(0040,1002) Reason for the Requested Procedure",
        ),
        sa.Column("cancellation_reason", sa.String(length=256), nullable=False),
        sa.Column("checked_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("images_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("end_at > start_at", name=op.f("ck_appointment_positive_length")),
        sa.ForeignKeyConstraint(
            ["patient_pk"], ["patient.id"], name=op.f("fk_appointment_patient_pk")
        ),
        sa.ForeignKeyConstraint(
            ["procedure_pk"], ["procedure.id"], name=op.f("fk_appointment_procedure_pk")
        ),
        sa.ForeignKeyConstraint(["room_pk"], ["room.id"], name=op.f("fk_appointment_room_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
        sa.UniqueConstraint("accession_number", name=op.f("uq_appointment_accession_number")),
        sa.UniqueConstraint(
            "scheduled_procedure_step_id", name=op.f("uq_appointment_scheduled_procedure_step_id")
        ),
        sa.UniqueConstraint("study_instance_uid", name=op.f("uq_appointment_study_instance_uid")),
    )
    with op.batch_alter_table("appointment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_appointment_patient_pk"), ["patient_pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_appointment_room_pk"), ["room_pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_appointment_start_at"), ["start_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_appointment_status"), ["status"], unique=False)

    op.create_table(
        "web_session",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_pk"], ["user.id"], name=op.f("fk_web_session_user_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_session")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_web_session_token_sha256")),
    )
    with op.batch_alter_table("web_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_web_session_user_pk"), ["user_pk"], unique=False)

    op.create_table(
        "appointment_slot",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("appointment_pk", sa.Integer(), nullable=False),
        sa.Column("room_pk", sa.Integer(), nullable=False),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_pk"],
            ["appointment.id"],
            name=op.f("fk_appointment_slot_appointment_pk"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["room_pk"], ["room.id"], name=op.f("fk_appointment_slot_room_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment_slot")),
        sa.UniqueConstraint("room_pk", "slot_at", name=op.f("uq_appointment_slot_room_pk_slot_at")),
    )
    with op.batch_alter_table("appointment_slot", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_appointment_slot_appointment_pk"), ["appointment_pk"], unique=False
        )

    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_pk", sa.Integer(), nullable=True),
        sa.Column("appointment_pk", sa.Integer(), nullable=True),
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
        sa.Column(
            "accession_number",
            sa.String(length=16),
            nullable=False,
            comment="(0008,0050) Accession Number",
        ),
        sa.Column("study_id", sa.String(length=16), nullable=False, comment="(0020,0010) Study ID"),
        sa.Column("study_date", sa.Date(), nullable=True, comment="(0008,0020) Study Date"),
        sa.Column("study_time", sa.Time(), nullable=True, comment="(0008,0030) Study Time"),
        sa.Column(
            "timezone_offset_from_utc",
            sa.String(length=16),
            nullable=False,
            comment="(0008,0201) Timezone Offset From UTC",
        ),
        sa.Column(
            "study_description",
            sa.String(length=64),
            nullable=False,
            comment="(0008,1030) Study Description",
        ),
        sa.Column(
            "referring_physician_name",
            sa.String(length=194),
            nullable=False,
            comment="(0008,0090) Referring Physician's Name",
        ),
        sa.Column("modalities_in_study", sa.String(length=128), nullable=False),
        sa.Column("number_of_instances", sa.Integer(), nullable=False),
        sa.Column("source_ae_title", sa.String(length=16), nullable=False),
        sa.Column("search_name", sa.Text(), nullable=False),
        sa.Column("first_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_pk"], ["appointment.id"], name=op.f("fk_study_appointment_pk")
        ),
        sa.ForeignKeyConstraint(["patient_pk"], ["patient.id"], name=op.f("fk_study_patient_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("study_instance_uid", name=op.f("uq_study_study_instance_uid")),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_study_accession_number"), ["accession_number"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_study_appointment_pk"), ["appointment_pk"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_study_first_received_at"), ["first_received_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_study_last_received_at"), ["last_received_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_study_modalities_in_study"), ["modalities_in_study"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_study_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_patient_pk"), ["patient_pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_search_name"), ["search_name"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_study_date"), ["study_date"], unique=False)

    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "signed",
                name="report_status",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("template", sa.String(length=64), nullable=False),
        sa.Column("clinical_information", sa.Text(), nullable=False),
        sa.Column("technique", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("impression", sa.Text(), nullable=False),
        sa.Column("key_images", sa.JSON(), nullable=False),
        sa.Column("author_pk", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["author_pk"], ["user.id"], name=op.f("fk_report_author_pk")),
        sa.ForeignKeyConstraint(["study_pk"], ["study.id"], name=op.f("fk_report_study_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("study_pk", name=op.f("uq_report_study_pk")),
    )
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_report_status"), ["status"], unique=False)

    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_pk", sa.Integer(), nullable=False),
        sa.Column(
            "series_instance_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0020,000E) Series Instance UID",
        ),
        sa.Column("modality", sa.String(length=16), nullable=False, comment="(0008,0060) Modality"),
        sa.Column(
            "series_number", sa.Integer(), nullable=True, comment="(0020,0011) Series Number"
        ),
        sa.Column(
            "series_description",
            sa.String(length=64),
            nullable=False,
            comment="(0008,103E) Series Description",
        ),
        sa.Column(
            "body_part_examined",
            sa.String(length=16),
            nullable=False,
            comment="(0018,0015) Body Part Examined",
        ),
        sa.Column("number_of_instances", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_pk"], ["study.id"], name=op.f("fk_series_study_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint(
            "study_pk", "series_instance_uid", name=op.f("uq_series_study_pk_series_instance_uid")
        ),
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_series_series_instance_uid"), ["series_instance_uid"], unique=False
        )

    op.create_table(
        "instance",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_pk", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "sop_class_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0008,0016) SOP Class UID",
        ),
        sa.Column(
            "transfer_syntax_uid",
            sa.String(length=64),
            nullable=False,
            comment="(0002,0010) Transfer Syntax UID",
        ),
        sa.Column(
            "instance_number", sa.Integer(), nullable=True, comment="(0020,0013) Instance Number"
        ),
        sa.Column("rows", sa.Integer(), nullable=True, comment="(0028,0010) Rows"),
        sa.Column("columns", sa.Integer(), nullable=True, comment="(0028,0011) Columns"),
        sa.Column("number_of_frames", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("source_ae_title", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["series_pk"], ["series.id"], name=op.f("fk_instance_series_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_instance_sop_instance_uid")),
    )
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_path"), ["path"], unique=False)
        batch_op.create_index(batch_op.f("ix_instance_series_pk"), ["series_pk"], unique=False)

    op.create_table(
        "report_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_pk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("signed_by_pk", sa.Integer(), nullable=False),
        sa.Column("signed_by_name", sa.String(length=128), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_pk"], ["report.id"], name=op.f("fk_report_version_report_pk")
        ),
        sa.ForeignKeyConstraint(
            ["signed_by_pk"], ["user.id"], name=op.f("fk_report_version_signed_by_pk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_version")),
        sa.UniqueConstraint("report_pk", "number", name=op.f("uq_report_version_report_pk_number")),
    )
    op.create_table(
        "thumbnail",
        sa.Column("series_pk", sa.Integer(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["series_pk"], ["series.id"], name=op.f("fk_thumbnail_series_pk")),
        sa.PrimaryKeyConstraint("series_pk", name=op.f("pk_thumbnail")),
    )
    op.create_table(
        "forwarding",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("peer_pk", sa.Integer(), nullable=False),
        sa.Column(
            "instance_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "delivered",
                "refused",
                name="forwarding_state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_pk"], ["instance.id"], name=op.f("fk_forwarding_instance_pk")
        ),
        sa.ForeignKeyConstraint(["peer_pk"], ["peer.id"], name=op.f("fk_forwarding_peer_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forwarding")),
        sa.UniqueConstraint(
            "peer_pk", "instance_pk", name=op.f("uq_forwarding_peer_pk_instance_pk")
        ),
    )
    with op.batch_alter_table("forwarding", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_forwarding_instance_pk"), ["instance_pk"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_forwarding_state"), ["state"], unique=False)

    op.create_table(
        "instance_conflict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "instance_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("source_ae_title", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_pk"], ["instance.id"], name=op.f("fk_instance_conflict_instance_pk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance_conflict")),
        sa.UniqueConstraint(
            "instance_pk", "sha256", name=op.f("uq_instance_conflict_instance_pk_sha256")
        ),
    )
    op.create_table(
        "report_document",
        sa.Column("report_version_pk", sa.Integer(), nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rendered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_version_pk"],
            ["report_version.id"],
            name=op.f("fk_report_document_report_version_pk"),
        ),
        sa.PrimaryKeyConstraint("report_version_pk", name=op.f("pk_report_document")),
    )


def downgrade() -> None:
    op.drop_table("report_document")
    op.drop_table("instance_conflict")
    with op.batch_alter_table("forwarding", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_forwarding_state"))
        batch_op.drop_index(batch_op.f("ix_forwarding_instance_pk"))

    op.drop_table("forwarding")
    op.drop_table("thumbnail")
    op.drop_table("report_version")
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_instance_series_pk"))
        batch_op.drop_index(batch_op.f("ix_instance_path"))

    op.drop_table("instance")
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_series_series_instance_uid"))

    op.drop_table("series")
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_report_status"))

    op.drop_table("report")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_study_date"))
        batch_op.drop_index(batch_op.f("ix_study_search_name"))
        batch_op.drop_index(batch_op.f("ix_study_patient_pk"))
        batch_op.drop_index(batch_op.f("ix_study_patient_id"))
        batch_op.drop_index(batch_op.f("ix_study_modalities_in_study"))
        batch_op.drop_index(batch_op.f("ix_study_last_received_at"))
        batch_op.drop_index(batch_op.f("ix_study_first_received_at"))
        batch_op.drop_index(batch_op.f("ix_study_appointment_pk"))
        batch_op.drop_index(batch_op.f("ix_study_accession_number"))

    op.drop_table("study")
    with op.batch_alter_table("appointment_slot", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_appointment_slot_appointment_pk"))

    op.drop_table("appointment_slot")
    with op.batch_alter_table("web_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_web_session_user_pk"))

    op.drop_table("web_session")
    with op.batch_alter_table("appointment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_appointment_status"))
        batch_op.drop_index(batch_op.f("ix_appointment_start_at"))
        batch_op.drop_index(batch_op.f("ix_appointment_room_pk"))
        batch_op.drop_index(batch_op.f("ix_appointment_patient_pk"))

    op.drop_table("appointment")
    op.drop_table("user")
    op.drop_table("site_setting")
    op.drop_table("room")
    op.drop_table("procedure")
    op.drop_table("peer")
    with op.batch_alter_table("patient", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_patient_search_name"))
        batch_op.drop_index(batch_op.f("ix_patient_patient_id"))
        batch_op.drop_index(batch_op.f("ix_patient_patient_birth_date"))

    op.drop_table("patient")
    with op.batch_alter_table("login_attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_attempt_username"))
        batch_op.drop_index(batch_op.f("ix_login_attempt_at"))
        batch_op.drop_index(batch_op.f("ix_login_attempt_address"))

    op.drop_table("login_attempt")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_state_not_before_at")

    op.drop_table("job")
    op.drop_table("change_counter")
    op.drop_table("number_range")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entry_username"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_subject_id"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_patient_pk"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_at"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_action"))

    op.drop_table("audit_entry")
