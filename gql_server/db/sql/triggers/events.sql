-- An event for each change that a viewer can see. Runs at COMMIT and holds its lock until the commit is visible, so the order
-- of `seq` is the order of commits for every writer. What differs is compared here: the clause WHEN of a trigger is read anew by every
-- statement, which takes longer.

CREATE OR REPLACE FUNCTION gql_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  served uuid[] := new.serves;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF (old.pipeline_id, old.serves, old.state, old.result, old.status_message, old.meta, old.run_after, old.attempts,
       old.started_at, old.finished_at)
      IS NOT DISTINCT FROM
      (new.pipeline_id, new.serves, new.state, new.result, new.status_message, new.meta, new.run_after, new.attempts,
       new.started_at, new.finished_at) THEN
      RETURN NULL;
    END IF;
    IF old.serves <> new.serves THEN
      served := ARRAY(SELECT DISTINCT unnest(old.serves || new.serves));
    END IF;
  END IF;
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key, job_id)
    VALUES (gql_event_number(), coalesce(new.pipeline_id, new.time_key), new.id);
  IF served <> '{}' THEN
    INSERT INTO events (seq, pipeline_key, job_id)
      SELECT gql_event_number(), key, new.id FROM unnest(served) AS key WHERE key IS DISTINCT FROM new.pipeline_id;
  END IF;
  RETURN NULL;
END $$;

-- A success resolves the failures before it that it makes good and no earlier one did: on its scope, on those that it is the wider
-- one of, and of the same bytes, of which not everybody sees who read them before. On a scope all go back to the success before, but
-- for failed files of units, which add up; what was a success and is no more leaves them open again.
-- Many may be written by one commit, so the plan is made once, when perhaps the tables are still empty, and none but the index of
-- scopes fits: rows of (scope, id) are compared, states asked for by CASE, and of what came between the first is looked up.
CREATE OR REPLACE FUNCTION gql_tell_resolved(success uuid) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  new pipelines%ROWTYPE;
  since_of_files uuid := '00000000-0000-0000-0000-000000000000';
  since uuid;
BEGIN
  SELECT * INTO new FROM pipelines WHERE id = success;
  SELECT p.id INTO since FROM pipelines p
    WHERE (p.scope_key, p.id) < (new.scope_key, new.id) AND p.scope_key >= new.scope_key AND p.status = 'SUCCESS'
    ORDER BY p.scope_key DESC, p.id DESC LIMIT 1;
  since := coalesce(since, since_of_files);
  IF new.file_digest IS NULL THEN
    since_of_files := since;
  END IF;
  INSERT INTO events (seq, pipeline_key, cause_key)
    SELECT gql_event_number(), failed.key, new.id FROM (
      SELECT p.id AS key FROM (
        SELECT p.id, p.status, p.scope_key, p.wider_scope_key, p.file_digest, p.file_name
          FROM pipelines p
          WHERE (p.scope_key, p.id) > (new.scope_key, since_of_files) AND (p.scope_key, p.id) < (new.scope_key, new.id)
            AND CASE WHEN p.status = 'FAILED' OR p.status = 'PARTIAL' AND p.id > since
              THEN gql_makes_good(p.status, p.file_digest, p.file_name, new.file_digest, new.file_name) END
        UNION ALL
        SELECT p.id, p.status, p.scope_key, p.wider_scope_key, p.file_digest, p.file_name
          FROM pipelines p
          WHERE (p.wider_scope_key, p.id) > (new.scope_key, since_of_files) AND (p.wider_scope_key, p.id) < (new.scope_key, new.id)
            AND p.status IN ('PARTIAL', 'FAILED') AND (p.status = 'FAILED' OR p.id > since)
            AND gql_makes_good(p.status, p.file_digest, p.file_name, new.file_digest, new.file_name)
        UNION ALL
        SELECT p.id, p.status, p.scope_key, p.wider_scope_key, p.file_digest, p.file_name
          FROM pipelines p
          WHERE p.file_key = new.file_key AND p.id < new.id
            AND gql_reads_instead(p.status, p.unit_institutional_id, new.unit_institutional_id)
            AND ((new.scope_key = p.scope_key OR new.scope_key = p.wider_scope_key)
              AND gql_makes_good(p.status, p.file_digest, p.file_name, new.file_digest, new.file_name)) IS NOT TRUE
      ) AS p
        WHERE (
          SELECT s.id FROM pipelines s
            WHERE (s.scope_key, s.id) > (p.scope_key, p.id) AND (s.scope_key, s.id) < (p.scope_key, new.id)
              AND s.status = 'SUCCESS'
              AND gql_makes_good(p.status, p.file_digest, p.file_name, s.file_digest, s.file_name)
            ORDER BY s.scope_key, s.id LIMIT 1
        ) IS NULL AND (
          SELECT s.id FROM pipelines s
            WHERE (s.scope_key, s.id) > (p.wider_scope_key, p.id) AND (s.scope_key, s.id) < (p.wider_scope_key, new.id)
              AND s.status = 'SUCCESS'
              AND gql_makes_good(p.status, p.file_digest, p.file_name, s.file_digest, s.file_name)
            ORDER BY s.scope_key, s.id LIMIT 1
        ) IS NULL
      UNION ALL
      SELECT j.time_key FROM data_ingestion_jobs j
        WHERE j.provider = new.provider AND j.pipeline_id IS NULL AND j.state = 'FINISHED' AND j.result = 'ERROR'
          AND j.time_key > since_of_files AND j.time_key < new.id
          AND new.scope_key IN (j.scope_key, gql_wider_scope_key(
            j.provider, j.job_type, j.entity_type, j.module_type_id, j.data_entry_type_id, j.year, NULL
          ))
    ) AS failed;
