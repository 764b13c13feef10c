"""An upload says where its bytes are and when they were pruned; reference data has a table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

provider = postgresql.ENUM("ACCRED", "DEFAULT", "TEST", name="user_provider_enum", create_type=False)


def upgrade() -> None:
    op.add_column("uploads", sa.Column("storage", sa.Text(), server_default="database", nullable=False))
    op.add_column("uploads", sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_uploads_kept", "uploads", ["created_at"], postgresql_where=sa.text("pruned_at IS NULL"))
    op.create_table(
        "reference_data",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("module_type_id", sa.Integer(), nullable=False),
        sa.Column("data_entry_type_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_data")),
        sa.UniqueConstraint(
            "provider",
            "year",
            "module_type_id",
            "data_entry_type_id",
            "key",
            name="uq_reference_data_key",
            postgresql_nulls_not_distinct=True,
        ),
    )


def downgrade() -> None:
    op.drop_table("reference_data")
    op.drop_index("ix_uploads_kept", table_name="uploads", postgresql_where=sa.text("pruned_at IS NULL"))
    op.drop_column("uploads", "pruned_at")
    op.drop_column("uploads", "storage")
