"""Drop the version of pipelines, which nothing reads."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("pipelines", "version")


def downgrade() -> None:
    op.add_column("pipelines", sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
