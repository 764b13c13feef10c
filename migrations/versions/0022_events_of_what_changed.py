"""An event only where something changed; that another job became the current one is told of that one."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

VISIBLE = (
    *("pipeline_id", "serves", "state", "result", "status_message", "meta"),
    *("run_after", "attempts", "started_at", "finished_at"),
)


def upgrade() -> None:
    op.execute("DROP TRIGGER job_event ON data_ingestion_jobs")
    _create("job_event", "INSERT")
    old, new = (", ".join(f"{row}.{column}" for column in VISIBLE) for row in ("old", "new"))
    _create("job_changed", f"UPDATE OF {', '.join(VISIBLE)}", f"WHEN (({old}) IS DISTINCT FROM ({new}))")


def downgrade() -> None:
    op.execute("DROP TRIGGER job_changed ON data_ingestion_jobs")
    op.execute("DROP TRIGGER job_event ON data_ingestion_jobs")
    _create("job_event", f"INSERT OR UPDATE OF {', '.join(VISIBLE)}, is_current")


def _create(name: str, when: str, condition: str = "") -> None:
    op.execute(
        f"CREATE CONSTRAINT TRIGGER {name} AFTER {when} ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW {condition} EXECUTE FUNCTION gql_job_event()"
    )
