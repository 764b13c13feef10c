"""Data entries remember the upload that brought them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("data_entries", sa.Column("upload_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("data_entries", "upload_id")
