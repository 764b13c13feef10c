"""Find uploads of the same bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_uploads_sha256",
            "uploads",
            ["sha256"],
            postgresql_where=sa.text("sha256 IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_uploads_sha256", "uploads", postgresql_concurrently=True)
