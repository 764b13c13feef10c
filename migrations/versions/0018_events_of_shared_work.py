"""Events of a job for every pipeline that it works for, and an index of those that is always current."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

INDEX = "ix_data_ingestion_jobs_serves"

JOB_EVENT = """
CREATE OR REPLACE FUNCTION gql_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key, job_id)
    VALUES (nextval('events_seq'), coalesce(new.pipeline_id, new.time_key), new.id);
  IF new.serves <> '{}' THEN
    INSERT INTO events (seq, pipeline_key, job_id)
      SELECT nextval('events_seq'), served, new.id FROM unnest(new.serves) AS served
      WHERE served IS DISTINCT FROM new.pipeline_id;
  END IF;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(JOB_EVENT)
    op.execute(f"ALTER INDEX {INDEX} SET (fastupdate = off)")
    op.execute(f"SELECT gin_clean_pending_list('{INDEX}')")


def downgrade() -> None:
    op.execute(f"ALTER INDEX {INDEX} RESET (fastupdate)")
    op.execute("""
CREATE OR REPLACE FUNCTION gql_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key, job_id)
    VALUES (nextval('events_seq'), coalesce(new.pipeline_id, new.time_key), new.id);
  RETURN NULL;
END $$
""")
