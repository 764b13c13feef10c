"""Pipelines know the wider scope whose data includes theirs, and which bytes they read, so that either makes a failure good;
events know which did."""

import sqlalchemy as sa
from alembic import op

from gql_server.db import routines

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None
EXPANDS = True

WIDER = "gql_wider_scope_key(provider, kind, entity_type, module_type_id, data_entry_type_id, year, unit_institutional_id)"


def upgrade() -> None:
    routines.install(op.get_bind(), "functions")
    op.add_column("pipelines", sa.Column("wider_scope_key", sa.Uuid(), sa.Computed(WIDER, persisted=True), nullable=True))
    op.add_column("pipelines", sa.Column("file_key", sa.Uuid(), nullable=True))
    op.add_column("events", sa.Column("cause_key", sa.Uuid(), nullable=True))
    op.execute(
        "UPDATE pipelines p SET file_key = gql_file_key(u.provider, p.year, coalesce(u.sha256, u.id::text)) "
        "FROM data_ingestion_jobs j JOIN uploads u ON u.id = j.upload_id "
        "WHERE j.pipeline_id = p.id AND j.job_type = p.kind"
    )
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_pipelines_wider_failed",
            "pipelines",
            ["wider_scope_key", "id"],
            postgresql_where=sa.text("status IN ('PARTIAL', 'FAILED')"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "ix_pipelines_file",
            "pipelines",
            ["file_key", "id"],
            postgresql_where=sa.text("file_key IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_pipelines_file", table_name="pipelines", postgresql_concurrently=True)
        op.drop_index("ix_pipelines_wider_failed", table_name="pipelines", postgresql_concurrently=True)
    op.drop_column("events", "cause_key")
    op.drop_column("pipelines", "file_key")
    op.drop_column("pipelines", "wider_scope_key")