END $$;

-- While a retry runs, what it repeats cannot be retried; that is told when it begins, and when it has ended.
CREATE OR REPLACE FUNCTION gql_tell_repeated(retry uuid) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  INSERT INTO events (seq, pipeline_key, cause_key)
    SELECT gql_event_number(), coalesce(repeated.pipeline_id, repeated.time_key), retry
      FROM (SELECT config FROM data_ingestion_jobs WHERE pipeline_id = retry ORDER BY id LIMIT 1) AS root
      JOIN data_ingestion_jobs repeated ON repeated.id = (root.config ->> 'retry_of_job_id')::bigint;
END $$;

CREATE OR REPLACE FUNCTION gql_pipeline_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  resolves boolean := new.status = 'SUCCESS';
  begins_or_ends boolean := true;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF (old.status, old.expected_recalc, old.job_count, old.error_count, old.has_warning, old.last_error, old.aborted_at,
       old.started_at, old.finished_at)
      IS NOT DISTINCT FROM
      (new.status, new.expected_recalc, new.job_count, new.error_count, new.has_warning, new.last_error, new.aborted_at,
       new.started_at, new.finished_at) THEN
      RETURN NULL;
    END IF;
    resolves := (old.status = 'SUCCESS') <> (new.status = 'SUCCESS');
    begins_or_ends := old.finished_at IS DISTINCT FROM new.finished_at;
  END IF;
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key) VALUES (gql_event_number(), new.id);
  IF resolves THEN
    PERFORM gql_tell_resolved(new.id);
  END IF;
  IF begins_or_ends THEN
    PERFORM gql_tell_repeated(new.id);
  END IF;
  RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS job_event ON data_ingestion_jobs;
CREATE CONSTRAINT TRIGGER job_event AFTER INSERT
ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_job_event();

DROP TRIGGER IF EXISTS job_changed ON data_ingestion_jobs;
CREATE CONSTRAINT TRIGGER job_changed AFTER UPDATE OF
  pipeline_id, serves, state, result, status_message, meta, run_after, attempts, started_at, finished_at
ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_job_event();

DROP TRIGGER IF EXISTS pipeline_created ON pipelines;
CREATE CONSTRAINT TRIGGER pipeline_created AFTER INSERT
ON pipelines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_pipeline_event();

DROP TRIGGER IF EXISTS pipeline_changed ON pipelines;
CREATE CONSTRAINT TRIGGER pipeline_changed AFTER UPDATE OF
  status, expected_recalc, job_count, error_count, has_warning, last_error, aborted_at, started_at, finished_at
ON pipelines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_pipeline_event();
