"""Failures are grouped by cause and acknowledged, and the revisions that workers ran are known."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "data_ingestion_jobs"
PROVIDER = postgresql.ENUM("ACCRED", "DEFAULT", "TEST", name="user_provider_enum", create_type=False)
NOW = sa.text("clock_timestamp()")
CLASSIFIED = sa.text("failure_fingerprint IS NOT NULL")
UNCLASSIFIED = sa.text("failure_fingerprint IS NULL AND state = 'FINISHED' AND result IN ('ERROR', 'WARNING')")


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_revisions")),
    )
    op.create_table(
        "failure_groups",
        sa.Column("provider", PROVIDER, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("failure_class", sa.Text(), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "fingerprint", name=op.f("pk_failure_groups")),
    )
    op.create_table(
        "failure_acknowledgements",
        sa.Column("provider", PROVIDER, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("by", postgresql.JSONB(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "fingerprint", name=op.f("pk_failure_acknowledgements")),
        sa.ForeignKeyConstraint(
            ["provider", "fingerprint"],
            ["failure_groups.provider", "failure_groups.fingerprint"],
            name=op.f("fk_failure_acknowledgements_provider"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        f"ix_{TABLE}_failures",
        TABLE,
        ["provider", "failure_fingerprint", sa.text("coalesce(finished_at, created_at)")],
        unique=False,
        postgresql_where=CLASSIFIED,
    )
    op.create_index(f"ix_{TABLE}_unclassified", TABLE, ["id"], unique=False, postgresql_where=UNCLASSIFIED)


def downgrade() -> None:
    op.drop_index(f"ix_{TABLE}_unclassified", table_name=TABLE, postgresql_where=UNCLASSIFIED)
    op.drop_index(f"ix_{TABLE}_failures", table_name=TABLE, postgresql_where=CLASSIFIED)
    op.drop_table("failure_acknowledgements")
    op.drop_table("failure_groups")
    op.drop_table("revisions")
