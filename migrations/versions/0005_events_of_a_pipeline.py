"""The events of one pipeline can be found without reading everybody's."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_pipeline", "events", ["pipeline_key", "seq"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_events_pipeline", table_name="events")
