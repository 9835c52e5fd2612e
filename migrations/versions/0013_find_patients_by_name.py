"""Find patients by name: what it begins with, in each of its component groups."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME, GROUPS = "ix_patient_search_name", "ix_patient_name_groups"
HAS_GROUPS = sa.text("patient_name LIKE '%=%'")


def upgrade() -> None:
    op.drop_index(NAME, "patient")
    operators = {"search_name": "text_pattern_ops"}
    op.create_index(NAME, "patient", ["search_name"], postgresql_ops=operators)
    op.create_index(
        GROUPS, "patient", ["search_name"], sqlite_where=HAS_GROUPS, postgresql_where=HAS_GROUPS
    )


def downgrade() -> None:
    op.drop_index(GROUPS, "patient")
    op.drop_index(NAME, "patient")
    op.create_index(NAME, "patient", ["search_name"])
