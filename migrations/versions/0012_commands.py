"""What commands leave behind: idempotency keys, the audit log, and saved views."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

provider = postgresql.ENUM("ACCRED", "DEFAULT", "TEST", name="user_provider_enum", create_type=False)
json = postgresql.JSONB(astext_type=sa.Text())
now = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("provider", provider, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("mutation", sa.Text(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("outcome", json, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("provider", "subject", "mutation", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("actor", json, nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("target", json, nullable=False),
        sa.Column("changes", json, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "triage_views",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("owner_subject", sa.Text(), nullable=False),
        sa.Column("owner", json, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("variables", json, nullable=True),
        sa.Column("is_shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triage_views")),
    )
    op.create_index("ix_triage_views_owner", "triage_views", ["provider", "owner_subject"])
    op.create_index("ix_triage_views_shared", "triage_views", ["provider"], postgresql_where=sa.text("is_shared"))


def downgrade() -> None:
    op.drop_index("ix_triage_views_shared", table_name="triage_views", postgresql_where=sa.text("is_shared"))
    op.drop_index("ix_triage_views_owner", table_name="triage_views")
    op.drop_table("triage_views")
    op.drop_table("audit_log")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
