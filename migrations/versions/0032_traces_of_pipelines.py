"""Pipelines keep the place in a trace at which they were begun, for their jobs to go on from."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None
EXPANDS = True


def upgrade() -> None:
    op.add_column("pipelines", sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("pipelines", "traceparent")
