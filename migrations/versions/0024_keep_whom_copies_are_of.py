"""Keep whom de-identified copies are of when the record of a person is corrected."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | Sequence[str] | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Empty in all rows: copies made so far are of what issuer and ID say now.
    op.add_column("patient", sa.Column("deidentified_as", sa.Text(), nullable=True))
    op.create_index(op.f("ix_patient_deidentified_as"), "patient", ["deidentified_as"], unique=True)


def downgrade() -> None:
    op.drop_index(op.f("ix_patient_deidentified_as"), "patient")
    op.drop_column("patient", "deidentified_as")
