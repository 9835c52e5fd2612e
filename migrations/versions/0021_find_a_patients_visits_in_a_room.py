"""Find the visits of patients in one room by an index alone: a station that asks for a name."""

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | Sequence[str] | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BEFORE, AFTER = "ix_appointment_patient_pk", "ix_appointment_patient_pk_room_pk"


def upgrade() -> None:
    op.create_index(AFTER, "appointment", ["patient_pk", "room_pk"])
    op.drop_index(BEFORE, "appointment")


def downgrade() -> None:
    op.create_index(BEFORE, "appointment", ["patient_pk"])
    op.drop_index(AFTER, "appointment")
