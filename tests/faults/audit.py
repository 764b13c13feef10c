"""The audit in the database, which tells what must be true after every fault."""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.site import Site

AUDIT = """
CREATE TABLE effects (job_id int NOT NULL, attempt int NOT NULL);
CREATE TABLE audit (job_id int, was text, became text, worker text, attempt int, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION audit_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (job_id, was, became, worker, attempt) VALUES (NEW.id, OLD.state, NEW.state, NEW.locked_by, NEW.attempts);
  RETURN NULL;
END $$;
CREATE TRIGGER audit_job AFTER UPDATE ON data_ingestion_jobs FOR EACH ROW
WHEN (OLD.state <> NEW.state OR OLD.state = 'FINISHED' AND
  (OLD.result, OLD.status_message, OLD.meta, OLD.attempts, OLD.locked_by) IS DISTINCT FROM
  (NEW.result, NEW.status_message, NEW.meta, NEW.attempts, NEW.locked_by))
EXECUTE FUNCTION audit_job();
"""

LEDGER = """
SELECT j.id, j.state, j.result, j.job_type, j.status_message,
  j.state = 'FINISHED' OR (j.state = 'NOT_STARTED' AND j.locked_by IS NULL AND j.attempts < j.max_attempts) AS is_kept,
  (SELECT count(*) FROM effects e WHERE e.job_id = j.id) AS effects,
  (SELECT count(*) FROM audit a WHERE a.job_id = j.id AND a.became = 'FINISHED' AND a.was <> 'FINISHED') AS finishes,
  (SELECT count(*) FROM audit a WHERE a.job_id = j.id AND a.was = 'FINISHED') AS disturbances
FROM data_ingestion_jobs j ORDER BY j.id
"""
NOBODY_IDLE_IN_TRANSACTION = """
SELECT count(*) = 0 FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""
COUNTED = ("effect", "talkative", "hoarder")


async def nothing_lost(site: "Site", accepted: Collection[int]) -> str:
    """Every accepted job is terminal or claimable, finished at most once and not touched since; each effect is there
    exactly when its job says so; nobody sits in a transaction. Returns what was lost."""
    rows = await site.query(LEDGER)
    assert set(accepted) <= {row.id for row in rows}
    assert [row for row in rows if not row.is_kept] == []
    assert [row for row in rows if row.finishes != (row.state == "FINISHED") or row.disturbances] == []
    assert [row for row in rows if row.job_type in COUNTED and row.effects != (row.result == "SUCCESS")] == []
    await site.until(NOBODY_IDLE_IN_TRANSACTION, 5)
    return "nothing"
