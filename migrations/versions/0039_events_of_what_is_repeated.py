"""Tells that what is retried cannot be retried meanwhile, and can again: functions, and no table."""

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None
EXPANDS = True


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
