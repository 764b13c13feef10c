-- A later success that has read the same bytes, perhaps as what they are, is in place of a run of which nothing landed: if it was of
-- the same unit, or of the whole year.
CREATE OR REPLACE FUNCTION gql_reads_instead(status text, unit text, later_unit text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN status = 'FAILED' THEN later_unit IS NULL OR later_unit = unit ELSE false END
$$;
