"""Stores what the jobs of pipelines say by a function, and makes the writes of jobs lighter: functions, and no table."""

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None
EXPANDS = True


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
