"""Looks up what a success resolves, in time that does not grow with the commit it is part of: a function, and no table."""

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None
EXPANDS = True


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
