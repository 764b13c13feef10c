-- What the jobs of these pipelines say is stored with them; returns those that were written. Of `only_drifted` no other row is
-- touched. Work that was merged into jobs of others counts like one's own. The same rules as `progress.pipeline_status`: a property
-- test holds the two together. The plan is made once, when perhaps the tables are still empty: each pipeline is looked up by itself, by
-- index, so that it is good for one and for thousands.
CREATE OR REPLACE FUNCTION gql_store_status(ids uuid[], only_drifted boolean) RETURNS SETOF uuid LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  RETURN QUERY
  WITH facts AS (
    SELECT given.id, f.*,
      CASE WHEN f.untouched THEN 'NOT_STARTED' ELSE 'RUNNING' END AS while_open,
      CASE WHEN f.root_failed THEN 'FAILED' WHEN f.error_count > 0 THEN 'PARTIAL' ELSE 'SUCCESS' END AS at_end
    FROM unnest(ids) AS given (id) CROSS JOIN LATERAL (
      SELECT
        count(*) AS job_count,
        count(*) FILTER (WHERE j.state = 'FINISHED' AND j.result = 'ERROR') AS error_count,
        count(*) FILTER (WHERE j.job_type = 'emission_recalc') AS recalc_count,
        coalesce(bool_or(j.state IN ('NOT_STARTED', 'QUEUED', 'RUNNING')), false) AS live,
        coalesce(bool_and(j.state IN ('NOT_STARTED', 'QUEUED')), false) AS untouched,
        coalesce(bool_or(j.state = 'FINISHED' AND j.result = 'WARNING'), false) AS has_warning,
        (array_agg(j.state = 'FINISHED' AND j.result = 'ERROR' ORDER BY j.id) FILTER (WHERE j.is_own))[1] AS root_failed,
        min(j.started_at) FILTER (WHERE j.is_own) AS started_at,
        max(j.finished_at) AS finished_at,
        (array_agg(j.status_message ORDER BY lower(btrim(coalesce(j.status_message, ''))) = 'success', j.id)
           FILTER (WHERE j.state = 'FINISHED' AND j.result = 'ERROR'))[1] AS last_error
      FROM (
        SELECT true AS is_own, o.id, o.job_type, o.state, o.result, o.status_message, o.started_at, o.finished_at
          FROM data_ingestion_jobs o WHERE o.pipeline_id = given.id
        UNION ALL
        SELECT false, s.id, s.job_type, s.state, s.result, s.status_message, s.started_at, s.finished_at
          FROM data_ingestion_jobs s
          WHERE s.serves @> ARRAY[given.id] AND s.serves <> '{}' AND s.pipeline_id IS DISTINCT FROM given.id
      ) AS j
    ) AS f
    WHERE f.job_count > 0
  )
  UPDATE pipelines p SET
    status = CASE WHEN f.live OR p.owes_aggregation THEN f.while_open ELSE f.at_end END,
    expected_recalc = f.recalc_count, job_count = f.job_count, error_count = f.error_count,
    has_warning = f.has_warning, last_error = f.last_error, started_at = f.started_at,
    finished_at = CASE WHEN NOT (f.live OR p.owes_aggregation) THEN f.finished_at END,
    updated_at = clock_timestamp()
  FROM facts f
  WHERE p.id = f.id AND (NOT only_drifted OR
    (p.status, p.expected_recalc, p.job_count, p.error_count, p.has_warning, p.last_error, p.started_at, p.finished_at)
    IS DISTINCT FROM
    (CASE WHEN f.live OR p.owes_aggregation THEN f.while_open ELSE f.at_end END,
     f.recalc_count, f.job_count, f.error_count, f.has_warning, f.last_error, f.started_at,
     CASE WHEN NOT (f.live OR p.owes_aggregation) THEN f.finished_at END))
  RETURNING p.id;
END $$;

-- The same, or the error for which nothing is stored: whoever asks goes on with their transaction.
CREATE OR REPLACE FUNCTION gql_try_store_status(ids uuid[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM gql_store_status(ids, false);
  RETURN NULL;
EXCEPTION WHEN query_canceled OR others THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
