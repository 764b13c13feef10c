"""Bulk aborts remember what was previewed, and how far they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

provider = postgresql.ENUM("ACCRED", "DEFAULT", "TEST", name="user_provider_enum", create_type=False)
keys = postgresql.ARRAY(sa.Uuid())
now = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "bulk_aborts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("pipeline_ids", keys, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("succeeded", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused", keys, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_aborts")),
    )
    op.create_index("ix_bulk_aborts_created_at", "bulk_aborts", ["created_at"])


def downgrade() -> None:
    op.drop_table("bulk_aborts")
