"""A worker says at what interval it beats, and how long it may be silent on a job."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pods", sa.Column("heartbeat_interval", sa.Interval(), server_default=sa.text("'00:00:05'"), nullable=False))
    op.add_column("pods", sa.Column("lease", sa.Interval(), server_default=sa.text("'00:00:10'"), nullable=False))


def downgrade() -> None:
    op.drop_column("pods", "lease")
    op.drop_column("pods", "heartbeat_interval")
