"""Find by station, birth date and name: indexes for queries of devices."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


NAME = "ix_study_search_name"
GROUPS = sa.text("patient_name LIKE '%=%'")


def upgrade() -> None:
    op.create_index("ix_appointment_room_pk_start_at", "appointment", ["room_pk", "start_at"])
    op.drop_index("ix_appointment_room_pk", "appointment")
    op.create_index("ix_study_patient_birth_date", "study", ["patient_birth_date"])
    # PostgreSQL's plain index is of no use to a prefix, unless its locale is C.
    op.drop_index(NAME, "study")
    operators = {"search_name": "text_pattern_ops"}
    op.create_index(NAME, "study", ["search_name"], postgresql_ops=operators)
    op.create_index(
        "ix_study_name_groups",
        "study",
        ["search_name"],
        sqlite_where=GROUPS,
        postgresql_where=GROUPS,
    )


def downgrade() -> None:
    op.drop_index("ix_study_name_groups", "study")
    op.drop_index(NAME, "study")
    op.create_index(NAME, "study", ["search_name"])
    op.drop_index("ix_study_patient_birth_date", "study")
    op.create_index("ix_appointment_room_pk", "appointment", ["room_pk"])
    op.drop_index("ix_appointment_room_pk_start_at", "appointment")
