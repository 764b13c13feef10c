"""The newest jobs and the last good pipeline of a module in a year are found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

JOBS = "data_ingestion_jobs"
OF_CELLS = {
    "cell_aggregations": (["id"], "job_type = 'aggregation'"),
    "cell_factors": (["id"], "target_type = 'FACTORS'"),
    "cell_recalculations": (["data_entry_type_id", "id"], "job_type IN ('emission_recalc', 'module_emission_recalc')"),
    "cell_changes": (
        ["finished_at"],
        "state = 'FINISHED' AND result <> 'ERROR' AND target_type IN ('DATA_ENTRIES', 'FACTORS') AND job_type <> 'aggregation'",
    ),
}
CELL = ["provider", "year", "module_type_id"]


def upgrade() -> None:
    for name, (keys, where) in OF_CELLS.items():
        op.create_index(f"ix_{JOBS}_{name}", JOBS, [*CELL, *keys], postgresql_where=sa.text(where))
    op.create_index("ix_pipelines_cell_success", "pipelines", [*CELL, "id"], postgresql_where=sa.text("status = 'SUCCESS'"))
    op.drop_index("ix_pipelines_module_year", table_name="pipelines")


def downgrade() -> None:
    op.create_index("ix_pipelines_module_year", "pipelines", ["module_type_id", "year"])
    op.drop_index("ix_pipelines_cell_success", table_name="pipelines")
    for name in OF_CELLS:
        op.drop_index(f"ix_{JOBS}_{name}", table_name=JOBS)
