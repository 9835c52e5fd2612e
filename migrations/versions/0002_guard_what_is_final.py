"""Guard what is final: signed reports, their PDFs and the audit refuse any change.

A later batch migration of one of these tables rebuilds it on SQLite and loses its triggers:
call ``guard`` again at its end.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Table: (condition on OLD under which a row is final, columns that identify it).
FINAL = {
    "report": ("OLD.status = 'signed'", ("id", "study_pk")),
    "report_version": ("1 = 1", ("id",)),
    "report_document": ("1 = 1", ("report_version_pk",)),
    "audit_entry": ("1 = 1", ("id", "entry_hmac")),
}


def guard(table: str) -> None:
    final, keys = FINAL[table]
    message = f"{table} is final"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_final_{verb.lower()} BEFORE {verb} ON {table} "
                f"WHEN {final} BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
        # REPLACE deletes without asking the trigger on DELETE; it has to insert, though.
        same = " OR ".join(f"OLD.{key} = NEW.{key}" for key in keys)
        op.execute(
            f"CREATE TRIGGER {table}_final_insert BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} AS OLD WHERE ({same}) AND {final}) "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    op.execute(
        f"CREATE TRIGGER {table}_final BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW WHEN ({final}) EXECUTE FUNCTION clinic_refuse()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_final_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION clinic_refuse()"
    )


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION clinic_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is final', TG_TABLE_NAME; END $$"
        )
    for table in FINAL:
        guard(table)


def downgrade() -> None:
    for table in FINAL:
        if op.get_bind().dialect.name == "sqlite":
            for verb in ("update", "delete", "insert"):
                op.execute(f"DROP TRIGGER {table}_final_{verb}")
        else:
            op.execute(f"DROP TRIGGER {table}_final ON {table}")
            op.execute(f"DROP TRIGGER {table}_final_truncate ON {table}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION clinic_refuse()")
