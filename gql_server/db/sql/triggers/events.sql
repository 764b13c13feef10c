-- An event for each change that a viewer can see. Runs at COMMIT and holds its lock until the commit is visible, so the order
-- of `seq` is the order of commits for every writer.

CREATE OR REPLACE FUNCTION gql_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  served uuid[];
BEGIN
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key, job_id)
    VALUES (gql_event_number(), coalesce(new.pipeline_id, new.time_key), new.id);
  served := new.serves;
  IF TG_OP = 'UPDATE' AND old.serves <> new.serves THEN
    served := ARRAY(SELECT DISTINCT unnest(old.serves || new.serves));
  END IF;
  IF served <> '{}' THEN
    INSERT INTO events (seq, pipeline_key, job_id)
      SELECT gql_event_number(), key, new.id FROM unnest(served) AS key WHERE key IS DISTINCT FROM new.pipeline_id;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION gql_pipeline_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key) VALUES (gql_event_number(), new.id);
  RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS job_event ON data_ingestion_jobs;
CREATE CONSTRAINT TRIGGER job_event AFTER INSERT
ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_job_event();

DROP TRIGGER IF EXISTS job_changed ON data_ingestion_jobs;
CREATE CONSTRAINT TRIGGER job_changed AFTER UPDATE OF
  pipeline_id, serves, state, result, status_message, meta, run_after, attempts, started_at, finished_at
ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN ((old.pipeline_id, old.serves, old.state, old.result, old.status_message, old.meta, old.run_after, old.attempts,
       old.started_at, old.finished_at)
  IS DISTINCT FROM
      (new.pipeline_id, new.serves, new.state, new.result, new.status_message, new.meta, new.run_after, new.attempts,
       new.started_at, new.finished_at))
EXECUTE FUNCTION gql_job_event();

DROP TRIGGER IF EXISTS pipeline_created ON pipelines;
CREATE CONSTRAINT TRIGGER pipeline_created AFTER INSERT
ON pipelines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_pipeline_event();

DROP TRIGGER IF EXISTS pipeline_changed ON pipelines;
CREATE CONSTRAINT TRIGGER pipeline_changed AFTER UPDATE
ON pipelines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN ((old.status, old.expected_recalc, old.job_count, old.error_count, old.has_warning, old.last_error, old.aborted_at,
       old.started_at, old.finished_at)
  IS DISTINCT FROM
      (new.status, new.expected_recalc, new.job_count, new.error_count, new.has_warning, new.last_error, new.aborted_at,
       new.started_at, new.finished_at))
EXECUTE FUNCTION gql_pipeline_event();
