"""Data entries say why they have no emission: of what was computed before, only that it waits for a factor, or was not."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("data_entries", sa.Column("lack", sa.Text(), nullable=True))
    op.execute(
        "UPDATE data_entries e SET lack = CASE WHEN e.data ? '__no_factor_yet__' THEN 'MISSING_FACTOR' ELSE 'NOT_COMPUTED' END "
        "WHERE NOT EXISTS (SELECT FROM data_entry_emissions x WHERE x.data_entry_id = e.id)"
    )
    op.create_index(
        "ix_data_entries_lacking",
        "data_entries",
        ["provider", "year", "data_entry_type_id"],
        postgresql_where=sa.text("lack IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_data_entries_lacking", table_name="data_entries")
    op.drop_column("data_entries", "lack")
