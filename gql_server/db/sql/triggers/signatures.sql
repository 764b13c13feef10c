-- The signature of a pipeline's jobs is forgotten when they change, whoever changes them; the sweep signs anew. After each change, and
-- not before it: for a row that a trigger may alter, PostgreSQL prepares and computes all generated columns again. What differs is
-- compared here, as for events.

CREATE OR REPLACE FUNCTION gql_forget_signature() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF (old.pipeline_id, old.job_type, old.module_type_id, old.year, old.failure_class)
      IS NOT DISTINCT FROM (new.pipeline_id, new.job_type, new.module_type_id, new.year, new.failure_class) THEN
      RETURN NULL;
    END IF;
  END IF;
  UPDATE pipelines SET signature = NULL WHERE id = new.pipeline_id AND signature IS NOT NULL;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER job_added AFTER INSERT ON data_ingestion_jobs
FOR EACH ROW WHEN (new.pipeline_id IS NOT NULL) EXECUTE FUNCTION gql_forget_signature();

CREATE OR REPLACE TRIGGER job_differs AFTER UPDATE OF pipeline_id, job_type, module_type_id, year, failure_class ON data_ingestion_jobs
FOR EACH ROW EXECUTE FUNCTION gql_forget_signature();

CREATE OR REPLACE FUNCTION gql_unsign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.signature IS NOT NULL AND new.status NOT IN ('SUCCESS', 'PARTIAL', 'FAILED') THEN
    UPDATE pipelines SET signature = NULL WHERE id = new.id;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER pipeline_goes_on AFTER UPDATE OF status ON pipelines
FOR EACH ROW EXECUTE FUNCTION gql_unsign();
