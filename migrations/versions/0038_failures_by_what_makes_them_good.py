"""The index of failed pipelines has what tells whether a later success made them good, so that they are not read for it."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None
EXPANDS = True

NAME, BUILT, FAILED = "ix_pipelines_failed", "ix_pipelines_failed_built", "status IN ('PARTIAL', 'FAILED')"
MAKES_GOOD = ["status", "scope_key", "wider_scope_key", "file_key", "file_digest", "file_name", "unit_institutional_id"]


def upgrade() -> None:
    _replace(MAKES_GOOD)


def downgrade() -> None:
    _replace([])


def _replace(included: list[str]) -> None:
    """The index is there all the time, in one form or the other. It can be run again after any of its steps."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {BUILT}")
        op.create_index(
            BUILT,
            "pipelines",
            ["provider", "id"],
            postgresql_where=sa.text(FAILED),
            postgresql_include=included,
            postgresql_concurrently=True,
        )
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
    op.execute(f"ALTER INDEX {BUILT} RENAME TO {NAME}")
