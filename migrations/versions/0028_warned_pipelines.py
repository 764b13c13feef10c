"""Pipelines that went well but for a warning are found, and counted, through an index of them alone."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


WARNED = {"ix_pipelines_warned": (["provider", "id"], "has_warning AND status = 'SUCCESS'")}
TOLD = {
    "ix_pipelines_status": (["provider", "status", "id"], None),
    "ix_pipelines_signature": (["provider", "signature", "status", "entity_type", "creator"], "signature IS NOT NULL"),
}
"""Tell of what they list also that it warned."""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, (columns, where) in WARNED.items():
            op.create_index(name, "pipelines", columns, postgresql_where=sa.text(where), postgresql_concurrently=True)
        for name, (columns, where) in TOLD.items():
            op.create_index(
                f"{name}_new",
                "pipelines",
                columns,
                postgresql_where=where and sa.text(where),
                postgresql_include=["has_warning"],
                postgresql_concurrently=True,
            )
            op.drop_index(name, table_name="pipelines", postgresql_concurrently=True)
            op.execute(f"ALTER INDEX {name}_new RENAME TO {name}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_pipelines_warned", table_name="pipelines", postgresql_concurrently=True)
        for name, (columns, where) in TOLD.items():
            op.drop_index(name, table_name="pipelines", postgresql_concurrently=True)
            op.create_index(name, "pipelines", columns, postgresql_where=where and sa.text(where), postgresql_concurrently=True)
